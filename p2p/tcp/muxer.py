"""py-libp2p's yamux with the bounds that it does not have.

What is replaced of libp2p 0.8.1, and why:
- the receive window was stated but not enforced (150 MB could be buffered): a peer that sends more is cut;
- inbound streams were not counted (20,000 SYNs cost 110 MB): a peer that opens more is cut;
- each frame, also a ping or a reset, costs a tenth of a millisecond: above a rate they are read more slowly;
- a write polled a closed window for five seconds and then gave up with part of the data sent: it waits for
  the window update, and the caller sets the deadline;
- a write cancelled in the middle left half a Noise message on the wire, which ends the connection for both
  sides: a write that has begun is finished or the connection is closed;
- closing slept for 100 ms.

A violation is raised as a TooSlowError: `Yamux.handle_incoming` answers that by closing the connection.
"""

import struct

import trio
from libp2p.abc import ISecureConn
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import (
    HEADER_SIZE,
    PROTOCOL_ID,
    TYPE_DATA,
    YAMUX_HEADER_FORMAT,
    Yamux,
    YamuxStream,
)

from p2p.network import Limits
from p2p.notifier import Notifier
from p2p.switch.rate_limiter import RateLimiter

YAMUX = PROTOCOL_ID
RECEIVE_WINDOW_BYTES_MAX = 2 * 2**20
FRAMES_PER_SECOND_MAX = 5000
# A full yamux frame fills one Noise message: 65535 - 16 (tag) - 12 (header). libp2p's size needs two.
PAYLOAD_BYTES_MAX = 65535 - 16 - 12


class _Violation(trio.TooSlowError):
    """The peer broke a bound of the muxer."""


class _BoundedStream(YamuxStream):  # type: ignore[misc]
    """A yamux stream with an enforced window; writers wait for window updates."""

    def bind(self) -> None:
        """Turns a stream that libp2p has just made into a bounded one."""
        self._changed = Notifier()
        for name in ("send_window", "recv_window", "closed"):
            setattr(self, f"_{name}", self.__dict__.pop(name))

    @property
    def send_window(self) -> int:
        return self._send_window

    @send_window.setter
    def send_window(self, value: int) -> None:
        if value > 2**32:
            raise _Violation("send window out of range")
        self._send_window = value
        self._changed.notify_all()

    @property
    def recv_window(self) -> int:
        return self._recv_window

    @recv_window.setter
    def recv_window(self, value: int) -> None:
        if value < 0:
            raise _Violation("more data than the receive window")
        self._recv_window = value

    @property
    def closed(self) -> bool:
        return self._closed

    @closed.setter
    def closed(self, value: bool) -> None:
        self._closed = value
        self._changed.notify_all()

    async def write(self, data: bytes) -> None:
        sent = 0
        while sent < len(data):
            while self.send_window <= 0 and not self.closed:
                await self._changed.wait()
            if self.closed or self.send_closed:
                raise MuxedStreamError("stream is closed")
            size = min(self.send_window, PAYLOAD_BYTES_MAX, len(data) - sent)
            self.send_window -= size
            header = struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_DATA, 0, self.stream_id, size)
            await self.conn._write_frame(header + data[sent : sent + size])
            sent += size

    def _apply_autotune_epoch(self, buffered: int) -> int:
        if self.target_recv_window >= RECEIVE_WINDOW_BYTES_MAX:
            return 0
        return int(super()._apply_autotune_epoch(buffered))


class _StreamTable(dict[int, YamuxStream]):
    """The streams of one connection: libp2p puts each new one here, so here the bounds are added."""

    def __init__(self, streams_max: int) -> None:
        super().__init__()
        self._streams_max = streams_max

    def __setitem__(self, stream_id: int, stream: YamuxStream) -> None:
        if len(self) >= self._streams_max:
            raise _Violation("too many streams")
        stream.__class__ = _BoundedStream
        stream.bind()
        super().__setitem__(stream_id, stream)


class _PacedConnection:
    """The encrypted connection as yamux reads it, at most FRAMES_PER_SECOND_MAX frames a second."""

    def __init__(self, secured_conn: ISecureConn) -> None:
        self._secured_conn = secured_conn
        self._frames = RateLimiter(FRAMES_PER_SECOND_MAX)
        self.write = secured_conn.write
        self.close = secured_conn.close

    async def read(self, n: int) -> bytes:
        if n == HEADER_SIZE:
            await self._frames.take(1)
        data: bytes = await self._secured_conn.read(n)
        return data


class BoundedYamux(Yamux):  # type: ignore[misc]
    """A yamux connection with bounded memory."""

    def __init__(self, secured_conn: ISecureConn, peer_id: ID, is_initiator: bool, limits: Limits) -> None:
        super().__init__(_PacedConnection(secured_conn), peer_id, is_initiator=is_initiator)
        self.streams = _StreamTable(limits.streams_per_connection_max)
        self._limits = limits
        self._is_write_broken = False

    async def shut(self) -> None:
        """Ends the connection at once, without a message; wakes every reader and writer."""
        await self._cleanup_on_error()

    async def _read_data_body(self, length: int) -> bytes:
        buffered = sum(len(buffer) for buffer in self.stream_buffers.values())
        if buffered + length > self._limits.buffered_bytes_per_connection_max:
            raise _Violation("too many unread bytes")
        data: bytes = await super()._read_data_body(length)
        return data

    async def _write_frame(self, data: bytes) -> None:
        async with self._write_lock:
            if self._is_write_broken:
                raise ConnectionClosedError("connection is closed")
            self._is_write_broken = True
            deadline = trio.current_time() + self._limits.write_seconds_max
            with trio.CancelScope(deadline=deadline, shield=True):
                await self.secured_conn.write(data)
                self._is_write_broken = False
            if self._is_write_broken:
                await self.secured_conn.close()
                raise ConnectionClosedError("connection is closed: the peer does not read")
        await trio.lowlevel.checkpoint()
