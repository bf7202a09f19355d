"""The node: everything that runs, and who knows whom. Read `run_node` as a wiring diagram.

    open_stores      lock, database, log, sign-state, content      outermost, closed last
    open_network     libp2p
    nursery          peers, consensus, gossip, duties, content, API thread: cancelled together

A failure in consensus, execution or storage ends the whole tree: a node that is unsure stops.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import structlog
import trio

from chain.genesis import ChainSpec, compute_genesis_hash
from chain.modules import beacon, hosting, system
from chain.primitives.addresses import decode_address
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash, PeerId
from chain.votes import Evidence
from node.api.server import run_api
from node.api.services import ApiServices
from node.clock import WallClock
from node.content.download_manager import DownloadManager
from node.content.downloads import DownloadLimits
from node.content.lane import ContentLane
from node.content.service import ContentService, ServiceLimits
from node.content.vouchers import VoucherBook
from node.duties.duties import Duties, Hosting
from node.duties.punishments import Punishments
from node.duties.reveals import Reveals
from node.home.config import NodeConfig
from node.home.home import Home
from node.keys.derivation import KeyRole
from node.ledger.lane import Lane
from node.ledger.ledger import Ledger
from node.ledger.signatures import SignatureMemory
from node.ledger.snapshots import SnapshotService
from node.mempool.gossip import PoolGossip
from node.mempool.pool import Mempool
from node.metrics import Metrics, run_loop_lag
from node.network.head_announcer import HeadAnnouncer, is_wrong
from node.recovery import run_disk_watch
from node.replica.gossip import Gossip
from node.replica.journal import Journal
from node.replica.ports import CommitBlock
from node.replica.replica import Replica
from node.replica.signing.signer import Signer
from node.replica.sync.sync import Sync
from node.replica.timing import build_synchrony, build_timeouts
from node.replica.trio_world import ReplicaWorld, serve_sync
from node.state_sync.joining import adopt, begin_at_snapshot
from node.stopping import run_until_stopped, wait_for_stop
from node.version import SOFTWARE, VERSION
from p2p.errors import RefusalCode, Refused
from p2p.gossip.head_topic import HeadTopic, run_head_topic
from p2p.network import Network
from p2p.peers.manager import ConnectedPeer, PeerCallbacks, PeerManager, run_peers
from p2p.switch.switch import Switch
from p2p.tcp.host import open_network
from p2p.wire.messages import Hello, PeerRole
from storage.content.store import ContentStore
from storage.data_format import check_data_format
from storage.errors import StorageError
from storage.files import DISK, FileSystem, atomic_write
from storage.kv import LevelDbStore
from storage.lock import lock_directory
from storage.sign_log import SignLog
from storage.sign_state import LastSignState
from storage.snapshots import SnapshotFiles
from storage.wal import Wal

_log = structlog.get_logger("node")


@dataclass(frozen=True)
class Stores:
    """What is open on disk."""

    database: LevelDbStore
    wal: Wal
    sign_state: LastSignState
    sign_log: SignLog
    vouchers: LevelDbStore
    content: ContentStore

    def list_failures(self) -> list[StorageError | None]:
        """Of the stores that are written for peers and clients; consensus does not survive its own."""
        return [self.vouchers.failure, self.content.failure]


@contextmanager
def open_stores(
    home: Home,
    consensus_key: bytes,
    *,
    is_new: bool,
    disk_bytes: int = 2**40,
    files: FileSystem = DISK,
    open_database: Callable[[Path], LevelDbStore] = LevelDbStore,
) -> Iterator[Stores]:
    """Lock the data directory and open what is in it; raises StorageError with what to do."""
    with ExitStack() as stack:
        stack.enter_context(lock_directory(home.data))
        check_data_format(home.data, has_store=home.store.exists(), files=files)
        # The database comes last: that it is there tells the next start that log and sign-state must be, too.
        # A log without a database is kept: what it holds is locked, though the store was moved away.
        is_first = is_new and not home.wal.exists()
        wal = Wal.create(home.wal, 0, files) if is_first else Wal.load(home.wal, files)
        stack.callback(wal.close)
        sign_state = LastSignState.load(home.sign_state, consensus_key, create=is_new, files=files)
        stack.callback(sign_state.close)
        sign_log = stack.enter_context(SignLog(home.sign_log, consensus_key, files))
        adopt(home)
        database = open_database(home.store)
        stack.callback(database.close)
        if database.torn_bytes:
            _log.warning("unfinished_write_cut", store=str(home.store), size_bytes=database.torn_bytes)
        vouchers = LevelDbStore(home.vouchers, "move it away; what was not settled of it is lost")
        stack.callback(vouchers.close)
        content = stack.enter_context(ContentStore(home.content, disk_bytes))
        yield Stores(database, wal, sign_state, sign_log, vouchers, content)


@dataclass(frozen=True)
class Keys:
    """The node's own keys, opened."""

    account: Address | None
    consensus: KeyPair
    network_seed: Hash
    duty: KeyPair
    beacon_secret: Hash


