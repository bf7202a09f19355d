"""Locks: the curves of weight and vesting, what a promise means, and an account's open locks."""

from collections.abc import Callable, Mapping
from typing import Any

from chain.modules.lockers import Lock, Parameters, compute_shares, compute_term_factor
from chain.primitives.fixed_point import mul_div
from chain.primitives.power_law import ONE
from cli.context.readable import Reader
from cli.terminal.amounts import format_share
from cli.terminal.cells import Cell
from cli.terminal.tables import Column
from cli.terminal.wording import format_count

LOCK_COLUMNS = (
    Column("number", "lock"),
    Column("amount"),
    Column("weeks"),
    Column("ends_era", "locked until"),
    Column("accrued"),
    Column("claimed"),
    Column("vested_ppb", "aged"),
    Column("served_ppb", "served"),
    Column("claimable", "claim now"),
    Column("forfeited", "lost if left"),
)
BAR_CHARS = 24
STEPS_MAX = 12
"""Rows of a curve."""
PPB_PER_PPM = 1_000


def build_curve(parameters: Parameters) -> dict[str, list[dict[str, Any]]]:
    """Weight by weeks of a promise, and what has vested by eras of age; shares in billionths."""
    weeks = list_steps(parameters.weeks_max)
    eras = list_steps(parameters.vesting_eras)
    return {
        "weight": [{"weeks": one, "share_ppb": get_weight_share(parameters, one)} for one in weeks],
        "vesting": [{"eras": one, "share_ppb": get_vested_share(parameters, one)} for one in eras],
    }


def draw_curve(curve: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The same with shares in percent and a bar for each."""
    return {name: [_draw(row) for row in rows] for name, rows in curve.items()}


def _draw(row: Mapping[str, Any]) -> dict[str, Any]:
    share = row["share_ppb"]
    shown = {name: value for name, value in row.items() if name != "share_ppb"}
    return {**shown, "share": build_share(share), "plot": "|" + "#" * mul_div(share, BAR_CHARS, ONE)}


def list_steps(count: int) -> list[int]:
    """Up to `STEPS_MAX` numbers from 1 to `count`, evenly spaced, the last one included."""
    rows = min(count, STEPS_MAX)
    return sorted({1, *(count * row // rows for row in range(1, rows + 1))})


def get_weight_share(parameters: Parameters, weeks: int) -> int:
    """What one unit of amount weighs, in billionths."""
    return compute_term_factor(weeks, parameters.weeks_max, parameters.weight_exponent)


def get_vested_share(parameters: Parameters, eras: int) -> int:
    """What has vested by age once the term is over, in billionths."""
    return compute_shares(parameters, Lock(0, 1, 0, 0, 0, 0, 0), eras + 1)[0]


def build_share(ppb: int) -> Cell:
    """Billionths as percent, to a ten-thousandth of a percent."""
    return Cell(format_share(ppb // PPB_PER_PPM), is_number=True)


def list_promise(parameters: Parameters, weeks: int) -> list[dict[str, Any]]:
    """Of everything that a new lock has accrued, the share that may be taken after so many weeks."""
    term = Lock(0, weeks, 0, 0, 1 + weeks * parameters.week_eras, 0, 0)
    last = 1 + parameters.vesting_eras
    eras = sorted({1 + one * parameters.week_eras for one in list_steps(weeks)} | {last})
    return [_promise(parameters, term, era) for era in eras if era <= max(last, term.ends_era)]


def _promise(parameters: Parameters, term: Lock, era: int) -> dict[str, Any]:
    vested, served = compute_shares(parameters, term, era)
    return {
        "after_eras": era - 1,
        "aged_ppb": vested,
        "served_ppb": served,
        "yours_ppb": mul_div(vested, served, ONE),
        "is_locked": era < term.ends_era,
    }


def build_promise(rows: list[dict[str, Any]], week_eras: int) -> list[dict[str, Any]]:
    """The promise as a table."""
    return [
        {
            "after": _describe_age(row["after_eras"], week_eras),
            "aged": build_share(row["aged_ppb"]),
            "served": build_share(row["served_ppb"]),
            "yours": build_share(row["yours_ppb"]),
            "amount": "locked" if row["is_locked"] else "free",
        }
        for row in rows
    ]


def _describe_age(count: int, week_eras: int) -> str:
    weeks, rest = divmod(count, week_eras)
    return format_count(count, "era") if rest else format_count(weeks, "week")


def build_lock(reader: Reader, number: Callable[[int], str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A lock, or an event of one: shares in percent, the weight in tokens (`number`)."""
    shares = {name: build_share(value) for name, value in fields.items() if name.endswith("_ppb")}
    weight = {"weight": Cell(number(fields["weight"]), is_number=True)} if "weight" in fields else {}
    return {**reader.read(fields), **shares, **weight}
