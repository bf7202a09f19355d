"""A node for API tests: a real ledger, pool and peer manager, in which blocks happen when a test says so."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import trio

from chain.block import Inherents
from chain.genesis import ChainSpec
from chain.modules import beacon, system
from chain.primitives.codec import Record, encode
from chain.primitives.keys import is_signed_by
from chain.primitives.types import TimeMs
from chain.runtime import build_call
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.votes import (
    CertificateSignature,
    CommitCertificate,
    Vote,
    VoteKind,
    check_certificate,
    get_vote_signing_bytes,
)
from node.api.app import build_app
from node.api.crossing import NodeLoop
from node.api.feed import Feed
from node.api.services import ApiServices
from node.content.download_manager import DownloadManager
from node.content.downloads import BuyerMemory, DownloadLimits, LossBook, PaymentBook
from node.content.lane import ContentLane
from node.duties.reveals import Reveals
from node.home.config import NodeConfig
from node.ledger.ledger import CommittedBlock, Ledger
from node.ledger.signatures import SignatureMemory
from node.mempool.gossip import PoolGossip
from node.mempool.pool import Mempool
from node.metrics import Metrics
from p2p.errors import PeerGone
from p2p.memory import MemoryHub
from p2p.network import Network
from p2p.peers.manager import ConnectedPeer, PeerCallbacks, PeerManager
from p2p.wire.messages import Hello
from storage.content.store import ContentStore
from storage.kv import KeyValueStore, MemoryStore
from tests.node.cluster import VIDYA, Person, build_cluster_spec
from tests.node.forge import make_final

VALIDATOR, ALICE, BOB = Person(0), Person(1), Person(2)
TOKEN = "a-token-of-this-node"
BLOCK_MS = 10
QUOTA_BYTES = 2**24


@dataclass
class FixedClock:
    """The time is what the test says."""

    time_ms: TimeMs = 0

    def now_ms(self) -> TimeMs:
        return self.time_ms


@dataclass
class Sync:
    """How far behind the node is said to be."""

    is_syncing: bool = False
    target: int = 0


class World:
    """One validator's node, without consensus: `make_block` builds, signs and commits."""

    def __init__(
        self,
        network: Network,
        store: ContentStore | None = None,
        spec: ChainSpec | None = None,
        chain: KeyValueStore | None = None,
    ) -> None:
        spec = spec or build_cluster_spec(1, guests=(ALICE, BOB))
        self.signatures = SignatureMemory()
        check, verify = self.signatures.check, self.signatures.verify
        self.ledger = Ledger(chain or MemoryStore(), spec, check=check, verify=verify)
        self.mempool = Mempool()
        self.pool = PoolGossip(network, self.ledger, self.mempool, self.signatures)
        self.sync = Sync()
        self.listeners: list[Callable[[CommittedBlock], None]] = []
        self.metrics = Metrics(VALIDATOR.address)
        self.listeners.append(self.metrics.on_committed)
        self._certificate = self.ledger.get_certificate(self.ledger.height)
        self._reveals = Reveals(VALIDATOR.keys.beacon_secret)
        self.services = ApiServices(
            spec=spec,
            ledger=self.ledger,
            mempool=self.mempool,
            pool=self.pool,
            signatures=self.signatures,
            sync=self.sync,
            peers=PeerManager(network, build_callbacks()),
            clock=FixedClock(),
            metrics=self.metrics,
            watch_blocks=self.listeners.append,
            account=VALIDATOR.address,
            token=TOKEN,
            version="1.2.3",
            content=self._open_desk(network, store),
        )

    def _open_desk(self, network: Network, store: ContentStore | None) -> DownloadManager | None:
        if store is None:
            return None
        memory = BuyerMemory(PaymentBook(MemoryStore()), LossBook())
        return DownloadManager(network, self.ledger, ContentLane(store), DownloadLimits(), memory)

    def build(
        self, person: Person, *calls: Record, nonce: int | None = None, fee_max: int = VIDYA
    ) -> Transaction:
        """An unsigned transaction for the next block."""
        return Transaction(
            version=1,
            genesis_hash=self.ledger.genesis_hash,
            sender=person.address,
            nonce=self.ledger.get_nonce(person.address) if nonce is None else nonce,
            valid_until=self.ledger.height + 100,
            fee_max=fee_max,
            tip=0,
            calls=tuple(build_call(call) for call in calls),
        )

    def sign(
        self, person: Person, *calls: Record, nonce: int | None = None, fee_max: int = VIDYA
    ) -> SignedTransaction:
        """A transaction of the person."""
        return sign_transaction(person.account, self.build(person, *calls, nonce=nonce, fee_max=fee_max))

    def make_block(self, *transactions: SignedTransaction) -> CommittedBlock:
        """The next block, final, with these transactions or else with what waits in the pool."""
        taken = transactions or tuple(one.signed for one in self.mempool.select(1_000))
        height = self.ledger.height + 1
        epoch = system.compute_epoch(self.ledger.get_parameters(), height)
        link = self._reveals.get_next_link(beacon.get_chain(self.ledger.state, VALIDATOR.address, epoch))
        result, refused = self.ledger.build(
            VALIDATOR.address,
            self.ledger.head.time_ms + BLOCK_MS,
            Inherents(link, self._certificate),
            taken,
        )
        assert refused == []
        self._certificate = self._certify(height, result.block_hash)
        committed = make_final(self.ledger, result, self._certificate)
        self.mempool.on_block(committed.included, self.ledger)
        for listener in self.listeners:
            listener(committed)
        return committed

    def _certify(self, height: int, block_hash: bytes) -> CommitCertificate:
        vote = Vote(VoteKind.PRECOMMIT, height, 0, block_hash, VALIDATOR.address)
        message = get_vote_signing_bytes(self.ledger.genesis_hash, vote)
        signature = CertificateSignature(VALIDATOR.address, VALIDATOR.keys.consensus.sign(message))
        certificate = CommitCertificate(height, 0, block_hash, (signature,))
        check_certificate(self.ledger.genesis_hash, self.ledger.get_validators(), certificate, is_signed_by)
        return certificate


