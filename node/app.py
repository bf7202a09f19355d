"""The node: everything that runs, and what knows what. `Node.__init__` and `run_node` are its wiring diagram.

    open_stores      lock, database, log, sign-state, content      outermost, closed last
    open_network     libp2p
    nursery          peers, consensus, gossip, duties, content, API thread: cancelled together

A failure in consensus, execution or storage ends the whole tree: a node in doubt stops.
"""

from collections.abc import Callable
from functools import partial

import structlog
import trio

from chain.genesis import ChainSpec, compute_genesis_hash
from chain.modules import beacon, system
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from node.api.server import run_api
from node.api.services import ApiServices
from node.clock import WallClock
from node.consensus_service import ConsensusService
from node.content.services import ContentServices
from node.duties.duties import Duties, Hosting
from node.duties.punishments import Punishments
from node.duties.reveals import Reveals
from node.home.config import NodeConfig
from node.home.home import Home
from node.home.node_keys import Keys
from node.ledger.lane import Lane
from node.ledger.ledger import Ledger
from node.ledger.signatures import SignatureMemory
from node.ledger.snapshots import SnapshotService
from node.mempool.gossip import PoolGossip
from node.mempool.pool import Mempool
from node.metrics import Metrics, run_loop_lag
from node.network.head_announcer import HeadAnnouncer, HeadJudge
from node.network.peering import Peering, TrustedPeers
from node.recovery import run_disk_watch
from node.replica.journal import Journal
from node.replica.signing.signer import Signer
from node.state_sync.joining import begin_at_snapshot
from node.stopping import run_until_stopped, wait_for_stop
from node.stores import Stores, open_stores
from node.version import VERSION
from p2p.gossip.head_topic import HeadTopic, run_head_topic
from p2p.network import Network
from p2p.peers.manager import PeerManager, run_peers
from p2p.switch.switch import Switch
from p2p.tcp.host import open_network
from storage.snapshots import SnapshotFiles

_log = structlog.get_logger("node")


class Node:
    """The parts of a running node, made in the order in which they need each other."""

    def __init__(
        self,
        home: Home,
        config: NodeConfig,
        spec: ChainSpec,
        keys: Keys,
        stores: Stores,
        network: Network,
        trust: TrustedPeers | None = None,
    ) -> None:
        """`trust`, if given, is kept filled with the current validators and the seeds."""
        self.home, self.config, self.spec, self.keys, self.network = home, config, spec, keys, network
        self.clock, self.lane, self.signatures = WallClock(), Lane(), SignatureMemory()
        check, verify = self.signatures.check, self.signatures.verify
        self.ledger = Ledger(
            stores.database, spec, check=check, verify=verify, blocks_kept=config.blocks_kept
        )
        self.mempool = Mempool()
        self.pool = PoolGossip(network, self.ledger, self.mempool, self.signatures)
        self.content = ContentServices(
            network, self.ledger, config, keys.account, stores.content, stores.vouchers, verify, home.losses
        )
        book = self.content.book
        peer_key = KeyPair(keys.network_seed)
        hosting = None if book is None else Hosting(self.content.lane, book, peer_key)
        self.duties = Duties(self.ledger, self.lane, self.pool.submit, keys.duty, hosting)
        self.reveals = Reveals(keys.beacon_secret)
        self.consensus = ConsensusService(
            network,
            self.lane,
            self.clock,
            self.ledger,
            self.mempool,
            verify,
            signer=self._build_signer(stores),
            journal=Journal(stores.wal),
            reveal=self._get_reveal,
            report=self.duties.report,
        )
        self.replica, self.sync = self.consensus.replica, self.consensus.sync
        files = SnapshotFiles(home.snapshots)
        self.snapshots = SnapshotService(network, self.ledger, files, lambda: self.sync.is_syncing)
        self.peering = Peering(
            network,
            self.ledger,
            home,
            is_host=keys.account is not None,
            seeds=[*spec.seeds, *config.seeds],
            trust=TrustedPeers() if trust is None else trust,
            run_peer=[self.consensus.world.run_peer, self.pool.run_peer],
        )
        self.peers = PeerManager(network, self.peering.build_callbacks())
        self.metrics = Metrics(keys.account)
        self._watch()

    def _watch(self) -> None:
        """Connects the parts that want to know of final blocks, and those that have figures."""
        punishments = Punishments(self.keys.account)
        for listener in (self.duties, self.metrics, punishments, self.snapshots, self.peering):
            self.replica.listeners.append(listener.on_committed)
        scrubber = self.content.scrubber
        self.metrics.watch("host_scrubbed_bytes", "Read by the scrub", lambda: scrubber.bytes_read)
        self.metrics.watch(
            "host_chunks_damaged", "Found damaged by the scrub", lambda: scrubber.chunks_damaged
        )

    def _build_signer(self, stores: Stores) -> Signer | None:
        """None for an observer."""
        if self.keys.account is None:
            return None
        genesis_hash, account = self.ledger.genesis_hash, self.keys.account
        return Signer(account, self.keys.consensus, stores.sign_state, genesis_hash, stores.sign_log)

    def _get_reveal(self) -> Hash | None:
        """The beacon link for the next block, if this node is to propose it."""
        if self.keys.account is None:
            return None
        epoch = system.compute_epoch(self.ledger.get_parameters(), self.ledger.height + 1)
        return self.reveals.get_next_link(beacon.get_chain(self.ledger.state, self.keys.account, epoch))

    def build_api_services(self) -> ApiServices:
        """What the API may see and steer."""
        return ApiServices(
            spec=self.spec,
            ledger=self.ledger,
            mempool=self.mempool,
            pool=self.pool,
            signatures=self.signatures,
            sync=self.sync,
            peers=self.peers,
            clock=self.clock,
            metrics=self.metrics,
            watch_blocks=self.replica.listeners.append,
            account=self.keys.account,
            token=self.home.load_token(),
            version=VERSION,
            describe_signing=self.replica.policy.describe,
            content=self.content.downloads,
            count_damaged_chunks=lambda: self.content.scrubber.chunks_damaged,
        )


