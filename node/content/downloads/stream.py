"""The chunks of one stream: one task asks for chunks and pays, one receives, one verifies and pays.

Vouchers run ahead of what verified, by one chunk at first and by one more for each chunk that verified, up to
1 MiB. Only chunks that are asked for are paid, so the last voucher is the price of what came.
"""

import math

import trio

from chain.content import CHUNK_BYTES, compute_chunk_size
from chain.content.tree import check_chunk_node, check_chunk_size, compute_chunk_node
from node.content.downloads.context import HostOfStream
from node.content.downloads.types import HostFailed, Outcome
from node.content.prepayment import PREPAID_BYTES_MAX
from node.content.sales import Wait
from p2p.errors import PeerFault, RefusalCode
from p2p.network import Stream
from p2p.notifier import Notifier
from p2p.wire.messages import (
    Cancel,
    ChunkRefusal,
    ChunkReply,
    ChunksRequest,
    ContentReply,
    NotForSale,
    Payment,
    Refusal,
    ResendRequest,
)
from p2p.wire.requests import build_refused, receive_message, send_message

PAYMENT_BYTES = PREPAID_BYTES_MAX // 2
"""Half of what is paid ahead, so that the host sends the other half while the next voucher travels."""
ARRIVALS_MAX = 4
"""Chunks that wait to be verified."""
TAKEOVER_WORK_MIN = PREPAID_BYTES_MAX // CHUNK_BYTES + 1
"""At first only chunks that are not paid yet are taken over from a host: it will deliver the others soon."""


