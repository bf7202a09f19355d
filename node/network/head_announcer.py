"""Announcements of final headers on the topic `heads`, for observers. Nothing depends on them.

The proposer of a block announces it, with its certificate. A node passes on the head and the next header
only, since it knows who signs them: an announcement of an invented height goes nowhere. A node that hears of
a height beyond the next one asks its peers, as after any other claim (`node.replica.sync.look_ahead`).
"""

from collections.abc import Callable

import structlog
import trio

from chain.block import Header, compute_header_hash
from chain.primitives.codec import decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Address, Height
from chain.validator_set import ValidatorSet, build_validator_set
from chain.votes import CommitCertificate, InvalidCertificate, Verify, check_certificate
from node.ledger.ledger import CommittedBlock, LedgerReader
from p2p.gossip.guarded import HEAD_BYTES_MAX, HeadVerdict
from p2p.gossip.head_topic import HeadTopic
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
                header, _ = decode_announcement(announcement)
                if header.height > self._get_height() + 1:
                    self._note_behind()

    async def _announce(self, topic: HeadTopic) -> None:
        async for announcement in self._outgoing:
            await topic.announce(announcement)


class HeadJudge:
    """Judges announcements by the validators of the head."""

    def __init__(self, ledger: LedgerReader, verify: Verify) -> None:
        self._ledger = ledger
        self._verify = verify

    def judge(self, announcement: bytes) -> HeadVerdict:
        """Whether the announcement is passed on, kept, or a fault of its sender."""
        try:
            header, certificate = decode_announcement(announcement)
        except DecodeError:
            return HeadVerdict.WRONG
        if (certificate.height, certificate.block_hash) != (header.height, compute_header_hash(header)):
            return HeadVerdict.WRONG
        signers = self._find_signers(header.height)
        return HeadVerdict.KEPT if signers is None else self._verify_certificate(certificate, signers)

    def _find_signers(self, height: Height) -> ValidatorSet | None:
        """Who decides the height, if it is the head's or the next one."""
        view = self._ledger.view
        if height == view.height + 1:
            return view.get_validators()
        roster = view.get_roster(view.head.validators_hash) if height == view.height else None
        return None if roster is None else build_validator_set(roster.validators)

    def _verify_certificate(self, certificate: CommitCertificate, signers: ValidatorSet) -> HeadVerdict:
        try:
            check_certificate(self._ledger.genesis_hash, signers, certificate, self._verify)
        except InvalidCertificate:
            return HeadVerdict.WRONG
        return HeadVerdict.RELAYED


def decode_announcement(announcement: bytes) -> tuple[Header, CommitCertificate]:
    """The announced header and its certificate; raises DecodeError."""
    final = decode(FinalHeader, announcement, HEAD_BYTES_MAX)
    return decode(Header, final.header), final.certificate
