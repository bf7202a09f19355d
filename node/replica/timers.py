"""The timers of one height: one per name, all cancelled when the height is over."""

from collections.abc import Callable, Hashable

from node.replica.ports import Timer, World


class HeightTimers:
    """Calls that are made unless the height is over by then."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._timers: dict[Hashable, Timer] = {}

    def call_later(self, name: Hashable, delay_ms: int, action: Callable[[], None]) -> None:
        """Calls `action` after `delay_ms`; a name may be used again only after that."""

        def act() -> None:
            del self._timers[name]
            action()

        # Names hold round and kind, and the core asks for each timeout once per round.
        assert name not in self._timers, name
        self._timers[name] = self._world.call_later(delay_ms, act)

    def cancel_all(self) -> None:
        """The height is over."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
