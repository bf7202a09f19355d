"""One host of a download: the conversation with it, from dialling to the last voucher.

A host that sends anything that does not verify is done with; one that is slow, gone or refuses for the moment
is tried again a few times. The chunks themselves are the business of `conversation`.
"""

from contextlib import suppress
from typing import TypeVar

import trio

from chain.content import (
    CHUNK_BYTES,
    MANIFEST_BYTES_MAX,
    InvalidManifest,
    Manifest,
    check_manifest,
    compute_datum_id,
)
from chain.errors import InvalidProof
from chain.modules import sessions
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import Record, decode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Amount, PeerId
from node.content.downloads.context import DownloadContext
from node.content.downloads.stream import DownloadStream
from node.content.downloads.types import (
    BadListing,
    DownloadJob,
    HostFailed,
    HostReport,
    Outcome,
    SessionHost,
)
from p2p.errors import (
    InvalidPeerAddress,
    NetworkError,
    PeerFault,
    PeerGone,
    PeerSlow,
    RefusalCode,
    Refused,
    get_first_failure,
)
from p2p.network import Stream
from p2p.wire.messages import (
    UNPAID_CHUNKS_MAX,
    Granted,
    ManifestReply,
    ManifestRequest,
    Offer,
    OfferRequest,
    sign_access,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import ask, open_stream

UNSEEN_BYTES_MAX = UNPAID_CHUNKS_MAX * CHUNK_BYTES
"""What a host is paid on its word, after lost connections: the risk that either side takes."""
_OUTCOMES = {
    RefusalCode.CREDIT_EXHAUSTED: Outcome.ALLOTMENT_SPENT,
    RefusalCode.NOT_FOUND: Outcome.NOTHING_TO_GIVE,
    RefusalCode.BUSY: Outcome.BUSY,
    RefusalCode.NOT_YET: Outcome.BUSY,
    RefusalCode.TOO_MANY_CONNECTIONS: Outcome.BUSY,
}
_RETRIED = (Outcome.BUSY, Outcome.UNREACHABLE, Outcome.STALLED)

R = TypeVar("R", bound=Record)


class HostConnection:
    """A host, for one download."""

    def __init__(self, shared: DownloadContext, number: int, seat: SessionHost) -> None:
        self.shared, self.number, self.seat = shared, number, seat
        self.outcome, self.reason = Outcome.WAITING, ""
        self.conversation: DownloadStream | None = None
        self.scope = trio.CancelScope()
        self._chunks = self._bytes = 0
        self._promised_bytes = 0
        self._unseen_bytes = 0

    @property
    def promised(self) -> Amount:
        """Base units that the host can claim on our vouchers."""
        return sessions.compute_price(self._promised_bytes, self.shared.job.price_per_gib)

    @property
    def report(self) -> HostReport:
        """How it stands."""
        account = self.seat.account
        return HostReport(account, self.outcome, self.reason, self._chunks, self._bytes, self.promised)

    async def run(self) -> None:
        """Tries the host until it is of no more use; why is in `report`."""
        limits = self.shared.limits
        with self.scope:
            for attempt in range(1, limits.attempts_per_host_max + 1):
                if not await self._try_once() or self.shared.board.is_complete:
                    return
                await trio.sleep(limits.attempt_pause_seconds * attempt)

    async def _try_once(self) -> bool:
        """One attempt; whether another one makes sense."""
        outcome, reason = Outcome.DONE, ""
        try:
            await self._attempt()
        except* (HostFailed, InvalidProof, NetworkError) as group:
            failure = get_first_failure(group)
            outcome, reason = _judge(failure), str(failure)
        self._set(outcome, reason)
        return outcome in _RETRIED

    def _set(self, outcome: Outcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason
        self.shared.on_change()

    async def _attempt(self) -> None:
        peer = await self._connect()
        async with open_stream(self.shared.network, peer, CONTENT) as stream:
            granted = await self._gain_access(stream)
            self._set(Outcome.SERVING, "")
            await self.shared.require_manifest(lambda: self._fetch_manifest(stream))
            offer = await self._ask(stream, OfferRequest(), Offer)
            self.conversation = DownloadStream(self, stream)
            try:
                await self.conversation.run(granted, offer.bitmap)
                await self._part(stream)
            finally:
                self.conversation = None

    async def _part(self, stream: Stream) -> None:
        """Closes, and waits for the host to do so too: then it has kept the last voucher."""
        await stream.close()
        with suppress(PeerGone), trio.move_on_after(self.shared.limits.closing_seconds_max):
            while True:
                await stream.receive()

    async def _connect(self) -> PeerId:
        reason = "the host names no address"
        for address in self.seat.addresses:
            try:
                return await self.shared.network.connect(address)
            except (PeerGone, InvalidPeerAddress) as error:
                reason = str(error)
        raise HostFailed(Outcome.UNREACHABLE, reason)

    async def _gain_access(self, stream: Stream) -> Granted:
        job, network = self.shared.job, self.shared.network
        access = sign_access(
            job.voucher_key, network.genesis_hash, job.session, job.opened_at, network.peer_id, stream.peer
        )
        granted: Granted = await self._ask(stream, access, Granted)
        if granted.best is not None:
            self._check_own_voucher(granted.best)
            self._promised_bytes = max(self._promised_bytes, granted.best.voucher.bytes)
        return granted

    def _check_own_voucher(self, signed: SignedVoucher) -> None:
        voucher, job = signed.voucher, self.shared.job
        is_ours = sessions.is_voucher_signed(signed, job.voucher_key.public_key)
        if not is_ours or (voucher.session, voucher.host) != (job.session, self.seat.account):
            raise PeerFault("shows a voucher that is not ours")

    async def _ask(self, stream: Stream, message: Record, reply: type[R]) -> R:
        return await ask(stream, message, reply, self.shared.limits.answer_seconds_max)

    async def _fetch_manifest(self, stream: Stream) -> Manifest:
        reply = await self._ask(stream, ManifestRequest(), ManifestReply)
        return check_listed(self.shared.job, reply.manifest)

    # What the conversation needs of its host.

    def can_pay(self, size_bytes: int) -> bool:
        """Whether the allotment covers so many more bytes than were promised."""
        price = sessions.compute_price(self._promised_bytes + size_bytes, self.shared.job.price_per_gib)
        return price <= self.seat.limit

    def build_voucher(self, size_bytes: int) -> SignedVoucher:
        """The next voucher, for so many more bytes; raises HostFailed rather than promise more than the
        allotment.
        """
        if not self.can_pay(size_bytes):
            raise HostFailed(Outcome.ALLOTMENT_SPENT, "the next voucher would exceed the allotment")
        self._promised_bytes += size_bytes
        job, genesis_hash = self.shared.job, self.shared.network.genesis_hash
        voucher = Voucher(genesis_hash, job.session, self.seat.account, self._promised_bytes, self.promised)
        return sessions.sign_voucher(job.voucher_key, voucher)

    def count_unseen(self, size_bytes: int) -> None:
        """The host says that it sent a chunk, and is paid; raises PeerFault when that becomes too much."""
        self._unseen_bytes += size_bytes
        if self._unseen_bytes > UNSEEN_BYTES_MAX:
            raise PeerFault("says again and again that it sent what never came")

    def count_chunk(self, size_bytes: int) -> None:
        """A verified chunk came."""
        self._chunks += 1
        self._bytes += size_bytes


def check_listed(job: DownloadJob, data: bytes) -> Manifest:
    """The manifest of the job's datum; raises PeerFault for another, BadListing if none is acceptable."""
    try:
        manifest = decode(Manifest, data, MANIFEST_BYTES_MAX)
    except DecodeError as error:
        raise PeerFault(f"not a manifest: {error}") from error
    if compute_datum_id(manifest) != job.datum:
        raise PeerFault("a manifest of another datum")
    # The chain makes the id of root and size; a job may come from a node that says something else.
    if (manifest.root, manifest.length) != (job.root, job.size_bytes):
        raise BadListing("the datum's id is not of the root and size that were given with it")
    try:
        check_manifest(manifest)
    except InvalidManifest as error:
        raise BadListing(f"the datum's manifest breaks a rule: {error}") from error
    return manifest


def _judge(failure: HostFailed | InvalidProof | NetworkError) -> Outcome:
    match failure:
        case HostFailed():
            return failure.outcome
        case PeerFault() | InvalidProof():
            return Outcome.LIED
        case Refused():
            return _OUTCOMES.get(failure.code, Outcome.REFUSED)
        case PeerSlow():
            return Outcome.STALLED
        case _:
            return Outcome.UNREACHABLE
