"""One host of a download: the conversation with it, from dialling to the last voucher.

A chunk is paid after it verified, never before. A host that sends anything that does not verify is done with;
one that is slow, gone or refuses for the moment is tried again a few times.
Per stream three tasks: one asks, one receives, one verifies, writes and pays.
"""

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

import trio

from chain.content import (
    CHUNK_BYTES,
    MANIFEST_BYTES_MAX,
    InvalidManifest,
    Manifest,
    check_chunk,
    check_manifest,
    compute_chunk_size,
    compute_datum_id,
)
from chain.errors import InvalidProof
from chain.modules import sessions
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import Record, decode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Amount, PeerId
from node.content_lane import ContentLane
from node.downloads.board import ChunkBoard
from node.downloads.types import (
    BadListing,
    DownloadJob,
    DownloadLimits,
    HostFailed,
    HostReport,
    HostSeat,
    Outcome,
)
from p2p.errors import InvalidAddress, NetworkError, PeerFault, PeerGone, PeerSlow, RefusalCode, Refused
from p2p.messages import (
    UNPAID_CHUNKS_MAX,
    Cancel,
    Chunk,
    ChunkRefusal,
    ChunkRequest,
    ContentReply,
    Granted,
    ManifestRequest,
    Offer,
    OfferRequest,
    Payment,
    Refusal,
    sign_access,
)
from p2p.messages import Manifest as ManifestReply
from p2p.network import Network, Stream
from p2p.protocols import CONTENT
from p2p.rates import TokenBucket
from p2p.requests import ask, build_refused, open_stream, receive_message, send_message
from storage.content.store import ContentStore

UNSEEN_BYTES_MAX = UNPAID_CHUNKS_MAX * CHUNK_BYTES
"""What a host is paid on its word, after lost connections: the risk that either side takes."""
TAKEOVER_WORK_MIN = 3
"""A host that has fewer chunks under way will deliver them soon, if it delivers at all."""
_OUTCOMES = {
    RefusalCode.CREDIT_EXHAUSTED: Outcome.ALLOTMENT_SPENT,
    RefusalCode.NOT_FOUND: Outcome.NOTHING_TO_GIVE,
    RefusalCode.BUSY: Outcome.BUSY,
    RefusalCode.NOT_YET: Outcome.BUSY,
    RefusalCode.TOO_MANY_CONNECTIONS: Outcome.BUSY,
}
_RETRIED = (Outcome.BUSY, Outcome.UNREACHABLE, Outcome.STALLED)

R = TypeVar("R", bound=Record)


class Shared(Protocol):
    """What the hosts of one download have in common; `download.Download` implements it."""

    network: Network
    content: ContentLane
    job: DownloadJob
    limits: DownloadLimits
    board: ChunkBoard[int]
    cap: TokenBucket | None

    async def require_manifest(self, fetch: Callable[[], Awaitable[Manifest]]) -> None:
        """Makes sure that the store knows the datum; `fetch` asks this host if nobody has yet."""

    def on_change(self) -> None:
        """Something to show has changed."""

    def on_chance(self) -> None:
        """A host without work may find some on the board now."""


class Supplier:
    """A host, for one download."""

    def __init__(self, shared: Shared, number: int, seat: HostSeat) -> None:
        self.shared, self.number, self.seat = shared, number, seat
        self.outcome, self.reason = Outcome.WAITING, ""
        self.conversation: Conversation | None = None
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
        except* HostFailed as group:
            failure = _get_first(group)
            assert isinstance(failure, HostFailed)
            outcome, reason = failure.outcome, str(failure)
        except* (PeerFault, InvalidProof) as group:
            outcome, reason = Outcome.LIED, str(_get_first(group))
        except* Refused as group:
            refused = _get_first(group)
            assert isinstance(refused, Refused)
            outcome, reason = _OUTCOMES.get(refused.code, Outcome.REFUSED), str(refused)
        except* PeerSlow as group:
            outcome, reason = Outcome.STALLED, str(_get_first(group))
        except* NetworkError as group:
            outcome, reason = Outcome.UNREACHABLE, str(_get_first(group))
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
            self.conversation = Conversation(self, stream)
            try:
                await self.conversation.run(granted, int.from_bytes(offer.bitmap, "little"))
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
            except (PeerGone, InvalidAddress) as error:
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
        """The next voucher, for so many more bytes."""
        assert self.can_pay(size_bytes), "only what can be paid is asked for"
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


