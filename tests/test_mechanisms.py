"""docs/economy: each row of the mechanisms points to a rule, a test and a command that exist; figures are the
chain spec's.
"""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chain.runtime import MODULES
from node.content.prepayment import PREPAID_BYTES_MAX
from tests.test_commands import why_unknown

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "economy"
NOT_YET = "not yet"
TESTS: dict[str, str] = {}
for _path in sorted((ROOT / "tests").rglob("test_*.py")):
    TESTS[_path.name] = TESTS.get(_path.name, "") + _path.read_text()
VIDYA = 10**9
MIB = 2**20


class Row(NamedTuple):
    """A mechanism."""

    mechanism: str
    rules: list[str]
    tests: list[str]
    commands: list[str]
    is_built: bool


def list_rows(page: str) -> Iterator[Row]:
    """The rows of all tables of the page."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] != "mechanism":
            assert len(cells) == 4, line
            named = [re.findall(r"`([^`]+)`", cell) for cell in cells[1:]]
            yield Row(cells[0], *named, is_built=cells[1] != NOT_YET)


ROWS = list(list_rows((FOLDER / "mechanisms.md").read_text()))


def why_no_rule(name: str) -> str | None:
    """What is wrong with the name of a rule: a call, or a name in a module of the chain or of a package."""
    calls = {f"{module.name}.{spec.name}" for module in MODULES for spec in module.calls.values()}
    if name in calls:
        return None
    whole = name if name.split(".", maxsplit=1)[0] in ("node", "cli", "chain") else f"chain.modules.{name}"
    found = find_object(whole)
    return None if found is not None else f"{whole} does not exist"


def find_object(dotted: str) -> Any:
    """A module, or what a module defines; None if there is none."""
    parent, _, last = dotted.rpartition(".")
    above = find_object(parent) if parent else None
    if parent and above is None:
        return None
    if hasattr(above, last):
        return getattr(above, last)
    is_importable = (not parent or hasattr(above, "__path__")) and find_spec(dotted) is not None
    return import_module(dotted) if is_importable else None


def why_no_test(name: str) -> str | None:
    """What is wrong with `file::test`."""
    file, _, function = name.partition("::")
    if file not in TESTS:
        return f"there is no {file}"
    is_there = re.search(rf"^(?:async )?def {function}\(", TESTS[file], re.MULTILINE)
    return None if is_there else f"{file} has no {function}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.mechanism[:40])
def test_a_row_points_to_what_exists(row: Row) -> None:
    """Rule, test and command exist; what is not built names none of them."""
    if not row.is_built:
        assert not (row.rules or row.tests or row.commands)
        return
    assert row.rules and row.tests and row.commands
    wrong = [*map(why_no_rule, row.rules), *map(why_no_test, row.tests), *map(why_unknown, row.commands)]
    assert [one for one in wrong if one] == []


def test_rows_that_point_to_nothing_are_seen() -> None:
    """A call, function, test or command that was renamed is found."""
    assert why_no_rule("lockers.lock_tokens") is why_no_rule("rewards.payments.get_pools") is None
    assert why_no_rule("node.content.prepayment") is why_no_rule("lockers.FUND") is None
    for gone in ("lockers.lock_all", "rewards.payments.gone", "node.content.gone", "gone.on_epoch_end"):
        assert why_no_rule(gone) is not None, gone
    assert why_no_test("test_mechanisms.py::test_rows_that_point_to_nothing_are_seen") is None
    assert why_no_test("test_mechanisms.py::test_gone") and why_no_test("test_gone.py::test_gone")
    assert len(ROWS) > 60 and len({row.mechanism for row in ROWS}) == len(ROWS)


def test_every_call_that_moves_money_has_a_row() -> None:
    """A call that is added to the chain gets a row, or is named here as no mechanism of the economy."""
    plain = {
        "balances.send",
        "balances.burn_own",
        "balances.leave_memo",
        "hosting.register_host",
        "validators.chill",
    }
    undoing = {"sessions.close_session", "catalogue.delist", "offences.unjail"}
    stake = {"staking.bond", "staking.unbond", "staking.withdraw", "staking.undelegate"}
    calls = {f"{module.name}.{spec.name}" for module in MODULES for spec in module.calls.values()}
    assert calls - {rule for row in ROWS for rule in row.rules} == plain | undoing | stake


def list_figures(spec: dict[str, Any]) -> list[str]:
    """Every figure of the overview, with its words, out of the chain spec."""
    sections = {name: section for name, section in spec.items() if isinstance(section, dict)}
    part = {name: section["parameters"] for name, section in sections.items() if "parameters" in section}
    gate, rewards, sales = part["membership"], part["rewards"], part["sessions"]
    system, offences, listing = part["system"], part["offences"], part["catalogue"]
    epoch_s = system["block_ms"] * system["epoch_blocks"] // 1000
    era_s = epoch_s * system["era_epochs"]
    assert (era_s, gate["unlocking_eras"], offences["jail_epochs"] * epoch_s) == (86_400, 7, 3_600)
    burned = 10**6 - sales["host_ppm"] - sales["lockers_ppm"]
    return [
        f"costs {(gate['fee_lockers'] + gate['fee_burned']) // VIDYA} VIDYA",
        f"and {gate['lock'] // VIDYA} more are locked",
        f"{gate['fee_lockers'] // VIDYA} VIDYA",
        f"{gate['fee_burned'] // VIDYA} VIDYA",
        f"every {epoch_s // 60} minutes",
        f"the pay of {epoch_s // 60} minutes",
        f"puts up {part['validators']['bond_min'] // VIDYA:,} VIDYA",
        f"for 1 to {part['lockers']['weeks_max']} weeks",
        f"than {part['lockers']['weeks_max']} single weeks",
        f"{percent(rewards['emission_ppm'])} a year",
        f"{percent(sales['host_ppm'])} of the price",
        f'"{percent(sales["lockers_ppm"])}"',
        f'"{percent(burned)}"',
        f"{listing['listing_fee_per_gib'] // VIDYA} VIDYA per GiB",
        f"locks {listing['curator_bond'] // VIDYA} for {listing['curator_bond_eras']} days",
        f"only after {listing['unpaid_eras']} days",
        f"what {listing['sponsor_copies']} copies earn in {listing['sponsor_eras']} days",
        f"nobody has wanted for {rewards['halving_eras']} days",
        f"after each {rewards['halving_eras']} more",
        f"{percent(rewards['hosting_ppm'])} for proven bytes",
        f"up to {percent(rewards['upload_ppm'])} to match",
        f"{percent(rewards['validator_ppm'])} for signed blocks",
        f"1/{part['lockers']['fund_divisor']} of it a day",
        f"{sales['price_per_gib'] // VIDYA} VIDYA per GiB",
        f"{PREPAID_BYTES_MAX // MIB} MiB",
        f"over {part['escrow']['release_eras']} days",
        f"{percent(offences['miss_slash_ppm'])} of its own bond, doubling up to "
        f"{percent(offences['miss_slash_ppm_max'])}",
        f"{percent(offences['demand_slash_ppm'])} of what it pledged",
        f"{percent(offences['demand_slash_ppm'] // 2)} if it says so first",
        f"{percent(offences['equivocation_ppm_min'])} of all that stands behind it",
        f"{percent(offences['unrevealed_ppm'])} of its own bond, or a day's pay",
    ]


def percent(ppm: int) -> str:
    """`0.1 %`."""
    return f"{ppm / 10_000:g} %"


def test_the_overview_has_no_figure_that_the_chain_spec_lacks() -> None:
    """Each figure of the page is in its place, and there is no other."""
    page = (FOLDER / "README.md").read_text()
    text = " ".join(re.sub(r"```sh\n.*?```", "", page, flags=re.DOTALL).split())
    for figure in list_figures(json.loads((ROOT / "genesis" / "public.json").read_text())):
        assert figure in text, figure
    for figure in list_figures(json.loads((ROOT / "genesis" / "public.json").read_text())):
        text = text.replace(figure, "")
    assert re.findall(r".{30}\d.{10}", text) == []


def test_the_flow_of_money_can_be_drawn() -> None:
    """One flowchart; each arrow joins nodes that are declared, and no label ends a statement."""
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert diagram.split()[0] == "flowchart" and ";" not in diagram
    declared = set(re.findall(r"^    (\w+)[\[(]", diagram, re.MULTILINE))
    arrows = re.findall(r"^    (\w+) -- \"[^\"]+\" --> (\w+)$", diagram, re.MULTILINE)
    assert {name for arrow in arrows for name in arrow} == declared
    assert len(arrows) + len(declared) + 1 == len(diagram.strip().splitlines()) - diagram.count("\n\n")
