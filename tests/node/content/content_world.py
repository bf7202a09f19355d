"""A chain and hosts for tests of content: real ledger, real stores, networks in memory.

`ContentChain` makes blocks at once, signed by all its validators, without consensus. Persons from 0 are
validators and hosts; the reader is a member who hosts nothing.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.block import Inherents
from chain.content import LeafProof, Manifest, compute_datum_id, compute_files_hash
from chain.modules import beacon, catalogue, hosting, membership, possession, sessions, system
from chain.modules.hosting import DatumLeaf
from chain.primitives.codec import Record, replace
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Amount, Hash
from chain.runtime import build_call
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.votes import (
    CommitCertificate,
    SignedVote,
    Verify,
    Vote,
    VoteKind,
    build_commit_certificate,
    get_vote_signing_bytes,
)
from node.content.debts import DebtBook
from node.content.downloads import DownloadJob, SessionHost
from node.content.lane import ContentLane
from node.content.service import ContentService, ServiceLimits
from node.content.vouchers import VoucherBook
from node.duties.reveals import Reveals
from node.ledger.ledger import CommittedBlock, Ledger
from p2p.memory import MemoryHub
from p2p.switch.switch import Switch
from storage.content.store import ContentStore
from storage.kv import KeyValueStore, MemoryStore
from tests.node.cluster import VIDYA, Person, build_cluster_spec
from tests.node.forge import make_final

READER = Person(100)
DUTY_KEY = KeyPair(b"d" * 32)
VOUCHER_KEY = KeyPair(b"v" * 32)
QUOTA_BYTES = 2**30
ReadLeaf = Callable[[Hash, int], tuple[bytes, LeafProof]]


class ContentChain:
    """A ledger that grows on demand. Data are sold at any time if `unsold_bytes_min` is not lowered."""

    def __init__(
        self, hosts: int, unsold_bytes_min: int = 2**40, listed: Iterable[catalogue.ListDatum] = ()
    ) -> None:
        """`listed`: data of the genesis, which are admitted at once."""
        self.hosts = [Person(number) for number in range(hosts)]
        spec = build_cluster_spec(hosts, guests=(READER,))
        proving = replace(spec.possession.parameters, unsold_bytes_min=unsold_bytes_min)
        listings = tuple((READER.address, one) for one in listed)
        spec = replace(
            spec,
            possession=replace(spec.possession, parameters=proving),
            catalogue=replace(spec.catalogue, listings=listings),
        )
        self.ledger = Ledger(MemoryStore(), spec)
        self._certificate: CommitCertificate | None = None
        self._reveals = [Reveals(person.keys.beacon_secret) for person in self.hosts]

    def sign(self, person: Person, *calls: Record) -> SignedTransaction:
        """A transaction of the person, for the next block."""
        transaction = Transaction(
            version=1,
            genesis_hash=self.ledger.genesis_hash,
            sender=person.address,
            nonce=self.ledger.get_nonce(person.address),
            valid_until=self.ledger.height + 100,
            fee_max=VIDYA,
            tip=0,
            calls=tuple(build_call(call) for call in calls),
        )
        return sign_transaction(person.account, transaction)

    def sign_duty(self, call: Record, key: KeyPair = DUTY_KEY) -> SignedTransaction:
        """A duty for the next block, from a key that owns nothing if none is named."""
        until = self.ledger.height + 1
        calls = (build_call(call),)
        duty = Transaction(1, self.ledger.genesis_hash, key.public_key, 0, until, 0, 0, calls)
        return sign_transaction(key, duty)

    def grow(self, *candidates: SignedTransaction) -> CommittedBlock:
        """Makes one block; every candidate must be included and succeed."""
        proposer = self.hosts[0]
        epoch = system.compute_epoch(self.ledger.get_parameters(), self.ledger.height + 1)
        chain = beacon.get_chain(self.ledger.state, proposer.address, epoch)
        inherents = Inherents(self._reveals[0].get_next_link(chain), self._certificate)
        time_ms = self.ledger.head.time_ms + 1_000
        result, refused = self.ledger.build(proposer.address, time_ms, inherents, candidates)
        assert not refused
        assert [receipt.error for receipt in result.receipts.transactions] == [None] * len(candidates)
        self._certificate = self._certify(result.block.header.height, result.block_hash)
        return make_final(self.ledger, result, self._certificate)

    def _certify(self, height: int, block_hash: Hash) -> CommitCertificate:
        signed = []
        for person in self.hosts:
            vote = Vote(VoteKind.PRECOMMIT, height, 0, block_hash, person.address)
            message = get_vote_signing_bytes(self.ledger.genesis_hash, vote)
            signed.append(SignedVote(vote, person.keys.consensus.sign(message)))
        members = {one.address for one in self.ledger.get_validators().validators}
        return build_commit_certificate([one for one in signed if one.vote.validator in members])

    def grow_to(self, height: int) -> None:
        """Grows by empty blocks up to a height."""
        while self.ledger.height < height:
            self.grow()

    def go_before_epoch(self, blocks: int = 0) -> None:
        """Grows to the last block of an epoch, or to so many blocks before it."""
        epoch_blocks = self.ledger.get_parameters().epoch_blocks
        self.grow()
        self.grow_to(-(-(self.ledger.height + blocks) // epoch_blocks) * epoch_blocks - blocks)

    def go_to_deadline(self) -> None:
        """Grows to the next block that judges an epoch."""
        epoch_blocks = self.ledger.get_parameters().epoch_blocks
        deadline = possession.get_parameters(self.ledger.state).deadline_blocks + 1
        self.grow()
        self.grow_to(-(-(self.ledger.height - deadline) // epoch_blocks) * epoch_blocks + deadline)

    def list_sampled(self, person: Person) -> tuple[DatumLeaf, ...]:
        """The leaves that a host owes in the epoch of the head."""
        state = self.ledger.state
        epoch = system.compute_epoch(self.ledger.get_parameters(), self.ledger.height)
        return possession.get_challenges(state, person.address, epoch)

    def prove(self, person: Person, read_leaf: ReadLeaf) -> None:
        """Makes a block with the host's proof, of leaves that `read_leaf` gives."""
        epoch = system.compute_epoch(self.ledger.get_parameters(), self.ledger.height + 1)
        leaves = tuple(
            possession.ProvenLeaf(*read_leaf(one.datum, one.leaf_index)) for one in self.list_sampled(person)
        )
        self.grow(self.sign_duty(possession.Prove(person.address, epoch, leaves)))

    def host(self, manifest: Manifest, persons: Iterable[Person] | None = None) -> Hash:
        """Lists a datum and registers persons as its hosts; grows to the first epoch in which they hold
        it.
        """
        datum = compute_datum_id(manifest)
        files_hash = compute_files_hash(manifest)
        listing = catalogue.ListDatum(files_hash, manifest.root, manifest.length, "title", "label", (), "")
        self.grow(self.sign(READER, listing, membership.Join()))
        chosen = self.hosts if persons is None else persons
        self.grow(*(self.sign(one, hosting.RegisterSubset((datum,), ())) for one in chosen))
        parameters = self.ledger.get_parameters()
        epoch = system.compute_epoch(parameters, self.ledger.height) + 2
        self.grow_to(system.compute_first_height(parameters, epoch))
        return datum

    def open_session(self, datum: Hash, limits: Sequence[Amount]) -> Hash:
        """A session of the reader with the first hosts; returns its id."""
        session = sessions.get_next_session_id(self.ledger.state, self.ledger.genesis_hash, READER.address)
        self.grow(self.sign(READER, self.build_opening(datum, limits)))
        return session

    def build_opening(self, datum: Hash, limits: Sequence[Amount]) -> sessions.OpenSession:
        """The call that opens a session with the first hosts."""
        allotments = tuple(
            sessions.HostAllotment(person.address, limit)
            for person, limit in zip(self.hosts, limits, strict=False)
        )
        key = VOUCHER_KEY.public_key
        return sessions.OpenSession(datum, key, 100 * VIDYA, self.ledger.height + 300, allotments)

    @property
    def price(self) -> Amount:
        """The price of a GiB in base units."""
        return sessions.get_parameters(self.ledger.state).price_per_gib


