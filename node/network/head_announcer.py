"""Announcements of final headers on the topic `heads`: a courtesy to observers, on which nothing depends.

The proposer of a block tells it, with its commit. Who hears of a height that is further than the next
looks into it as into any other claim (`sync.look_ahead`): an announcement is never believed, only followed
up.
"""

from collections.abc import Callable

import structlog
import trio

from chain.block import Header
from chain.primitives.codec import decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Address, Height
from node.ledger.ledger import CommittedBlock
from p2p.gossip.heads import HEAD_BYTES_MAX, Heads
from p2p.wire.messages import FinalHeader

_log = structlog.get_logger("heads")

WAITING_MAX = 8


class HeadAnnouncer:
    """Tells own heads, follows up those of others."""

    def __init__(
        self, get_height: Callable[[], Height], note_behind: Callable[[], None], account: Address | None
    ) -> None:
        self._get_height = get_height
        self._note_behind = note_behind
        self._account = account
        self._to_tell, self._telling = trio.open_memory_channel[bytes](WAITING_MAX)

    def on_committed(self, committed: CommittedBlock) -> None:
        """A block of ours is final; when too much waits, it goes untold."""
        if committed.block.header.proposer != self._account:
            return
        news = encode(FinalHeader(encode(committed.block.header), committed.certificate))
        try:
            self._to_tell.send_nowait(news)
        except trio.WouldBlock:
            _log.debug("head_untold", height=committed.block.header.height)

    async def run(
        self, heads: Heads, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell, heads)
            task_status.started()
            async for head in heads.received:
                if decode_announcement(head.announcement).height > self._get_height() + 1:
                    self._note_behind()

    async def _tell(self, heads: Heads) -> None:
        async for news in self._telling:
            await heads.announce(news)


def is_wrong(announcement: bytes) -> bool:
    """Whether it can be nobody's head, now or later."""
    try:
        decode_announcement(announcement)
    except DecodeError:
        return True
    return False


def decode_announcement(announcement: bytes) -> Header:
    """The announced header; raises DecodeError."""
    return decode(Header, decode(FinalHeader, announcement, HEAD_BYTES_MAX).header)