def load_keys(home: Home, config: NodeConfig, spec: ChainSpec) -> Keys:
    """Open the key files; slow on purpose, so before the loop starts."""
    account = decode_address(spec.prefix, config.account) if config.account else None
    network_seed = home.load_secret(KeyRole.NETWORK)
    return Keys(
        account=account,
        consensus=home.load_key(KeyRole.CONSENSUS),
        network_seed=network_seed,
        duty=KeyPair(hash_bytes(Domain.NODE_KEY, network_seed)),
        beacon_secret=home.load_secret(KeyRole.BEACON),
    )


class Node:
    """The parts of a running node, made in the order in which they need each other."""

    def __init__(
        self, home: Home, config: NodeConfig, spec: ChainSpec, keys: Keys, stores: Stores, network: Network
    ) -> None:
        self.home, self.config, self.spec, self.keys, self.network = home, config, spec, keys, network
        self.clock = WallClock()
        self.signatures = SignatureMemory()
        self.ledger = Ledger(
            stores.database, spec, check=self.signatures.check, verify=self.signatures.verify
        )
        self.lane = Lane()
        self.mempool = Mempool()
        self.reveals = Reveals(keys.beacon_secret)
        self.pool = PoolGossip(network, self.ledger, self.mempool, self.signatures)
        parameters = self.ledger.get_parameters()
        self.world = ReplicaWorld(network, self.lane, self.clock)
        self.replica = Replica(
            self.world,
            self.ledger,
            self.mempool,
            signer=self._build_signer(stores),
            journal=Journal(stores.wal),
            timeouts=build_timeouts(parameters),
            synchrony=build_synchrony(parameters),
            reveal=self._get_reveal,
            report=self._report,
            build_messenger=self._build_gossip,
            build_sync=self._build_sync,
        )
        self.content = ContentLane(stores.content)
        self.duties = self._build_duties(stores)
        limits = DownloadLimits(bytes_per_second_max=config.download_bytes_per_second or None)
        self.download_manager = DownloadManager(network, self.ledger, self.content, limits)
        self.metrics = Metrics(keys.account)
        punishments = Punishments(keys.account)
        self.replica.listeners += [
            self.duties.on_committed,
            self.metrics.on_committed,
            punishments.on_committed,
        ]
        serve_sync(network, self.ledger)
        self.snapshots = SnapshotService(
            network, self.ledger, SnapshotFiles(home.snapshots), lambda: self.sync.is_syncing
        )
        self.replica.listeners.append(self.snapshots.on_committed)
        self.peers = PeerManager(network, self._build_peer_callbacks())

    def _build_gossip(self, replica: Replica) -> Gossip:
        self.gossip = Gossip(self.world, replica, self.mempool, self.signatures.verify)
        return self.gossip

    def _build_sync(self, commit: CommitBlock) -> Sync:
        self.sync = Sync(self.world, self.ledger, self.signatures.verify, commit, Random())
        return self.sync

    def _build_signer(self, stores: Stores) -> Signer | None:
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

    def _report(self, evidence: Evidence) -> None:
        """Hand evidence to the duties, which bring it on chain."""
        self.duties.report(evidence)

    def _build_duties(self, stores: Stores) -> Duties:
        """Proofs, settlements and evidence; a node without an account hosts nothing and serves nobody."""
        account, upload = self.keys.account, self.config.upload_bytes_per_second
        hosted = None
        if account is not None:
            hosted = Hosting(self.content, VoucherBook(stores.vouchers, account))
            limits = ServiceLimits(bytes_per_second_max=upload or None)
            self.service = ContentService(
                self.network, self.ledger, self.content, hosted.book, limits, self.signatures.verify
            )
        return Duties(self.ledger, self.lane, self.pool.submit, self.keys.duty, hosted)

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
            content=self.download_manager,
        )

    # Peers.

    def _build_peer_callbacks(self) -> PeerCallbacks:
        return PeerCallbacks(
            build_hello=self._build_hello,
            check_hello=self._check_hello,
            run_peer=self._run_peer,
            get_wanted=self.get_wanted_addresses,
            load_book=self.home.load_peer_book,
            save_book=lambda data: atomic_write(self.home.peer_book, data),
        )

    def _build_hello(self) -> Hello:
        roles = PeerRole(0)
        if self.keys.account is not None:
            roles |= PeerRole.VALIDATOR | PeerRole.HOST
        return Hello(
            genesis_hash=self.ledger.genesis_hash,
            software=SOFTWARE,
            spec_version=system.SPEC_VERSION,
            height=self.ledger.height,
            head_hash=self.ledger.head_hash,
            roles=int(roles),
            listen_addresses=self.network.addresses,
        )

    def _check_hello(self, peer: PeerId, hello: Hello) -> None:
        if hello.spec_version != system.SPEC_VERSION:
            raise Refused(RefusalCode.NOT_SERVED, f"rules of version {hello.spec_version}")

    async def _run_peer(self, connected: ConnectedPeer) -> None:
        if connected.hello.roles & PeerRole.LIGHT:
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:
            for run_peer in (self.world.run_peer, self.pool.run_peer):
                nursery.start_soon(run_peer, connected.peer)

    def get_wanted_addresses(self) -> tuple[str, ...]:
        """Where the validators of now are reached, and the seeds."""
        of_validators = [host.addresses[0] for host in self._list_validator_hosts() if host.addresses]
        wanted = [*of_validators, *self.spec.seeds, *self.config.seeds]
        return tuple(dict.fromkeys(wanted))

    def _list_validator_hosts(self) -> list[hosting.Host]:
        """How the validators of now are reached, of those that said so."""
        members = self.ledger.get_validators().validators
        hosts = (hosting.get_host(self.ledger.state, member.address) for member in members)
        return [host for host in hosts if host is not None]

    def keep_trusted(self, trusted: set[PeerId]) -> None:
        """Keep the set filled with the validators of now: no count shuts them out, no score bans them."""

        def refresh(_: object = None) -> None:
            trusted.clear()
            trusted.update(host.peer_id for host in self._list_validator_hosts())

        refresh()
        self.replica.listeners.append(refresh)


