"""Entries of the catalogue: found ones with their price, and one with who hosts it now."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chain.modules.sessions import compute_price
from cli.context.readable import Reader
from cli.screens.hosts import build_hosts
from cli.terminal.cells import Cell
from cli.terminal.tables import Column

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

SEARCH_COLUMNS = ("id", "title", "category", "size_bytes", "holdings", Column("price"), "tags")
PRICE_DIGITS = 4
"""Decimals of a price in a table, rounded up; `vidya get --dry-run` has all of them."""


def build_found(
    network: "NetworkContext", reader: Reader, records: Sequence[Mapping[str, Any]], per_gib: int
) -> list[dict[str, Any]]:
    """What was found, with what all of it costs now."""
    step = 10 ** max(network.spec.decimals - PRICE_DIGITS, 0)
    prices = [-(-compute_price(one["size_bytes"], per_gib) // step) * step for one in records]
    return [
        {**reader.read(one), "price": Cell(network.number(price), is_number=True)}
        for one, price in zip(records, prices, strict=True)
    ]


def build_datum(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """What it is, who listed it, who sponsors it, and its hosts."""
    datum = reader.read(found["datum"])
    hosts = [
        {field: one[field] for field in ("name", "state", "pay_factor", "capacity", "bytes")}
        for one in build_hosts(reader, found["hosts"])
    ]
    told = {
        "datum": found["id"],
        "title": datum["title"],
        "category": datum["category"],
        "tags": datum["tags"],
        "description": datum["description"] or None,
        "size": datum["size_bytes"],
        **describe_admission(reader, found),
        "listed in block": datum["listed_at"],
        "listed by": reader.build_name(found["datum"]["lister"]),
        "bond": datum["bond"],
        "hosted by": hosts or "nobody",
    }
    return {label: value for label, value in told.items() if value is not None}


def describe_admission(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """Whether hosting it is rewarded, what is missing, and who loses a bond if it is junk."""
    datum = found["datum"]
    missing = None if found["is_admitted"] or datum["is_junk"] else find_missing(reader, found)
    sponsors = [build_sponsor(reader, one) for one in found["sponsorships"]]
    return {
        "admitted": "no: a jury found it junk" if datum["is_junk"] else found["is_admitted"],
        "missing": missing,
        "sponsors": sponsors or None,
        "challenged": None if datum["case"] is None else f"case {datum['case']}",
    }


def build_sponsor(reader: Reader, one: Mapping[str, Any]) -> dict[str, Any]:
    """The bond of a sponsor, and until when it is bound if it has given notice."""
    until = "it gives notice" if one["unlocks_in"] is None else reader.read(one["unlocks_in"], "unlocks_in")
    name = reader.build_name(one["sponsor"])
    return {"sponsor": name, "bond": reader.read(one["amount"], "bond"), "bound until": until}


def find_missing(reader: Reader, found: Mapping[str, Any]) -> str:
    """What a datum still needs before hosting it is rewarded."""
    datum, waits = found["datum"], []
    if not datum["is_due"]:
        waits.append(f"era {reader.read(datum['earns_from'], 'earns_from')}")
    if datum["needed"] is None or datum["sponsored"] < datum["needed"]:
        asked, there = (reader.read(value, "bond").text for value in (found["required"], datum["fresh"]))
        waits.append(f"bonds of sponsors: {there} of {asked}")
    return ", ".join(waits) or "the end of this epoch"
