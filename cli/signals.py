"""Signals that end a command: SIGTERM and SIGHUP do what Ctrl-C does, under the exit code that shells expect.

A command that was interrupted cleans up, says in one line where it stopped, and exits with 128 and the
signal's number. What runs an event loop receives the signals itself (`node.stopping`).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

EXIT_BASE = 128
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal other than Ctrl-C asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def get_exit_code(error: KeyboardInterrupt) -> int:
    """What shells call a program that this ended."""
    return EXIT_BASE + (error.number if isinstance(error, Interrupted) else signal.SIGINT)


def build_interruption(number: int) -> KeyboardInterrupt:
    """The exception for a signal that an event loop has received."""
    return KeyboardInterrupt() if number == signal.SIGINT else Interrupted(number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, these signals raise Interrupted; one that is ignored (`nohup`) stays so."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    changed = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    try:
        for number in changed:
            with suppress(ValueError):  # not in the main thread: there is nothing to interrupt
                signal.signal(number, _interrupt)
        yield
    finally:
        for number in changed:
            with suppress(ValueError):
                signal.signal(number, before[number])


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within the block, a signal waits: cleaning up is not cut short by a second one."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_SIGNALS)}
    received: list[int] = []
    try:
        for number in before:
            signal.signal(number, lambda number, _: received.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise build_interruption(received[0])
