"""The content service: sends chunks against vouchers to clients with a session on chain.

A stream begins with Access. A client without a session that has an allotment for this host is refused before
it learns anything. A chunk is sent only if the best voucher of the session covers it (`prepayment`). A
voucher is written before anything is sent for it. Chunks that a lost connection swallowed are sent again for
free, as long as the payer's debt permits it (`debts`).

Each stream has three tasks: one receives requests and vouchers, one reads chunks from the store ahead, and
one sends them when they are paid, so that no payment waits for the disk. Queues, streams and waits are
bounded.

Not here: settlement (`node.duties`), who holds what (the chain), limits on strangers (`p2p`).
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import structlog
import trio

from chain.content import CHUNK_BYTES
from chain.modules import catalogue, sessions
from chain.modules.sessions import SignedVoucher
from chain.primitives.codec import Record, encode
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Hash, PeerId
from chain.votes import Verify
from node.content.chain_head import ChainHead
from node.content.debts import DebtBook
from node.content.lane import ContentLane
from node.content.prepayment import PrepaidAccount
from node.content.sales import ChunkSales, Wait
from node.content.vouchers import Terms, VoucherBook, VoucherRefused, check_voucher
from p2p.errors import PeerFault, RefusalCode, Refused, StreamEnded
from p2p.network import Network, Stream
from p2p.notifier import Notifier
from p2p.switch.rate_limiter import RateLimiter
from p2p.wire.messages import (
    Access,
    Cancel,
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    ContentRequest,
    Granted,
    ManifestReply,
    ManifestRequest,
    NotForSale,
    Offer,
    OfferRequest,
    Payment,
    ResendRequest,
    is_access_signed,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import build_refusal, receive_message, send_message
from storage.content.errors import ChunkMissing, CorruptChunk, SourceGone, UnknownDatum
from storage.content.store import ContentStore

_log = structlog.get_logger("content")

READ_BATCH = 4
READ_AHEAD = 4
"""Chunks that wait for a voucher in memory, per stream."""
REQUESTS_MAX = 32
"""Requests that wait on one stream; an honest client has far fewer under way."""
NOT_YET_BLOCKS_MAX = 8
ACCOUNTS_MAX = 4096
FORGERY_POINTS = 25


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Bounds on what clients may take of this host."""

    streams_max: int = 64
    streams_per_session_max: int = 2
    access_seconds_max: float = 10.0
    voucher_seconds_max: float = 20.0
    bytes_per_second_max: int | None = None


