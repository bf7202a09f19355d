"""The replica of a running node, with its world, its gossip and its block sync."""

from collections.abc import Callable
from random import Random

from chain.primitives.types import Hash
from chain.votes import Evidence, Verify
from node.clock import Clock
from node.ledger.lane import Lane
from node.ledger.ledger import Ledger
from node.mempool.pool import Mempool
from node.replica.gossip import Gossip
from node.replica.journal import Journal
from node.replica.ports import CommitBlock
from node.replica.replica import Replica
from node.replica.signing.signer import Signer
from node.replica.sync.sync import Sync
from node.replica.timing import build_synchrony, build_timeouts
from node.replica.trio_world import ReplicaWorld, serve_sync
from p2p.network import Network


class ConsensusService:
    """Four parts that need each other; others know the replica alone."""

    def __init__(
        self,
        network: Network,
        lane: Lane,
        clock: Clock,
        ledger: Ledger,
        mempool: Mempool,
        verify: Verify,
        *,
        signer: Signer | None,
        journal: Journal,
        reveal: Callable[[], Hash | None],
        report: Callable[[Evidence], None],
    ) -> None:
        """`reveal` returns the beacon link for the next block, or None; `report` gets evidence."""
        self.world = ReplicaWorld(network, lane, clock)

        def build_gossip(replica: Replica) -> Gossip:
            self.gossip = Gossip(self.world, replica, mempool, verify)
            return self.gossip

        def build_sync(commit: CommitBlock) -> Sync:
            self.sync = Sync(self.world, ledger, verify, commit, Random())
            return self.sync

        parameters = ledger.get_parameters()
        self.replica = Replica(
            self.world,
            ledger,
            mempool,
            signer=signer,
            journal=journal,
            timeouts=build_timeouts(parameters),
            synchrony=build_synchrony(parameters),
            reveal=reveal,
            report=report,
            build_messenger=build_gossip,
            build_sync=build_sync,
        )
        serve_sync(network, ledger)
