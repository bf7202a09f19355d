"""What several verbs do with content: publish, list, open sessions, have a node fetch, register.

Every step looks first whether it is done, so that a verb that was cut off can be run again.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chain.content import CHUNK_BYTES
from chain.modules.catalogue import ListDatum, compute_datum_id
from chain.modules.hosting import RegisterSubset
from chain.modules.sessions import CloseSession, HostAllotment, OpenSession, compute_price
from chain.primitives.fixed_point import div_up
from chain.primitives.keys import KeyPair
from cli.context.keys import Account
from cli.context.network import NetworkContext
from cli.errors import CliError, RequestRefused
from cli.exits import ExitCode
from cli.terminal import output
from cli.transactions.sending import list_events, send

SUBSET_CHANGES_MAX = 256
PAGE = 500
SESSION_HOSTS_MAX = 32
PUBLISH_SECONDS_MAX = 3600.0
SESSIONS_AT_ONCE = 8
SLACK = 2
"""Half of a session's hosts can fail and the rest still carry the whole."""
RATE_BYTES_MIN = 256 * 2**10
"""Bytes per second that a session's length is reckoned with."""
SESSION_SECONDS_MIN = 120
POLL_SECONDS = 0.2


class Opened(NamedTuple):
    """A session, and the key that its vouchers are signed with."""

    session: str
    voucher_secret: bytes
    height: int
    price_per_gib: int
    deposit: int


def get_if_there(network: NetworkContext, path: str, **parameters: Any) -> Any:
    """The answer; None if there is no such thing."""
    try:
        return network.client.get(path, **parameters)
    except CliError as error:
        if error.exit is not ExitCode.NOT_FOUND:
            raise
        return None


def list_pages(network: NetworkContext, path: str, name: str, **parameters: Any) -> Iterator[Any]:
    """All records of a list that comes in pages."""
    cursor, cursor_name = "", "cursor" if name == "datums" else "after"
    while cursor is not None:
        page = network.client.get(path, **parameters, **({cursor_name: cursor} if cursor else {}))
        yield from page[name]
        cursor = page["next"]


def require_datum(network: NetworkContext, datum: str) -> dict[str, Any]:
    """An entry of the catalogue with its hosts; raises RequestRefused."""
    found = get_if_there(network, f"/v1/datums/{datum}")
    if found is None:
        raise RequestRefused("catalogue.not_listed", f"the catalogue has no datum {datum}")
    entry: dict[str, Any] = found
    return entry


def publish(network: NetworkContext, path: Path) -> dict[str, Any]:
    """Has the node host a file or folder where it lies; reads all of it."""
    body = {"path": str(path.resolve())}
    published: dict[str, Any] = network.client.post(
        "/v1/content/publish", body, seconds_max=PUBLISH_SECONDS_MAX
    )
    return published


def build_listing(published: dict[str, Any], title: str, category: str, tags: Sequence[str]) -> ListDatum:
    """The call that puts it into the catalogue."""
    return ListDatum(
        files_hash=bytes.fromhex(published["files_hash"]),
        root=bytes.fromhex(published["root"]),
        size_bytes=published["size_bytes"],
        title=title,
        category=category,
        tags=tuple(tags),
        description="",
    )


def ensure_listed(network: NetworkContext, account: Account, listings: Sequence[ListDatum]) -> None:
    """Lists what is not in the catalogue yet."""
    missing = [
        one for one in listings if get_if_there(network, f"/v1/datums/{compute_datum_id(one).hex()}") is None
    ]
    if missing:
        send(network, account, missing)


def list_holdings(network: NetworkContext, account: bytes) -> dict[str, dict[str, Any]]:
    """What an account has registered, by datum; raises RequestRefused if it is no host."""
    path = f"/v1/hosts/{network.address(account)}"
    if get_if_there(network, path, limit=1) is None:
        raise RequestRefused("hosting.not_host", f"{network.address(account)} is no host")
    return {holding["datum"]: holding for holding in list_pages(network, path, "holdings", limit=PAGE)}


