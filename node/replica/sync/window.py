"""The window of block sync: blocks that are not applied yet, pending requests, and what to ask for next.

Several peers are asked at once, each for a run of heights; blocks are applied in order, whoever sent them.
The heights of a late request are asked of another peer, and the first answer counts. Bounds: WINDOW_BLOCKS
heights, WINDOW_BYTES_MAX of blocks that came or may come. Beyond these only the next height is asked for, so
that slow peers that fill the window do not hold it up.

Pure: this module sends nothing and checks no block.
"""

from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from chain.primitives.types import Height, PeerId
from p2p.wire.messages import FinalBlock
from p2p.wire.protocols import SYNC

WINDOW_BLOCKS = 512
WINDOW_BYTES_MAX = 64 * 2**20
SIGNATURE_BYTES_MAX = 128
"""What one signature of a certificate takes in memory, about."""


class ReceivedBlock(NamedTuple):
    """A block, and the peer that sent it."""

    final: FinalBlock
    sender: PeerId

    @property
    def size_bytes(self) -> int:
        """Its share of WINDOW_BYTES_MAX."""
        return len(self.final.block) + len(self.final.certificate.signatures) * SIGNATURE_BYTES_MAX


@dataclass(eq=False)
class PendingRequest:
    """A request that was not answered yet."""

    peer: PeerId
    heights: range
    is_late: bool = False


class Window:
    """Heights from `next` on."""

    def __init__(self, start: Height = 1) -> None:
        self.next = start
        self.asked: list[PendingRequest] = []
        self._held: dict[Height, ReceivedBlock] = {}
        self._held_bytes = 0

    def get(self, height: Height) -> ReceivedBlock | None:
        """The block, if it came."""
        return self._held.get(height)

    def advance(self, height: Height) -> None:
        """Blocks below `height` are not needed any more."""
        for passed in range(self.next, height):
            self._drop(passed)
        self.next = max(height, self.next)

    def reject(self, sender: PeerId) -> None:
        """The sender lied: its blocks are dropped. Blocks from others stay."""
        for height in [height for height, held in self._held.items() if held.sender == sender]:
            self._drop(height)

    def _drop(self, height: Height) -> None:
        if (held := self._held.pop(height, None)) is not None:
            self._held_bytes -= held.size_bytes

    def put(self, asked: PendingRequest, blocks: tuple[FinalBlock, ...]) -> None:
        """Keep the blocks, which are in the order asked for, where they are still missing."""
        for height, final in zip(asked.heights, blocks, strict=False):
            if self.next <= height < self.next + WINDOW_BLOCKS and height not in self._held:
                self._held[height] = held = ReceivedBlock(final, asked.peer)
                self._held_bytes += held.size_bytes

    def is_asked(self, peer: PeerId) -> bool:
        """Whether a request to the peer is pending."""
        return any(asked.peer == peer for asked in self.asked)

    def select(self, claimed: Height, count_max: int) -> range | None:
        """The first run of missing heights for a peer that has blocks up to `claimed`."""
        missing = set(range(self.next, min(claimed + 1, self.next + WINDOW_BLOCKS))) - self._held.keys()
        for asked in self.asked:
            if not asked.is_late:
                missing.difference_update(asked.heights)
        start = min(missing, default=None)
        if start is None or (start != self.next and self._is_full()):
            return None
        stop = next(height for height in count(start) if height not in missing)
        return range(start, min(stop, start + count_max))

    def _is_full(self) -> bool:
        return self._held_bytes + (len(self.asked) + 1) * SYNC.frame_bytes_max > WINDOW_BYTES_MAX
