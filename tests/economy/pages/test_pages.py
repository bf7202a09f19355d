"""The pages of the economy: each figure is a public parameter, or computed by the program."""

import re
from collections import Counter
from pathlib import Path

import pytest

from chain.modules import possession, rewards
from tests.economy.pages.parameters import PUBLIC, list_parameters
from tests.economy.pages.prose import list_of_attacks, list_of_mechanisms
from tests.economy.pages.tables import list_phrases, list_rows

FOLDER = Path(__file__).parents[3] / "docs" / "economy"
OTHERS = frozenset(("README", "mechanisms", "attacks", "example"))
"""Pages with tests of their own."""
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem not in OTHERS)
PARAMETER = re.compile(r"^\| `(\w+\.\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)
SECTIONS = ("What it does not stop", "See it")


def read(page: str) -> str:
    return (FOLDER / f"{page}.md").read_text()


def find_figures(text: str) -> list[str]:
    """Digits that are left, with what is around them; 0 and 1 in an indented formula are no figures."""
    shown = re.sub(r"```sh\n.*?```|\]\([^)]*\)|IPv[46]|ADR \d+", "", text, flags=re.DOTALL)
    lines = re.sub(r"^\d\. ", "", shown, flags=re.MULTILINE).splitlines()
    read = [re.sub(r"\b[01]\b", "", line) if line.startswith("    ") else line for line in lines]
    return [figure for line in read for figure in re.findall(r".{0,30}\d.{0,20}", line)]


def test_every_parameter_is_on_one_page_with_its_public_value() -> None:
    """A parameter that is added to the chain spec gets a row; one that changes fails here."""
    rows = [row for page in PAGES for row in PARAMETER.findall(read(page))]
    assert [name for name, count in Counter(name for name, _ in rows).items() if count > 1] == []
    assert dict(rows) == list_parameters()


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_a_page_is_known(page: str) -> None:
    """Computed rows and phrases are there, to the digit; nothing else on the page is a number."""
    text = PARAMETER.sub("", read(page))
    for row in list_rows(page):
        assert text.count(f"{row}\n") == 1, row
        text = text.replace(f"{row}\n", "")
    for phrase in list_phrases(page):
        assert phrase in text, phrase
        text = text.replace(phrase, "")
    assert find_figures(text) == []


def test_every_figure_in_prose_is_known() -> None:
    """attacks.md outside its generated tables, and the names of mechanisms that are built."""
    attacks = re.sub(r"<!-- table.*?<!-- end -->|`[^`]*`", "", read("attacks"), flags=re.DOTALL)
    built = [line for line in read("mechanisms").splitlines() if "| not yet |" not in line]
    for text, phrases in ((attacks, list_of_attacks()), ("\n".join(built), list_of_mechanisms())):
        left = re.sub(r"`[^`]*`", "", text)
        for phrase in phrases:
            assert phrase in left, phrase
            left = left.replace(phrase, "")
        assert find_figures(left) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_it_does_not_stop_and_how_to_see_it(page: str) -> None:
    """A rule or formula, parameters, limits, commands."""
    titles = re.findall(r"^## (.+)$", read(page), re.MULTILINE)
    assert titles[-2:] == [*SECTIONS]
    assert "Parameters" in titles and {"Rule", "Formula"} & {*titles}


def test_an_unknown_number_is_seen() -> None:
    """A figure in a sentence, in a table or in a formula is found; 0 and 1 in a formula are not."""
    assert find_figures("pays 12 VIDYA") and find_figures("| a | 3.5 |") and find_figures("    a = b * 2")
    assert not find_figures("    a = max(0, b - 1)") and not find_figures("[x](../adr/013-x.md)")


def test_the_steps_on_the_pages_are_the_rules_that_pay() -> None:
    """The chance of a miss and the pay factor of the page follow from the real history."""
    parameters = PUBLIC.possession.parameters
    history = possession.types.History(b"p" * 92 + b"m" * 4)
    assert possession.history.compute_pay_factor(parameters, history) == 791_666
    assert "| 1 % | 3.9 % | 97.9 % | 0.80 |" in read("possession")
    assert rewards.weights.compute_scarcity(PUBLIC.rewards.parameters, 10) == 500_000