class ContentService:
    """Serves the datums of one host account."""

    def __init__(
        self,
        network: Network,
        head: ChainHead,
        content: ContentLane,
        book: VoucherBook,
        debts: DebtBook,
        limits: ServiceLimits | None = None,
        verify: Verify = is_signed_by,
    ) -> None:
        self.limits = limits or ServiceLimits()
        self.content = content
        self.book, self.debts = book, debts
        self.head = head
        self.sales = ChunkSales(head)
        self.verify = verify
        rate = self.limits.bytes_per_second_max
        self.rate_limiter = RateLimiter(rate, CHUNK_BYTES) if rate else None
        self._network = network
        self._accounts: OrderedDict[Hash, PrepaidAccount] = OrderedDict()
        self._streams: Counter[Hash] = Counter()
        network.serve(CONTENT, self._serve)

    async def _serve(self, stream: Stream) -> None:
        """One stream, from Access to its end; runs behind the per-peer boundary."""
        try:
            account = await self._admit(stream)
        except Refused as refused:
            await send_message(stream, build_refusal(refused))
            return
        with self._count_stream(account):
            await send_message(stream, Granted(account.best, account.sent_bytes, tuple(account.recent)))
            await _ServingStream(self, stream, account).run()

    async def _admit(self, stream: Stream) -> PrepaidAccount:
        with trio.move_on_after(self.limits.access_seconds_max):
            access = await receive_message(stream, ContentRequest)
            if not isinstance(access, Access):
                raise PeerFault("a stream does not begin with access")
            return self._open_account(stream.peer, access)
        raise Refused(RefusalCode.BUSY, "access took too long")

    def _open_account(self, peer: PeerId, access: Access) -> PrepaidAccount:
        account = self._accounts.get(access.session) or self._build_account(access)
        key, genesis_hash = account.terms.voucher_key, self.head.genesis_hash
        if not is_access_signed(access, key, genesis_hash, peer, self._network.peer_id):
            self._network.blame(peer, PeerFault("access not signed by the session's key", FORGERY_POINTS))
            raise Refused(RefusalCode.NOT_MEMBER, "access is not signed by the session's key")
        self.check_running(account)
        if self._streams.total() >= self.limits.streams_max:
            raise Refused(RefusalCode.BUSY)
        if self._streams[access.session] >= self.limits.streams_per_session_max:
            raise Refused(RefusalCode.BUSY, "streams of this session")
        self._keep_account(account)
        return account

    def _build_account(self, access: Access) -> PrepaidAccount:
        """The account of a session on chain; raises Refused."""
        state, session_id = self.head.state, access.session
        session = sessions.get_session(state, session_id)
        if session is None:
            ahead = access.opened_at - self.head.height
            if 0 < ahead <= NOT_YET_BLOCKS_MAX:
                raise Refused(RefusalCode.NOT_YET, f"this host is at height {self.head.height}")
            raise Refused(RefusalCode.NOT_MEMBER, "no such session on this chain; open one first")
        allotment = sessions.get_allotment(state, session_id, self.book.host)
        datum = catalogue.get_datum(state, session.datum)
        if allotment is None or datum is None:
            raise Refused(RefusalCode.NOT_SERVED, "the session has no allotment for this host")
        terms = Terms(
            genesis_hash=self.head.genesis_hash,
            session=session_id,
            datum=session.datum,
            host=self.book.host,
            payer=session.payer,
            voucher_key=session.voucher_key,
            price_per_gib=session.price_per_gib,
            limit=allotment.limit,
        )
        best, delivery = self.book.get(session_id), self.book.get_delivery(session_id)
        return PrepaidAccount(terms, datum.size_bytes, best, delivery, allotment.bytes)

    def _keep_account(self, account: PrepaidAccount) -> None:
        self._accounts[account.terms.session] = account
        self._accounts.move_to_end(account.terms.session)
        if len(self._accounts) > ACCOUNTS_MAX:
            del self._accounts[next(session for session in self._accounts if not self._streams[session])]

    def check_running(self, account: PrepaidAccount) -> None:
        """Raises Refused if the session is closing or over, since a chunk sent now might never be paid."""
        height = self.head.height
        if account.checked_at == height:
            return
        session = sessions.get_session(self.head.state, account.terms.session)
        if session is None or not sessions.is_running(session, height + 1):
            self._accounts.pop(account.terms.session, None)
            raise Refused(RefusalCode.SESSION_OVER)
        account.checked_at = height

    @contextmanager
    def _count_stream(self, account: PrepaidAccount) -> Iterator[None]:
        session = account.terms.session
        self._streams[session] += 1
        try:
            yield
        finally:
            self._streams[session] -= 1
            if not self._streams[session]:
                del self._streams[session]


class _Wanted(NamedTuple):
    """A chunk that was asked for; `is_again` if it was sent already, and is to be sent for free."""

    chunk: int
    is_again: bool


class _Reply(NamedTuple):
    """An answer that waits until it may be sent."""

    message: Record
    is_again: bool = False


_Request = _Wanted | OfferRequest | ManifestRequest


