"""The chunks of one stream: asking, receiving, verifying, paying; a task for each but the last two.

A chunk is paid after it verified, never before; it need not be on disk by then, which is our own risk.
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
"""Half of the credit: the host sends the other half meanwhile."""
TAKEOVER_WORK_MIN = 3
"""A host that has fewer chunks under way will deliver them soon, if it delivers at all."""


class DownloadStream:
    """The chunks of one stream.

    `_awaited` are the chunks that were asked for and not answered; `_open` counts those and what was answered
    and is not paid; `_unpaid_bytes` is what has to be left of the allotment for them.
    """

    def __init__(self, purse: VoucherIssuer, stream: Stream) -> None:
        self._purse, self._stream = purse, stream
        self._shared, self._me = purse.shared, purse.number
        self._job, self._board = purse.shared.job, purse.shared.board
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
        """Until all chunks are there; raises HostFailed when the host has no more to give before that."""
        self._board.join(self._me, int.from_bytes(bitmap, "little"))
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
        self._changed.notify_all()

    # Asking.

    async def _settle_past(self, granted: Granted) -> None:
        """Chunks that were under way when an earlier stream ended: asked for again, or paid if they came.

        The host names them, so each must fit the allotment beside what is under way already.
        """
        self._check_unpaid(granted.unpaid)
        for chunk in granted.unpaid:
            size = self._size_of(chunk)
            if not self._can_pay(size):
                # Not a lie by itself: an honest host names such a chunk when a voucher was lost.
                self._is_spent = True
            elif self._board.claim(self._me, chunk):
                self._open += 1
                self._unpaid_bytes += size
                await self._request([chunk])
            else:
                self._purse.count_unseen(size)
                await send_message(self._stream, Payment(self._purse.build_voucher(size)))

    def _check_unpaid(self, chunks: tuple[int, ...]) -> None:
        if len(set(chunks)) < len(chunks):
            raise PeerFault("names an unpaid chunk twice")
        if any(chunk >= self._job.chunk_count for chunk in chunks):
            raise PeerFault(f"says it sent one of the chunks {chunks}, which does not exist")

    def _can_pay(self, size_bytes: int) -> bool:
        """Whether the allotment covers one more chunk of this size, beside those that are not paid yet."""
        return self._purse.can_pay(self._unpaid_bytes + size_bytes)

    async def _request_all(self) -> None:
        """Returns when all chunks are there and nothing is under way any more."""
        while self._open or not self._board.is_complete:
            changed = self._changed.next
            await self._cancel_stale()
            chunks = self._pick_some()
            if chunks:
                await self._request(chunks)
                continue
            if not self._open:
                self._check_use()
            with trio.move_on_after(self._shared.limits.takeover_seconds) as patience:
                await changed.wait()
            self._is_impatient = patience.cancelled_caught

    def _pick_some(self) -> list[int]:
        """What to ask for now: nothing while half of what may be under way is, then as much as fits."""
        chunks: list[int] = []
        room = self._shared.limits.requests_per_host_max - len(self._awaited)
        if 2 * room >= self._shared.limits.requests_per_host_max:
            while len(chunks) < room and (chunk := self._pick()) is not None:
                chunks.append(chunk)
        return chunks

    def _pick(self) -> int | None:
        if self._is_spent:
            return None
        chunk = self._board.pick(self._me, work_min=1 if self._is_impatient else TAKEOVER_WORK_MIN)
        if chunk is None:
            return None
        size = self._size_of(chunk)
        if not self._can_pay(size):
            self._is_spent = True
            self._board.release(self._me, chunk)
            self._shared.on_chance()
            return None
        self._open += 1
        self._unpaid_bytes += size
        if self._board.is_endgame:
            self._shared.on_chance()
        return chunk

    def _check_use(self) -> None:
        """Raises HostFailed if nothing is to be had from this host any more."""
        if self._is_spent:
            raise HostFailed(Outcome.ALLOTMENT_SPENT, "the rest of the allotment is less than a chunk costs")
        if not self._board.is_useful(self._me):
            raise HostFailed(Outcome.NOTHING_TO_GIVE, "has none of what is missing")

    async def _request(self, chunks: list[int]) -> None:
        if self._shared.cap is not None:
            await self._shared.cap.take(sum(map(self._size_of, chunks)))
        if not self._awaited:
            self._move_deadline(is_waiting=True)
        for chunk in chunks:
            self._awaited[chunk] = None
            self._cancelled.pop(chunk, None)
        await send_message(self._stream, ChunksRequest(tuple(chunks)))

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
                    case ChunkReply(chunk):
                        self._take_off(chunk)
                        await self._arrivals_in.send(reply)
                    case ChunkRefusal(chunk, code):
                        self._take_off(chunk)
                        self._on_refused(chunk, code)
                        if self._verified and not self._awaited:
                            await self._pay()
                    case Refusal():
                        raise build_refused(reply)
                    case _:
                        raise PeerFault(f"{type(reply).__name__} was not asked for")
        raise HostFailed(Outcome.STALLED, f"nothing came for {self._shared.limits.stall_seconds_max:g} s")

    def _take_off(self, chunk: int) -> None:
        if chunk not in self._awaited:
            raise PeerFault(f"chunk {chunk} was not asked for")
        del self._awaited[chunk]
        self._move_deadline(is_waiting=bool(self._awaited))
        self.wake()

    def _move_deadline(self, *, is_waiting: bool) -> None:
        seconds = self._shared.limits.stall_seconds_max if is_waiting else math.inf
        self._stall.deadline = trio.current_time() + seconds

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
            await self._verify(arrived)
            if self._verified >= CHUNKS_PER_PAYMENT or not self._awaited:
                await self._pay()

    async def _verify(self, arrived: ChunkReply) -> None:
        """Takes a chunk in if it verifies; raises InvalidProof.

        On the loop: half a millisecond of Python, for which a thread would hold the interpreter as long.
        """
        job, chunk = self._job, arrived.chunk
        check_chunk_size(job.size_bytes, chunk, len(arrived.content))
        node = compute_chunk_node(arrived.content)
        check_chunk_node(job.root, job.size_bytes, chunk, node, arrived.proof)
        if self._board.is_missing(chunk):
            await self._shared.keep(chunk, arrived.content, arrived.proof, node)
        self._board.arrive(self._me, chunk)
        self._purse.count_chunk(len(arrived.content))
        self._verified += 1
        self._verified_bytes += len(arrived.content)

    async def _pay(self) -> None:
        verified, size_bytes = self._verified, self._verified_bytes
        self._verified = self._verified_bytes = 0
        self._unpaid_bytes -= size_bytes
        await send_message(self._stream, Payment(self._purse.build_voucher(size_bytes)))
        self._open -= verified
        self._shared.on_change()
        self._shared.on_chance() if self._board.is_endgame else self.wake()

    def _size_of(self, chunk: int) -> int:
        return compute_chunk_size(self._job.size_bytes, chunk)
