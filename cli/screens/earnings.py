"""Earnings of a host: what this epoch pays and why, what is withheld, what more data would bring."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM
from cli.context.readable import Reader
from cli.terminal.amounts import format_share, format_size
from cli.terminal.cells import Cell
from cli.terminal.tables import Column

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

FORECAST_COLUMNS = (
    Column("datum"),
    Column("size_bytes", "size"),
    Column("copies"),
    Column("factor_ppm", "factor"),
    Column("pay_per_gib", "a GiB earns"),
    Column("withheld_per_gib", "withheld"),
    Column("pays", "earns"),
)


SUMS = ("hosting", "uploads", "validating", "withheld", "released")
EPOCH_COLUMNS = ("epoch", *SUMS)
ERA_COLUMNS = ("era", *SUMS, Column("free_in_era", "all free in"))
_REWARDS = {
    "rewards.HostingRewarded": ("hosting", "host"),
    "rewards.UploadRewarded": ("uploads", "host"),
    "rewards.ValidatorRewarded": ("validating", "validator"),
}
"""Event -> column, and the field that names the account; their `amount` counts."""


def sum_events(events: Sequence[Mapping[str, Any]], host: str) -> dict[str, int]:
    """What the events of an epoch's last block say that an account was paid, in base units."""
    sums = dict.fromkeys(SUMS, 0)
    for event in events:
        name, fields = event["name"], event["fields"]
        column, who = _REWARDS.get(name, ("", ""))
        if column and fields[who] == host:
            sums[column] += fields["amount"]
        elif name == "escrow.Paid" and fields["account"] == host:
            sums["withheld"] += fields["withheld"]
        elif name == "escrow.Released" and fields["account"] == host:
            sums["released"] += fields["amount"]
    return sums


def build_sums(network: "NetworkContext", sums: Mapping[str, Any]) -> dict[str, Any]:
    """A row: an epoch or era and what it paid, in tokens."""
    amounts = {name: Cell(network.amount(sums.get(name, 0)), is_number=True) for name in SUMS}
    return {**sums, **amounts}


def build_era(network: "NetworkContext", sums: Mapping[str, Any]) -> dict[str, Any]:
    """The same of an era, with the time that it and the last release mean."""
    row, clock = build_sums(network, sums), network.clock
    free = row["free_in_era"]
    row["era"] = f"{row['era']} ({clock.describe_era(row['era'])})"
    row["free_in_era"] = None if free is None else f"era {free} ({clock.describe_era(free)})"
    return row


