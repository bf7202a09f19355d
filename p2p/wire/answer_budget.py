"""What a node spends on answers: bytes per second for each peer, each group of hosts, and all together.

A request of a few bytes may draw megabytes. So its largest answer is charged before any work is done for it,
and what it did not need is given back afterwards. Above its rate a peer waits; nothing is refused, since an
honest peer that syncs wants all it can get. The costly requests of one group of hosts are answered one after
the other, and an answer lasts until it is read: so a stranger with many identities waits for itself, others
wait for one of its answers at most, and its slow readers hold the memory of one.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from chain.primitives.types import PeerId
from p2p.recent import RecentTable
from p2p.switch.bans import compute_group
from p2p.switch.rate_limiter import RateLimiter

PEER_BYTES_PER_SECOND = 8 * 2**20
GROUP_BYTES_PER_SECOND = 16 * 2**20
NODE_BYTES_PER_SECOND = 32 * 2**20
CHEAP_BYTES = 4 * 2**10
"""Up to here a request costs what it is charged; it does not wait for others."""
BURST_SECONDS = 2
ENTRIES_MAX = 1024


def _build_limiter(rate: int) -> RateLimiter:
    return RateLimiter(rate, rate * BURST_SECONDS)


@dataclass
class _Group:
    """The hosts that one party is likely to have together."""

    turn: trio.Lock = field(default_factory=trio.Lock)
    bytes: RateLimiter = field(default_factory=lambda: _build_limiter(GROUP_BYTES_PER_SECOND))


class Charge:
    """What one request was charged, until it is known what it cost."""

    def __init__(self, reserved_bytes: int) -> None:
        self.reserved_bytes = reserved_bytes
        self.used_bytes = reserved_bytes

    def settle(self, used_bytes: int) -> None:
        """Notes the size of the answer; what was charged above it is given back."""
        self.used_bytes = min(used_bytes, self.reserved_bytes)


class AnswerBudget:
    """Of one protocol; knows the peers that asked last."""

    def __init__(self, compute_cost: Callable[[Any], int]) -> None:
        """`compute_cost` tells the most bytes that a request can draw. Needs a running loop."""
        self.compute_cost = compute_cost
        self._peers = RecentTable[PeerId, RateLimiter](
            lambda: _build_limiter(PEER_BYTES_PER_SECOND), ENTRIES_MAX
        )
        self._groups = RecentTable[str, _Group](_Group, ENTRIES_MAX)
        self._node = _build_limiter(NODE_BYTES_PER_SECOND)

    @asynccontextmanager
    async def hold(self, peer: PeerId, host: str, cost_bytes: int) -> AsyncIterator[Charge]:
        """Waits until the peer may have an answer of that size; the block builds and sends it."""
        of_peer = self._peers.get(peer)
        charge = Charge(cost_bytes)
        if cost_bytes <= CHEAP_BYTES:
            await of_peer.take(cost_bytes)
            yield charge
            return
        group = self._groups.get(compute_group(host))
        async with group.turn:
            limiters = (of_peer, group.bytes, self._node)
            for limiter in limiters:
                await limiter.take(cost_bytes)
            try:
                yield charge
            finally:
                for limiter in limiters:
                    limiter.give_back(cost_bytes - charge.used_bytes)
