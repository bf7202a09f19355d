"""Remarks on a narrow terminal: folded between words, continued with an indent.

What is to be copied stays in one piece: a command in backticks, and a word that is too long for any line.
"""

import re
from collections.abc import Iterator

_WORD = re.compile(r"(?:`[^`\n]*`|\S)+")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
INDENT = 2


def fold_text(text: str, width: int | None) -> str:
    """The text with every line folded at the width; as it is where there is none."""
    if width is None:
        return text
    return "\n".join(folded for line in text.split("\n") for folded in fold_line(line, width))


def fold_line(line: str, width: int) -> Iterator[str]:
    """One line as several, if it is too long; those after the first begin further right."""
    indent = " " * (len(line) - len(line.lstrip(" ")) + INDENT)
    shown, end = "", 0
    for word in _WORD.finditer(line):
        longer = shown + line[end : word.start()] + word[0]
        fits_alone = len(indent) + measure(word[0]) <= width
        if measure(longer) > width and shown.strip() and fits_alone:
            yield shown
            longer = indent + word[0]
        shown, end = longer, word.end()
    yield shown


def measure(text: str) -> int:
    """Columns that the text takes, without its colours."""
    from rich.cells import cell_len

    return cell_len(_COLOUR.sub("", text))
