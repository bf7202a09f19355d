"""What several verbs do with content: publish, list, open sessions, have a node fetch, register.

Every step looks first whether it is done, so that a verb that was cut off can be run again.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chain.content import CHUNK_BYTES
from chain.modules.catalogue import ListDatum, compute_datum_id
from chain.modules.hosting import RegisterSubset
from chain.modules.sessions import HostAllotment, OpenSession, compute_price
from chain.primitives.fixed_point import div_up
from chain.primitives.keys import KeyPair
from cli import output
from cli.errors import CliError, Refused
from cli.exits import Exit
from cli.facts import Facts
from cli.keys import Account
from cli.sending import find_event, send

SUBSET_CHANGES_MAX = 256
SESSION_HOSTS_MAX = 32
PUBLISH_SECONDS_MAX = 3600.0
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


def get_if_there(facts: Facts, path: str, **parameters: Any) -> Any:
    """The answer; None if there is no such thing."""
    try:
        return facts.client.get(path, **parameters)
    except CliError as error:
        if error.exit is not Exit.NOT_FOUND:
            raise
        return None


def list_pages(facts: Facts, path: str, name: str, **parameters: Any) -> Iterator[Any]:
    """All records of a list that comes in pages."""
    cursor = ""
    while cursor is not None:
        page = facts.client.get(path, cursor=cursor or None, **parameters)
        yield from page[name]
        cursor = page["next"]


def require_datum(facts: Facts, datum: str) -> dict[str, Any]:
    """An entry of the catalogue with its hosts; raises Refused."""
    found = get_if_there(facts, f"/v1/datums/{datum}")
    if found is None:
        raise Refused("catalogue.not_listed", f"the catalogue has no datum {datum}")
    entry: dict[str, Any] = found
    return entry


def publish(facts: Facts, path: Path) -> dict[str, Any]:
    """Has the node host a file or folder where it lies; reads all of it."""
    body = {"path": str(path.resolve())}
    published: dict[str, Any] = facts.client.post(
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


def ensure_listed(facts: Facts, account: Account, listings: Sequence[ListDatum]) -> None:
    """Lists what is not in the catalogue yet."""
    missing = [
        one for one in listings if get_if_there(facts, f"/v1/datums/{compute_datum_id(one).hex()}") is None
    ]
    if missing:
        send(facts, account, missing)


def ensure_registered(facts: Facts, account: Account, datums: Sequence[bytes]) -> int | None:
    """Registers what the account does not host yet; the epoch from which on it counts, None if it did."""
    host = get_if_there(facts, f"/v1/hosts/{facts.address(account.address)}", limit=1000)
    if host is None:
        raise Refused("hosting.not_host", f"{account.name} is no host")
    held = {bytes.fromhex(one["datum"]) for one in host["holdings"] if one["until_epoch"] is None}
    missing = tuple(datum for datum in datums if datum not in held)
    if not missing:
        return None
    outcome = send(facts, account, [RegisterSubset(missing[:SUBSET_CHANGES_MAX], ())])
    return int(find_event(outcome, "hosting.HoldingRegistered")["from_epoch"])


def open_session(
    facts: Facts, account: Account, entry: dict[str, Any], price_max: int | None = None
) -> Opened:
    """A session over the datum's hosts, each of which can be paid its fair part and more."""
    hosts = [host for host in entry["hosts"] if facts.find_address(host["address"]) != account.address]
    if not hosts:
        raise Refused(
            "sessions.not_hosting", f"nobody hosts {entry['id']} now", "`vidya query datum` says who will"
        )
    secret, parameters = secrets.token_bytes(32), facts.client.get("/v1/params")["sessions"]
    price, size = parameters["price_per_gib"], entry["datum"]["size_bytes"]
    limit = compute_limit(size, price, min(len(hosts), SESSION_HOSTS_MAX))
    call = OpenSession(
        datum=bytes.fromhex(entry["id"]),
        voucher_key=KeyPair(secret).public_key,
        price_max_per_gib=price if price_max is None else price_max,
        expires_at=facts.get_status()["height"] + compute_lifetime(facts, size, parameters),
        allotments=tuple(
            HostAllotment(facts.find_address(host["address"]), limit) for host in hosts[:SESSION_HOSTS_MAX]
        ),
    )
    outcome = send(facts, account, [call])
    event = find_event(outcome, "sessions.SessionOpened")
    return Opened(event["session"], secret, outcome["height"], event["price_per_gib"], event["deposit"])


def compute_limit(size_bytes: int, price_per_gib: int, hosts: int) -> int:
    """What one of so many hosts may be paid: the whole if they are few, else a fair part with slack."""
    part = min(size_bytes, div_up(size_bytes * SLACK, hosts) + CHUNK_BYTES)
    return max(compute_price(part, price_per_gib), 1)


def compute_lifetime(facts: Facts, size_bytes: int, parameters: dict[str, Any]) -> int:
    """Blocks that a download may take, generously."""
    seconds = SESSION_SECONDS_MIN + size_bytes // RATE_BYTES_MIN
    blocks = seconds * 1000 // max(facts.spec.system.parameters.block_ms, 1)
    return min(blocks, int(parameters["lifetime_blocks_max"]) - 1)


def fetch_into_node(
    facts: Facts, account: Account, datum: str, show: Callable[[str], None] = output.show_line
) -> None:
    """Has the node of `facts` fetch a datum out of a session that the account pays. Raises Refused."""
    if is_complete(facts, datum):
        return
    entry = require_datum(facts, datum)
    opened = open_session(facts, account, entry)
    order = {"session": opened.session, "voucher_secret": opened.voucher_secret.hex()}
    progress = facts.client.post("/v1/content/download", order)
    while progress["state"] == "running":
        show(describe_progress(entry["datum"]["title"], progress))
        time.sleep(POLL_SECONDS)
        progress = facts.client.get(f"/v1/content/download/{progress['job']}")
    output.end_line()
    close_session(facts, account, opened.session)
    if progress["state"] != "complete":
        tried = "; ".join(
            f"{host['host']}: {host['failure']}" for host in progress["hosts"] if host["failure"]
        )
        raise Refused(
            "download_failed", f"{datum}: {progress['failure'] or tried}", "run it again; it goes on there"
        )


def is_complete(facts: Facts, datum: str) -> bool:
    """Whether the node has all of a datum."""
    local = facts.client.get("/v1/content")["datums"]
    return any(one["datum"] == datum and one["is_complete"] for one in local)


def close_session(facts: Facts, account: Account, session: str) -> None:
    """Gets back what is left of the deposit, unless the session is over."""
    from chain.modules.sessions import CloseSession

    found = get_if_there(facts, f"/v1/sessions/{session}")
    if found is not None and not found["session"]["is_closing"]:
        send(facts, account, [CloseSession(bytes.fromhex(session))])


def describe_progress(title: str, progress: dict[str, Any]) -> str:
    """How far a download of a node is."""
    from cli.amounts import format_size

    held, total = progress["bytes_held"], progress["bytes_total"]
    rate = format_size(progress["bytes_per_second"])
    return f"{title}: {format_size(held)} of {format_size(total)}, {rate}/s, {len(progress['hosts'])} hosts"
