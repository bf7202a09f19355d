"""Tables and detail views: headers in words, short ids, numbers on the right, folded where it is narrow."""

import pytest

from cli.terminal.cells import Cell, build_cell, cut_text, shorten, split_short
from cli.terminal.style import render
from cli.terminal.tables import Column, FoldingTable, build_details

ID = "3614f61faa1eac110696d05d0b33999582f71c0010e4cd759c8073a6bafc3ec7"
ADDRESS = "vdev158d3rq3e0cu4z2ktuaz6yh8qlt70f0cpnsp9exzdr2ddruvdkw9qghtv4d"
RECORDS = [
    {"id": ID, "title": "Almanac of Port Lattice", "size_bytes": Cell("69.9 KiB", is_number=True)},
    {"id": ID[::-1], "title": "two\nlines \x1b[31m", "size_bytes": Cell("3.0 MiB", is_number=True)},
]


def show(width: int | None, *, is_wide: bool = False) -> list[str]:
    return render(FoldingTable(RECORDS, ("id", "title", "size_bytes"), is_wide), width).splitlines()


def test_headers_are_words_and_numbers_are_on_the_right() -> None:
    """No field name is shown; sizes end in one column; text of others stays on its line, without escapes."""
    head, first, second = show(None)
    assert head.split() == ["ID", "TITLE", "SIZE"]
    assert first.endswith("69.9 KiB") and second.endswith(" 3.0 MiB") and len(first) == len(second)
    assert "two lines [31m" in second and "\x1b" not in second


def test_ids_are_short_unless_wide() -> None:
    """Ten characters and four; `--wide` shows ids whole; detail views always do."""
    assert show(None)[1].startswith("3614f61faa...3ec7 ")
    assert show(None, is_wide=True)[1].startswith(ID)
    assert render(build_details({"id": ID, "who": ADDRESS}), None) == f"id   {ID}\nwho  {ADDRESS}\n"


@pytest.mark.parametrize("text", [ID, ADDRESS, "12D3KooWMiXwLKFoG3qcbszCV7dutzNkniQ5rUCrNGeAUiSunseo"])
def test_ids_are_recognised_by_their_form(text: str) -> None:
    """Hashes, addresses and peer ids; the short form names beginning and end."""
    cell = build_cell(text)
    assert (cell.text, cell.full) == (shorten(text), text)
    assert split_short(cell.text) == (text[:10], text[-4:])


@pytest.mark.parametrize("width", [20, 40, 60, 100])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    """A long text gets several lines; where that is not enough, each record is a block."""
    records = [{"id": ID, "title": "a title of several words", "peer": Cell("p" * 20), "tags": "one, two"}]
    lines = render(FoldingTable(records), width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(word in " ".join(lines) for word in ("3614f61faa...3ec7", "title", "several", "two"))


def test_blocks_name_each_value() -> None:
    """Folded, the first column is the title of a block, and the others follow with their headers' words."""
    lines = show(30)
    assert lines[0] == "3614f61faa...3ec7"
    assert "size 3.0 MiB" in lines[-1] and lines[-1].startswith("  ")


def test_columns_may_be_named() -> None:
    """A table may call a field what it likes."""
    text = render(
        FoldingTable([{"commission_ppm": Cell("5%", is_number=True)}], (Column("commission_ppm", "comm"),)),
        None,
    )
    assert text == "COMM\n  5%\n"


def test_wide_letters_keep_columns_straight() -> None:
    """Letters of two columns are counted as two."""
    records = [{"title": "図書館", "size": "1"}, {"title": "abcdef", "size": "2"}]
    _, first, second = render(FoldingTable(records), None).splitlines()
    assert first == "図書館  1" and second == "abcdef  2"


def test_details_indent_what_is_nested() -> None:
    """A record in a record is indented; flat records of a list are a table, others are under dashes."""
    record = {
        "name": "x",
        "bond": {"active": 5, "unlocking": []},
        "hosts": [{"a": 1, "b": 2}],
        "mixed": [{"a": 1, "in": {"c": 2}}],
    }
    assert render(build_details(record), None).splitlines() == [
        "name  x",
        "bond",
        "  active     5",
        "  unlocking  -",
        "hosts",
        "  A  B",
        "  1  2",
        "mixed",
        "  - a  1",
        "    in",
        "      c  2",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_long_labels_leave_room_for_values(width: int) -> None:
    """Where a label and its value do not fit side by side, the label is wrapped and the value stays."""
    record = {"bonds lost by a verdict, silent jurors, withheld pay for junk": "0.043141394 VIDYA"}
    text = render(build_details({"burned": record}), width)
    assert "0.043141394 VIDYA" in text and "junk" in text
    assert max(map(len, text.splitlines())) <= width


def test_colour_only_where_it_is_asked_for() -> None:
    """Rendered without colour there is no escape sequence, with colour there is."""
    table = FoldingTable([{"state": Cell("JAILED", "bad")}])
    assert "\x1b" not in render(table, None) and "\x1b[1;31mJAILED" in render(table, None, colour=True)


@pytest.mark.parametrize("letter", ["a", "ж", "図", "🐙"])
def test_texts_are_cut_by_bytes_between_letters(letter: str) -> None:
    """The bound of the chain is bytes of UTF-8: as many whole letters as fit."""
    cut = cut_text(letter * 200, 128)
    assert cut == letter * (128 // len(letter.encode()))
