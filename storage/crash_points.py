"""Crash points: named places before and after each durable step, at which tests end the node.

`reach` does nothing unless a test has armed it: to kill the process there (`VIDYA_CRASH_AT`, read by the
command line), or to end a simulated node. Only places in this list are tested.
"""

from collections.abc import Callable
from enum import StrEnum


class CrashPoint(StrEnum):
    """The crash points, in the order in which a height passes them."""

    LOG_WRITE = "log-write"
    """Inputs are about to be written to the log."""
    LOG_WRITTEN = "log-written"
    """They are written, not synced."""
    LOG_SYNCED = "log-synced"
    SIGN = "sign"
    """The log is on disk; nothing is signed yet."""
    SIGN_STATE_WRITE = "sign-state-write"
    """Signed; the sign-state is still the old one."""
    SIGN_STATE_SAVED = "sign-state-saved"
    """The signature is on disk and has not left the function."""
    FILE_WRITTEN = "file-written"
    """A file that replaces another is written and synced under its temporary name."""
    FILE_RENAMED = "file-renamed"
    """It has its name; the directory is not synced."""
    PUBLISH = "publish"
    """A signed message is about to leave the node."""
    PUBLISHED = "published"
    COMMIT = "commit"
    """A decided block is about to be written with its state."""
    COMMITTED = "committed"
    """It is on disk; nobody was told."""
    LOG_RESET = "log-reset"
    """The log of the next height is about to replace that of the last."""


Hook = Callable[[CrashPoint], None]
_hooks: list[Hook] = []


def arm(hook: Hook) -> Callable[[], None]:
    """Calls `hook` at every point from now on; calling the returned function ends that."""
    _hooks.append(hook)
    return lambda: _hooks.remove(hook)


def reach(point: CrashPoint) -> None:
    """The node is at this point."""
    for hook in _hooks:
        hook(point)