class DownloadStream:
    """Fetches chunks of one host over one stream.

    `_awaited` are the chunks asked for and not answered, in order; the value is True for chunks that are sent
    again. `_open` counts the chunks asked for and not verified. `_due_bytes` are the bytes of those that are
    to be paid, so neither sent again nor cancelled; invariant: the allotment covers them beside all that the
    host counts as sent. `_kept` are chunks that the host was paid for and does not sell for now.
    """

    def __init__(self, host: HostOfStream, stream: Stream) -> None:
        self._of, self._stream = host, stream
        self._download, self._host, self._payments = host.download, host.index, host.payments
        self._job, self._scheduler = host.download.job, host.download.scheduler
        self._unsold = host.unsold
        self._awaited: dict[int, bool] = {}
        self._cancelled: dict[int, None] = {}
        self._kept: dict[int, None] = {}
        self._open = 0
        self._due_bytes = 0
        self._window_bytes = CHUNK_BYTES
        self._is_spent = False
        self._is_impatient = False
        self._changed = Notifier()
        self._stall = trio.CancelScope()
        self._arrivals_in, self._arrivals = trio.open_memory_channel[tuple[ChunkReply, bool]](ARRIVALS_MAX)

    async def run(self, recent: tuple[int, ...], bitmap: bytes) -> None:
        """Fetches until no chunk is missing; raises HostFailed if the host has no more to give before
        that. `recent` are the latest chunks that the host says it sent.
        """
        self._scheduler.join(self._host, int.from_bytes(bitmap, "little"))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive_all)
                nursery.start_soon(self._verify_all)
                await self._ask_again(recent)
                await self._ask_paid()
                await self._request_all()
                nursery.cancel_scope.cancel()
        finally:
            paid = self._list_paid()
            self._scheduler.suspend(self._host, [one for one in self._awaited if one not in paid])
            self._download.on_work()

    def wake(self) -> None:
        """Makes the asking task look at the scheduler again."""
        self._changed.notify_all()

    # Asking.

    async def _ask_again(self, recent: tuple[int, ...]) -> None:
        """Asks once more for the chunks that the host sent and that did not come.

        Chunks that are missing here come first, then the latest ones, since replies come in order. These are
        asked for even if they are here: the host shows that it delivers what it counts as sent.
        """
        self._check_recent(recent)
        left, again = self._payments.unseen_bytes, []
        latest = recent[::-1]
        for chunk in sorted(latest, key=self._scheduler.is_missing, reverse=True):
            if self._scheduler.claim(self._host, chunk) or left > 0:
                again.append(chunk)
                left -= self._size_of(chunk)
        if again:
            await self._request(again, is_again=True)

    def _check_recent(self, chunks: tuple[int, ...]) -> None:
        if len(set(chunks)) < len(chunks):
            raise PeerFault("names a chunk that it sent twice")
        if any(chunk >= self._job.chunk_count for chunk in chunks):
            raise PeerFault(f"says it sent one of the chunks {chunks}, which does not exist")

    async def _ask_paid(self) -> None:
        """Asks for the chunks that were paid when the last stream ended, and that the host did not send."""
        chunks = [one for one in self._scheduler.list_work(self._host) if one not in self._awaited]
        for chunk in chunks:
            self._open_chunk(chunk)
        if chunks:
            await self._request(chunks)

    def _open_chunk(self, chunk: int) -> None:
        self._open += 1
        self._due_bytes += self._size_of(chunk)

    def _close_chunk(self, chunk: int, *, is_again: bool) -> None:
        self._open -= 1
        if not is_again and chunk not in self._cancelled:
            self._due_bytes -= self._size_of(chunk)
        self._cancelled.pop(chunk, None)

    async def _request_all(self) -> None:
        """Returns when no chunk is missing and nothing is under way."""
        while self._open or not self._scheduler.is_complete:
            changed = self._changed.next
            await self._cancel_stale()
            self._unsold.resume(self._scheduler)
            chunks = self._take_kept() or self._pick_some()
            if chunks:
                await self._request(chunks)
                continue
            if not self._open:
                self._check_use()
            takeover_seconds = self._download.limits.takeover_seconds
            seconds = self._unsold.limit_wait(takeover_seconds)
            with trio.move_on_after(seconds) as patience:
                await changed.wait()
            self._is_impatient = patience.cancelled_caught and seconds == takeover_seconds
            self._download.on_progress()

    def _take_kept(self) -> list[int]:
        """The paid chunks that the host sells again."""
        due = [chunk for chunk in self._kept if not self._scheduler.is_postponed(self._host, chunk)]
        for chunk in due:
            del self._kept[chunk]
            if not self._scheduler.is_missing(chunk):
                self._scheduler.release(self._host, chunk)
        chunks = [chunk for chunk in due if self._scheduler.is_missing(chunk)]
        for chunk in chunks:
            self._open_chunk(chunk)
        return chunks

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
        if self._is_spent or not self._has_room:
            return None
        work_min = 1 if self._is_impatient else TAKEOVER_WORK_MIN
        chunk = self._scheduler.pick(self._host, work_min)
        while chunk is not None and self._unsold.foresee(self._scheduler, chunk):
            chunk = self._scheduler.pick(self._host, work_min)
        if chunk is None:
            return None
        if not self._payments.can_pay(self._due_bytes + self._size_of(chunk)):
            self._is_spent = True
            self._scheduler.release(self._host, chunk)
            self._download.on_work()
            return None
        self._open_chunk(chunk)
        if self._scheduler.is_endgame:
            self._download.on_work()
        return chunk

    @property
    def _has_room(self) -> bool:
        """Whether one more chunk can be paid beside what the host says it sent and what did not come."""
        return self._payments.unseen_bytes + CHUNK_BYTES <= PREPAID_BYTES_MAX

    def _check_use(self) -> None:
        """Raises HostFailed if the host has no more to give."""
        if not self._has_room:
            unseen = self._payments.unseen_bytes
            raise HostFailed(Outcome.NOT_DELIVERED, f"says that it sent {unseen} bytes, which never came")
        if self._is_spent:
            raise HostFailed(Outcome.ALLOTMENT_SPENT, "the rest of the allotment is less than a chunk costs")
        if not self._scheduler.is_useful(self._host):
            raise HostFailed(Outcome.NOTHING_TO_GIVE, "has none of what is missing")

    async def _request(self, chunks: list[int], *, is_again: bool = False) -> None:
        if self._download.rate_limiter is not None:
            await self._download.rate_limiter.take(sum(map(self._size_of, chunks)))
        if not self._awaited:
            self._move_deadline(is_waiting=True)
        for chunk in chunks:
            self._awaited[chunk] = is_again
        if is_again:
            self._open += len(chunks)
            await send_message(self._stream, ResendRequest(tuple(chunks)))
        else:
            await send_message(self._stream, ChunksRequest(tuple(chunks)))
            await self._pay()

    async def _cancel_stale(self) -> None:
        """Cancels chunks that another host has sent or taken over, except those that are paid already."""
        paid = self._list_paid()
        for chunk in self._scheduler.list_stale(self._host):
            if chunk in self._awaited and chunk not in self._cancelled and chunk not in paid:
                self._cancelled[chunk] = None
                self._due_bytes -= self._size_of(chunk)
                await send_message(self._stream, Cancel(chunk))

    def _list_paid(self) -> list[int]:
        """Chunks under way that vouchers cover or that are sent again: the host will send them."""
        due = [one for one, again in self._awaited.items() if not again and one not in self._cancelled]
        paid = [one for one, again in self._awaited.items() if again]
        arriving = self._due_bytes - sum(map(self._size_of, due))
        left = self._payments.promised_bytes - self._payments.counted_bytes - arriving
        for chunk in due:
            left -= self._size_of(chunk)
            if left < 0:
                break
            paid.append(chunk)
        return paid

    # Receiving.

    async def _receive_all(self) -> None:
        with self._stall:
            while True:
                reply = await receive_message(self._stream, ContentReply)
                match reply:
                    case ChunkReply(chunk):
                        await self._arrivals_in.send((reply, self._on_answered(chunk)))
                    case ChunkRefusal(chunk, code):
                        self._on_refused(chunk, code, is_again=self._on_answered(chunk))
                    case NotForSale(chunk, seconds, is_whole):
                        self._on_unsold(chunk, Wait(seconds, is_whole), is_again=self._on_answered(chunk))
                    case Refusal():
                        raise build_refused(reply)
                    case _:
                        raise PeerFault(f"{type(reply).__name__} was not asked for")
        raise HostFailed(Outcome.STALLED, f"no reply for {self._download.limits.stall_seconds_max:g} s")

    def _on_answered(self, chunk: int) -> bool:
        """Notes an answer; returns whether the chunk was asked for again."""
        if chunk not in self._awaited:
            raise PeerFault(f"chunk {chunk} was not asked for")
        is_again = self._awaited.pop(chunk)
        self._move_deadline(is_waiting=bool(self._awaited))
        self.wake()
        return is_again

    def _move_deadline(self, *, is_waiting: bool) -> None:
        seconds = self._download.limits.stall_seconds_max if is_waiting else math.inf
        self._stall.deadline = trio.current_time() + seconds

    def _on_refused(self, chunk: int, code: int, *, is_again: bool) -> None:
        is_cancelled = chunk in self._cancelled and code == RefusalCode.CANCELLED
        self._close_chunk(chunk, is_again=is_again)
        if is_again or is_cancelled:
            self._scheduler.release(self._host, chunk)
        else:
            self._scheduler.withdraw(self._host, chunk)
        self._download.on_work()

    def _on_unsold(self, chunk: int, wait: Wait, *, is_again: bool) -> None:
        """Asks for the chunk again later: of this host, if it is paid; else of any that sells it."""
        self._close_chunk(chunk, is_again=is_again)
        left_bytes = self._payments.promised_bytes - self._payments.counted_bytes - self._due_bytes
        is_paid = left_bytes >= self._size_of(chunk)
        if self._unsold.take(self._scheduler, chunk, wait, is_paid=is_paid) and is_paid:
            self._kept[chunk] = None
        self._download.on_work()

    # Verifying and paying.

    async def _verify_all(self) -> None:
        async for arrived, is_again in self._arrivals:
            await self._verify(arrived, is_again=is_again)
            await self._cancel_stale()
            await self._pay()
            self._download.on_progress()
            self._download.on_work() if self._scheduler.is_endgame else self.wake()

    async def _verify(self, arrived: ChunkReply, *, is_again: bool) -> None:
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
        self._unsold.sell(chunk)
        self._of.count_chunk(len(arrived.content), is_again=is_again)
        self._close_chunk(chunk, is_again=is_again)
        if not is_again:
            self._window_bytes = min(self._window_bytes + CHUNK_BYTES, self._of.window_bytes_max)

    async def _pay(self) -> None:
        """Sends the next voucher, if half of what may be ahead is used up."""
        payments = self._payments
        ahead_bytes = min(self._window_bytes, self._due_bytes)
        left_bytes = payments.promised_bytes - payments.counted_bytes
        if ahead_bytes - left_bytes >= PAYMENT_BYTES or left_bytes < PAYMENT_BYTES:
            signed = payments.build_voucher(ahead_bytes)
            if signed is not None:
                await send_message(self._stream, Payment(signed))

    def _size_of(self, chunk: int) -> int:
        return compute_chunk_size(self._job.size_bytes, chunk)
