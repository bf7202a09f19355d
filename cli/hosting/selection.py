"""Which datums a host takes: what it holds already, then the least hosted that fit its disk and its bond."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chain.modules.catalogue import GIB
from chain.modules.sessions import compute_price
from chain.primitives.types import Amount
from cli.content.catalogue import get_if_there
from cli.content.fetching import Failures, fetch_into_node
from cli.content.holdings import ensure_registered, list_holdings
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import CliError
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.terminal.wording import format_count

DISK_SHARE = 10
"""A tenth of the disk stays for the index and for what grows."""
PAGE = 500

Entry = dict[str, Any]


class Room(NamedTuple):
    """How many bytes may be hosted, and what sets the limit."""

    size_bytes: int
    limit: str


class Hosted(NamedTuple):
    """What came of fetching and registering."""

    datums: list[str]
    failures: Failures


def compute_room(network: NetworkContext, disk_bytes: int, bond: Amount) -> Room:
    """The smaller of disk and bond."""
    per_gib = int(network.get_status()["pledge_per_gib"])
    by_disk = disk_bytes - disk_bytes // DISK_SHARE
    by_bond = bond * GIB // per_gib if per_gib else by_disk
    if by_disk <= by_bond:
        return Room(by_disk, f"--disk leaves {format_size(by_disk)} for content")
    return Room(by_bond, f"the stake stands for {format_size(by_bond)}")


def list_held(network: NetworkContext, account: WalletAccount) -> dict[str, Entry]:
    """What the account has registered; nothing if it is no host yet."""
    is_host = get_if_there(network, f"/v1/hosts/{network.address(account.address)}", limit=1) is not None
    return list_holdings(network, account.address) if is_host else {}


def choose_datums(
    network: NetworkContext, account: WalletAccount, room: Room, failed: Failures | None = None
) -> list[Entry]:
    """The entries to host; raises CliError if the catalogue has some and none fits.

    An entry that failed before is passed over, so that others take its room.
    """
    held, entries = list_held(network, account), list(network.list_pages("/v1/datums", "datums", limit=PAGE))
    left = room.size_bytes - sum(one["size_bytes"] for one in held.values())
    chosen = [entry for entry in entries if entry["id"] in held]
    offered = [one for one in entries if one["holdings"] and one["id"] not in held]
    for entry in sorted(offered, key=lambda one: (one["holdings"], one["size_bytes"])):
        if entry["size_bytes"] <= left and entry["id"] not in (failed or {}):
            left -= entry["size_bytes"]
            chosen.append(entry)
    if offered and not chosen and not failed:
        smallest = format_size(min(one["size_bytes"] for one in offered))
        raise CliError(
            "nothing_fits",
            f"no datum of the catalogue fits: {room.limit}, the smallest has {smallest}; nothing was bonded",
            "a larger --disk or --stake: who hosts nothing is never elected",
        )
    return chosen


def describe_choice(network: NetworkContext, chosen: Sequence[Entry], held: dict[str, Entry]) -> str:
    """How much is fetched, and what that costs at most."""
    new = [one for one in chosen if one["id"] not in held]
    price = network.client.get("/v1/params")["sessions"]["price_per_gib"]
    cost = sum(compute_price(one["size_bytes"], price) for one in new)
    total, fetched = (format_size(sum(one["size_bytes"] for one in part)) for part in (chosen, new))
    datums = format_count(len(chosen), "datum")
    return f"content: {datums}, {total}; {fetched} to fetch for {network.amount(cost)}"


def host_datums(network: NetworkContext, account: WalletAccount, room: Room, chosen: list[Entry]) -> Hosted:
    """Fetches and registers the datums; where some fail, others that fit in their place."""
    failures: Failures = {}
    while True:
        names = [one["id"] for one in chosen if one["id"] not in failures]
        failures |= fetch_into_node(network, account, names)
        fetched = [one for one in names if one not in failures]
        if fetched:
            say_registered(ensure_registered(network, account, [bytes.fromhex(one) for one in fetched]))
        chosen = choose_datums(network, account, room, failures)
        if {one["id"] for one in chosen} <= set(fetched):
            return Hosted(fetched, failures)


def say_registered(from_epoch: int | None) -> None:
    """From when on it counts."""
    output.say("registered" if from_epoch is None else f"registered: counts from epoch {from_epoch} on")
