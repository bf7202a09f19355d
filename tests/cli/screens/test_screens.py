"""Golden screens: what `vidya query` shows at 60, 100 and 120 columns, from answers of a real network.

After a change that is wanted, `python -m tests.cli.screens.record` writes them again; the difference is read
before it is committed.
"""

import pytest

from cli.screens.hosts import list_warnings
from tests.cli.screens.screens import GOLDEN, SCREENS, WIDTHS, Screens, draw


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREENS)
def test_screen_is_the_golden_one(name: str, width: int) -> None:
    """Word for word, and no line is wider than the terminal."""
    drawn = draw(name, width)
    assert drawn == (GOLDEN / f"{name}-{width}.txt").read_text()
    assert max(map(len, drawn.splitlines())) <= width


@pytest.mark.parametrize("name", SCREENS)
def test_screens_name_nothing_as_the_code_does(name: str) -> None:
    """No field name, no parts per million, no bare milliseconds."""
    drawn = draw(name, 120)
    assert "_ppm" not in drawn and "_ms" not in drawn and "_bytes" not in drawn and "is_" not in drawn


def test_a_jailed_host_is_told_what_to_do() -> None:
    """Who, until when, and the next command."""
    screens = Screens()
    candidates = screens._get("/v1/validators")["candidates"]
    (line,) = list_warnings(screens.reader, candidates)
    assert line.startswith("node3: jailed until ") and "vidya tx unjail" in line
