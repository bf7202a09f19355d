"""The standard streams: text of any kind, a full disk, a reader that has gone, a stream that is closed.

stdout carries the result: if it cannot be written, the command must say so (`OutputFailed`). stderr carries
remarks: what cannot be written there is dropped, since a remark never changes what a command does.
"""

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

from cli.errors import CliError
from cli.exits import ExitCode

_left: set[int] = set()
"""Descriptors whose reader went while something was written."""


class OutputFailed(CliError):
    """The result could not be written to stdout."""

    def __init__(self, why: str) -> None:
        super().__init__("output_failed", f"stdout cannot be written: {why}", status=ExitCode.DISK_FAILED)


def prepare_streams() -> None:
    """Called once at the start: no stream is missing, and no character is refused by one."""
    for number in range(3):
        _open_if_closed(number)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - lives as long as the process
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A terminal that has no letter for a title shows its number, rather than ending the command.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _open_if_closed(number: int) -> None:
    """A closed descriptor would be given to the next file that is opened, and take what is printed."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)


def write_result(text: str) -> None:
    """Writes to stdout; raises OutputFailed, or BrokenPipeError if the reader has gone."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputFailed(error.strerror or str(error)) from error


def write_remark(text: str) -> None:
    """Writes to stderr; what cannot be written is dropped."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            _left.add(sys.stderr.fileno())
        discard(sys.stderr)


def is_reader_gone(stream: TextIO) -> bool:
    """Whether the stream is, or was, a pipe that nobody reads any more."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return stream.fileno() in _left or any(events & select.POLLERR for _, events in poll.poll(0))


def discard(stream: TextIO) -> None:
    """Sends what the stream still holds, and all that follows, to nowhere."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def has_unicode(stream: TextIO) -> bool:
    """Whether the stream can carry all characters."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
