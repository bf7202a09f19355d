"""What an attack program gets: the node to attack, and peers that come from an address of its choice.

Every address of 127.0.0.0/8 is this machine, so one machine can be many hosts. Attackers use addresses of
their own network, honest strangers those of another: a node must tell them apart as it would on the internet.
"""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import httpx
import trio
from libp2p.abc import ISecureConn
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX

from chain.modules import system
from chain.primitives.types import NO_HASH, Hash, PeerId
from node.version import SOFTWARE
from p2p.errors import NetworkError, PeerGone, get_first_failure
from p2p.identity import PeerAddress, compute_peer_id_of_seed, parse_address
from p2p.network import DEFAULT_LIMITS, NetworkEvent, PeerDisconnected, Stream
from p2p.peers.manager import ConnectedPeer, PeerCallbacks, PeerManager, run_peers
from p2p.switch.admission import Admission
from p2p.switch.bans import Bans
from p2p.switch.switch import Switch
from p2p.tcp.channel import TcpChannel
from p2p.tcp.connection import Libp2pConnection, Upgrader
from p2p.tcp.libp2p_setup import prepare_libp2p
from p2p.tcp.negotiation import propose_protocol
from p2p.wire.messages import Hello
from p2p.wire.protocols import CONSENSUS, POOL

SILENCE_SECONDS = 1.0
PAUSE_SECONDS = 0.1
"""Before an attacker that was cut connects again."""


@dataclass
class Target:
    """The node under attack, and when the attack began."""

    address: str
    genesis_hash: Hash
    network: int
    """The attackers' addresses begin with 127 and this number."""
    api: str
    """For what anybody may ask over HTTP: heights, parameters."""
    begun: float = field(default_factory=time.monotonic)
    is_cut: bool = False

    @property
    def place(self) -> PeerAddress:
        """Where the node listens."""
        return parse_address(self.address)

    def get_host(self, number: int, subnet: int = 1) -> str:
        """An address of the attacker."""
        return f"127.{self.network}.{subnet}.{1 + number % 254}"

    def note_cut(self, why: object) -> None:
        """Tells the parent when the node first cut a connection of the attacker."""
        if not self.is_cut:
            self.is_cut = True
            print(f"cut {time.monotonic() - self.begun:.2f} {why}", flush=True)


async def fetch_height(target: Target) -> int:
    """The node's height, as it tells anybody."""
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"{target.api}/v1/status")).json()["height"])


async def dial_tcp(target: Target, host: str) -> trio.SocketStream:
    """A TCP connection from that address."""
    place = target.place
    return await trio.open_tcp_stream(place.host, place.port, local_address=host)


@asynccontextmanager
async def dial_yamux(target: Target, host: str) -> AsyncIterator[ISecureConn]:
    """An authenticated connection whose muxer frames the attacker writes itself."""
    async with await dial_tcp(target, host) as stream:
        raw = RawConnection(TcpChannel(stream), initiator=True)
        await propose_protocol(raw, NOISE)
        keys = create_new_key_pair(secrets.token_bytes(32))
        noise = NoiseTransport(keys, create_x25519_key_pair().private_key)
        secure = await noise.secure_outbound(raw, ID(target.place.peer))
        await propose_protocol(secure, YAMUX)
        yield secure


class _Dialler(NamedTuple):
    """Dials from one address."""

    upgrader: Upgrader
    host: str

    async def dial(self, address: PeerAddress) -> Libp2pConnection:
        try:
            stream = await trio.open_tcp_stream(address.host, address.port, local_address=self.host)
        except OSError as error:
            raise PeerGone(str(error)) from error
        return await self.upgrader.upgrade_outbound(stream, address)


@asynccontextmanager
async def open_peer(
    genesis_hash: Hash, host: str, *, seed: bytes = b"", roles: int = 0, is_silent: bool = False
) -> AsyncIterator[Switch]:
    """A peer at that address that keeps the rules: says hello, answers pings, takes votes and transactions.
    `is_silent`: nothing of that.
    """
    try:
        async with _open_peer(genesis_hash, host, seed, roles, is_silent) as peer:
            yield peer
    except ExceptionGroup as group:
        raise get_first_failure(group) from None


@asynccontextmanager
async def _open_peer(
    genesis_hash: Hash, host: str, seed: bytes, roles: int, is_silent: bool
) -> AsyncIterator[Switch]:
    prepare_libp2p()
    seed = seed or secrets.token_bytes(32)
    hello = Hello(genesis_hash, SOFTWARE, system.SPEC_VERSION, 0, NO_HASH, roles, ())
    async with trio.open_nursery() as nursery:
        admission = Admission(DEFAULT_LIMITS, _trust, _trust_host)
        bans = Bans(_trust, _trust_host)
        dialler = _Dialler(Upgrader(seed, DEFAULT_LIMITS), host)
        peer = compute_peer_id_of_seed(seed)
        switch = Switch(peer, genesis_hash, DEFAULT_LIMITS, admission, bans, nursery, dialler, ())
        if not is_silent:
            switch.serve(CONSENSUS, _ignore)
            switch.serve(POOL, _ignore)
            callbacks = PeerCallbacks(lambda: hello, _accept, _stay, tuple, peers_wanted=0)
            await nursery.start(partial(run_peers, PeerManager(switch, callbacks)))
        try:
            yield switch
        finally:
            with trio.move_on_after(SILENCE_SECONDS, shield=True):
                await switch.close_all("done")
            nursery.cancel_scope.cancel()


async def keep_coming(target: Target, host: str, act: Callable[[Switch], Awaitable[None]]) -> None:
    """Connects and acts without end; when the connection is cut, comes back under a new identity."""
    while True:
        try:
            async with open_peer(target.genesis_hash, host) as peer:
                await peer.connect(target.address)
                await act(peer)
        except* NetworkError as group:
            target.note_cut(get_first_failure(group))
        await trio.sleep(PAUSE_SECONDS)


def watch_end(peer: Switch) -> trio.Event:
    """Set when a connection of the peer ends."""
    gone = trio.Event()

    def on_event(event: NetworkEvent) -> None:
        if isinstance(event, PeerDisconnected):
            gone.set()

    peer.watch(on_event)
    return gone


def _trust(_: PeerId) -> bool:
    return True


def _trust_host(_: str) -> bool:
    return True


def _accept(peer: PeerId, hello: Hello) -> None:
    """Whoever is dialled is the node under attack."""


async def _ignore(stream: Stream) -> None:
    while True:
        await stream.receive()


async def _stay(_: ConnectedPeer) -> None:
    await trio.sleep_forever()
