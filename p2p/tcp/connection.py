"""One authenticated connection over TCP, Noise and yamux.

No other security protocol or muxer is offered or accepted: with `/plaintext/2.0.0`, which a stock py-libp2p
host offers, a stranger states any public key and is believed. Whatever libp2p raises on a stranger's bytes
becomes PeerGone here.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack

import trio
from libp2p.crypto.ed25519 import create_new_key_pair as create_ed25519_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.io.exceptions import IOException
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamEOF, MuxedStreamError

from chain.primitives.types import PeerId
from p2p.boundary import run_for_stranger
from p2p.errors import PeerFault, PeerGone
from p2p.identity import PeerAddress, is_peer_id
from p2p.network import Limits
from p2p.switch.transport import ByteStream, OnStream
from p2p.tcp.channel import TcpChannel
from p2p.tcp.muxer import YAMUX, BoundedYamux
from p2p.tcp.negotiation import agree_on_protocol, propose_protocol

WINDOW_REPORT_BYTES = 64 * 1024


class MuxedByteStream:
    """A `transport.ByteStream` over a yamux stream; negotiation reads and writes it too."""

    def __init__(self, muxer: BoundedYamux, stream_id: int) -> None:
        self._muxer = muxer
        self._stream_id = stream_id
        self._stream = muxer.streams[stream_id]
        self._unreported = 0

    async def read(self, bytes_max: int | None = None) -> bytes:
        try:
            data: bytes = await self._muxer.read_stream(self._stream_id, bytes_max)
            await self._report(len(data))
        except MuxedStreamEOF:
            if self._muxer.event_shutting_down.is_set() or self._stream.reset_received:
                raise PeerGone("connection closed") from None
            return b""
        except (MuxedStreamError, IOException) as error:
            raise PeerGone(str(error)) from error
        return data

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.write(data)
        except (MuxedStreamError, IOException) as error:
            raise PeerGone(str(error)) from error

    async def finish(self) -> None:
        try:
            await self._stream.close()
        except (MuxedStreamError, IOException) as error:
            raise PeerGone(str(error)) from error

    async def abort(self) -> None:
        try:
            await self._stream.reset()
        except (MuxedStreamError, IOException):
            return  # the connection has ended, and the stream with it

    async def _report(self, count: int) -> None:
        """Reports read bytes, which opens the peer's window; not at each read, since each report is a Noise
        message of its own. Shielded, so that a cancelled reader does not lose the bytes just read.
        """
        self._unreported += count
        if self._unreported < WINDOW_REPORT_BYTES:
            return
        count, self._unreported = self._unreported, 0
        with trio.CancelScope(shield=True):
            await self._stream._auto_tune_and_send_window_update(bytes_read=count)


class Libp2pConnection:
    """A `transport.SecureConnection`."""

    def __init__(self, muxer: BoundedYamux, place: PeerAddress, is_outbound: bool, limits: Limits) -> None:
        self.peer = place.peer
        self.host = place.host
        self.address = str(place)
        self.is_outbound = is_outbound
        self._muxer = muxer
        self._limits = limits

    async def run(self, served: Callable[[], tuple[str, ...]], on_stream: OnStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._muxer.start)
            try:
                while True:
                    stream = await self._muxer.accept_stream()
                    nursery.start_soon(self._answer, stream.stream_id, served, on_stream)
            except MuxedConnUnavailable:
                nursery.cancel_scope.cancel()

    async def open_stream(self, protocol_id: str) -> ByteStream:
        try:
            stream = await self._muxer.open_stream()
            raw = MuxedByteStream(self._muxer, stream.stream_id)
        except (MuxedStreamError, IOException, KeyError) as error:
            raise PeerGone(f"connection closed: {error}") from error
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(raw.abort)
            await propose_protocol(raw, protocol_id)
            on_failure.pop_all()
        return raw

    async def close(self) -> None:
        await self._muxer.shut()

    async def _answer(
        self, stream_id: int, served: Callable[[], tuple[str, ...]], on_stream: OnStream
    ) -> None:
        if stream_id not in self._muxer.streams:
            return  # reset before it was accepted
        raw = MuxedByteStream(self._muxer, stream_id)
        protocol_id = None
        with trio.move_on_after(self._limits.open_seconds_max):
            try:
                protocol_id = await agree_on_protocol(raw, served())
            except (PeerGone, PeerFault):
                protocol_id = None
        if protocol_id is None:
            await raw.abort()
            return
        await on_stream(protocol_id, raw)


class Upgrader:
    """Upgrades TCP connections to secure ones; owns the network key."""

    def __init__(self, seed: bytes, limits: Limits) -> None:
        keys = create_ed25519_key_pair(seed)
        self._noise = NoiseTransport(keys, create_x25519_key_pair().private_key)
        self._limits = limits

    async def upgrade_outbound(self, stream: trio.SocketStream, place: PeerAddress) -> Libp2pConnection:
        """A connection with exactly that peer; raises PeerGone."""
        return await self._upgrade(stream, place.host, place.port, place.peer)

    async def upgrade_inbound(self, stream: trio.SocketStream, host: str, port: int) -> Libp2pConnection:
        """A connection with any peer that proves its identity; raises PeerGone."""
        return await self._upgrade(stream, host, port, None)

    async def _upgrade(
        self, stream: trio.SocketStream, host: str, port: int, peer: PeerId | None
    ) -> Libp2pConnection:
        channel = TcpChannel(stream)
        muxer = None
        async with AsyncExitStack() as on_failure:
            on_failure.push_async_callback(channel.close)
            with trio.move_on_after(self._limits.handshake_seconds_max):
                muxer = await run_for_stranger(lambda: self._shake_hands(channel, peer))
            if muxer is None:
                raise PeerGone("handshake took too long")
            on_failure.pop_all()
        place = PeerAddress(host, port, muxer.peer_id.to_bytes())
        return Libp2pConnection(muxer, place, peer is not None, self._limits)

    async def _shake_hands(self, channel: TcpChannel, peer: PeerId | None) -> BoundedYamux:
        is_outbound = peer is not None
        raw = RawConnection(channel, initiator=is_outbound)
        if is_outbound:
            await propose_protocol(raw, NOISE)
            secure = await self._noise.secure_outbound(raw, ID(peer))
            await propose_protocol(secure, YAMUX)
        else:
            await agree_on_protocol(raw, (NOISE,))
            secure = await self._noise.secure_inbound(raw)
            await agree_on_protocol(secure, (YAMUX,))
        proved = secure.get_remote_peer()
        if not is_peer_id(proved.to_bytes()) or peer not in (None, proved.to_bytes()):
            raise PeerGone("the peer has another identity than expected")
        return BoundedYamux(secure, proved, is_outbound, self._limits)
