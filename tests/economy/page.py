"""The generated tables of docs/economy/attacks.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "economy" / "attacks.md"


def put_table(rules: str, title: str, table: str) -> None:
    """Replace the table of `rules` on the page."""
    block = f"<!-- table: {rules} -->\n{title}\n\n{table}\n<!-- end -->"
    PAGE.write_text(_find(rules).sub(lambda _: block, PAGE.read_text()))


def get_rows(rules: str) -> list[str]:
    """The names of the agents in the table of `rules`."""
    found = _find(rules).search(PAGE.read_text())
    lines = found[0].splitlines() if found else []
    rows = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    return rows[1:]


def _find(rules: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- table: {rules} -->.*?<!-- end -->", re.DOTALL)
