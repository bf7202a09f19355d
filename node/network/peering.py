"""What a node is to its peers: its hello, whom it dials, whom it trusts, what it does with each of them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from chain.modules import hosting, system
from chain.primitives.types import PeerId
from node.home.home import Home
from node.ledger.ledger import CommittedBlock, Ledger
from node.version import SOFTWARE
from p2p.errors import InvalidPeerAddress, RefusalCode, Refused
from p2p.identity import is_unspecified, parse_address
from p2p.network import Network
from p2p.peers.manager import ConnectedPeer, PeerCallbacks
from p2p.wire.messages import Hello, PeerRole
from storage.files import atomic_write

RunPeer = Callable[[PeerId], Awaitable[None]]


@dataclass
class TrustedPeers:
    """The current validators and the seeds: no count shuts them out, no score bans them.

    A host is an IP address that one of them names; names of hosts are not resolved for this.
    """

    peers: set[PeerId] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)

    def is_peer(self, peer: PeerId) -> bool:
        """Whether it is one of them."""
        return peer in self.peers

    def is_host(self, host: str) -> bool:
        """Whether one of them may come from there."""
        return host in self.hosts


class Peering:
    """Answers the questions that the peer manager has."""

    def __init__(
        self,
        network: Network,
        ledger: Ledger,
        home: Home,
        *,
        is_host: bool,
        seeds: Sequence[str],
        trust: TrustedPeers,
        run_peer: Sequence[RunPeer],
    ) -> None:
        """`trust` is kept filled with the current validators and the seeds. Each of `run_peer` runs for as
        long as a peer is connected.
        """
        self._network = network
        self._ledger = ledger
        self._home = home
        self._is_host = is_host
        self._seeds = tuple(seeds)
        self._trust = trust
        self._run_peers = tuple(run_peer)
        self._refresh_trust()

    def on_committed(self, _: CommittedBlock) -> None:
        """Another block may have another validator set, or another address of a validator."""
        self._refresh_trust()

    def build_callbacks(self) -> PeerCallbacks:
        """What the peer manager asks this node for."""
        return PeerCallbacks(
            build_hello=self._build_hello,
            check_hello=self._check_hello,
            run_peer=self._run_peer,
            get_wanted=self.get_wanted_addresses,
            load_book=self._home.load_peer_book,
            save_book=lambda data: atomic_write(self._home.peer_book, data),
            load_bans=self._home.load_peer_bans,
            save_bans=lambda data: atomic_write(self._home.peer_bans, data),
        )

    def _build_hello(self) -> Hello:
        roles = PeerRole.VALIDATOR | PeerRole.HOST if self._is_host else PeerRole(0)
        return Hello(
            genesis_hash=self._ledger.genesis_hash,
            software=SOFTWARE,
            spec_version=system.SPEC_VERSION,
            height=self._ledger.height,
            head_hash=self._ledger.head_hash,
            roles=int(roles),
            listen_addresses=tuple(
                text for text in self._network.addresses if not is_unspecified(parse_address(text).host)
            ),
        )

    def _check_hello(self, peer: PeerId, hello: Hello) -> None:
        if hello.spec_version != system.SPEC_VERSION:
            raise Refused(RefusalCode.NOT_SERVED, f"rules of version {hello.spec_version}")

    async def _run_peer(self, connected: ConnectedPeer) -> None:
        if connected.hello.roles & PeerRole.LIGHT:
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:
            for run_peer in self._run_peers:
                nursery.start_soon(run_peer, connected.peer)

    def get_wanted_addresses(self) -> tuple[str, ...]:
        """Addresses of the current validators, then the seeds."""
        of_validators = [host.addresses[0] for host in self._list_validator_hosts() if host.addresses]
        return tuple(dict.fromkeys([*of_validators, *self._seeds]))

    def _list_validator_hosts(self) -> list[hosting.Host]:
        """The host records of the current validators, as far as there are any."""
        members = self._ledger.get_validators().validators
        hosts = (hosting.get_host(self._ledger.state, member.address) for member in members)
        return [host for host in hosts if host is not None]

    def _refresh_trust(self) -> None:
        hosts = self._list_validator_hosts()
        self._trust.peers = {host.peer_id for host in hosts}
        self._trust.hosts = set()
        for text in (*self._seeds, *(address for host in hosts for address in host.addresses)):
            with suppress(InvalidPeerAddress):
                address = parse_address(text)
                self._trust.peers.add(address.peer)
                self._trust.hosts.add(address.host)
