"""The window of block sync: what has come and is not applied yet, what is under way, what to ask for next.

Several peers are asked at once, each for a run of heights; blocks are applied in order, whoever sent them.
A request that is late covers its heights no longer, so that another peer is asked for them; what comes
first counts. Bounds: WINDOW_BLOCKS heights, WINDOW_BYTES_MAX of blocks that came or may come. Only the next
height is asked for beyond that, so that slow ones who fill the window do not hold it up.

Pure: no peer is asked and nothing is judged here.
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
"""Of a certificate in memory, about."""


class ReceivedBlock(NamedTuple):
    """A block that came."""

    final: FinalBlock
    sender: PeerId

    @property
    def size_bytes(self) -> int:
        """What it is counted for."""
        return len(self.final.block) + len(self.final.certificate.signatures) * SIGNATURE_BYTES_MAX


@dataclass(eq=False)
class PendingRequest:
    """A request under way."""

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
        """The block, if it is there."""
        return self._held.get(height)

    def advance(self, height: Height) -> None:
        """Blocks below `height` are not needed any more."""
        for passed in range(self.next, height):
            self._drop(passed)
        self.next = max(height, self.next)

    def reject(self, sender: PeerId) -> None:
        """The sender lied: what it sent is not looked at. Everything from others stays."""
        for height in [height for height, held in self._held.items() if held.sender == sender]:
            self._drop(height)

    def _drop(self, height: Height) -> None:
        if (held := self._held.pop(height, None)) is not None:
            self._held_bytes -= held.size_bytes

    def put(self, asked: PendingRequest, blocks: tuple[FinalBlock, ...]) -> None:
        """Keep what came, in the order asked for, where it is still missing."""
        for height, final in zip(asked.heights, blocks, strict=False):
            if self.next <= height < self.next + WINDOW_BLOCKS and height not in self._held:
                self._held[height] = held = ReceivedBlock(final, asked.peer)
                self._held_bytes += held.size_bytes

    def is_asked(self, peer: PeerId) -> bool:
        """Whether a request to the peer is under way."""
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
