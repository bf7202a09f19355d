"""Tables and detail views: headers in words, numbers on the right, ids short; folded on a narrow terminal.

A table that does not fit gives its long texts several lines. Where that is not enough, each record is a block
of its own: the first column as its title, the others as `header value` below it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.terminal.cells import Cell, build_cell
from cli.terminal.wording import get_words

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text

WRAPPED_CHARS_MIN = 12
"""A column of texts may be folded to so many characters, and never below its longest word."""
GAP = 2
INDENT = 2


class Column(NamedTuple):
    """A column of a table: the field it shows, and its header if that is not the field's words."""

    field: str
    header: str = ""


Columns = Sequence[str | Column]


def build_columns(columns: Columns, records: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns named; all fields of the first record if none is."""
    named = columns or list(records[0])
    chosen = [Column(one) if isinstance(one, str) else one for one in named]
    return [Column(one.field, (one.header or get_words(one.field)).upper()) for one in chosen]


def build_rows(
    records: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, is_wide: bool
) -> list[list[Cell]]:
    """A cell per record and column."""
    return [[_choose(build_cell(record.get(one.field)), is_wide) for one in columns] for record in records]


def _choose(cell: Cell, is_wide: bool) -> Cell:
    return cell._replace(text=cell.full) if is_wide and cell.full else cell


class FoldingTable(NamedTuple):
    """Records under headers, as wide as the screen allows."""

    records: Sequence[Mapping[str, Any]]
    columns: Columns = ()
    is_wide: bool = False
    """Ids whole."""

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        """How `rich` asks for it, with the width there is."""
        columns = build_columns(self.columns, self.records)
        rows = build_rows(self.records, columns, is_wide=self.is_wide)
        cells = [list(column) for column in zip(*rows, strict=True)]
        widths = [_measure(header, column) for (_, header), column in zip(columns, cells, strict=True)]
        smallest = [
            max(len(header), _measure_folded(column)) if _is_foldable(column) else width
            for (_, header), width, column in zip(columns, widths, cells, strict=True)
        ]
        gaps = GAP * (len(columns) - 1)
        if sum(smallest) + gaps > options.max_width:
            yield _build_blocks(columns, rows, options.max_width)
        elif sum(widths) + gaps > options.max_width:
            yield _build_grid(columns, rows, _share(widths, smallest, options.max_width - gaps))
        else:
            yield _build_grid(columns, rows, widths)


def _measure(header: str, cells: Sequence[Cell]) -> int:
    from rich.cells import cell_len

    return max(len(header), *(cell_len(cell.text) for cell in cells))


def _measure_folded(cells: Sequence[Cell]) -> int:
    words = [word for cell in cells for word in cell.text.split()]
    return min(max(WRAPPED_CHARS_MIN, *map(len, words)), max(len(cell.text) for cell in cells))


def _share(widths: Sequence[int], smallest: Sequence[int], room: int) -> list[int]:
    """Widths between the smallest and the natural ones, which fill the room from the left."""
    spare, chosen = room - sum(smallest), []
    for width, least in zip(widths, smallest, strict=True):
        more = min(width - least, spare)
        spare -= more
        chosen.append(least + more)
    return chosen


def _is_foldable(column: Sequence[Cell]) -> bool:
    return not any(cell.is_number for cell in column) and any(" " in cell.text for cell in column)


def _build_grid(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], widths: Sequence[int]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="header", show_edge=False)
    for number, (column, width) in enumerate(zip(columns, widths, strict=True)):
        justify = "right" if _is_numeric([row[number] for row in rows]) else "left"
        table.add_column(column.header, justify=justify, width=width, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(_build_text(cell) for cell in row))
    return table


def _is_numeric(cells: Sequence[Cell]) -> bool:
    return any(cell.is_number for cell in cells) and all(cell.is_number or cell.text == "-" for cell in cells)


def _build_blocks(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> "RenderableType":
    """The first cell of a record as a title; below it `header value` side by side, as many as fit."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = []
    for first, *rest in rows:
        parts.append(Text(first.text, style=first.style or "header"))
        packed = _pack(columns[1:], rest, width - INDENT)
        parts += [Padding(line, (0, 0, 0, INDENT)) for line in packed]
    return Group(*parts)


def _pack(columns: Sequence[Column], cells: Sequence[Cell], width: int) -> "list[Text]":
    from rich.text import Text

    lines = [Text()]
    for column, cell in zip(columns, cells, strict=True):
        part = Text.assemble((f"{column.header.lower()} ", "label"), (cell.text, cell.style))
        if lines[-1] and len(lines[-1]) + GAP + len(part) > width:
            lines.append(Text())
        lines[-1].append_text(Text(" " * GAP if lines[-1] else "")).append_text(part)
    return lines


def build_details(record: Mapping[str, Any], *, is_wide: bool = False) -> "RenderableType":
    """One field per line, nested ones indented; ids whole, since each has a line of its own."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = []
    flat = [(get_words(name), build_cell(value)) for name, value in record.items() if not _is_nested(value)]
    if flat:
        parts.append(_build_pairs([(label, _choose(cell, is_wide=True)) for label, cell in flat]))
    for name, value in record.items():
        if _is_nested(value):
            inner = (
                build_details(value, is_wide=is_wide)
                if isinstance(value, Mapping)
                else _build_list(value, is_wide=is_wide)
            )
            parts += [Text(get_words(name), style="label"), Padding(inner, (0, 0, 0, INDENT))]
    return Group(*parts)


def _is_nested(value: Any) -> bool:
    if isinstance(value, Cell):
        return False
    is_list = isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
    return is_list or (isinstance(value, Mapping) and bool(value))


def _build_list(records: Sequence[Mapping[str, Any]], *, is_wide: bool = False) -> "RenderableType":
    """Flat records of a detail view are a table; others come one after the other, each under a dash."""
    from rich.console import Group
    from rich.table import Table

    if all(one.keys() == records[0].keys() and not any(map(_is_nested, one.values())) for one in records):
        return FoldingTable(records, (), is_wide)
    items = []
    for record in records:
        item = Table.grid(padding=(0, 1, 0, 0))
        item.add_row("-", build_details(record, is_wide=is_wide))
        items.append(item)
    return Group(*items)


def _build_pairs(pairs: Sequence[tuple[str, Cell]], width: int = 0) -> "Table":
    from rich.table import Table

    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_column(style="label", min_width=width, overflow="fold")
    grid.add_column(overflow="fold")
    for label, cell in pairs:
        grid.add_row(label, _build_text(cell))
    return grid


def _build_text(cell: Cell) -> "Text":
    from rich.text import Text

    return Text(cell.text, style=cell.style)
