"""The network without sockets: nodes of one process joined by a hub, for tests.

The switch is the real one, over pipes with a window like yamux's, so limits, scores and back-pressure are
real too; only the handshake is left out. A connection can be cut and healed. There is no latency and no loss.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from chain.primitives.types import Hash, PeerId
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.identity import PeerAddress, compute_peer_id_of_seed
from p2p.network import DEFAULT_LIMITS, Limits
from p2p.notifier import Notifier
from p2p.switch.admission import Admission
from p2p.switch.bans import Bans
from p2p.switch.switch import Switch
from p2p.switch.transport import OnStream

WINDOW_BYTES = 256 * 1024
_HOST = "127.0.0.1"


class _Pipe:
    """One direction of a stream: at most a window of bytes between writer and reader."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._changed = Notifier()
        self._is_finished = False
        self._is_dead = False

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            room = WINDOW_BYTES - len(self._buffer)
            if self._is_dead or self._is_finished:
                raise PeerGone("stream reset")
            if room:
                self._buffer += view[:room]
                view = view[room:]
                self._changed.notify_all()
            else:
                await self._changed.wait()
        await trio.lowlevel.checkpoint()

    async def read(self, bytes_max: int) -> bytes:
        while not self._buffer and not self._is_dead:
            if self._is_finished:
                return b""
            await self._changed.wait()
        await trio.lowlevel.checkpoint()
        if self._is_dead:
            raise PeerGone("stream reset")
        data = bytes(self._buffer[:bytes_max])
        del self._buffer[:bytes_max]
        self._changed.notify_all()
        return data

    def finish(self) -> None:
        self._is_finished = True
        self._changed.notify_all()

    def kill(self) -> None:
        self._is_dead = True
        self._changed.notify_all()


@dataclass
class _MemoryStream:
    """One end of a stream."""

    inbound: _Pipe
    outbound: _Pipe

    async def read(self, bytes_max: int) -> bytes:
        return await self.inbound.read(bytes_max)

    async def write(self, data: bytes) -> None:
        await self.outbound.write(data)

    async def finish(self) -> None:
        self.outbound.finish()

    async def abort(self) -> None:
        self.inbound.kill()
        self.outbound.kill()


class _MemoryConnection:
    """One end of a connection."""

    def __init__(self, peer: PeerId, address: str, is_outbound: bool) -> None:
        self.peer = peer
        self.host = _HOST
        self.address = address
        self.is_outbound = is_outbound
        self.other: _MemoryConnection
        self._served: Callable[[], tuple[str, ...]] = tuple
        self._arrivals_in, self._arrivals = trio.open_memory_channel[tuple[str, _MemoryStream]](64)
        self._streams: list[_MemoryStream] = []
        self._begun = trio.Event()
        self._is_closed = False

    async def run(self, served: Callable[[], tuple[str, ...]], on_stream: OnStream) -> None:
        self._served = served
        self._begun.set()
        async with trio.open_nursery() as nursery:
            async for protocol_id, stream in self._arrivals:
                nursery.start_soon(on_stream, protocol_id, stream)
            nursery.cancel_scope.cancel()

    async def open_stream(self, protocol_id: str) -> _MemoryStream:
        await trio.lowlevel.checkpoint()
        if self._is_closed:
            raise PeerGone("connection closed")
        await self.other._begun.wait()
        if protocol_id not in self.other._served():
            raise Refused(RefusalCode.PROTOCOL_UNKNOWN, protocol_id)
        there, back = _Pipe(), _Pipe()
        mine, theirs = _MemoryStream(back, there), _MemoryStream(there, back)
        try:
            await self.other._arrivals_in.send((protocol_id, theirs))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise PeerGone("connection closed") from None
        self._streams.append(mine)
        self.other._streams.append(theirs)
        return mine

    async def close(self) -> None:
        for end in (self, self.other):
            end._is_closed = True
            end._begun.set()
            end._arrivals_in.close()
            for stream in end._streams:
                await stream.abort()
            end._streams.clear()


@dataclass
class MemoryHub:
    """All nodes of one test."""

    _nodes: dict[PeerId, tuple[Switch, trio.Nursery]] = field(default_factory=dict)
    _cut: list[frozenset[PeerId]] = field(default_factory=list)

    @asynccontextmanager
    async def open_network(
        self,
        seed: bytes,
        genesis_hash: Hash,
        *,
        limits: Limits = DEFAULT_LIMITS,
        is_trusted_peer: Callable[[PeerId], bool] = lambda _: False,
    ) -> AsyncIterator[Switch]:
        """A node of the hub, until the block ends."""
        peer = compute_peer_id_of_seed(seed)
        async with trio.open_nursery() as nursery:
            admission = Admission(limits, is_trusted_peer, lambda _: False)
            bans = Bans(is_trusted_peer, lambda _: False)
            dialler = _MemoryDialler(self, peer)
            addresses = (str(PeerAddress(_HOST, 1024 + len(self._nodes), peer)),)
            switch = Switch(peer, genesis_hash, limits, admission, bans, nursery, dialler, addresses)
            self._nodes[peer] = (switch, nursery)
            try:
                yield switch
            finally:
                del self._nodes[peer]
                nursery.cancel_scope.cancel()

    async def cut(self, first: PeerId, second: PeerId) -> None:
        """Ends the connections between two nodes and prevents new ones."""
        self._cut.append(frozenset((first, second)))
        if first in self._nodes:
            await self._nodes[first][0].disconnect(second, "connection cut")

    def heal(self, first: PeerId, second: PeerId) -> None:
        """Lets two nodes connect again."""
        self._cut = [pair for pair in self._cut if pair != frozenset((first, second))]

    async def join(self, source: PeerId, address: PeerAddress) -> _MemoryConnection:
        """A connection from `source` to the node of that address; raises PeerGone."""
        await trio.lowlevel.checkpoint()
        if address.peer not in self._nodes or frozenset((source, address.peer)) in self._cut:
            raise PeerGone(f"nobody answers at {address}")
        switch, nursery = self._nodes[address.peer]
        mine = _MemoryConnection(address.peer, str(address), is_outbound=True)
        theirs = _MemoryConnection(source, str(PeerAddress(_HOST, 0, source)), is_outbound=False)
        mine.other, theirs.other = theirs, mine
        await nursery.start(_run_inbound, switch, theirs)
        return mine


@dataclass
class _MemoryDialler:
    hub: MemoryHub
    source: PeerId

    async def dial(self, address: PeerAddress) -> _MemoryConnection:
        return await self.hub.join(self.source, address)


async def _run_inbound(
    switch: Switch, connection: _MemoryConnection, *, task_status: trio.TaskStatus[None]
) -> None:
    try:
        await switch.run_connection(connection, task_status=task_status)
    except Refused:
        task_status.started()
