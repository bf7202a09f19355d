"""What commands write: the result on stdout, remarks on stderr.

The result comes in the format that `-o` names, the same for every command: `table` for people, `json` for
programs, `jsonl` one record per line. JSON always has ids whole and amounts in base units. Progress and
questions appear on a terminal only.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.terminal.cells import build_cell
from cli.terminal.folding import fold_text
from cli.terminal.streams import has_unicode, write_remark, write_result
from cli.terminal.style import get_width, paint, render_for

if TYPE_CHECKING:
    from cli.terminal.tables import Columns

ANSWER_CHARS_MAX = 64


class Format(StrEnum):
    """Of the result on stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def emit(data: Any, kind: Format, columns: "Columns" = (), *, is_wide: bool = False) -> None:
    """The result of a command. `columns` names what a table shows of each record, and in which order."""
    if kind is Format.JSON:
        write_result(_dump(data, indent=2))
    elif kind is Format.JSONL:
        write_result("".join(map(_dump, data if isinstance(data, list) else [data])))
    elif isinstance(data, list):
        print_table(data, columns, is_wide=is_wide)
    else:
        print_record(data, is_wide=is_wide)


def _dump(data: Any, indent: int | None = None) -> str:
    separators = None if indent else (",", ":")
    is_ascii = not has_unicode(sys.stdout)
    return json.dumps(data, indent=indent, ensure_ascii=is_ascii, separators=separators, default=str) + "\n"


def print_table(
    records: Sequence[Mapping[str, Any]], columns: "Columns" = (), *, is_wide: bool = False
) -> None:
    """Aligned columns under headers; nothing but a remark if there are none."""
    if not records:
        say("(none)")
        return
    from cli.terminal.tables import FoldingTable

    write_result(render_for(FoldingTable(records, columns, is_wide), sys.stdout))


def print_record(record: Any, *, is_wide: bool = False) -> None:
    """A detail view: one field per line, nested ones indented. Text stays as it is."""
    from cli.terminal.tables import build_details

    if isinstance(record, str):
        write_result(f"{record}\n")
    elif isinstance(record, Mapping):
        write_result(render_for(build_details(record, is_wide=is_wide), sys.stdout))
    else:
        write_result(f"{build_cell(record).text}\n")


def say(text: str = "", *, is_whole: bool = False) -> None:
    """A remark: a line on stderr, folded on a narrow terminal unless it is to be copied as a whole."""
    write_remark(f"{text if is_whole else fold_text(text, get_width(sys.stderr))}\n")


def warn(text: str) -> None:
    """A remark that must not be missed."""
    say(f"{paint('warning', 'warning')}: {text}")


def say_error(error: CliError, kind: Format) -> None:
    """What happened, why, and the next command."""
    if kind is not Format.TABLE:
        named = {"code": error.code, "message": error.message, "hint": error.hint}
        say(json.dumps({"error": named}, ensure_ascii=not has_unicode(sys.stderr)), is_whole=True)
        return
    say(f"{paint('error', 'bad')}: {error.message} {paint(f'[{error.code}]', 'faint')}")
    if error.hint:
        say(f"  next: {error.hint}")


def is_terminal() -> bool:
    """Whether somebody reads the remarks."""
    return sys.stderr.isatty()


def is_private_screen() -> bool:
    """Whether stdout is a terminal: what is shown there stays in no file."""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show_line(text: str) -> None:
    """Progress: replaces the line shown before; nothing where stderr is no terminal."""
    width = get_width(sys.stderr)
    if width is not None:
        write_remark(f"\r\x1b[K{text[: max(width - 1, 1)]}")


def end_line() -> None:
    """Removes the last progress line."""
    if is_terminal():
        write_remark("\r\x1b[K")


def ask(question: str) -> bool:
    """Yes or no, no by default; only where `can_ask`."""
    write_remark(f"{question} [y/N] ")
    return sys.stdin.readline(ANSWER_CHARS_MAX).strip().lower() in ("y", "yes")


def show_secret(lines: Sequence[str]) -> None:
    """Writes secret words to the terminal on stdout, whatever `-o` says."""
    write_result("".join(f"{line}\n" for line in lines))
