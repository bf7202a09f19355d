"""Paid sessions: opened over a datum's hosts, closed so that the rest of the deposit returns."""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from chain.content import CHUNK_BYTES
from chain.modules.sessions import CloseSession, HostAllotment, OpenSession, compute_price
from chain.primitives.fixed_point import div_up
from chain.primitives.keys import KeyPair
from cli.content.catalogue import get_if_there
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import RequestRefused
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.transactions.sending import list_events, send

SESSION_HOSTS_MAX = 32
SLACK = 2
"""Half of a session's hosts can fail and the rest still carry the whole."""
RATE_BYTES_MIN = 256 * 2**10
"""Bytes per second that a session's length is reckoned with."""
SESSION_SECONDS_MIN = 120


class Opened(NamedTuple):
    """A session, and the key that its vouchers are signed with."""

    session: str
    voucher_secret: bytes
    height: int
    price_per_gib: int
    deposit: int


def build_opening(
    network: NetworkContext, account: bytes, entry: dict[str, Any], key: KeyPair, price_max: int | None = None
) -> OpenSession:
    """The call that opens a session over a datum's hosts, each to be paid its fair part and more."""
    hosts = [network.find_address(host["address"]) for host in entry["hosts"]]
    hosts = [host for host in hosts if host != account][:SESSION_HOSTS_MAX]
    if not hosts:
        raise RequestRefused(
            "sessions.not_hosting", f"nobody hosts {entry['id']} now", "`vidya query datum ID`"
        )
    parameters, size = network.client.get("/v1/params")["sessions"], entry["datum"]["size_bytes"]
    price = parameters["price_per_gib"]
    limit = compute_limit(size, price, len(hosts))
    return OpenSession(
        datum=bytes.fromhex(entry["id"]),
        voucher_key=key.public_key,
        price_max_per_gib=price if price_max is None else price_max,
        expires_at=network.get_status()["height"] + compute_lifetime(network, size, parameters),
        allotments=tuple(HostAllotment(host, limit) for host in hosts),
    )


def open_sessions(
    network: NetworkContext,
    account: WalletAccount,
    entries: Sequence[dict[str, Any]],
    price_max: int | None = None,
    voucher_secrets: Sequence[bytes] | None = None,
) -> list[Opened]:
    """A session per datum, all in one transaction; with fresh keys for the vouchers, if none are given."""
    used = voucher_secrets or [secrets.token_bytes(32) for _ in entries]
    calls = [
        build_opening(network, account.address, entry, KeyPair(secret), price_max)
        for entry, secret in zip(entries, used, strict=True)
    ]
    outcome = send(network, account, calls)
    opened = list_events(outcome, "sessions.SessionOpened")
    return [
        Opened(one["session"], secret, outcome["height"], one["price_per_gib"], one["deposit"])
        for one, secret in zip(opened, used, strict=True)
    ]


def compute_limit(size_bytes: int, price_per_gib: int, hosts: int) -> int:
    """What one of so many hosts may be paid: the whole if they are few, else a fair part with slack."""
    part = min(size_bytes, div_up(size_bytes * SLACK, hosts) + CHUNK_BYTES)
    return max(compute_price(part, price_per_gib), 1)


def compute_lifetime(network: NetworkContext, size_bytes: int, parameters: dict[str, Any]) -> int:
    """Blocks that a download may take, generously."""
    seconds = SESSION_SECONDS_MIN + size_bytes // RATE_BYTES_MIN
    blocks = seconds * 1000 // max(network.spec.system.parameters.block_ms, 1)
    return min(blocks, int(parameters["lifetime_blocks_max"]) - 1)


def close_sessions(network: NetworkContext, account: WalletAccount, sessions: Sequence[str]) -> None:
    """Gets back what is left of deposits, of those sessions that are still open; says when it returns."""
    found = {session: get_if_there(network, f"/v1/sessions/{session}") for session in sessions}
    calls = [
        CloseSession(bytes.fromhex(session))
        for session, one in found.items()
        if one is not None and not one["session"]["is_closing"]
    ]
    if calls:
        closing = list_events(send(network, account, calls), "sessions.SessionClosing")
        if not network.settings.is_quiet:
            say_return(network, max(one["ends_at"] for one in closing))


def say_return(network: NetworkContext, latest: int) -> None:
    """On stderr: when the rest of a closed session's deposit is back."""
    when = network.clock.describe_height(latest)
    output.say(
        "the rest of the deposit returns within a few blocks if all its hosts are online; "
        f"block {latest} ({when}) at the latest"
    )


def say_lost(network: NetworkContext, host: str, lost_bytes: int, lost: int, reason: str) -> None:
    """Names a host that was paid for more than came, if it was."""
    if lost_bytes:
        what = f"{network.amount(lost)} for {format_size(lost_bytes)} that did not come"
        output.say(f"{host} was paid {what}: {reason}; it is asked last from now on")