class Conversation:
    """The chunks of one stream."""

    def __init__(self, supplier: Supplier, stream: Stream) -> None:
        self._supplier, self._stream = supplier, stream
        self._shared, self._me = supplier.shared, supplier.number
        self._job, self._board = supplier.shared.job, supplier.shared.board
        self._awaited: dict[int, None] = {}
        self._cancelled: dict[int, None] = {}
        self._open = 0
        self._unpaid_bytes = 0
        self._is_spent = False
        self._is_impatient = False
        self._is_changed = trio.Event()
        self._stall = trio.CancelScope()
        self._arrivals_in, self._arrivals = trio.open_memory_channel[Chunk](2)

    async def run(self, granted: Granted, offer: int) -> None:
        """Until all chunks are there; raises HostFailed when the host has no more to give before that."""
        self._board.join(self._me, offer)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive_all)
                nursery.start_soon(self._pay_all)
                await self._settle_past(granted)
                await self._request_all()
                nursery.cancel_scope.cancel()
        finally:
            self._board.leave(self._me)
            self._shared.on_chance()

    def wake(self) -> None:
        """Looks at the board again."""
        self._is_changed.set()
        self._is_changed = trio.Event()

    # Asking.

    async def _settle_past(self, granted: Granted) -> None:
        """Chunks that were under way when an earlier stream ended: asked for again, or paid if they came."""
        for chunk in granted.unpaid:
            if chunk >= self._job.chunk_count:
                raise PeerFault(f"says it sent chunk {chunk}, which does not exist")
            size = self._size_of(chunk)
            if self._board.claim(self._me, chunk):
                await self._request(chunk)
            elif self._supplier.can_pay(size):
                self._supplier.count_unseen(size)
                await send_message(self._stream, Payment(self._supplier.build_voucher(size)))

    async def _request_all(self) -> None:
        """Returns when all chunks are there and nothing is under way any more."""
        while self._open or not self._board.is_complete:
            is_changed = self._is_changed
            await self._cancel_stale()
            chunk = self._pick()
            if chunk is not None:
                await self._request(chunk)
                continue
            if not self._open:
                self._check_use()
            with trio.move_on_after(self._shared.limits.takeover_seconds) as patience:
                await is_changed.wait()
            self._is_impatient = patience.cancelled_caught

    def _pick(self) -> int | None:
        if self._is_spent or len(self._awaited) >= self._shared.limits.requests_per_host_max:
            return None
        chunk = self._board.pick(self._me, work_min=1 if self._is_impatient else TAKEOVER_WORK_MIN)
        if chunk is None:
            return None
        if not self._supplier.can_pay(self._unpaid_bytes + self._size_of(chunk)):
            self._is_spent = True
            self._board.release(self._me, chunk)
            self._shared.on_chance()
            return None
        if self._board.is_endgame:
            self._shared.on_chance()
        return chunk

    def _check_use(self) -> None:
        """Raises HostFailed if nothing is to be had from this host any more."""
        if self._is_spent:
            raise HostFailed(Outcome.ALLOTMENT_SPENT, f"{self._supplier.promised} base units")
        if not self._board.is_useful(self._me):
            raise HostFailed(Outcome.NOTHING_TO_GIVE, "has none of what is missing")

    async def _request(self, chunk: int) -> None:
        size = self._size_of(chunk)
        self._open += 1
        self._unpaid_bytes += size
        if self._shared.cap is not None:
            await self._shared.cap.take(size)
        self._awaited[chunk] = None
        self._cancelled.pop(chunk, None)
        if len(self._awaited) == 1:
            self._move_deadline()
        await send_message(self._stream, ChunkRequest(chunk))

    async def _cancel_stale(self) -> None:
        for chunk in self._board.list_stale(self._me):
            if chunk in self._awaited and chunk not in self._cancelled:
                self._cancelled[chunk] = None
                await send_message(self._stream, Cancel(chunk))

    # Receiving.

    async def _receive_all(self) -> None:
        with self._stall:
            while True:
                reply = await receive_message(self._stream, ContentReply)
                match reply:
                    case Chunk(chunk):
                        self._take_off(chunk)
                        await self._arrivals_in.send(reply)
                    case ChunkRefusal(chunk, code):
                        self._take_off(chunk)
                        self._on_refused(chunk, code)
                    case Refusal():
                        raise build_refused(reply)
                    case _:
                        raise PeerFault(f"{type(reply).__name__} was not asked for")
        raise HostFailed(Outcome.STALLED, f"nothing came for {self._shared.limits.stall_seconds_max:g} s")

    def _take_off(self, chunk: int) -> None:
        if chunk not in self._awaited:
            raise PeerFault(f"chunk {chunk} was not asked for")
        del self._awaited[chunk]
        self._move_deadline()
        self.wake()

    def _move_deadline(self) -> None:
        waits = bool(self._awaited)
        self._stall.deadline = trio.current_time() + (
            self._shared.limits.stall_seconds_max if waits else math.inf
        )

    def _on_refused(self, chunk: int, code: int) -> None:
        self._open -= 1
        self._unpaid_bytes -= self._size_of(chunk)
        if code == RefusalCode.CANCELLED and chunk in self._cancelled:
            self._board.release(self._me, chunk)
        else:
            self._board.withdraw(self._me, chunk)
        self._shared.on_chance()

    # Verifying and paying.

    async def _pay_all(self) -> None:
        async for arrived in self._arrivals:
            await self._shared.content.run(partial(self._keep, arrived))
            size = len(arrived.content)
            self._board.arrive(self._me, arrived.chunk)
            self._supplier.count_chunk(size)
            self._unpaid_bytes -= size
            await send_message(self._stream, Payment(self._supplier.build_voucher(size)))
            self._open -= 1
            self._shared.on_change()
            self._shared.on_chance() if self._board.is_endgame else self.wake()

    def _keep(self, arrived: Chunk, store: ContentStore) -> None:
        """In the store's thread: the chunk is verified and kept; raises InvalidProof."""
        job = self._job
        is_new = store.write_chunk(job.datum, arrived.chunk, arrived.content, arrived.proof)
        if not is_new:
            check_chunk(job.root, job.size_bytes, arrived.chunk, arrived.content, arrived.proof)

    def _size_of(self, chunk: int) -> int:
        return compute_chunk_size(self._job.size_bytes, chunk)


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


def _get_first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
