"""A world for one replica, without a loop: turns in the order of their times, jobs one after the other.

Time stands still while anything is to be done at once; `settle` does all of that, `advance` moves on.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from chain.primitives.codec import Record, encode
from chain.primitives.types import PeerId
from p2p.errors import NetworkError, PeerFault, PeerGone
from p2p.wire.messages import ConsensusMessage

TURNS_MAX = 100_000


@dataclass
class _Timer:
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class Turns:
    """The world; `sent` and `blamed` record what was sent and who was blamed."""

    wall_ms: int
    ticks: int = 0
    """How much each reading of the wall clock adds to it."""
    sent: list[tuple[PeerId, ConsensusMessage]] = field(default_factory=list)
    blamed: list[tuple[PeerId, PeerFault]] = field(default_factory=list)
    connected: dict[PeerId, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._elapsed_ms = 0
        self._number = 0
        self._timers: list[tuple[int, int, _Timer, Callable[[], None]]] = []
        self._jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self.is_lane_open = True
        """Jobs wait while this is False."""

    # What the replica calls.

    def now_ms(self) -> int:
        self.wall_ms += self.ticks
        return self.wall_ms

    def elapsed_ms(self) -> int:
        return self._elapsed_ms

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> _Timer:
        timer = _Timer()
        self._number += 1
        heappush(self._timers, (self._elapsed_ms + max(delay_ms, 0), self._number, timer, action))  # type: ignore[misc]
        return timer

    def run(self, job: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self._jobs.append((job, then))

    @property
    def peers(self) -> tuple[PeerId, ...]:
        return tuple(self.connected)

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        encode(message)
        if peer in self.connected:
            self.sent.append((peer, message))

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        for peer in self.connected:
            if peer not in but:
                self.post(peer, message)

    def ask(
        self,
        peer: PeerId,
        message: Record,
        reply: type[Any],
        limit_ms: int,
        then: Callable[[Any | NetworkError], None],
    ) -> None:
        self.call_later(0, lambda: then(PeerGone("nobody answers in this world")))

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        self.blamed.append((peer, fault))

    # What the test calls.

    def take_turn(self, until_ms: int) -> bool:
        """Runs the next call that is due by then; returns whether there was one."""
        if self._jobs and self.is_lane_open:
            job, then = self._jobs.pop(0)
            then(job())
            return True
        if not self._timers or self._timers[0][0] > until_ms:
            return False
        due_ms, _, timer, action = heappop(self._timers)
        self.wall_ms += due_ms - self._elapsed_ms
        self._elapsed_ms = due_ms
        if not timer.is_cancelled:
            action()
        return True

    def settle(self) -> None:
        """Runs until nothing is due at the current time."""
        for _ in range(TURNS_MAX):
            if not self.take_turn(self._elapsed_ms):
                return
        raise AssertionError("it never comes to rest")

    def advance(self, milliseconds: int) -> None:
        """Lets time pass, with everything that happens in it."""
        until_ms = self._elapsed_ms + milliseconds
        for _ in range(TURNS_MAX):
            if not self.take_turn(until_ms):
                break
        self.wall_ms += until_ms - self._elapsed_ms
        self._elapsed_ms = until_ms

    def wait_until(self, is_so: Callable[[], bool], limit_ms: int = 60_000) -> None:
        """Lets time pass until it is so; fails the test if it never is."""
        until_ms = self._elapsed_ms + limit_ms
        while not is_so():
            assert self.take_turn(until_ms), "it never comes to be so"


def count_points(blamed: Iterable[tuple[PeerId, PeerFault]], peer: PeerId) -> int:
    """The points that a peer's faults have cost it."""
    return sum(fault.points for name, fault in blamed if name == peer)
