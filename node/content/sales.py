"""Which chunks are for sale now, by the rule of the chain (`chain.modules.possession.sales`).

Hosts refuse by it, and buyers ask by it. It is kept for one head, so a chunk costs a look into memory.

A head that stands still says nothing about now: the node may be behind, or the chain may have stopped. Then
everything is for sale: every refusal must end.
"""

from collections.abc import Callable
from typing import NamedTuple

import trio

from chain.modules import possession, system
from chain.modules.possession import SalesHold
from chain.primitives.types import Address, Hash, Height
from node.content.chain_head import ChainHead

STILL_BLOCKS_MAX = 10
STILL_SECONDS_MIN = 30.0
"""A head that has not moved for so many block times, and so long, stands still."""
MS = 1_000


class Wait(NamedTuple):
    """How long a chunk is not for sale."""

    seconds: int
    """At least 1; rounded up, if blocks come at their interval."""
    is_whole: bool
    """Whether no chunk of the datum is for sale."""


class ChunkSales:
    """The chunks that are not for sale at the newest head."""

    def __init__(self, head: ChainHead, clock: Callable[[], float] = trio.current_time) -> None:
        self._head, self._clock = head, clock
        self._height: Height | None = None
        self._since = 0.0
        self._block_ms = 0
        self._holds: dict[Hash, SalesHold] = {}

    def get_wait(self, datum: Hash, chunk: int, seller: Address) -> Wait | None:
        """How long `seller` may not sell the chunk; None if it may."""
        self._follow()
        if self._is_still:
            return None
        hold = self._holds.get(datum)
        if hold is None:
            hold = self._holds[datum] = possession.get_sales_hold(self._head.state, datum)
        end = hold.get_end(chunk, seller)
        if end is None:
            return None
        return Wait(self._compute_seconds(end - self._head.height), is_whole=hold.paused_until > 0)

    def get_seconds_max(self) -> int:
        """The longest wait for a chunk: from the pause of sales to the deadline."""
        self._follow()
        parameters = possession.get_parameters(self._head.state)
        return self._compute_seconds(parameters.sale_pause_blocks + parameters.deadline_blocks)

    def _follow(self) -> None:
        if self._height != self._head.height:
            self._height, self._since = self._head.height, self._clock()
            self._block_ms = system.get_parameters(self._head.state).block_ms
            self._holds.clear()

    @property
    def _is_still(self) -> bool:
        seconds = self._clock() - self._since
        return seconds > max(STILL_BLOCKS_MAX * self._block_ms / MS, STILL_SECONDS_MIN)

    def _compute_seconds(self, blocks: int) -> int:
        return max(-(-blocks * self._block_ms // MS), 1)
