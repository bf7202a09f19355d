"""The chunks that one host of a download does not sell at the moment, and how long it is believed.

A buyer with a chain of its own does not ask for chunks that are not for sale by it, and believes a refusal
that its chain confirms. Heads differ by a block or two, so others are believed a few times, for a short while
each. In no case is a host believed for longer than the rule can take: then it has nothing to give.
"""

import math
from dataclasses import dataclass

import trio

from chain.primitives.types import Address, Hash
from node.content.downloads.chunk_scheduler import ChunkScheduler
from node.content.downloads.types import HostFailed, Outcome
from node.content.sales import ChunkSales, Wait

UNCONFIRMED_MAX = 3
"""Refusals of one chunk in a row that the buyer's chain does not confirm."""


@dataclass
class _Refusals:
    """The refusals of one chunk in a row."""

    since: float
    unconfirmed: int = 0


class UnsoldChunks:
    """What one host does not sell; a chunk of None stands for the whole datum."""

    def __init__(
        self,
        index: int,
        host: Address,
        datum: Hash,
        sales: ChunkSales | None,
        *,
        seconds_max: float,
        unconfirmed_seconds: float,
    ) -> None:
        """`sales` is the buyer's own view, None if it has no chain; `index` is the host's in the scheduler.
        `seconds_max`: how long a chunk can be unsold by the rule, with some slack.
        """
        self._index, self._host, self._datum, self._sales = index, host, datum, sales
        self._seconds_max, self._unconfirmed_seconds = seconds_max, unconfirmed_seconds
        self._refusals: dict[int | None, _Refusals] = {}
        self._again_at: dict[int | None, float] = {}

    def foresee(self, scheduler: ChunkScheduler[int], chunk: int) -> bool:
        """Whether the buyer's chain says that the chunk is not for sale; then it is put off, unasked."""
        wait = self._look_up(chunk)
        if wait is None:
            return False
        scheduler.release(self._index, chunk)
        self._put_off(scheduler, None if wait.is_whole else chunk, wait.seconds)
        return True

    def take(self, scheduler: ChunkScheduler[int], chunk: int, wait: Wait, *, is_paid: bool) -> bool:
        """Puts off a chunk, or the datum, that the host refused to sell; returns whether it is believed.

        A chunk that is paid stays assigned to the host. Raises HostFailed if the host is not believed about
        the datum.
        """
        if not is_paid:
            scheduler.release(self._index, chunk)
        refused, seconds = None if wait.is_whole else chunk, max(1.0, wait.seconds)
        refusals = self._refusals.setdefault(refused, _Refusals(trio.current_time()))
        if self._sales is not None and self._look_up(chunk) is None:
            refusals.unconfirmed += 1
            seconds = min(seconds, self._unconfirmed_seconds)
        is_late = trio.current_time() - refusals.since > self._seconds_max
        if not is_late and refusals.unconfirmed <= UNCONFIRMED_MAX:
            self._put_off(scheduler, refused, seconds)
            return True
        if refused is None:
            raise HostFailed(Outcome.NOTHING_TO_GIVE, "does not sell the datum, against the rule")
        scheduler.withdraw(self._index, chunk)
        return False

    def _look_up(self, chunk: int) -> Wait | None:
        return None if self._sales is None else self._sales.get_wait(self._datum, chunk, self._host)

    def _put_off(self, scheduler: ChunkScheduler[int], chunk: int | None, seconds: float) -> None:
        scheduler.postpone(self._index, chunk)
        self._again_at[chunk] = trio.current_time() + min(seconds, self._seconds_max)

    def sell(self, chunk: int) -> None:
        """Notes that the host has sent the chunk."""
        self._refusals.pop(chunk, None)
        self._refusals.pop(None, None)

    def resume(self, scheduler: ChunkScheduler[int]) -> None:
        """Lets the chunks be asked for whose time has come."""
        now = trio.current_time()
        for chunk in [one for one, again_at in self._again_at.items() if again_at <= now]:
            del self._again_at[chunk]
            scheduler.resume(self._index, chunk)

    @property
    def seconds_left(self) -> float:
        """Until the first chunk may be asked for again; infinite if none waits."""
        return min(self._again_at.values(), default=math.inf) - trio.current_time()

    def limit_wait(self, seconds: float) -> float:
        """At most so many seconds, and no longer than until a chunk may be asked for again."""
        return max(min(seconds, self.seconds_left), 0.0)

    @property
    def has_refused(self) -> bool:
        """Whether the host was right not to sell a chunk that it has not sent since, as far as is known."""
        return any(not one.unconfirmed for one in self._refusals.values())
