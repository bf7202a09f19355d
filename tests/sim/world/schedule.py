"""Virtual time: what happens next, and the record of what happened.

Events of one millisecond happen in an order drawn from the seed, so that no test comes to rely on one. The
audit hash covers every event: two runs are the same run if and only if their audit hashes are equal.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

from blake3 import blake3

Action = Callable[[], None]


class Event:
    """A call that happens once, unless it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Action | None) -> None:
        self.action = action

    def cancel(self) -> None:
        """The call does not happen; no effect if it has happened."""
        self.action = None


class Schedule:
    """The heap of all events of a run."""

    def __init__(self, random: Random) -> None:
        self.now_ms = 0
        self.steps = 0
        self._random = random
        self._serial = count()
        self._heap: list[tuple[int, float, int, Event]] = []

    def at(self, when_ms: int, action: Action) -> Event:
        """Calls `action` at this time, or now if it has passed."""
        event = Event(action)
        heappush(self._heap, (max(when_ms, self.now_ms), self._random.random(), next(self._serial), event))
        return event

    def after(self, delay_ms: int, action: Action) -> Event:
        """Calls `action` after this delay."""
        return self.at(self.now_ms + delay_ms, action)

    def step(self) -> bool:
        """Lets the next event happen; False if there is none."""
        while self._heap:
            self.now_ms, _, _, event = heappop(self._heap)
            if event.action is not None:
                action, event.action = event.action, None
                self.steps += 1
                action()
                return True
        return False


class Audit:
    """The hash over what happened; `tell` hears it as text, for a trace."""

    def __init__(self, schedule: Schedule, tell: Callable[[str], None] | None = None) -> None:
        self._schedule = schedule
        self._hash = blake3()
        self._tell = tell

    def note(self, who: object, what: str, data: bytes = b"", text: Callable[[], str] | str = "") -> None:
        """Adds an event to the hash: `who`, `what`, and the data that tells it from similar events."""
        head = f"{self._schedule.now_ms}|{who}|{what}|{len(data)}|"
        self._hash.update(head.encode() + data)
        if self._tell is not None:
            detail = text if isinstance(text, str) else text()
            self._tell(f"{self._schedule.now_ms:>7} ms  {who!s:<5} {what:<14} {detail}")

    def digest(self) -> bytes:
        """The hash so far."""
        return self._hash.digest()
