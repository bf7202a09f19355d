"""One value as people read it: a line of text, its style, its alignment, and the full form of a short id.

Ids (64 hexadecimal digits, addresses, peer ids) are recognised by their form. Tables show the first 10 and
the last 4 characters of one; `--wide` shows them whole.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

ID_START = 10
ID_END = 4
_ID = re.compile(r"[0-9a-f]{64}|[a-z0-9]{1,16}1[02-9ac-hj-np-z]{58}|12D3Koo[1-9A-HJ-NP-Za-km-z]{45}")
_SHORT_ID = re.compile(rf"([0-9A-Za-z]{{{ID_START},64}})(?:\.\.\.|…)([0-9A-Za-z]{{{ID_END},64}})")


class Cell(NamedTuple):
    """A value that is ready to be shown."""

    text: str
    style: str = ""
    is_number: bool = False
    full: str = ""
    """What `--wide` shows; nothing if that is the same."""

    def __str__(self) -> str:
        return self.text


def is_id(text: str) -> bool:
    """Whether the text has the form of an id."""
    return _ID.fullmatch(text) is not None


def shorten(text: str) -> str:
    """`vdev1vgh2k...xphl`."""
    return f"{text[:ID_START]}...{text[-ID_END:]}"


def split_short(text: str) -> tuple[str, str] | None:
    """Beginning and end of a short id; None if the text is none."""
    match = _SHORT_ID.fullmatch(text)
    return (match[1], match[2]) if match else None


def build_cell(value: Any) -> Cell:
    """A value on one line."""
    if isinstance(value, Cell):
        return value
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        return Cell(str(value), is_number=True)
    if isinstance(value, str) and is_id(value):
        return Cell(shorten(value), full=value)
    return Cell(format_cell(value))


def format_cell(value: Any) -> str:
    """The same as text, with ids whole."""
    if value is None or value == "":
        return "-"
    if isinstance(value, Cell):
        return value.text
    if isinstance(value, bool | int):
        return build_cell(value).text
    if isinstance(value, list | tuple):
        return ", ".join(map(format_cell, value)) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_cell(item)}" for name, item in value.items()) or "-"
    # Text of others may not move the cursor or end the line.
    return " ".join("".join(sign if sign.isprintable() else " " for sign in str(value)).split())


def cut_text(text: str, bytes_max: int) -> str:
    """The beginning of a text that takes at most so many bytes in UTF-8; no letter is cut in two."""
    return text.encode()[:bytes_max].decode(errors="ignore")
