"""Progress on one line: what, a bar, how much, how fast, how long still, what was paid.

A narrow terminal loses the bar first, then the end of the line; the amounts stay.
"""

import sys
from typing import NamedTuple

from cli.terminal import output
from cli.terminal.amounts import format_duration, format_size
from cli.terminal.style import get_width
from cli.terminal.wording import format_count

BAR_CHARS = 20


class Transfer(NamedTuple):
    """How far something is that is counted in bytes."""

    title: str
    bytes_done: int
    bytes_total: int
    bytes_per_second: int = 0
    seconds_left: int | None = None
    paid: str = ""
    """An amount as people read it; nothing if nothing is paid."""
    remark: str = ""


def format_transfer(transfer: Transfer, width: int) -> str:
    """The line, at most so many columns if the bar can give way."""
    done, total = format_size(transfer.bytes_done), format_size(transfer.bytes_total)
    parts = [f"{done} of {total}"]
    if transfer.bytes_per_second:
        parts.append(f"{format_size(transfer.bytes_per_second)}/s")
    if transfer.seconds_left is not None:
        parts.append(f"{format_duration(1000 * transfer.seconds_left)} left")
    if transfer.paid:
        parts.append(f"paid {transfer.paid}")
    if transfer.remark:
        parts.append(transfer.remark)
    bar = build_bar(transfer.bytes_done, transfer.bytes_total)
    text = "  ".join(parts)
    long = f"{transfer.title}  {bar}  {text}"
    return long if len(long) < width else f"{transfer.title}  {text}"


def show_transfer(transfer: Transfer) -> None:
    """Replaces the progress line; nothing where stderr is no terminal."""
    width = get_width(sys.stderr)
    if width is not None:
        output.show_line(format_transfer(transfer, width))


def describe_sources(hosts: int, unsold_chunks: int, unsold_seconds: int) -> str:
    """How many hosts there are, and when they sell the chunks again that none sells now."""
    told = format_count(hosts, "host")
    if not unsold_chunks:
        return told
    verb = "is" if unsold_chunks == 1 else "are"
    return f"{told}  {format_count(unsold_chunks, 'chunk')} {verb} sold again in {unsold_seconds} s"


def build_bar(done: int, total: int) -> str:
    """`[#####---------------]`, full only when all is there."""
    filled = BAR_CHARS * min(done, total) // total if total else BAR_CHARS
    return f"[{'#' * filled}{'-' * (BAR_CHARS - filled)}]"
