"""A node for gossip tests: a real replica and its gossip without a loop, and peers that send anything.

The node is an observer of a chain whose validators are all the forge's. It decides only if the test sends
enough votes.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from chain.modules import balances
from chain.primitives.codec import decode, encode, replace
from chain.primitives.keys import is_signed_by
from chain.primitives.types import PeerId
from chain.transaction import SignedTransaction
from chain.votes import VoteKind
from consensus.types import Step
from node.mempool.pool import Mempool, Pooled
from node.replica.gossip import Gossip
from node.replica.journal import Journal
from node.replica.replica import Replica
from node.replica.timing import build_synchrony, build_timeouts
from p2p.errors import PeerFault
from p2p.wire.messages import ConsensusMessage
from storage.wal import Wal
from tests.node.forge import BOB, Forge
from tests.node.turns import Turns, count_points
from tests.node.validator_rig import TestSync
from tests.storage.faulty_disk import FaultyDisk

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
SEND = balances.Send(BOB.address, 1)
M = TypeVar("M")


@dataclass
class Peer:
    """A peer of the node that sends what the test wants."""

    peer_id: PeerId
    scene: "Scene"
    heard_before: int = 0

    def say(self, *messages: ConsensusMessage) -> None:
        """Send over the wire, and wait until the node has handled it."""
        for message in messages:
            received: ConsensusMessage = decode(ConsensusMessage, encode(message))  # type: ignore[arg-type]
            try:
                self.scene.gossip.on_message(self.peer_id, received)
            except PeerFault as fault:
                self.scene.world.blame(self.peer_id, fault)
            self.scene.world.settle()

    def forget(self) -> None:
        """Forget the messages it got so far."""
        self.heard_before = len(self.scene.world.sent)

    def list_heard(self, kind: type[M]) -> list[M]:
        """The messages of that kind that the node sent it."""
        sent = self.scene.world.sent[self.heard_before :]
        return [message for peer, message in sent if peer == self.peer_id and isinstance(message, kind)]

    def leave(self) -> None:
        """Close the connection."""
        del self.scene.world.connected[self.peer_id]
        self.scene.gossip.disconnected(self.peer_id)

    @property
    def score(self) -> int:
        """Its score at the node."""
        return 100 - count_points(self.scene.world.blamed, self.peer_id)


@dataclass
class Scene:
    """The node under test, at genesis; it works on height 1."""

    forge: Forge = field(default_factory=Forge)
    reported: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = Turns(self.forge.ledger.head.time_ms + 10)
        observed, self.mempool = Forge(spec=self.forge.spec), Mempool()
        parameters = observed.ledger.get_parameters()
        self.replica = Replica(
            self.world,
            observed.ledger,
            self.mempool,
            signer=None,
            journal=Journal(Wal.create(Path("wal"), 1, FaultyDisk())),
            timeouts=build_timeouts(replace(parameters, propose_timeout_ms=10**6, vote_timeout_ms=10**6)),
            synchrony=build_synchrony(parameters),
            reveal=lambda: None,
            report=self.reported.append,
            build_messenger=self._build_gossip,
            build_sync=TestSync,
        )
        self.gossip.start()
        self.replica.start()
        self.world.wait_until(lambda: self.replica.core.step is not Step.UNSTARTED)

    def _build_gossip(self, replica: Replica) -> Gossip:
        self.gossip = Gossip(self.world, replica, self.mempool, is_signed_by)
        return self.gossip

    def join(self, number: int) -> Peer:
        """Connect a peer to the node."""
        peer = Peer(bytes((number,)) * 32, self, len(self.world.sent))
        self.world.connected[peer.peer_id] = None
        self.gossip.connected(peer.peer_id)
        return peer

    def wait_in_pool(self, signed: SignedTransaction) -> None:
        """Put the transaction into the node's pool."""
        pooled = Pooled(signed.id, signed, 300, 200, False)
        self.mempool.add(pooled, self.replica.ledger)
