"""The one theme, and consoles that use it.

Colour is used on a terminal only, and not where NO_COLOR is set (no-color.org).

Everything is rendered to text first and written by `cli.terminal.streams`, so that no part of a table is
written if the stream fails, and tests can compare whole screens.
"""

import os
import sys
from io import StringIO
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STYLES = {
    "header": "bold",
    "label": "dim",
    "faint": "dim",
    "name": "cyan",
    "good": "green",
    "warning": "yellow",
    "bad": "bold red",
}
"""What a part of a screen means -> how it looks."""
UNBOUNDED_COLUMNS = 10_000


def get_width(stream: TextIO) -> int | None:
    """Columns of the terminal behind the stream; None if it is no terminal: then nothing is folded."""
    if not stream.isatty():
        return None
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return columns or 80


def is_coloured(stream: TextIO) -> bool:
    """Whether what is written there may have colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def build_console(width: int | None, *, colour: bool = False) -> "Console":
    """A console that writes to memory."""
    from rich.console import Console
    from rich.theme import Theme

    return Console(
        file=StringIO(),
        width=width or UNBOUNDED_COLUMNS,
        theme=Theme(STYLES),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def render(content: "RenderableType", width: int | None, *, colour: bool = False) -> str:
    """The lines of some content, without blanks at their ends."""
    console = build_console(width, colour=colour)
    console.print(content)
    assert isinstance(console.file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def render_for(content: "RenderableType", stream: TextIO) -> str:
    """The lines as the stream takes them."""
    return render(content, get_width(stream), colour=is_coloured(stream))


def paint(text: str, style: str) -> str:
    """A word of a remark in a style, where stderr is coloured."""
    if not is_coloured(sys.stderr):
        return text
    from rich.text import Text

    return render(Text(text, style=style), None, colour=True).rstrip("\n")