def build_callbacks() -> PeerCallbacks:
    """A manager that accepts nobody: these tests are about one node."""

    def refuse(*_: object) -> Hello:
        raise PeerGone("alone")

    async def run_peer(_: ConnectedPeer) -> None:
        await trio.sleep_forever()

    return PeerCallbacks(refuse, refuse, run_peer, tuple)


@dataclass
class Client:
    """The application in process, and the node behind it."""

    world: World
    http: httpx.AsyncClient
    feed: Feed = field(default_factory=Feed)

    async def get(self, path: str, status: int = 200, **options: object) -> object:
        """The JSON of an answer that must have this status."""
        return await self.ask("GET", path, status, **options)

    async def ask(self, method: str, path: str, status: int = 200, **options: object) -> object:
        """The same for any method."""
        answer = await self.http.request(method, path, **options)  # type: ignore[arg-type]
        assert answer.status_code == status, answer.text
        return answer.json()


@asynccontextmanager
async def open_client(
    content: Path | None = None,
    config: NodeConfig | None = None,
    spec: ChainSpec | None = None,
    chain: KeyValueStore | None = None,
) -> AsyncIterator[Client]:
    """A world and a client of its application."""
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(
            MemoryHub().open_network(VALIDATOR.keys.network_seed, b"g" * 32)
        )
        store = stack.enter_context(ContentStore(content, QUOTA_BYTES)) if content else None
        world = World(network, store, spec, chain)
        feed = Feed()
        loop = NodeLoop(trio.lowlevel.current_trio_token())
        app = build_app(world.services, config or NodeConfig(), loop, feed)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Client(world, http, feed)


def encode_hex(record: Record) -> str:
    """As requests carry it."""
    return encode(record).hex()
