"""Checks whether a peer that claims to be ahead really is, beside consensus and at a bounded pace.

A claim costs its sender nothing, so it must not hold up consensus: at most one check runs at a time, and the
next one begins LOOK_AHEAD_MS after the last one ended. Claims in between are one request.
"""

from collections.abc import Callable

from node.replica.ports import World

LOOK_AHEAD_MS = 2_000


class LeadChecks:
    """Calls `look_ahead` when a check was requested, and `on_behind` if a peer has proven its lead."""

    def __init__(
        self,
        world: World,
        look_ahead: Callable[[Callable[[bool], None]], None],
        is_running: Callable[[], bool],
        on_behind: Callable[[], None],
    ) -> None:
        self._world = world
        self._look_ahead = look_ahead
        self._is_running = is_running
        self._on_behind = on_behind
        self._is_requested = False
        self._is_checking = False
        """From the beginning of a check until LOOK_AHEAD_MS after its end."""

    def request(self) -> None:
        """Check soon; ignored while the replica does not run, since it then syncs anyway."""
        if self._is_running() and not self._is_requested:
            self._is_requested = True
            self._world.call_later(0, self._check)

    def drop_request(self) -> None:
        """A sync begins, which answers the request."""
        self._is_requested = False

    def _check(self) -> None:
        if self._is_running() and self._is_requested and not self._is_checking:
            self._is_requested, self._is_checking = False, True
            self._look_ahead(self._on_checked)

    def _on_checked(self, is_behind: bool) -> None:
        self._world.call_later(LOOK_AHEAD_MS, self._on_pause_over)
        if is_behind:
            self._on_behind()

    def _on_pause_over(self) -> None:
        self._is_checking = False
        self._check()