async def run_node(
    home: Home, config: NodeConfig, spec: ChainSpec, keys: Keys, *, on_ready: Callable[[Node, int], None]
) -> None:
    """Run until a signal asks to stop; raises what a store or consensus could not go on with."""
    is_new = not home.store.exists()
    if is_new and config.state_sync and not await prepare_store(home, config, spec, keys):
        return
    genesis_hash = compute_genesis_hash(spec)
    trusted: set[PeerId] = set()
    disk_bytes = config.disk_bytes
    consensus_key = keys.consensus.public_key
    with open_stores(home, consensus_key, is_new=is_new, disk_bytes=disk_bytes) as stores:
        async with open_network(
            keys.network_seed, genesis_hash, config.p2p_listen, is_trusted_peer=trusted.__contains__
        ) as network:
            node = Node(home, config, spec, keys, stores, network)
            node.keep_trusted(trusted)
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
    await nursery.start(node.world.open, node.gossip, node.sync)
    node.gossip.start()
    node.replica.start()
    await nursery.start(partial(run_peers, node.peers))
    await nursery.start(node.duties.run)
    await nursery.start(node.snapshots.run)
    await nursery.start(node.download_manager.run)


async def start_announcements(node: Node, switch: Switch, nursery: trio.Nursery) -> None:
    """Announcements over GossipSub, which has no in-memory twin."""
    topic = HeadTopic(switch, node.keys.network_seed, is_wrong)
    announcer = HeadAnnouncer(lambda: node.ledger.height, node.replica.note_behind, node.keys.account)
    node.replica.listeners.append(announcer.on_committed)
    await nursery.start(run_head_topic, topic)
    await nursery.start(announcer.run, topic)