def ensure_registered(network: NetworkContext, account: Account, datums: Sequence[bytes]) -> int | None:
    """Registers what the account does not host yet; the epoch from which on it counts, None if it did."""
    held = list_holdings(network, account.address)
    missing = [datum for datum in datums if datum.hex() not in held]
    from_epoch = None
    for start in range(0, len(missing), SUBSET_CHANGES_MAX):
        outcome = send(
            network, account, [RegisterSubset(tuple(missing[start : start + SUBSET_CHANGES_MAX]), ())]
        )
        from_epoch = int(list_events(outcome, "hosting.HoldingRegistered")[0]["from_epoch"])
    return from_epoch


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
    network: NetworkContext, account: Account, entries: Sequence[dict[str, Any]], price_max: int | None = None
) -> list[Opened]:
    """A session per datum, all in one transaction."""
    secret_of = [secrets.token_bytes(32) for _ in entries]
    calls = [
        build_opening(network, account.address, entry, KeyPair(secret), price_max)
        for entry, secret in zip(entries, secret_of, strict=True)
    ]
    outcome = send(network, account, calls)
    opened = list_events(outcome, "sessions.SessionOpened")
    return [
        Opened(one["session"], secret, outcome["height"], one["price_per_gib"], one["deposit"])
        for one, secret in zip(opened, secret_of, strict=True)
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


def fetch_into_node(network: NetworkContext, account: Account, datums: Sequence[str]) -> None:
    """The node fetches the datums it lacks, by sessions that the account pays; raises RequestRefused."""
    missing = [require_datum(network, datum) for datum in datums if not is_complete(network, datum)]
    for start in range(0, len(missing), SESSIONS_AT_ONCE):
        entries = missing[start : start + SESSIONS_AT_ONCE]
        opened = open_sessions(network, account, entries)
        try:
            jobs = [begin_download(network, session) for session in opened]
            for entry, job in zip(entries, jobs, strict=True):
                wait_download(network, entry["datum"]["title"], job)
        finally:
            close_sessions(network, account, [session.session for session in opened])


def begin_download(network: NetworkContext, opened: Opened) -> str:
    """The job of a node that fetches a session's datum."""
    order = {"session": opened.session, "voucher_secret": opened.voucher_secret.hex()}
    return str(network.client.post("/v1/content/download", order)["job"])


def wait_download(network: NetworkContext, title: str, job: str) -> None:
    """Until the node has it all; raises RequestRefused with what each host said."""
    progress = network.client.get(f"/v1/content/download/{job}")
    while progress["state"] == "running":
        output.show_line(describe_progress(title, progress))
        time.sleep(POLL_SECONDS)
        progress = network.client.get(f"/v1/content/download/{job}")
    output.end_line()
    if progress["state"] != "complete":
        tried = "; ".join(
            f"{host['host']}: {host['failure']}" for host in progress["hosts"] if host["failure"]
        )
        hint = "run it again; it goes on where it is"
        raise RequestRefused(
            "download_failed", f"{title}: {progress['failure'] or tried or 'no host gave it'}", hint
        )


def is_complete(network: NetworkContext, datum: str) -> bool:
    """Whether the node has all of a datum."""
    local = network.client.get("/v1/content")["datums"]
    return any(one["datum"] == datum and one["is_complete"] for one in local)


def close_sessions(network: NetworkContext, account: Account, sessions: Sequence[str]) -> None:
    """Gets back what is left of deposits, of those sessions that are still open."""
    found = {session: get_if_there(network, f"/v1/sessions/{session}") for session in sessions}
    calls = [
        CloseSession(bytes.fromhex(session))
        for session, one in found.items()
        if one is not None and not one["session"]["is_closing"]
    ]
    if calls:
        send(network, account, calls)


def describe_progress(title: str, progress: dict[str, Any]) -> str:
    """How far a download of a node is."""
    from cli.terminal.amounts import format_size

    held, total = progress["bytes_held"], progress["bytes_total"]
    rate = format_size(progress["bytes_per_second"])
    return f"{title}: {format_size(held)} of {format_size(total)}, {rate}/s, {len(progress['hosts'])} hosts"