async def run_node(
    home: Home, config: NodeConfig, spec: ChainSpec, keys: Keys, *, on_ready: Callable[[Node, int], None]
) -> None:
    """Run until a signal asks to stop; raises what a store or consensus could not go on with."""
    is_new = not home.store.exists()
    if is_new and config.state_sync and not await prepare_store(home, config, spec, keys):
        return
    genesis_hash = compute_genesis_hash(spec)
    trust = TrustedPeers()
    disk_bytes = config.disk_bytes
    consensus_key = keys.consensus.public_key
    with open_stores(home, consensus_key, is_new=is_new, disk_bytes=disk_bytes) as stores:
        async with open_network(
            keys.network_seed,
            genesis_hash,
            config.p2p_listen,
            is_trusted_peer=trust.is_peer,
            is_trusted_host=trust.is_host,
        ) as network:
            node = Node(home, config, spec, keys, stores, network, trust)
            async with trio.open_nursery() as nursery:
                await nursery.start(run_loop_lag, node.metrics)
                nursery.start_soon(run_disk_watch, stores.list_failures)
                await start_services(node, nursery)
                await start_announcements(node, network, nursery)
                api_port = await nursery.start(run_api, node.build_api_services(), config)
                on_ready(node, api_port)
                await wait_for_stop()
                _log.info("stopping", height=node.ledger.height)
                nursery.cancel_scope.cancel()


async def prepare_store(home: Home, config: NodeConfig, spec: ChainSpec, keys: Keys) -> bool:
    """State sync, if peers have a snapshot; False if somebody asked the process to end meanwhile."""
    open_own = partial(open_network, keys.network_seed, compute_genesis_hash(spec), config.p2p_listen)
    stopped = await run_until_stopped(begin_at_snapshot, home, config, spec, open_own, WallClock())
    return stopped is None


async def start_services(node: Node, nursery: trio.Nursery) -> None:
    """Every service of the node, in the order in which they rely on each other."""
    consensus = node.consensus
    await nursery.start(consensus.world.open, consensus.gossip, consensus.sync)
    consensus.gossip.start()
    consensus.replica.start()
    await nursery.start(partial(run_peers, node.peers))
    await nursery.start(node.duties.run)
    await nursery.start(node.snapshots.run)
    await nursery.start(node.content.downloads.run)
    await nursery.start(node.content.scrubber.run)


async def start_announcements(node: Node, switch: Switch, nursery: trio.Nursery) -> None:
    """Announcements over GossipSub, which has no in-memory twin."""
    judge = HeadJudge(node.ledger, node.signatures.verify).judge
    topic = HeadTopic(switch, node.keys.network_seed, judge)
    announcer = HeadAnnouncer(lambda: node.ledger.height, node.replica.note_behind, node.keys.account)
    node.replica.listeners.append(announcer.on_committed)
    await nursery.start(run_head_topic, topic)
    await nursery.start(announcer.run, topic)
