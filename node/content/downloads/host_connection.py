"""One host of a download, from dialling to the last voucher.

A host that sends anything that does not verify is given up. A host that is slow, gone or busy is tried again
a few times. Not here: asking for chunks and paying them (`stream`).
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
"""Most bytes that a host is paid on its word after lost connections: the same risk as its own credit."""
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
    """A host of one download, over all attempts to use it."""

    def __init__(self, download: DownloadContext, index: int, host: SessionHost) -> None:
        self.download, self.index, self.host = download, index, host
        self.outcome, self.reason = Outcome.WAITING, ""
        self.stream: DownloadStream | None = None
        self.scope = trio.CancelScope()
        self._chunks = self._bytes = 0
        self._promised_bytes = 0
        self._unseen_bytes = 0

    @property
    def promised(self) -> Amount:
        """Base units that the host can claim with our vouchers."""
        return sessions.compute_price(self._promised_bytes, self.download.job.price_per_gib)

    @property
    def report(self) -> HostReport:
        """The host's part in the result."""
        account = self.host.account
        return HostReport(account, self.outcome, self.reason, self._chunks, self._bytes, self.promised)

    async def run(self) -> None:
        """Uses the host until it has no more to give; the reason is in `report`."""
        limits = self.download.limits
        with self.scope:
            for attempt in range(1, limits.attempts_per_host_max + 1):
                if not await self._try_once() or self.download.scheduler.is_complete:
                    return
                await trio.sleep(limits.attempt_pause_seconds * attempt)

    async def _try_once(self) -> bool:
        """Makes one attempt; returns whether another one makes sense."""
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
        self.download.on_progress()

    async def _attempt(self) -> None:
        peer = await self._connect()
        async with open_stream(self.download.network, peer, CONTENT) as stream:
            granted = await self._gain_access(stream)
            self._set(Outcome.SERVING, "")
            await self.download.require_manifest(lambda: self._fetch_manifest(stream))
            offer = await self._ask(stream, OfferRequest(), Offer)
            self.stream = DownloadStream(self, stream)
            try:
                await self.stream.run(granted, offer.bitmap)
                await self._close(stream)
            finally:
                self.stream = None

    async def _close(self, stream: Stream) -> None:
        """Closes the stream and waits for the host to close it: then the last voucher is on its disk."""
        await stream.close()
        with suppress(PeerGone), trio.move_on_after(self.download.limits.closing_seconds_max):
            while True:
                await stream.receive()

    async def _connect(self) -> PeerId:
        reason = "the host names no address"
        for address in self.host.addresses:
            try:
                return await self.download.network.connect(address)
            except (PeerGone, InvalidPeerAddress) as error:
                reason = str(error)
        raise HostFailed(Outcome.UNREACHABLE, reason)

    async def _gain_access(self, stream: Stream) -> Granted:
        job, network = self.download.job, self.download.network
        access = sign_access(
            job.voucher_key, network.genesis_hash, job.session, job.opened_at, network.peer_id, stream.peer
        )
        granted: Granted = await self._ask(stream, access, Granted)
        if granted.best is not None:
            self._check_own_voucher(granted.best)
            self._promised_bytes = max(self._promised_bytes, granted.best.voucher.bytes)
        return granted

    def _check_own_voucher(self, signed: SignedVoucher) -> None:
        voucher, job = signed.voucher, self.download.job
        is_ours = sessions.is_voucher_signed(signed, job.voucher_key.public_key)
        if not is_ours or (voucher.session, voucher.host) != (job.session, self.host.account):
            raise PeerFault("shows a voucher that this client never signed")

    async def _ask(self, stream: Stream, message: Record, reply: type[R]) -> R:
        return await ask(stream, message, reply, self.download.limits.answer_seconds_max)

    async def _fetch_manifest(self, stream: Stream) -> Manifest:
        reply = await self._ask(stream, ManifestRequest(), ManifestReply)
        return check_listed(self.download.job, reply.manifest)

    # Vouchers (`context.VoucherIssuer`).

    def can_pay(self, size_bytes: int) -> bool:
        """Whether the allotment covers this many bytes beyond those promised."""
        price = sessions.compute_price(self._promised_bytes + size_bytes, self.download.job.price_per_gib)
        return price <= self.host.limit

    def build_voucher(self, size_bytes: int) -> SignedVoucher:
        """The next voucher, for this many more bytes; raises HostFailed beyond the allotment."""
        if not self.can_pay(size_bytes):
            raise HostFailed(Outcome.ALLOTMENT_SPENT, "the next voucher would exceed the allotment")
        self._promised_bytes += size_bytes
        job, genesis_hash = self.download.job, self.download.network.genesis_hash
        voucher = Voucher(genesis_hash, job.session, self.host.account, self._promised_bytes, self.promised)
        return sessions.sign_voucher(job.voucher_key, voucher)

    def count_unseen(self, size_bytes: int) -> None:
        """Notes bytes that are paid on the host's word; raises PeerFault above UNSEEN_BYTES_MAX."""
        self._unseen_bytes += size_bytes
        if self._unseen_bytes > UNSEEN_BYTES_MAX:
            raise PeerFault("claims too often that it sent chunks which never came")

    def count_chunk(self, size_bytes: int) -> None:
        """Notes a verified chunk."""
        self._chunks += 1
        self._bytes += size_bytes


def check_listed(job: DownloadJob, data: bytes) -> Manifest:
    """The manifest of the job's datum; raises PeerFault for another one, BadListing if it breaks a rule."""
    try:
        manifest = decode(Manifest, data, MANIFEST_BYTES_MAX)
    except DecodeError as error:
        raise PeerFault(f"not a manifest: {error}") from error
    if compute_datum_id(manifest) != job.datum:
        raise PeerFault("a manifest of another datum")
    # The id binds root and size, so the job contradicts itself: it may come from a node that lies.
    if (manifest.root, manifest.length) != (job.root, job.size_bytes):
        raise BadListing("the datum's id does not fit the root and size that came with it")
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
