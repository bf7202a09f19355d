"""The network above the transport: connections, protocols, limits and scores, for libp2p and memory alike.

Invariants: a connection is in the table exactly while it runs; watchers get PeerConnected before the first
and PeerDisconnected after the last stream of a peer; every stream counts against its protocol's bound; a
banned peer has no connection. Not here: moving bytes (`transport`) and the content of messages.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
import trio

from chain.primitives.types import Hash, PeerId
from p2p.boundary import run_for_peer
from p2p.errors import PeerFault, PeerGone, RefusalCode, Refused
from p2p.identity import format_peer, parse_address
from p2p.network import (
    BanInfo,
    ConnectionInfo,
    Limits,
    NetworkEvent,
    PeerConnected,
    PeerDisconnected,
    ProtocolSpec,
    Stream,
    StreamHandler,
)
from p2p.switch.admission import Admission
from p2p.switch.bans import Bans
from p2p.switch.framing import FramedStream, Meter
from p2p.switch.transport import ByteStream, Dialler, SecureConnection

_log = structlog.get_logger("p2p")

LINGER_SECONDS_MAX = 5.0
ByteHandler = Callable[[PeerId, ByteStream], Awaitable[None]]
STREAM_FLOOD_POINTS = 10


@dataclass(slots=True)
class _OpenConnection:
    """A running connection and the number of its streams per protocol."""

    connection: SecureConnection
    since: float
    streams: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Peer:
    """The state of a connected peer, over all its connections."""

    connections: list[_OpenConnection] = field(default_factory=list)
    meters: dict[str, Meter] = field(default_factory=dict)
    reason: str = "connection lost"
    gone: trio.Event = field(default_factory=trio.Event)


class Switch:
    """A `network.Network` over a transport."""

    def __init__(
        self,
        peer_id: PeerId,
        genesis_hash: Hash,
        limits: Limits,
        admission: Admission,
        bans: Bans,
        nursery: trio.Nursery,
        dialler: Dialler,
        addresses: tuple[str, ...],
    ) -> None:
        self.peer_id = peer_id
        self.genesis_hash = genesis_hash
        self.addresses = addresses
        self.limits = limits
        self.admission = admission
        self.scores = bans.peers
        self._bans = bans
        self._nursery = nursery
        self._dialler = dialler
        self._served: dict[str, tuple[ProtocolSpec, StreamHandler]] = {}
        self._served_bytes: dict[str, ByteHandler] = {}
        self._peers: dict[PeerId, _Peer] = {}
        self._watchers: list[Callable[[NetworkEvent], None]] = []

    def serve(self, protocol: ProtocolSpec, handler: StreamHandler) -> None:
        self._served[protocol.build_id(self.genesis_hash)] = (protocol, handler)

    def serve_bytes(self, protocol_id: str, handler: ByteHandler) -> None:
        """Answers streams of a protocol that has its own framing (GossipSub); one stream per peer."""
        self._served_bytes[protocol_id] = handler

    async def open_bytes(self, peer: PeerId, protocol_id: str) -> ByteStream:
        """A stream of a protocol that has its own framing; raises PeerGone, Refused."""
        entry = self._peers.get(peer)
        if entry is None:
            raise PeerGone(f"not connected to {format_peer(peer)}")
        raw = None
        with trio.move_on_after(self.limits.open_seconds_max):
            raw = await entry.connections[-1].connection.open_stream(protocol_id)
        if raw is None:
            raise PeerGone(f"opening {protocol_id} took too long")
        return raw

    def get_served(self) -> tuple[str, ...]:
        """The names of the served protocols."""
        return (*self._served, *self._served_bytes)

    async def connect(self, address: str) -> PeerId:
        place = parse_address(address)
        self._bans.check_peer(place.peer)
        if place.peer == self.peer_id:
            raise Refused(RefusalCode.NOT_SERVED, "this node's own address")
        if self.is_connected(place.peer):
            return place.peer
        connection = None
        with trio.move_on_after(self.limits.dial_seconds_max):
            connection = await self._dialler.dial(place)
        if connection is None:
            raise PeerGone(f"dialling {address} took too long")
        await self._nursery.start(self._run_dialled, connection)
        if not self.is_connected(place.peer):
            raise PeerGone("over our own limits, or lost at once")
        return place.peer

    async def open(self, peer: PeerId, protocol: ProtocolSpec) -> Stream:
        raw = await self.open_bytes(peer, protocol.build_id(self.genesis_hash))
        entry = self._peers.get(peer, _Peer())
        host = entry.connections[-1].connection.host if entry.connections else ""
        return FramedStream(raw, peer, host, protocol, self._get_meter(entry, protocol))

    async def disconnect(self, peer: PeerId, reason: str) -> None:
        entry = self._peers.get(peer)
        if entry is None:
            return
        entry.reason = reason
        for opened in tuple(entry.connections):
            await opened.connection.close()
        await entry.gone.wait()

    async def close_all(self, reason: str) -> None:
        """Ends every connection."""
        async with trio.open_nursery() as nursery:
            for peer in tuple(self._peers):
                nursery.start_soon(self.disconnect, peer, reason)

    async def ban(self, peer: PeerId, seconds: float, reason: str) -> None:
        self.scores.ban(peer, reason, seconds)
        await self.disconnect(peer, f"banned: {reason}")

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        _log.info("peer_fault", peer=format_peer(peer), reason=fault.reason, points=fault.points)
        is_spent, groups = self._bans.lower(peer, self._get_hosts(peer), fault)
        if is_spent:
            self._nursery.start_soon(self.disconnect, peer, f"banned: {fault.reason}")
        for group in groups:
            _log.warning("hosts_banned", hosts=group, reason=fault.reason)
        for other in tuple(self._peers) if groups else ():
            if any(self._bans.is_banned_host(host) for host in self._get_hosts(other)):
                self._nursery.start_soon(self.disconnect, other, f"hosts banned: {fault.reason}")

    def is_connected(self, peer: PeerId) -> bool:
        return peer in self._peers

    def connections(self) -> tuple[ConnectionInfo, ...]:
        return tuple(
            self._describe(entry, opened) for entry in self._peers.values() for opened in entry.connections
        )

    def bans(self) -> tuple[BanInfo, ...]:
        return self._bans.list()

    def encode_bans(self) -> bytes:
        return self._bans.encode()

    def load_bans(self, data: bytes) -> None:
        self._bans.load(data)

    def check_host(self, host: str) -> None:
        """Raises Refused if the group of the host is banned; before a handshake."""
        if self._bans.is_banned_host(host):
            raise Refused(RefusalCode.BANNED, host)

    def watch(self, on_event: Callable[[NetworkEvent], None]) -> Callable[[], None]:
        self._watchers.append(on_event)
        return lambda: self._watchers.remove(on_event)

    async def run_connection(
        self, connection: SecureConnection, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Runs an authenticated connection from admission to its end; raises Refused."""
        try:
            self._bans.check_peer(connection.peer)
            victim = self.admission.make_room(connection)
            if victim is not None:
                self._nursery.start_soon(victim.close)
            with self.admission.hold_connection(connection):
                await self._run(connection, task_status)
        finally:
            with trio.CancelScope(shield=True):
                await connection.close()

    async def _run_dialled(self, connection: SecureConnection, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self.run_connection(connection, task_status=task_status)
        except Refused as refusal:
            _log.debug("dialled_peer_not_kept", reason=str(refusal))
            task_status.started()

    async def _run(self, connection: SecureConnection, task_status: trio.TaskStatus[None]) -> None:
        opened = _OpenConnection(connection, trio.current_time())
        self._add(opened)
        task_status.started()
        try:
            await run_for_peer(connection.peer, lambda: self._serve_streams(opened), self.blame)
        finally:
            self._remove(opened)

    async def _serve_streams(self, opened: _OpenConnection) -> None:
        async def on_stream(protocol_id: str, raw: ByteStream) -> None:
            await self._serve_stream(opened, protocol_id, raw)

        await opened.connection.run(self.get_served, on_stream)

    async def _serve_stream(self, opened: _OpenConnection, protocol_id: str, raw: ByteStream) -> None:
        if protocol_id in self._served_bytes:
            await self._serve_byte_stream(opened, protocol_id, raw)
            return
        protocol, handler = self._served[protocol_id]
        peer = opened.connection.peer
        entry = self._peers[peer]
        host = opened.connection.host
        stream = FramedStream(raw, peer, host, protocol, self._get_meter(entry, protocol))
        if sum(each.streams[protocol.name] for each in entry.connections) >= protocol.streams_per_peer_max:
            await stream.reset()
            self.blame(peer, PeerFault(f"{protocol.name}: too many streams", STREAM_FLOOD_POINTS))
            return
        opened.streams[protocol.name] += 1
        try:
            if await run_for_peer(peer, lambda: handler(stream), self.blame):
                with trio.move_on_after(LINGER_SECONDS_MAX):
                    await stream.finish()
        finally:
            opened.streams[protocol.name] -= 1
            await stream.reset()

    async def _serve_byte_stream(self, opened: _OpenConnection, protocol_id: str, raw: ByteStream) -> None:
        peer = opened.connection.peer
        is_first = not opened.streams[protocol_id]
        opened.streams[protocol_id] += 1
        try:
            if is_first:
                await run_for_peer(peer, lambda: self._served_bytes[protocol_id](peer, raw), self.blame)
        finally:
            opened.streams[protocol_id] -= 1
            await raw.abort()

    def _add(self, opened: _OpenConnection) -> None:
        connection = opened.connection
        entry = self._peers.setdefault(connection.peer, _Peer())
        entry.connections.append(opened)
        if len(entry.connections) == 1:
            self._notify(PeerConnected(connection.peer, connection.address, connection.is_outbound))

    def _remove(self, opened: _OpenConnection) -> None:
        peer = opened.connection.peer
        entry = self._peers[peer]
        entry.connections.remove(opened)
        if not entry.connections:
            del self._peers[peer]
            entry.gone.set()
            self._notify(PeerDisconnected(peer, entry.reason))

    def _notify(self, event: NetworkEvent) -> None:
        for on_event in tuple(self._watchers):
            on_event(event)

    def _get_hosts(self, peer: PeerId) -> set[str]:
        """The hosts from which the peer connected."""
        entry = self._peers.get(peer)
        opened = entry.connections if entry is not None else []
        return {one.connection.host for one in opened if not one.connection.is_outbound}

    def _get_meter(self, entry: _Peer, protocol: ProtocolSpec) -> Meter:
        return entry.meters.setdefault(protocol.name, Meter(protocol))

    def _describe(self, entry: _Peer, opened: _OpenConnection) -> ConnectionInfo:
        connection = opened.connection
        return ConnectionInfo(
            peer=connection.peer,
            address=connection.address,
            is_outbound=connection.is_outbound,
            since=opened.since,
            bytes_in=sum(meter.bytes_in for meter in entry.meters.values()),
            bytes_out=sum(meter.bytes_out for meter in entry.meters.values()),
            streams=opened.streams.total(),
            score=self.scores.get_score(connection.peer),
        )
