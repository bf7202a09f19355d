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
from chain.primitives.codec import Record, decode
from chain.primitives.errors import DecodeError
from chain.primitives.types import PeerId
from node.content.downloads.context import DownloadContext
from node.content.downloads.payments import PaymentAccount, PaymentBook
from node.content.downloads.stream import DownloadStream
from node.content.downloads.types import (
    BadListing,
    DownloadJob,
    HostFailed,
    HostReport,
    Outcome,
    SessionHost,
)
from node.content.downloads.unsold import UnsoldChunks
from node.content.prepayment import PREPAID_BYTES_MAX
from node.content.sales import ChunkSales
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
    Granted,
    ManifestReply,
    ManifestRequest,
    Offer,
    OfferRequest,
    Payment,
    sign_access,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import ask, open_stream, send_message

_OUTCOMES = {
    RefusalCode.NOT_PAID: Outcome.ALLOTMENT_SPENT,
    RefusalCode.NOT_FOUND: Outcome.NOTHING_TO_GIVE,
    RefusalCode.BUSY: Outcome.BUSY,
    RefusalCode.NOT_YET: Outcome.BUSY,
    RefusalCode.TOO_MANY_CONNECTIONS: Outcome.BUSY,
}
UNSOLD_SECONDS_MAX = 600.0
"""How long a chunk may be unsold for a buyer that does not know the chain."""
UNSOLD_SLACK = 2
"""Blocks may come at half of their pace."""
_RETRIED = (Outcome.BUSY, Outcome.UNREACHABLE, Outcome.STALLED)

R = TypeVar("R", bound=Record)


class HostConnection:
    """A host of one download, over all attempts to use it."""

    def __init__(
        self,
        download: DownloadContext,
        index: int,
        host: SessionHost,
        book: PaymentBook,
        sales: ChunkSales | None,
        *,
        is_trusted: bool,
    ) -> None:
        """`is_trusted` is False if the host took pay earlier and did not deliver."""
        self.download, self.index, self.host = download, index, host
        self.outcome, self.reason = Outcome.WAITING, ""
        self.is_trusted = is_trusted
        self.window_bytes_max = PREPAID_BYTES_MAX if is_trusted else CHUNK_BYTES
        self.payments = PaymentAccount(book, download.job, host, download.network.genesis_hash)
        seconds_max = UNSOLD_SECONDS_MAX if sales is None else UNSOLD_SLACK * sales.get_seconds_max()
        self.unsold = UnsoldChunks(
            index,
            host.account,
            download.job.datum,
            sales,
            seconds_max=seconds_max,
            unconfirmed_seconds=download.limits.unconfirmed_seconds,
        )
        self.stream: DownloadStream | None = None
        self.scope = trio.CancelScope()
        self._chunks = self._bytes = 0

    @property
    def report(self) -> HostReport:
        """The host's part in the result."""
        payments = self.payments
        return HostReport(
            account=self.host.account,
            outcome=self.outcome,
            reason=self.reason,
            chunks=self._chunks,
            bytes=self._bytes,
            paid=payments.promised,
            paid_bytes=payments.promised_bytes,
            lost_bytes=payments.lost_bytes,
            lost=payments.lost,
        )

    def conclude(self) -> int:
        """The end of the download: a host that was paid for more than came did not deliver, whatever else it
        did, unless it was right not to sell. Returns the bytes newly lost by its fault.
        """
        if self.payments.lost_bytes and not self.unsold.has_refused:
            self.reason = self.reason or "did not come before the download ended"
            if self.outcome is not Outcome.LIED:
                self.outcome = Outcome.NOT_DELIVERED
        noted = self.payments.note_lost()
        return 0 if self.unsold.has_refused else noted

    async def run(self) -> None:
        """Uses the host until it has no more to give; the reason is in `report`."""
        limits = self.download.limits
        try:
            with self.scope:
                for attempt in range(1, limits.attempts_per_host_max + 1):
                    if not await self._try_once() or not self._is_wanted:
                        return
                    await trio.sleep(limits.attempt_pause_seconds * attempt)
        finally:
            self.download.scheduler.leave(self.index)
            self.download.on_work()

    @property
    def _is_wanted(self) -> bool:
        """Whether another attempt could bring anything: a missing chunk, or one that is paid."""
        return not self.download.scheduler.is_complete or self.payments.lost_bytes > 0

    async def _try_once(self) -> bool:
        """Makes one attempt; returns whether another one makes sense."""
        outcome, reason = Outcome.DONE, ""
        try:
            await self._attempt()
        except* (HostFailed, InvalidProof, NetworkError) as group:
            failure = get_first_failure(group)
            outcome, reason = _judge(failure), _explain(failure)
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
                await self.stream.run(granted.recent, offer.bitmap)
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
        missing = self.payments.resume(granted)
        if missing is not None:
            await send_message(stream, Payment(missing))
        return granted

    async def _ask(self, stream: Stream, message: Record, reply: type[R]) -> R:
        return await ask(stream, message, reply, self.download.limits.answer_seconds_max)

    async def _fetch_manifest(self, stream: Stream) -> Manifest:
        reply = await self._ask(stream, ManifestRequest(), ManifestReply)
        return check_listed(self.download.job, reply.manifest)

    def count_chunk(self, size_bytes: int, *, is_again: bool) -> None:
        """Notes a verified chunk (`context.HostOfStream`)."""
        self._chunks += 1
        self._bytes += size_bytes
        self.payments.count_verified(size_bytes, is_again=is_again)


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


def _explain(failure: HostFailed | InvalidProof | NetworkError) -> str:
    if isinstance(failure, Refused) and failure.code is RefusalCode.PROTOCOL_UNKNOWN:
        return f"speaks another version of the content protocol than {CONTENT.version}"
    return str(failure)


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
