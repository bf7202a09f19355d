"""Frames on a byte stream: four bytes of length (big-endian), then the body.

The length is checked against the protocol's bound before memory for the body is allocated or a byte of it is
read. A frame that began must end within its time. A stream whose frame was cut by an error, a deadline or a
cancellation stays broken in that direction: the next bytes would be taken for a length.
"""

import trio

from chain.primitives.types import PeerId
from p2p.errors import MessageTooLarge, PeerFault, PeerGone, PeerSlow, StreamEnded
from p2p.network import ProtocolSpec
from p2p.switch.rate_limiter import RateLimiter
from p2p.switch.transport import ByteStream

LENGTH_BYTES = 4
READ_BYTES = 256 * 1024 + LENGTH_BYTES


class Meter:
    """Counts the bytes of one peer in one protocol over all its streams, and slows its reading down."""

    __slots__ = ("_bytes", "_frames", "bytes_in", "bytes_out")

    def __init__(self, protocol: ProtocolSpec) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self._frames = RateLimiter(protocol.frames_per_second_max)
        self._bytes = RateLimiter(protocol.bytes_per_second_max, protocol.frame_bytes_max)

    async def admit(self, body_bytes: int) -> None:
        """Waits until the peer may send a frame of that size."""
        self.bytes_in += LENGTH_BYTES + body_bytes
        await self._frames.take(1)
        await self._bytes.take(body_bytes)


class FramedStream:
    """A `network.Stream` over any byte stream."""

    def __init__(
        self, raw: ByteStream, peer: PeerId, host: str, protocol: ProtocolSpec, meter: Meter
    ) -> None:
        self.peer = peer
        self.host = host
        self.protocol = protocol
        self._raw = raw
        self._meter = meter
        self._buffer = bytearray()
        self._sending = trio.Lock()
        self._receiving = trio.Lock()
        self._is_send_broken = False
        self._is_receive_broken = False

    async def send(self, frame: bytes) -> None:
        if not 0 < len(frame) <= self.protocol.frame_bytes_max:
            raise MessageTooLarge(f"{self.protocol.name}: own frame of {len(frame)} bytes")
        async with self._sending:
            self._check(self._is_send_broken)
            self._is_send_broken = True
            with trio.move_on_after(self.protocol.frame_seconds_max):
                await self._raw.write(len(frame).to_bytes(LENGTH_BYTES) + frame)
                self._is_send_broken = False
        if self._is_send_broken:
            await self.reset()
            raise PeerSlow(f"{self.protocol.name}: peer does not read")
        self._meter.bytes_out += LENGTH_BYTES + len(frame)

    async def receive(self) -> bytes:
        async with self._receiving:
            self._check(self._is_receive_broken)
            if not self._buffer:
                await self._wait_for_frame()
            self._is_receive_broken = True
            try:
                with trio.fail_after(self.protocol.frame_seconds_max):
                    length = await self._receive_length()
            except trio.TooSlowError:
                raise PeerSlow(f"{self.protocol.name}: frame length not finished") from None
            await self._meter.admit(length)
            try:
                with trio.fail_after(self.protocol.frame_seconds_max):
                    frame = await self._read_exactly(length)
            except trio.TooSlowError:
                raise PeerSlow(f"{self.protocol.name}: frame of {length} bytes not finished") from None
            self._is_receive_broken = False
            return frame

    async def close(self) -> None:
        async with self._sending:
            if not self._is_send_broken:
                self._is_send_broken = True
                await self._raw.finish()

    async def reset(self) -> None:
        self._is_send_broken = self._is_receive_broken = True
        await self._raw.abort()

    async def finish(self) -> None:
        """Closes, and reads until the peer closes too: a reset before that could drop what we sent."""
        try:
            await self.close()
            while not self._is_receive_broken and await self._raw.read(READ_BYTES):
                pass
        except PeerGone:
            return

    async def _wait_for_frame(self) -> None:
        with trio.move_on_after(self.protocol.idle_seconds_max) as scope:
            data = await self._raw.read(READ_BYTES)
            if not data:
                raise StreamEnded(self.protocol.name)
            self._buffer += data
        if scope.cancelled_caught:
            raise PeerSlow(f"{self.protocol.name}: idle")

    async def _receive_length(self) -> int:
        length = int.from_bytes(await self._read_exactly(LENGTH_BYTES))
        if not 0 < length <= self.protocol.frame_bytes_max:
            raise PeerFault(f"{self.protocol.name}: frame of {length} bytes", points=100)
        if self.protocol.kind_bytes_max:
            await self._check_kind(length)
        return length

    async def _check_kind(self, length: int) -> None:
        """A record's encoding starts with the mark of an array and the record's number, one byte each."""
        await self._fill(min(length, 2))
        kind = self._buffer[1] if length > 1 else -1
        if length > self.protocol.kind_bytes_max.get(kind, 0):
            raise PeerFault(f"{self.protocol.name}: frame of kind {kind} and {length} bytes", points=100)

    async def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            data = await self._raw.read(READ_BYTES)
            if not data:
                raise PeerGone(f"{self.protocol.name}: ended within a frame")
            self._buffer += data

    async def _read_exactly(self, count: int) -> bytes:
        await self._fill(count)
        frame = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return frame

    def _check(self, is_broken: bool) -> None:
        if is_broken:
            raise PeerGone(f"{self.protocol.name}: the stream is over")