@dataclass
class ContentHost:
    """A serving host with its parts."""

    person: Person
    network: Switch
    service: ContentService
    content: ContentLane
    store: ContentStore
    book: VoucherBook
    debts: DebtBook


@asynccontextmanager
async def open_host(
    hub: MemoryHub,
    chain: ContentChain,
    person: Person,
    path: Path,
    source: Path | None,
    *,
    vouchers: KeyValueStore | None = None,
    limits: ServiceLimits | None = None,
    verify: Verify = is_signed_by,
    wrap: Callable[[Switch], Any] = lambda network: network,
) -> AsyncIterator[ContentHost]:
    """A host that has published `source` and serves until the block ends. `wrap` may change its network."""
    with ContentStore(path / f"host{person.number}", QUOTA_BYTES) as store:
        if source is not None:
            store.publish(source)
        content = ContentLane(store)
        kept = vouchers or MemoryStore()
        book, debts = VoucherBook(kept, person.address), DebtBook(kept, person.address)
        async with hub.open_network(person.keys.network_seed, chain.ledger.genesis_hash) as network:
            service = ContentService(wrap(network), chain.ledger, content, book, debts, limits, verify)
            yield ContentHost(person, network, service, content, store, book, debts)


@asynccontextmanager
async def open_reader(
    hub: MemoryHub, chain: ContentChain, path: Path
) -> AsyncIterator[tuple[Switch, ContentLane, ContentStore]]:
    """A network identity and a store, as `vidya get` has them."""
    with ContentStore(path / "reader", QUOTA_BYTES) as store:
        async with hub.open_network(b"r" * 32, chain.ledger.genesis_hash) as network:
            yield network, ContentLane(store), store


def build_job(
    chain: ContentChain,
    session: Hash,
    manifest: Manifest,
    hosts: Sequence[ContentHost],
    limits: Sequence[Amount],
) -> DownloadJob:
    """The job of downloading a datum from these hosts."""
    listed = tuple(
        SessionHost(host.person.address, host.network.addresses, limit)
        for host, limit in zip(hosts, limits, strict=True)
    )
    return DownloadJob(
        session=session,
        opened_at=chain.ledger.height,
        datum=compute_datum_id(manifest),
        root=manifest.root,
        size_bytes=manifest.length,
        price_per_gib=chain.price,
        voucher_key=VOUCHER_KEY,
        hosts=listed,
    )


def write_source(path: Path, size: int, seed: int = 1) -> Path:
    """A folder with two files of `size` bytes in all, the same for the same seed."""
    folder = path / f"source{seed}"
    folder.mkdir()
    data = b"".join((seed * 2**40 + number).to_bytes(8, "big") for number in range(size // 8 + 1))[:size]
    (folder / "a.bin").write_bytes(data[: size // 3])
    (folder / "b.bin").write_bytes(data[size // 3 :])
    return folder
