"""The chunks of one stream: one task asks for them, one receives them, one verifies and pays.

A chunk is paid after it was verified, and before it is on disk: a crash in between costs at most the chunks
that wait for the disk.
"""

import math

import trio

from chain.content import compute_chunk_size
from chain.content.tree import check_chunk_node, check_chunk_size, compute_chunk_node
from node.content.downloads.context import VoucherIssuer
from node.content.downloads.types import HostFailed, Outcome
from p2p.errors import PeerFault, RefusalCode
from p2p.network import Stream
from p2p.notifier import Notifier
from p2p.wire.messages import (
    UNPAID_CHUNKS_MAX,
    Cancel,
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    ContentReply,
    Granted,
    Payment,
    Refusal,
)
from p2p.wire.requests import build_refused, receive_message, send_message

CHUNKS_PER_PAYMENT = 2
"""Half of the credit, so that the host sends the other half meanwhile."""
TAKEOVER_WORK_MIN = 3
"""A host with fewer chunks under way is left alone at first: it will deliver them soon."""


class DownloadStream:
    """Fetches chunks of one host over one stream.

    `_awaited` are the chunks asked for and not answered. `_open` counts the chunks asked for and not paid.
    `_unpaid_bytes` are their bytes; invariant: the allotment covers them beside all that was promised.
    """

    def __init__(self, issuer: VoucherIssuer, stream: Stream) -> None:
        self._issuer, self._stream = issuer, stream
        self._download, self._host = issuer.download, issuer.index
        self._job, self._scheduler = issuer.download.job, issuer.download.scheduler
        self._awaited: dict[int, None] = {}
        self._cancelled: dict[int, None] = {}
        self._open = 0
        self._verified = self._verified_bytes = 0
        self._unpaid_bytes = 0
        self._is_spent = False
        self._is_impatient = False
        self._changed = Notifier()
        self._stall = trio.CancelScope()
        self._arrivals_in, self._arrivals = trio.open_memory_channel[ChunkReply](UNPAID_CHUNKS_MAX)

    async def run(self, granted: Granted, bitmap: bytes) -> None:
        """Fetches until no chunk is missing; raises HostFailed if the host has no more to give before
        that.
        """
        self._scheduler.join(self._host, int.from_bytes(bitmap, "little"))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive_all)
                nursery.start_soon(self._pay_all)
                await self._settle_earlier(granted)
                await self._request_all()
                nursery.cancel_scope.cancel()
        finally:
            self._scheduler.leave(self._host)
            self._download.on_work()

    def wake(self) -> None:
        """Makes the asking task look at the scheduler again."""
        self._changed.notify_all()

    # Asking.

    async def _settle_earlier(self, granted: Granted) -> None:
        """Asks again for chunks that were under way when an earlier stream ended; pays those that came.

        The host names them, so each must fit the allotment beside the chunks under way.
        """
        self._check_unpaid(granted.unpaid)
        for chunk in granted.unpaid:
            size = self._size_of(chunk)
            if not self._can_pay(size):
                # Not a lie by itself: an honest host names such a chunk after a voucher was lost.
                self._is_spent = True
            elif self._scheduler.claim(self._host, chunk):
                self._open += 1
                self._unpaid_bytes += size
                await self._request([chunk])
            else:
                self._issuer.count_unseen(size)
                await send_message(self._stream, Payment(self._issuer.build_voucher(size)))

    def _check_unpaid(self, chunks: tuple[int, ...]) -> None:
        if len(set(chunks)) < len(chunks):
            raise PeerFault("names an unpaid chunk twice")
        if any(chunk >= self._job.chunk_count for chunk in chunks):
            raise PeerFault(f"says it sent one of the chunks {chunks}, which does not exist")

    def _can_pay(self, size_bytes: int) -> bool:
        """Whether the allotment covers one more chunk of this size, beside those that are not paid yet."""
        return self._issuer.can_pay(self._unpaid_bytes + size_bytes)

    async def _request_all(self) -> None:
        """Returns when no chunk is missing and nothing is under way."""
        while self._open or not self._scheduler.is_complete:
            changed = self._changed.next
            await self._cancel_stale()
            chunks = self._pick_some()
            if chunks:
                await self._request(chunks)
                continue
            if not self._open:
                self._check_use()
            with trio.move_on_after(self._download.limits.takeover_seconds) as patience:
                await changed.wait()
            self._is_impatient = patience.cancelled_caught

    def _pick_some(self) -> list[int]:
        """The chunks to ask for now: none until half of the allowed requests are free, then as many as
        fit.
        """
        chunks: list[int] = []
        room = self._download.limits.requests_per_host_max - len(self._awaited)
        if 2 * room >= self._download.limits.requests_per_host_max:
            while len(chunks) < room and (chunk := self._pick()) is not None:
                chunks.append(chunk)
        return chunks

    def _pick(self) -> int | None:
        if self._is_spent:
            return None
        chunk = self._scheduler.pick(self._host, work_min=1 if self._is_impatient else TAKEOVER_WORK_MIN)
        if chunk is None:
            return None
        size = self._size_of(chunk)
        if not self._can_pay(size):
            self._is_spent = True
            self._scheduler.release(self._host, chunk)
            self._download.on_work()
            return None
        self._open += 1
        self._unpaid_bytes += size
        if self._scheduler.is_endgame:
            self._download.on_work()
        return chunk

    def _check_use(self) -> None:
        """Raises HostFailed if the host has no more to give."""
        if self._is_spent:
            raise HostFailed(Outcome.ALLOTMENT_SPENT, "the rest of the allotment is less than a chunk costs")
        if not self._scheduler.is_useful(self._host):
            raise HostFailed(Outcome.NOTHING_TO_GIVE, "has none of what is missing")

    async def _request(self, chunks: list[int]) -> None:
        if self._download.rate_limiter is not None:
            await self._download.rate_limiter.take(sum(map(self._size_of, chunks)))
        if not self._awaited:
            self._move_deadline(is_waiting=True)
        for chunk in chunks:
            self._awaited[chunk] = None
            self._cancelled.pop(chunk, None)
        await send_message(self._stream, ChunksRequest(tuple(chunks)))

    async def _cancel_stale(self) -> None:
        for chunk in self._scheduler.list_stale(self._host):
            if chunk in self._awaited and chunk not in self._cancelled:
                self._cancelled[chunk] = None
                await send_message(self._stream, Cancel(chunk))

    # Receiving.

    async def _receive_all(self) -> None:
        with self._stall:
            while True:
                reply = await receive_message(self._stream, ContentReply)
                match reply:
                    case ChunkReply(chunk):
                        self._on_answered(chunk)
                        await self._arrivals_in.send(reply)
                    case ChunkRefusal(chunk, code):
                        self._on_answered(chunk)
                        self._on_refused(chunk, code)
                        if self._verified and not self._awaited:
                            await self._pay()
                    case Refusal():
                        raise build_refused(reply)
                    case _:
                        raise PeerFault(f"{type(reply).__name__} was not asked for")
        raise HostFailed(Outcome.STALLED, f"no reply for {self._download.limits.stall_seconds_max:g} s")

    def _on_answered(self, chunk: int) -> None:
        if chunk not in self._awaited:
            raise PeerFault(f"chunk {chunk} was not asked for")
        del self._awaited[chunk]
        self._move_deadline(is_waiting=bool(self._awaited))
        self.wake()

    def _move_deadline(self, *, is_waiting: bool) -> None:
        seconds = self._download.limits.stall_seconds_max if is_waiting else math.inf
        self._stall.deadline = trio.current_time() + seconds

    def _on_refused(self, chunk: int, code: int) -> None:
        self._open -= 1
        self._unpaid_bytes -= self._size_of(chunk)
        if code == RefusalCode.CANCELLED and chunk in self._cancelled:
            self._scheduler.release(self._host, chunk)
        else:
            self._scheduler.withdraw(self._host, chunk)
        self._download.on_work()

    # Verifying and paying.

    async def _pay_all(self) -> None:
        async for arrived in self._arrivals:
            await self._verify(arrived)
            if self._verified >= CHUNKS_PER_PAYMENT or not self._awaited:
                await self._pay()

    async def _verify(self, arrived: ChunkReply) -> None:
        """Accepts a chunk if it verifies; raises InvalidProof.

        On the loop: it takes half a millisecond of Python, and a thread would hold the interpreter as long.
        """
        job, chunk = self._job, arrived.chunk
        check_chunk_size(job.size_bytes, chunk, len(arrived.content))
        node = compute_chunk_node(arrived.content)
        check_chunk_node(job.root, job.size_bytes, chunk, node, arrived.proof)
        if self._scheduler.is_missing(chunk):
            await self._download.keep(chunk, arrived.content, arrived.proof, node)
        self._scheduler.arrive(self._host, chunk)
        self._issuer.count_chunk(len(arrived.content))
        self._verified += 1
        self._verified_bytes += len(arrived.content)

    async def _pay(self) -> None:
        verified, size_bytes = self._verified, self._verified_bytes
        self._verified = self._verified_bytes = 0
        self._unpaid_bytes -= size_bytes
        await send_message(self._stream, Payment(self._issuer.build_voucher(size_bytes)))
        self._open -= verified
        self._download.on_progress()
        self._download.on_work() if self._scheduler.is_endgame else self.wake()

    def _size_of(self, chunk: int) -> int:
        return compute_chunk_size(self._job.size_bytes, chunk)
