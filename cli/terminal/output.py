"""Everything the program says: data on stdout, talk on stderr; the only file that prints.

Data comes in the format that `-o` names, the same for every command: `table` for people, `json` for
programs, `jsonl` one record per line. Ids are never shortened, since the next command takes them. Colour and
progress appear on a terminal only, and no colour where NO_COLOR is set (no-color.org).
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from cli.errors import CliError


class Format(StrEnum):
    """Of data on stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def emit(data: Any, kind: Format, columns: Sequence[str] = ()) -> None:
    """The result of a command. `columns` names what a table shows of each record, and in which order."""
    if kind is Format.JSON:
        print(json.dumps(data, indent=2, ensure_ascii=False), flush=True)
    elif kind is Format.JSONL:
        for record in data if isinstance(data, list) else [data]:
            print(json.dumps(record, ensure_ascii=False, separators=(",", ":")), flush=True)
    elif isinstance(data, list):
        print_table(data, columns)
    else:
        print_record(data)


def print_table(records: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Aligned columns under a line of names; nothing but a remark if there are none."""
    if not records:
        say("(none)")
        return
    names = list(columns) or list(records[0])
    rows = [[format_cell(record.get(name)) for name in names] for record in records]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in ([name.upper() for name in names], *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip(), flush=True)


def print_record(record: Any) -> None:
    """One field per line, nested ones indented; text and numbers as they are."""
    if not isinstance(record, Mapping):
        print(format_cell(record), flush=True)
        return
    for line in format_fields(record, ""):
        print(line, flush=True)


def format_fields(record: Mapping[str, Any], indent: str) -> list[str]:
    """Lines `name  value`."""
    width = max((len(name) for name in record), default=0)
    lines = []
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{name}", *format_fields(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            lines.append(f"{indent}{name}")
            for item in value:
                first, *rest = format_fields(item, indent + "    ")
                lines += [f"{indent}  - {first.strip()}", *rest]
        else:
            lines.append(f"{indent}{name.ljust(width)}  {format_cell(value)}".rstrip())
    return lines


def format_cell(value: Any) -> str:
    """A value on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(format_cell, value)) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_cell(item)}" for name, item in value.items()) or "-"
    return " ".join(str(value).split())


def say(text: str = "") -> None:
    """Talk: a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def say_error(error: CliError, kind: Format) -> None:
    """What happened, why, and the next command."""
    if kind is not Format.TABLE:
        named = {"code": error.code, "message": error.message, "hint": error.hint}
        say(json.dumps({"error": named}, ensure_ascii=False))
        return
    say(f"{paint('error', '31;1')}: {error.message} [{error.code}]")
    if error.hint:
        say(f"  next: {error.hint}")


def paint(text: str, code: str) -> str:
    """The text in a colour (SGR code), where that is wanted."""
    wanted = is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{code}m{text}\x1b[0m" if wanted else text


def is_terminal() -> bool:
    """Whether somebody reads what is said."""
    return sys.stderr.isatty()


def is_private_screen() -> bool:
    """Whether stdout is a terminal: what is shown there stays in no file."""
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show_line(text: str) -> None:
    """Progress: replaces the line shown before; says nothing unless somebody reads it."""
    if is_terminal():
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        print(f"\r\x1b[K{text[: max(width - 1, 1)]}", end="", file=sys.stderr, flush=True)


def end_line() -> None:
    """The last progress line is done with."""
    if is_terminal():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def ask(question: str) -> bool:
    """Yes or no, no by default; only where `can_ask`."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show_secret(lines: Sequence[str]) -> None:
    """Words that are for the eyes in front of this terminal: stdout, whatever `-o` says."""
    for line in lines:
        print(line, flush=True)
