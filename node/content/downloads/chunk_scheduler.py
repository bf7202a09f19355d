"""The board: which chunk is asked of whom next. Pure bookkeeping, without time.

A set of chunks is an integer with one bit per chunk, so that a choice among millions costs microseconds.
`_at_least[k]` has the chunks that more than k hosts offer, kept like a counter in unary.

Rules: a chunk is asked of one host, the rarest first, of equals the first. When all that is missing is under
way, a host without work takes over a chunk from the one with most work left (endgame): at most COPIES_MAX are
asked for it, and a host has at most one such chunk at a time.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

COPIES_MAX = 2

H = TypeVar("H", bound=Hashable)


class ChunkScheduler(Generic[H]):
    """Chunks to fetch, hosts that offer them, and what is under way. `H` names a host."""

    def __init__(self, chunk_count: int, held: int) -> None:
        self._all = (1 << chunk_count) - 1
        self._missing = self._all & ~held
        self._unasked = self._missing
        self._offers: dict[H, int] = {}
        self._at_least: list[int] = []
        self._asked: dict[int, list[H]] = {}
        self._work: dict[H, list[int]] = {}

    @property
    def missing_count(self) -> int:
        """Chunks that are still to come."""
        return self._missing.bit_count()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self._missing

    @property
    def is_endgame(self) -> bool:
        """Whether all that is missing is under way."""
        return not self._unasked

    def is_missing(self, chunk: int) -> bool:
        """Whether the chunk is still to come."""
        return bool(self._missing >> chunk & 1)

    def is_useful(self, host: H) -> bool:
        """Whether the host offers anything that is missing."""
        return bool(self._missing & self._offers.get(host, 0))

    def join(self, host: H, offer: int) -> None:
        """A host says what it has."""
        self._offers[host] = offer & self._all
        self._work[host] = []
        self._count_offers()

    def leave(self, host: H) -> None:
        """The host is gone; what was asked of it is to be asked of others."""
        for chunk in list(self._work.pop(host, ())):
            self._drop(host, chunk)
        self._offers.pop(host, None)
        self._count_offers()

    def withdraw(self, host: H, chunk: int) -> None:
        """The host does not have this chunk after all."""
        self.release(host, chunk)
        self._offers[host] &= ~(1 << chunk)
        self._count_offers()

    def release(self, host: H, chunk: int) -> None:
        """The host was asked and will not send it."""
        if chunk in self._work[host]:
            self._work[host].remove(chunk)
            self._drop(host, chunk)

    def arrive(self, host: H, chunk: int) -> bool:
        """A verified chunk came from the host; whether it was still missing."""
        self.release(host, chunk)
        was_missing = self.is_missing(chunk)
        self._missing &= ~(1 << chunk)
        self._unasked &= ~(1 << chunk)
        return was_missing

    def claim(self, host: H, chunk: int) -> bool:
        """Asks the host for this very chunk, unless it is there or under way."""
        if not (self._unasked & self._offers[host]) >> chunk & 1:
            return False
        self._ask(host, chunk)
        return True

    def pick(self, host: H, work_min: int = 1) -> int | None:
        """The chunk to ask of the host now; None if there is none. It takes over from hosts that have at
        least `work_min` chunks under way.
        """
        chunk = self._find_rarest(self._unasked & self._offers[host])
        if chunk is None and not self._unasked:
            chunk = self._find_takeover(host, work_min)
        if chunk is not None:
            self._ask(host, chunk)
        return chunk

    def list_stale(self, host: H) -> list[int]:
        """What was asked of the host and has come from another."""
        return [chunk for chunk in self._work[host] if not self.is_missing(chunk)]

    def _find_rarest(self, candidates: int) -> int | None:
        if not candidates:
            return None
        # The chunks with the fewest hosts are the first ones that a level leaves out.
        rare = next((rare for more in self._at_least[1:] if (rare := candidates & ~more)), candidates)
        return (rare & -rare).bit_length() - 1

    def _find_takeover(self, host: H, work_min: int) -> int | None:
        if any(len(self._asked[chunk]) > 1 for chunk in self._work[host] if chunk in self._asked):
            return None
        work_min = max(work_min, 2 * len(self._work[host]) + 1)
        owners = [owner for owner in self._work if len(self._work[owner]) >= work_min]
        for owner in sorted(owners, key=lambda one: -len(self._work[one])):
            for chunk in reversed(self._work[owner]):
                askers = self._asked.get(chunk, ())
                is_free = self.is_missing(chunk) and host not in askers and len(askers) < COPIES_MAX
                if is_free and self._offers[host] >> chunk & 1:
                    return chunk
        return None

    def _ask(self, host: H, chunk: int) -> None:
        self._unasked &= ~(1 << chunk)
        self._asked.setdefault(chunk, []).append(host)
        self._work[host].append(chunk)

    def _drop(self, host: H, chunk: int) -> None:
        self._asked[chunk].remove(host)
        if not self._asked[chunk]:
            del self._asked[chunk]
            self._unasked |= self._missing & 1 << chunk

    def _count_offers(self) -> None:
        levels: list[int] = []
        for offer in self._offers.values():
            carry = offer
            for index, level in enumerate(levels):
                levels[index], carry = level | carry, level & carry
            if carry:
                levels.append(carry)
        self._at_least = levels