class _ServingStream:
    """Serves one stream of a session."""

    def __init__(self, service: ContentService, stream: Stream, account: PrepaidAccount) -> None:
        self._service = service
        self._limits = service.limits
        self._stream = stream
        self._account = account
        self._requests: deque[_Request] = deque()
        self._wanted: Counter[int] = Counter()
        self._cancelled: set[int] = set()
        self._refusal: Refused | None = None
        self._changed = Notifier()
        self._replies_in, self._replies = trio.open_memory_channel[_Reply](READ_AHEAD)

    async def run(self) -> None:
        """Serves until the client closes its side or is refused."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive_all, nursery.cancel_scope)
                nursery.start_soon(self._read_all)
                await self._send_all()
                nursery.cancel_scope.cancel()
        finally:
            self._service.book.keep_delivery(self._account.terms.session, self._account.take_note())
            with trio.CancelScope(shield=True):
                await self._service.content.run(lambda _: self._service.book.sync())

    # Receiving.

    async def _receive_all(self, scope: trio.CancelScope) -> None:
        while True:
            try:
                self._receive(await receive_message(self._stream, ContentRequest))
            except StreamEnded:
                scope.cancel()
                return

    def _receive(self, message: Any) -> None:
        match message:
            case Payment(signed):
                self._take_voucher(signed)
            case Cancel(chunk):
                if chunk in self._wanted:
                    self._cancelled.add(chunk)
                    self._account.wake()
            case Access():
                raise PeerFault("access twice")
            case _:
                self._take_request(message)

    def _take_voucher(self, signed: SignedVoucher) -> None:
        account, added = self._account, signed.voucher.bytes - self._account.paid_bytes
        if not added:
            # A client that reconnects sends its voucher again, which may have arrived on the last stream.
            return
        try:
            check_voucher(signed, account.terms, account.paid_bytes, self._service.verify)
        except VoucherRefused as error:
            self._refusal = Refused(RefusalCode.VOUCHER_INVALID, str(error))
            self._wake()
            account.wake()
            return
        self._service.book.keep(signed, account.take_note())
        self._service.debts.pay(account.terms.payer, added)
        account.pay(signed)

    def _take_request(self, message: OfferRequest | ManifestRequest | ChunksRequest | ResendRequest) -> None:
        wanted: tuple[_Request, ...]
        match message:
            case ChunksRequest(chunks) | ResendRequest(chunks):
                is_again = isinstance(message, ResendRequest)
                wanted = tuple(_Wanted(chunk, is_again) for chunk in chunks)
            case _:
                wanted = (message,)
        if len(self._requests) + len(wanted) > REQUESTS_MAX:
            raise PeerFault("too many requests under way")
        for one in wanted:
            if isinstance(one, _Wanted):
                self._check_exists(one.chunk)
                self._wanted[one.chunk] += 1
            self._requests.append(one)
        self._wake()

    def _check_exists(self, chunk: int) -> None:
        if not self._account.compute_size(chunk):
            raise PeerFault(f"chunk {chunk} of a datum of {self._account.size_bytes} bytes")

    def _wake(self) -> None:
        self._changed.notify_all()

    # Reading ahead, in the order of requests.

    async def _read_all(self) -> None:
        async with self._replies_in:
            try:
                while True:
                    batch = await self._take_batch()
                    for reply in await self._service.content.run(partial(self._read_batch, batch)):
                        await self._replies_in.send(reply)
            except Refused as refused:
                await self._replies_in.send(_Reply(build_refusal(refused)))

    async def _take_batch(self) -> list[_Request]:
        """The next requests, up to READ_BATCH: one trip to the store's thread serves them all."""
        while not self._requests:
            self._check_refusal()
            await self._changed.wait()
        return [self._requests.popleft() for _ in range(min(len(self._requests), READ_BATCH))]

    def _check_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _read_batch(self, batch: list[_Request], store: ContentStore) -> list[_Reply]:
        """Reads the requested things; runs in the store's thread."""
        if self._service.book.is_sync_due:
            self._service.book.sync()
        return [self._read(store, request) for request in batch]

    def _read(self, store: ContentStore, request: _Request) -> _Reply:
        match request:
            case OfferRequest():
                return _Reply(self._build_offer(store))
            case ManifestRequest():
                return _Reply(self._build_manifest(store))
            case _Wanted(chunk, is_again):
                return _Reply(self._read_chunk(store, chunk), is_again)

    def _build_offer(self, store: ContentStore) -> Offer:
        try:
            return Offer(store.get_bitmap(self._account.terms.datum))
        except UnknownDatum:
            raise Refused(RefusalCode.NOT_FOUND, "this host does not have the datum") from None

    def _build_manifest(self, store: ContentStore) -> ManifestReply:
        manifest = store.get_manifest(self._account.terms.datum)
        if manifest is None:
            raise Refused(RefusalCode.NOT_FOUND, "this host does not have the datum")
        return ManifestReply(encode(manifest))

    def _read_chunk(self, store: ContentStore, chunk: int) -> Record:
        datum = self._account.terms.datum
        try:
            content, proof = store.read_chunk(datum, chunk)
        except (ChunkMissing, UnknownDatum):
            return ChunkRefusal(chunk, RefusalCode.NOT_FOUND)
        except (CorruptChunk, SourceGone) as error:
            _log.error("chunk_unreadable", datum=datum.hex(), chunk=chunk, reason=str(error))
            return ChunkRefusal(chunk, RefusalCode.NOT_FOUND)
        return ChunkReply(chunk, content, proof)

    # Sending, as vouchers come.

    async def _send_all(self) -> None:
        async for reply in self._replies:
            try:
                await send_message(self._stream, await self._release(reply))
            except Refused as refused:
                await send_message(self._stream, build_refusal(refused))
                return

    async def _release(self, reply: _Reply) -> Record:
        """Waits until the reply may be sent, and returns it or its refusal; raises Refused."""
        message = reply.message
        if not isinstance(message, ChunkReply | ChunkRefusal):
            return message
        chunk = message.chunk
        if isinstance(message, ChunkReply):
            self._service.check_running(self._account)
            if not reply.is_again and self._get_wait(chunk) is None:
                await self._wait_for_payment(chunk)
        self._wanted -= Counter((chunk,))
        if chunk in self._cancelled:
            self._cancelled.discard(chunk)
            return ChunkRefusal(chunk, RefusalCode.CANCELLED)
        if isinstance(message, ChunkReply):
            # Asked again after the wait for a voucher. What was sold before may be sent again at any time.
            if not reply.is_again and (wait := self._get_wait(chunk)) is not None:
                return NotForSale(chunk, wait.seconds, wait.is_whole)
            if not self._charge(chunk, is_again=reply.is_again):
                return ChunkRefusal(chunk, RefusalCode.PAYER_OWES)
            if self._service.rate_limiter is not None:
                await self._service.rate_limiter.take(len(message.content))
        return message

    def _get_wait(self, chunk: int) -> Wait | None:
        return self._service.sales.get_wait(self._account.terms.datum, chunk, self._service.book.host)

    def _charge(self, chunk: int, *, is_again: bool) -> bool:
        """Counts a chunk that is sent now; False if it may not be sent again for free."""
        account, service = self._account, self._service
        if not is_again:
            account.charge(chunk)
            if account.is_note_due:
                service.book.keep_delivery(account.terms.session, account.take_note())
            return True
        payer, size = account.terms.payer, account.compute_size(chunk)
        if chunk not in account.recent or not service.debts.can_owe(payer, size):
            return False
        service.debts.owe(payer, size)
        return True

    async def _wait_for_payment(self, chunk: int) -> None:
        """Returns when the chunk is paid or was cancelled; raises Refused."""
        account = self._account
        with trio.move_on_after(self._limits.voucher_seconds_max):
            while chunk not in self._cancelled:
                self._check_refusal()
                if not account.is_covered(chunk):
                    raise Refused(RefusalCode.NOT_PAID, "the allotment is used up")
                if account.is_paid(chunk):
                    return
                await account.wait()
            return
        raise Refused(RefusalCode.NOT_PAID, "no voucher covers the next chunk")
