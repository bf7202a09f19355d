"""The network as the rest of the node sees it: peers, streams of whole frames, and bounds on everything.

Two implementations pass the same tests: `tcp.host.open_network` (libp2p) and
`memory.MemoryHub.open_network` (no sockets). No type of libp2p leaves `p2p/`.

A handler is called once per inbound stream, in its own task behind the per-peer boundary: PeerFault costs
the peer points, PeerGone and Refused end the stream, anything else is logged as a bug and ends the stream.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chain.primitives.types import Hash, PeerId
from p2p.errors import PeerFault


@dataclass(frozen=True, slots=True)
class ProtocolSpec:
    """A protocol with all bounds on what a peer may do in it.

    Rates hold per peer, over all its streams of the protocol: a peer above them is read more slowly. A frame
    that has begun must end within `frame_seconds_max`; the next must begin within `idle_seconds_max`.
    `kind_bytes_max` bounds frames by the number that their record starts with; a kind that is not in it is
    refused.
    """

    name: str
    version: int
    frame_bytes_max: int
    streams_per_peer_max: int
    frames_per_second_max: int
    bytes_per_second_max: int
    frame_seconds_max: float = 30.0
    idle_seconds_max: float = math.inf
    kind_bytes_max: Mapping[int, int] = field(default_factory=dict)

    def build_id(self, genesis_hash: Hash) -> str:
        """The protocol's name on the wire; it differs between networks."""
        return f"/vidya/{genesis_hash[:4].hex()}/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what strangers may take of a node. Trusted peers are exempt from counts, not from times."""

    connections_max: int = 192
    inbound_max: int = 128
    handshakes_max: int = 64
    handshakes_per_host_max: int = 8
    connections_per_host_max: int = 32
    connections_per_peer_max: int = 2
    streams_per_connection_max: int = 128
    buffered_bytes_per_connection_max: int = 32 * 2**20
    handshake_seconds_max: float = 10.0
    dial_seconds_max: float = 10.0
    open_seconds_max: float = 10.0
    write_seconds_max: float = 20.0


DEFAULT_LIMITS = Limits()


class Stream(Protocol):
    """Whole frames both ways, in order. One task may send while another receives."""

    @property
    def peer(self) -> PeerId:
        """The peer at the other end, proved by the handshake."""

    @property
    def host(self) -> str:
        """The IP address of the peer."""

    async def send(self, frame: bytes) -> None:
        """Hands one frame over; raises PeerGone, MessageTooLarge. A cancelled or failed send ends the
        stream.
        """

    async def receive(self) -> bytes:
        """The next frame; raises StreamEnded, PeerGone, PeerSlow, or PeerFault for a forbidden length."""

    async def close(self) -> None:
        """Announces that no more frames follow; receiving goes on."""

    async def reset(self) -> None:
        """Drops the stream in both directions, with all that is under way."""


StreamHandler = Callable[[Stream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """The first connection with the peer was made."""

    peer: PeerId
    address: str
    is_outbound: bool


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """The last connection with the peer ended."""

    peer: PeerId
    reason: str


NetworkEvent = PeerConnected | PeerDisconnected


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A connection as `peers` shows it. `since` is in seconds of the trio clock."""

    peer: PeerId
    address: str
    is_outbound: bool
    since: float
    bytes_in: int
    bytes_out: int
    streams: int
    score: int


@dataclass(frozen=True, slots=True)
class BanInfo:
    """A ban as `peers` shows it: of a peer, or of a group of hosts."""

    peer: PeerId | None
    group: str
    seconds_left: float
    reason: str


class Network(Protocol):
    """The network, for the rest of the node."""

    @property
    def peer_id(self) -> PeerId:
        """This node's peer id."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses at which this node listens, with its peer id, as others dial them."""

    @property
    def genesis_hash(self) -> Hash:
        """The genesis hash; protocol names carry its first bytes."""

    def serve(self, protocol: ProtocolSpec, handler: StreamHandler) -> None:
        """Answers inbound streams of the protocol with `handler` from now on."""

    async def connect(self, address: str) -> PeerId:
        """A connection with that peer, new or existing; raises InvalidPeerAddress, PeerGone, PeerFault,
        Refused."""

    async def open(self, peer: PeerId, protocol: ProtocolSpec) -> Stream:
        """A new stream with a connected peer; raises PeerGone, or Refused if the peer does not serve it."""

    async def disconnect(self, peer: PeerId, reason: str) -> None:
        """Ends every connection with the peer."""

    async def ban(self, peer: PeerId, seconds: float, reason: str) -> None:
        """Disconnects the peer and refuses it for this time."""

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        """Takes points from the peer's score; at zero it is banned."""

    def is_connected(self, peer: PeerId) -> bool:
        """Whether there is a connection now."""

    def connections(self) -> tuple[ConnectionInfo, ...]:
        """Every connection, oldest first."""

    def bans(self) -> tuple[BanInfo, ...]:
        """Every ban in force."""

    def encode_bans(self) -> bytes:
        """The bans in force as a file."""

    def load_bans(self, data: bytes) -> None:
        """Puts the bans of a file into force."""

    def watch(self, on_event: Callable[[NetworkEvent], None]) -> Callable[[], None]:
        """Calls `on_event` at once at every change, in order; it must not raise. Returns a function
        that ends it.
        """
