"""The generated tables of docs/economy/attacks.md, and the outcomes that they show.

The outcomes of every agent and seed are kept beside the page, so that each figure can be computed again.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from tests.economy.table import format_table
from tests.economy.world.compare import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "economy" / "attacks.md"
OUTCOMES = Path(__file__).parent / "outcomes"


class Table(NamedTuple):
    """All runs behind a table."""

    rules: str
    commit: str
    """Whose rules they were."""
    epochs: int
    """Public ones."""
    scale: int
    seeds: int
    outcomes: dict[str, list[Outcome]]
    """Agent -> by seed, from 1 on."""


def format_block(table: Table) -> str:
    """What the page shows of a table."""
    seeds = f"{table.seeds} seed{'s' * (table.seeds > 1)}"
    title = f"{table.epochs:,} public epochs, {seeds}, in VIDYA; by the rules of commit {table.commit}."
    return f"{title}\n\n{format_table(table.outcomes, table.scale)}"


def save(table: Table) -> None:
    """Write the outcomes, and the table on the page."""
    OUTCOMES.mkdir(exist_ok=True)
    rows = {name: [list(one) for one in runs] for name, runs in table.outcomes.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(runs)}" for name, runs in rows.items())
    head = json.dumps(table._replace(outcomes={})._asdict() | {"outcomes": None})
    _get_file(table.rules).write_text(head.replace("null", "{\n" + lines + "\n}") + "\n")
    block = f"<!-- table: {table.rules} -->\n{format_block(table)}\n<!-- end -->"
    PAGE.write_text(_find(table.rules).sub(lambda _: block, PAGE.read_text()))


def load(rules: str) -> Table:
    """The runs behind the table of `rules`."""
    read = json.loads(_get_file(rules).read_text())
    outcomes = {name: [Outcome(*one) for one in runs] for name, runs in read.pop("outcomes").items()}
    return Table(**read, outcomes=outcomes)


def get_block(rules: str) -> str:
    """What the page shows of `rules`."""
    found = _find(rules).search(PAGE.read_text())
    assert found is not None
    return found[1].rstrip()


def _get_file(rules: str) -> Path:
    return OUTCOMES / f"{rules}.json"


def _find(rules: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- table: {rules} -->\n(.*?)<!-- end -->", re.DOTALL)
