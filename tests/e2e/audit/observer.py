"""A peer that listens to consensus: what every node sends to everybody goes into an audit of signatures.

It runs in a thread with a loop of its own, dials the nodes again when they come back, and says nothing.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread

import trio

from chain.modules import system
from chain.primitives.types import NO_HASH, Hash, PeerId
from chain.votes import SignedProposal, SignedVote
from node.version import SOFTWARE
from p2p.network import Stream
from p2p.peers.manager import ConnectedPeer, PeerCallbacks, PeerManager, run_peers
from p2p.tcp.host import open_network
from p2p.wire.messages import CompactProposal, ConsensusMessage, Hello, Votes
from p2p.wire.protocols import CONSENSUS, POOL
from p2p.wire.requests import receive_message
from tests.e2e.audit.signatures import Audit

READY_SECONDS_MAX = 30.0


class Observer:
    """Hears votes and proposals of all nodes that it reaches."""

    def __init__(self, addresses: Sequence[str], genesis_hash: Hash, audit: Audit) -> None:
        self._addresses, self._genesis_hash, self._audit = tuple(addresses), genesis_hash, audit
        self.heard = 0
        self.is_ready = Event()
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None

    async def run(self) -> None:
        """Until `stop`."""
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            seed, listen = secrets.token_bytes(32), "/ip4/127.0.0.1/tcp/0"
            async with open_network(seed, self._genesis_hash, listen) as self._network:
                network = self._network
                network.serve(CONSENSUS, self._listen)
                network.serve(POOL, _ignore)
                async with trio.open_nursery() as nursery:
                    await nursery.start(partial(run_peers, PeerManager(network, self._build_callbacks())))
                    self.is_ready.set()

    def stop(self) -> None:
        """From another thread."""
        if self._token is not None:
            trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)

    def _build_callbacks(self) -> PeerCallbacks:
        hello = Hello(
            genesis_hash=self._genesis_hash,
            software=SOFTWARE,
            spec_version=system.SPEC_VERSION,
            height=0,
            head_hash=NO_HASH,
            roles=0,
            listen_addresses=(),
        )
        return PeerCallbacks(
            build_hello=lambda: hello,
            check_hello=_accept,
            run_peer=self._run_peer,
            get_wanted=lambda: self._addresses,
        )

    async def _run_peer(self, connected: ConnectedPeer) -> None:
        """Stays connected, and says nothing."""
        await trio.sleep_forever()

    async def _listen(self, stream: Stream) -> None:
        while True:
            match await receive_message(stream, ConsensusMessage):
                case Votes(votes):
                    for signed in votes:
                        self._note(signed)
                case CompactProposal(proposal):
                    self._note(proposal)

    def _note(self, signed: SignedVote | SignedProposal) -> None:
        self.heard += 1
        self._audit.note(signed.vote if isinstance(signed, SignedVote) else signed.proposal)


async def _ignore(stream: Stream) -> None:
    while True:
        await stream.receive()


def _accept(peer: PeerId, hello: Hello) -> None:
    """Whoever it is."""


@contextmanager
def observe(addresses: Sequence[str], genesis_hash: Hash, audit: Audit) -> Iterator[Observer]:
    """Listens while the block runs; the audit is to be read afterwards."""
    with run_beside(Observer(addresses, genesis_hash, audit)) as observer:
        yield observer


@contextmanager
def run_beside(observer: Observer) -> Iterator[Observer]:
    """Runs one while the block does."""
    thread = Thread(target=trio.run, args=(observer.run,), daemon=True)
    thread.start()
    try:
        assert observer.is_ready.wait(READY_SECONDS_MAX)
        yield observer
    finally:
        observer.stop()
        thread.join()
