"""Announcements of final headers on the topic `heads`, for observers. Nothing depends on them.

The proposer of a block announces it, with its certificate. A node that hears of a height beyond the next one
asks its peers, as after any other claim (`node.replica.sync.look_ahead`): an announcement is followed up,
never believed.
"""

from collections.abc import Callable

import structlog
import trio

from chain.block import Header
from chain.primitives.codec import decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Address, Height
from node.ledger.ledger import CommittedBlock
from p2p.gossip.head_topic import HEAD_BYTES_MAX, HeadTopic
from p2p.wire.messages import FinalHeader

_log = structlog.get_logger("heads")

WAITING_MAX = 8


class HeadAnnouncer:
    """Announces this node's own blocks and follows up the announcements of others."""

    def __init__(
        self, get_height: Callable[[], Height], note_behind: Callable[[], None], account: Address | None
    ) -> None:
        self._get_height = get_height
        self._note_behind = note_behind
        self._account = account
        self._queue, self._outgoing = trio.open_memory_channel[bytes](WAITING_MAX)

    def on_committed(self, committed: CommittedBlock) -> None:
        """Queues the header of a final block of this node; drops it when WAITING_MAX wait already."""
        if committed.block.header.proposer != self._account:
            return
        announcement = encode(FinalHeader(encode(committed.block.header), committed.certificate))
        try:
            self._queue.send_nowait(announcement)
        except trio.WouldBlock:
            _log.debug("head_not_announced", height=committed.block.header.height)

    async def run(
        self, topic: HeadTopic, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Sends and receives announcements until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._announce, topic)
            task_status.started()
            async for announcement in topic.received:
                if decode_announcement(announcement).height > self._get_height() + 1:
                    self._note_behind()

    async def _announce(self, topic: HeadTopic) -> None:
        async for announcement in self._outgoing:
            await topic.announce(announcement)


def is_wrong(announcement: bytes) -> bool:
    """Whether the bytes can never be the announcement of a head."""
    try:
        decode_announcement(announcement)
    except DecodeError:
        return True
    return False


def decode_announcement(announcement: bytes) -> Header:
    """The announced header; raises DecodeError."""
    return decode(Header, decode(FinalHeader, announcement, HEAD_BYTES_MAX).header)
