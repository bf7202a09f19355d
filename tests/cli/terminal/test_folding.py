"""Remarks fit a narrow terminal, and what is copied from them stays whole."""

from hypothesis import given
from hypothesis import strategies as st

from cli.terminal.folding import fold_text, measure

LOSS = "  lost if what you host is not proven in 50% of 4 epochs: 0.1% of the stake, and jail"
ID = "7a" * 32


def test_a_long_line_goes_on_with_an_indent() -> None:
    """Between two words, further right than its beginning; a short line and no terminal change nothing."""
    assert fold_text(LOSS, 60).split("\n") == [
        "  lost if what you host is not proven in 50% of 4 epochs:",
        "    0.1% of the stake, and jail",
    ]
    assert fold_text(LOSS, 100) == fold_text(LOSS, None) == LOSS


def test_commands_and_ids_stay_whole() -> None:
    """A command in backticks is in one line, and an id stays beside its label."""
    hint = "  next: `vidya node start --home demo/nodes/node0`, or name another with --api URL"
    assert "`vidya node start --home demo/nodes/node0`," in fold_text(hint, 60)
    assert fold_text(f"transaction {ID}", 60) == f"transaction {ID}"


def test_colours_take_no_room() -> None:
    """A painted label does not make its line fold."""
    assert fold_text("\x1b[33mwarning\x1b[0m: " + "x" * 50, 60).count("\n") == 0


@given(st.text(st.sampled_from("ab `ü\n"), max_size=200), st.integers(8, 40))
def test_nothing_is_lost_and_all_that_can_be_folded_fits(text: str, width: int) -> None:
    """The words are the same, in order; a line that is too long has a word that no line could take."""
    folded = fold_text(text, width)
    assert folded.split() == text.split()
    for line in folded.split("\n"):
        if measure(line) > width:
            assert "`" in line or max(map(len, line.split())) > width - 20