def build_pay(network: "NetworkContext", reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """The payments of the running epoch with their factors, and what is withheld from the account."""
    hosting = found["hosting"]
    factors = hosting["factors"] if hosting else []
    told: dict[str, Any] = {
        "account": reader.build_name(found["address"]),
        "epoch": f"{found['epoch']}, ends with block {reader.read(found['last_block'], 'deadline')}",
        "hosting": _tell_hosting(network, hosting),
        "uploads": _tell_upload(network, found["upload"]),
        "validating": _tell_validator(network, found["validator"]),
        "proven eras": found["proven_eras"],
        "withheld of new pay": format_share(found["withheld_ppm"]),
        "withheld now": network.amount(found["withheld"]),
        "data": [_build_factors(network, reader, hosting, one) for one in factors],
        "withheld by era": [_build_grant(network, reader, one) for one in found["grants"]],
    }
    return {label: value for label, value in told.items() if value != []}


def _tell_hosting(network: "NetworkContext", paid: Mapping[str, Any] | None) -> str:
    if paid is None:
        return "nothing: no admitted datum is in effect"
    if paid["is_excluded"]:
        return "nothing: the account is in jail or tombstoned"
    share = f"{_gib(paid['weight_paid'])} of {_gib(paid['weight_total'])} weighted GiB"
    if not paid["is_proven"]:
        return f"nothing yet: the proof of this epoch is missing; {share}"
    return f"{network.amount(paid['amount'])}: {share}, of a pool of {network.number(paid['pool'])}"


def _tell_upload(network: "NetworkContext", paid: Mapping[str, Any] | None) -> str:
    if paid is None:
        return "nothing: no sale was settled in this epoch"
    share, burned = format_share(paid["match_ppm"]), network.number(paid["burned"])
    return f"{network.amount(paid['amount'])}: at most {share} of the {burned} that its sales burned"


def _tell_validator(network: "NetworkContext", paid: Mapping[str, Any] | None) -> str:
    if paid is None:
        return "nothing: it has signed no block of this epoch"
    signed = f"{paid['commits_signed']} of {paid['commits_due']} blocks signed"
    return (
        f"{network.amount(paid['amount'])}: {signed}; {network.number(paid['to_delegators'])} to delegators"
    )


def _gib(weight: int) -> str:
    """A weight in GiB, to a millionth."""
    millionths = weight * PPM >> 30
    return f"{millionths // PPM:,}.{millionths % PPM:06}"


def compute_datum_pay(hosting: Mapping[str, Any], factors: Mapping[str, Any]) -> int:
    """The part of a host's pay that one datum earns, in base units, rounded down."""
    if not hosting["is_proven"] or hosting["weight_total"] == 0:
        return 0
    weight = mul_ppm(factors["weight"], factors["capped_ppm"])
    return mul_div(hosting["pool"], weight, hosting["weight_total"])


def _build_factors(
    network: "NetworkContext", reader: Reader, hosting: Mapping[str, Any], one: Mapping[str, Any]
) -> dict[str, Any]:
    """A datum weighs its size times the factors, divided by those that share its copy."""
    names = ("scarcity_ppm", "tenure_ppm", "demand_ppm", "capped_ppm")
    return {
        "datum": reader.read(one["datum"], "datum"),
        "size": Cell(format_size(one["size_bytes"]), is_number=True),
        "proofs": _build_factor(hosting["pay_factor_ppm"]),
        "copies": one["copies"],
        **{name.removesuffix("_ppm"): _build_factor(one[name]) for name in names},
        "sharers": one["sharers"],
        "pays": Cell(network.amount(compute_datum_pay(hosting, one)), is_number=True),
    }


def _build_factor(ppm: int) -> Cell:
    """`1.25`, all digits that matter."""
    digits = f"{ppm % PPM:06}".rstrip("0")
    return Cell(f"{ppm // PPM}{'.' if digits else ''}{digits}", is_number=True)


def _build_grant(network: "NetworkContext", reader: Reader, one: Mapping[str, Any]) -> dict[str, Any]:
    """A release at the end of an era can be spent in the next one."""
    return {
        "earned in era": one["era"],
        "withheld": Cell(network.amount(one["amount"]), is_number=True),
        "next part": Cell(network.amount(one["next_release"]), is_number=True),
        "paid in era": reader.read(one["next_release_era"] + 1, "era"),
        "last part": reader.read(one["last_release_era"] + 1, "era"),
    }


def build_forecast(network: "NetworkContext", reader: Reader, one: Mapping[str, Any]) -> dict[str, Any]:
    """A row: what a GiB would bring in an era, or why nothing."""
    return {
        "datum": Cell(one["title"], full=f"{one['title']}  {one['datum']}"),
        "size_bytes": reader.read(one["size_bytes"], "size_bytes"),
        "copies": one["copies"],
        "factor_ppm": _build_factor(one["factor_ppm"]),
        "pay_per_gib": Cell(network.amount(one["pay_per_gib"]), is_number=True),
        "withheld_per_gib": Cell(network.amount(one["withheld_per_gib"]), is_number=True),
        "pays": tell_admission(network, one),
    }


def tell_admission(network: "NetworkContext", one: Mapping[str, Any]) -> str:
    """Whether a datum earns, and if not, what it waits for."""
    if one["is_admitted"]:
        return "yes"
    if one["is_junk"]:
        return "no: a jury found it junk"
    missing = max(one["required"] - one["sponsored"], 0)
    waits = [] if one["is_due"] else [f"era {one['earns_from']}"]
    waits += [f"sponsors of {network.amount(missing)} more"] if missing else []
    return f"no: waits for {' and '.join(waits) or 'the end of the epoch'}"
