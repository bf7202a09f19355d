"""The peer manager: keeps connections, exchanges hellos, runs one task per peer, shares addresses.

For every connected peer, whoever dialled: both sides say hello on a stream of their own. A hello that is
refused or late ends the connection with a reason. Then the node's `run_peer` runs beside the pings, until it
ends or the connection does. What `run_peer` raises ends this peer's task only (`boundary.py`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
import trio

from chain.primitives.types import PeerId
from p2p.boundary import run_for_peer
from p2p.errors import PeerFault, PeerGone, Refused
from p2p.identity import format_peer, parse_address
from p2p.network import Network, NetworkEvent, PeerConnected
from p2p.peers.addresses import AddressBook
from p2p.peers.dialling import Dialling
from p2p.peers.liveness import PingTimes, answer_pings, run_pings
from p2p.wire.messages import Addresses, AddressesRequest, Hello
from p2p.wire.protocols import HELLO, PEERS, PING
from p2p.wire.requests import build_answerer, request

_log = structlog.get_logger("p2p")

HELLO_SECONDS_MAX = 10.0
ADDRESSES_SECONDS_MAX = 10.0
ADDRESSES_COUNT = 32
SAVE_SECONDS = 60.0
HELLOS_MAX = 64
REASONS_MAX = 256
REFUSAL_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class ConnectedPeer:
    """A peer that said hello and was accepted."""

    peer: PeerId
    hello: Hello
    address: str
    is_outbound: bool


@dataclass(frozen=True, slots=True)
class PeerCallbacks:
    """The node's part in the peer manager.

    `build_hello` is called for each greeting. `check_hello` raises Refused or PeerFault; the genesis hash is
    checked before it. `run_peer` runs while the peer is connected. `get_wanted` names the addresses
    that must stay connected (validators, seeds).
    """

    build_hello: Callable[[], Hello]
    check_hello: Callable[[PeerId, Hello], None]
    run_peer: Callable[[ConnectedPeer], Awaitable[None]]
    get_wanted: Callable[[], tuple[str, ...]]
    load_book: Callable[[], bytes] = bytes
    save_book: Callable[[bytes], None] = lambda data: None
    load_bans: Callable[[], bytes] = bytes
    save_bans: Callable[[bytes], None] = lambda data: None
    peers_wanted: int = 16
    """How many this node dials; peers that dial it come on top."""
    ping_times: PingTimes = field(default_factory=PingTimes)


class PeerManager:
    """Peers that said hello, and why others left. Runs with `run_peers`."""

    def __init__(self, network: Network, callbacks: PeerCallbacks) -> None:
        self.network = network
        self.callbacks = callbacks
        self.book = AddressBook(network.peer_id)
        self.book.load(callbacks.load_book())
        network.load_bans(callbacks.load_bans())
        self.peers: dict[PeerId, ConnectedPeer] = {}
        self.reasons: dict[PeerId, str] = {}
        self._scopes: dict[PeerId, trio.CancelScope] = {}
        self.dialling = Dialling(network, self.book, callbacks.get_wanted, callbacks.peers_wanted)
        self._serve()

    def _serve(self) -> None:
        """Called in the constructor, so that no peer connects before hellos are answered."""
        self.network.serve(HELLO, build_answerer(Hello, self._answer_hello, HELLOS_MAX))
        self.network.serve(PING, answer_pings)
        self.network.serve(PEERS, build_answerer(AddressesRequest, self._answer_addresses, HELLOS_MAX))

    async def run_peer(self, event: PeerConnected) -> None:
        """Runs one peer from its hello to the end of its connection."""
        begun = trio.current_time()
        with trio.CancelScope() as scope:
            self._scopes[event.peer] = scope
            await run_for_peer(event.peer, lambda: self._run_connected(event), self.network.blame)
            await self.network.disconnect(event.peer, self.reasons.get(event.peer, "done"))
        if self._scopes.get(event.peer) is scope:
            del self._scopes[event.peer]
        if event.is_outbound:
            self.dialling.on_lost(event.address, trio.current_time() - begun)

    def on_disconnected(self, peer: PeerId) -> None:
        """Cancels the task of a peer whose last connection ended."""
        scope = self._scopes.pop(peer, None)
        if scope is not None:
            scope.cancel()

    async def _run_connected(self, event: PeerConnected) -> None:
        hello = await self._greet(event.peer)
        connected = ConnectedPeer(event.peer, hello, event.address, event.is_outbound)
        self.book.hear(hello.listen_addresses, event.peer, parse_address(event.address).host)
        self.peers[event.peer] = connected
        _log.info("peer_connected", peer=format_peer(event.peer), height=hello.height)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_pings, self.network, event.peer, self.callbacks.ping_times)
                if event.is_outbound:
                    nursery.start_soon(self._ask_addresses, event)
                await self.callbacks.run_peer(connected)
                nursery.cancel_scope.cancel()
        finally:
            if self.peers.get(event.peer) is connected:
                del self.peers[event.peer]

    async def _greet(self, peer: PeerId) -> Hello:
        try:
            hello = await request(
                self.network, peer, HELLO, self.callbacks.build_hello(), Hello, HELLO_SECONDS_MAX
            )
        except (Refused, PeerGone) as error:
            self._note_reason(peer, f"hello: {error}")
            raise
        try:
            self._check(peer, hello)
        except Refused as error:
            self._note_reason(peer, f"hello refused by us: {error}")
            # Not at once: our answer to its own hello tells it the reason, and then it leaves by itself.
            await trio.sleep(REFUSAL_SECONDS)
            raise
        return hello

    async def _answer_hello(self, peer: PeerId, hello: Hello) -> Hello:
        self._check(peer, hello)
        return self.callbacks.build_hello()

    def _check(self, peer: PeerId, hello: Hello) -> None:
        if hello.genesis_hash != self.network.genesis_hash:
            raise PeerFault("hello of another network", points=100)
        self.callbacks.check_hello(peer, hello)

    async def _ask_addresses(self, event: PeerConnected) -> None:
        peer, message = event.peer, AddressesRequest(ADDRESSES_COUNT)
        try:
            answer = await request(self.network, peer, PEERS, message, Addresses, ADDRESSES_SECONDS_MAX)
        except Refused:
            return
        self.book.hear(answer.addresses[:ADDRESSES_COUNT], peer, parse_address(event.address).host)
        self.dialling.wake()

    async def _answer_addresses(self, peer: PeerId, message: AddressesRequest) -> Addresses:
        return Addresses(self.book.sample_reached(message.count))

    def _note_reason(self, peer: PeerId, reason: str) -> None:
        self.reasons.pop(peer, None)
        self.reasons[peer] = reason
        if len(self.reasons) > REASONS_MAX:
            del self.reasons[next(iter(self.reasons))]


async def run_peers(
    manager: PeerManager, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Runs the peer manager until cancelled."""
    async with trio.open_nursery() as nursery:

        def on_event(event: NetworkEvent) -> None:
            if isinstance(event, PeerConnected):
                nursery.start_soon(manager.run_peer, event)
            else:
                manager.on_disconnected(event.peer)

        unwatch = manager.network.watch(on_event)
        try:
            for peer, info in {info.peer: info for info in manager.network.connections()}.items():
                on_event(PeerConnected(peer, info.address, info.is_outbound))
            nursery.start_soon(manager.dialling.run)
            nursery.start_soon(_save_files, manager)
            task_status.started()
            await trio.sleep_forever()
        finally:
            unwatch()


async def _save_files(manager: PeerManager) -> None:
    """Saves address book and bans every SAVE_SECONDS and at the end."""
    try:
        while True:
            await trio.sleep(SAVE_SECONDS)
            _save(manager)
    finally:
        _save(manager)


def _save(manager: PeerManager) -> None:
    manager.callbacks.save_book(manager.book.encode())
    manager.callbacks.save_bans(manager.network.encode_bans())
