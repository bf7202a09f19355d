"""Which chunk is asked of which host next. Pure bookkeeping, without time.

A set of chunks is an integer with one bit per chunk, so that a choice among millions costs microseconds.
`_at_least[k]` has the chunks that more than k hosts offer, kept like a counter in unary.

Rules: each chunk is asked of one host; the rarest chunk first, and among equally rare ones the lowest number.
When all missing chunks are under way (endgame, as in BitTorrent), an idle host takes over a chunk from the
busiest one: at most COPIES_MAX hosts are asked for it, and a host has at most one such chunk at a time.
"""

from collections.abc import Hashable, Iterable
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
        self._postponed: dict[H, int] = {}

    def restrict(self, wanted: int) -> None:
        """Wants these chunks alone, one bit each; before any is asked for."""
        assert not self._asked, "chunks under way would be lost"
        self._all &= wanted
        self._missing &= wanted
        self._unasked &= wanted

    @property
    def wanted_count(self) -> int:
        """Number of chunks that are wanted, held or missing."""
        return self._all.bit_count()

    @property
    def missing_count(self) -> int:
        """Number of missing chunks."""
        return self._missing.bit_count()

    @property
    def is_complete(self) -> bool:
        """Whether no chunk is missing."""
        return not self._missing

    @property
    def is_endgame(self) -> bool:
        """Whether all missing chunks are under way, or postponed by every host that offers them."""
        return not self._unasked & ~self._find_postponed()

    @property
    def postponed_count(self) -> int:
        """Number of missing chunks that every host which offers them, or which is to send them, postponed."""
        kept = 0
        for host, postponed in self._postponed.items():
            for chunk in self._work[host] if postponed else ():
                kept |= 1 << chunk & postponed
        return (self._find_postponed() | kept & self._missing).bit_count()

    def _find_postponed(self) -> int:
        """The chunks that nobody is asked for because every host that offers them postponed them."""
        if not any(self._postponed.values()):
            return 0
        offered = available = 0
        for host, offer in self._offers.items():
            offered |= offer
            available |= offer & ~self._postponed.get(host, 0)
        return self._unasked & offered & ~available

    def is_missing(self, chunk: int) -> bool:
        """Whether the chunk is missing."""
        return bool(self._missing >> chunk & 1)

    def is_useful(self, host: H) -> bool:
        """Whether the host offers a missing chunk."""
        return bool(self._missing & self._offers.get(host, 0))

    def join(self, host: H, offer: int) -> None:
        """Adds a host with its offer, a bitmap of chunks; a suspended one goes on with its work."""
        self._offers[host] = offer & self._all
        self._postponed[host] = 0
        self._work.setdefault(host, [])
        self._count_offers()

    def suspend(self, host: H, released: Iterable[int]) -> None:
        """Removes the offer of a host that may come back. It keeps its work, which is paid, but for the
        `released` chunks; others may take the work over in the endgame.
        """
        for chunk in released:
            self.release(host, chunk)
        self._offers[host] = 0
        self._count_offers()

    def list_work(self, host: H) -> list[int]:
        """Missing chunks that the host is asked for."""
        return [chunk for chunk in self._work[host] if self.is_missing(chunk)]

    def leave(self, host: H) -> None:
        """Removes a host; its chunks are to be asked of others."""
        for chunk in list(self._work.pop(host, ())):
            self._drop(host, chunk)
        self._offers.pop(host, None)
        self._postponed.pop(host, None)
        self._count_offers()

    def withdraw(self, host: H, chunk: int) -> None:
        """Notes that the host does not have the chunk that it offered."""
        self.release(host, chunk)
        self._offers[host] &= ~(1 << chunk)
        self._count_offers()

    def postpone(self, host: H, chunk: int | None) -> None:
        """Notes that the host does not send the chunk for now; None stands for all chunks that it offers."""
        self._postponed[host] |= self._all if chunk is None else 1 << chunk

    def is_postponed(self, host: H, chunk: int) -> bool:
        """Whether the host does not send the chunk for now."""
        return bool(self._postponed[host] >> chunk & 1)

    def resume(self, host: H, chunk: int | None) -> None:
        """Notes that the host may be asked for the chunk again, or for all chunks."""
        self._postponed[host] &= 0 if chunk is None else ~(1 << chunk)

    def release(self, host: H, chunk: int) -> None:
        """Notes that the host will not send the chunk it was asked for."""
        if chunk in self._work[host]:
            self._work[host].remove(chunk)
            self._drop(host, chunk)

    def arrive(self, host: H, chunk: int) -> bool:
        """Notes a verified chunk of the host; returns whether it was missing."""
        self.release(host, chunk)
        was_missing = self.is_missing(chunk)
        self._missing &= ~(1 << chunk)
        self._unasked &= ~(1 << chunk)
        return was_missing

    def claim(self, host: H, chunk: int) -> bool:
        """Assigns this very chunk to the host; False if it is held, under way or not offered."""
        if not (self._unasked & self._offers[host]) >> chunk & 1:
            return False
        self._ask(host, chunk)
        return True

    def pick(self, host: H, work_min: int = 1) -> int | None:
        """Assigns a chunk to the host; None if there is none for it. In the endgame it takes over from hosts
        with at least `work_min` chunks under way, of which the first `work_min` - 1 are left to them.
        """
        chunk = self._find_rarest(self._unasked & self._get_available(host))
        if chunk is None and self.is_endgame:
            chunk = self._find_takeover(host, work_min)
        if chunk is not None:
            self._ask(host, chunk)
        return chunk

    def _get_available(self, host: H) -> int:
        return self._offers[host] & ~self._postponed[host]

    def list_stale(self, host: H) -> list[int]:
        """Chunks asked of the host that came from another one meanwhile, or that another one took over."""
        return [
            chunk
            for chunk in self._work[host]
            if self._asked[chunk][-1] != host or not self.is_missing(chunk)
        ]

    def _find_rarest(self, candidates: int) -> int | None:
        if not candidates:
            return None
        # The chunks with the fewest hosts are the first ones that a level leaves out.
        rare = next((rare for more in self._at_least[1:] if (rare := candidates & ~more)), candidates)
        return (rare & -rare).bit_length() - 1

    def _find_takeover(self, host: H, work_min: int) -> int | None:
        kept = work_min - 1
        if any(len(self._asked[chunk]) > 1 for chunk in self._work[host] if chunk in self._asked):
            return None
        work_min = max(work_min, 2 * len(self._work[host]) + 1)
        owners = [owner for owner in self._work if len(self._work[owner]) >= work_min]
        for owner in sorted(owners, key=lambda one: -len(self._work[one])):
            for chunk in reversed(self._work[owner][kept:]):
                askers = self._asked.get(chunk, ())
                is_free = self.is_missing(chunk) and host not in askers and len(askers) < COPIES_MAX
                if is_free and self._get_available(host) >> chunk & 1:
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
