"""What py-libp2p's GossipSub needs of a host, over our switch: an adapter only.

Streams carry bytes here (GossipSub frames them itself, with a bound), and failures become the exceptions that
it expects. Peer records of others are checked by libp2p and then dropped: addresses come from `peers` only.
"""

from types import SimpleNamespace
from typing import Any

import trio
from libp2p.abc import INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamClosed, StreamEOF
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from chain.primitives.types import PeerId
from p2p.errors import NetworkError, PeerGone
from p2p.network import NetworkEvent, PeerConnected
from p2p.switch.switch import Switch
from p2p.switch.transport import ByteStream


class GossipStream:
    """A byte stream as GossipSub sees it."""

    metric_send_channel = None

    def __init__(self, raw: ByteStream, peer: PeerId, protocol_id: str) -> None:
        self._raw = raw
        self._protocol_id = protocol_id
        self.muxed_conn = SimpleNamespace(peer_id=ID(peer))

    def get_protocol(self) -> str:
        """The negotiated protocol."""
        return self._protocol_id

    async def read(self, n: int) -> bytes:
        """Up to `n` bytes; raises StreamEOF at the end."""
        try:
            data = await self._raw.read(n)
        except PeerGone as error:
            raise StreamEOF from error
        if not data:
            raise StreamEOF
        return data

    async def write(self, data: bytes) -> None:
        """All of it; raises StreamClosed."""
        try:
            await self._raw.write(data)
        except PeerGone as error:
            raise StreamClosed from error

    async def reset(self) -> None:
        """Drops the stream in both directions."""
        await self._raw.abort()

    async def close(self) -> None:
        """As `reset`: GossipSub closes only streams that it is done with."""
        await self._raw.abort()


class _Records:
    """A peer store that keeps our own record only."""

    def __init__(self) -> None:
        self._own: Any = None

    def get_local_record(self) -> Any:
        return self._own

    def set_local_record(self, record: Any) -> None:
        self._own = record

    def consume_peer_record(self, record: Any, seconds: int) -> bool:
        return True

    def get_peer_record(self, peer: ID) -> None:
        return None


class GossipHost:
    """The host and its network in one object."""

    def __init__(self, switch: Switch, seed: bytes) -> None:
        self._switch = switch
        self._keys = create_new_key_pair(seed)
        self._records = _Records()
        self._notifees: list[INotifee] = []

    def get_id(self) -> ID:
        return ID(self._switch.peer_id)

    def get_private_key(self) -> Any:
        return self._keys.private_key

    def get_public_key(self) -> Any:
        return self._keys.public_key

    def get_addrs(self) -> list[Multiaddr]:
        return [Multiaddr(address) for address in self._switch.addresses]

    def get_peerstore(self) -> _Records:
        return self._records

    def get_network(self) -> "GossipHost":
        return self

    def register_notifee(self, notifee: INotifee) -> None:
        self._notifees.append(notifee)

    def get_connections(self, peer: ID) -> list[SimpleNamespace]:
        is_connected = self._switch.is_connected(peer.to_bytes())
        return [SimpleNamespace(muxed_conn=None)] if is_connected else []

    def set_stream_handler(self, protocol_id: str, handler: Any) -> None:
        async def handle(peer: PeerId, raw: ByteStream) -> None:
            await handler(GossipStream(raw, peer, protocol_id))

        self._switch.serve_bytes(protocol_id, handle)

    async def new_stream(self, peer: ID, protocol_ids: list[str]) -> GossipStream:
        try:
            raw = await self._switch.open_bytes(peer.to_bytes(), protocol_ids[0])
        except NetworkError as error:
            raise SwarmException(str(error)) from error
        return GossipStream(raw, peer.to_bytes(), protocol_ids[0])

    async def notify(self, events: trio.MemoryReceiveChannel[NetworkEvent]) -> None:
        """Passes the network's events on to GossipSub until cancelled."""
        async for event in events:
            connection = SimpleNamespace(muxed_conn=SimpleNamespace(peer_id=ID(event.peer)))
            for notifee in self._notifees:
                notify = notifee.connected if isinstance(event, PeerConnected) else notifee.disconnected
                await notify(self, connection)
