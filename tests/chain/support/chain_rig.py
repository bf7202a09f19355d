"""A chain driven by hand: real blocks on two replicas, with keys for everybody in it.

`Rig.build` makes a block as its proposer would, `Rig.commit` has the twin replica execute it again and moves
both. The twin applies every change set in the opposite order, since no result may depend on the order of
insertion.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from chain import runtime
from chain.block import (
    Block,
    BlockReceipts,
    Header,
    Inherents,
    compute_extrinsics_root,
    list_transaction_ids,
)
from chain.commitment import TreeUpdate
from chain.content.tree import LEAF_BYTES
from chain.errors import InvalidTransaction
from chain.genesis import ChainSpec, build_genesis_header, build_genesis_state, compute_genesis_hash
from chain.modules import balances, beacon, hosting, possession, validators
from chain.modules.possession import Prove
from chain.primitives.codec import Record, replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Amount, Hash
from chain.runtime import BlockResult, build_call
from chain.spec_builder import GenesisValidator, build_spec
from chain.state import Changes, MemoryState
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.validator_set import compute_total_power, get_validator, is_quorum
from chain.votes import (
    CommitCertificate,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    get_vote_signing_bytes,
)
from node.home.profiles import load_profile
from storage.kv import MemoryStore
from storage.state_store import StateStore
from tests.chain.support.content_worlds import Content

VIDYA = 10**9
GENESIS_MS = 1_767_225_600_000
LINKS = 48
Refused = list[tuple[SignedTransaction, InvalidTransaction]]


@dataclass(frozen=True)
class Person:
    """A person with an account and the keys and beacon chains of a validator."""

    number: int

    def _seed(self, role: int) -> bytes:
        return bytes((role, self.number)) * 16

    @cached_property
    def account(self) -> KeyPair:
        return KeyPair(self._seed(1))

    @cached_property
    def consensus(self) -> KeyPair:
        return KeyPair(self._seed(2))

    @cached_property
    def voucher(self) -> KeyPair:
        return KeyPair(self._seed(3))

    @property
    def address(self) -> Address:
        return self.account.public_key

    def compute_links(self, chain: int) -> list[Hash]:
        """The links of the person's beacon chain of that number, from the secret to the tip."""
        links = [hash_bytes(Domain.BEACON, self._seed(4) + bytes((chain,)))]
        for _ in range(LINKS):
            links.append(hash_bytes(Domain.BEACON_LINK, links[-1]))
        return links

    def compute_tip(self, chain: int) -> Hash:
        """The tip of the person's beacon chain, which it commits to."""
        return self.compute_links(chain)[-1]


class Replica:
    """A state, its tree and a head, moved by whole blocks."""

    def __init__(self, spec: ChainSpec, *, is_reversed: bool = False) -> None:
        self._store = MemoryStore()
        self._is_reversed = is_reversed
        self.state = StateStore(self._store, versions_kept=4)
        self.genesis_hash = compute_genesis_hash(spec)
        changes = self._order(build_genesis_state(spec))
        update = self.state.compute_update(0, changes)
        self._apply(changes, update)
        self.head: Header = build_genesis_header(spec, MemoryState(dict(self.state.scan(b""))), update.root)

    def _order(self, changes: Changes) -> Changes:
        pairs = list(changes.items())
        return dict(reversed(pairs) if self._is_reversed else pairs)

    def _apply(self, changes: Changes, update: TreeUpdate) -> None:
        self._store.write_batch(self.state.stage(update, self._order(changes)))
        self.state.on_written(update)

    def execute(self, block: Block) -> BlockResult:
        """The effect of a block on the head; raises InvalidBlock."""
        return runtime.execute_block(self.state, self.genesis_hash, self.head, block)

    def commit(self, result: BlockResult) -> None:
        """Make the block the head."""
        update = self.state.compute_update(result.update.version, self._order(result.changes))
        assert update.root == result.update.root
        self._apply(result.changes, update)
        self.head = result.block.header


class Rig:
    """A live replica, its twin, and everybody's keys."""

    def __init__(self, spec: ChainSpec, people: Sequence[Person]) -> None:
        self.spec, self.people = spec, people
        self.by_address = {person.address: person for person in people}
        self.live, self.twin = Replica(spec), Replica(spec, is_reversed=True)
        self.blocks: list[Block] = []
        self.receipts: list[BlockReceipts] = []
        self.contents: dict[Hash, Content] = {}
        self.preimages: dict[Hash, Hash] = {}
        for person in people:
            self.learn_chain(person, 0)

    def learn_chain(self, person: Person, number: int) -> Hash:
        """Be ready to reveal a chain; returns its tip."""
        links = person.compute_links(number)
        self.preimages |= dict(zip(links[1:], links, strict=False))
        return links[-1]

    @property
    def state(self) -> StateStore:
        """The state after the last block."""
        return self.live.state

    @property
    def height(self) -> int:
        """The height of the last block."""
        return self.live.head.height

    def sign(
        self,
        person: Person,
        *calls: Record,
        nonce: int | None = None,
        fee_max: Amount = VIDYA // 10,
        tip: Amount = 0,
        lifetime: int = 20,
    ) -> SignedTransaction:
        """A transaction of the person; a duty if `nonce` and fees are zero and the call is one."""
        known = balances.get_account(self.state, person.address).nonce
        transaction = Transaction(
            version=1,
            genesis_hash=self.live.genesis_hash,
            sender=person.address,
            nonce=known if nonce is None else nonce,
            valid_until=self.height + lifetime,
            fee_max=fee_max,
            tip=tip,
            calls=tuple(map(build_call, calls)),
        )
        return sign_transaction(person.account, transaction)

    def sign_duty(self, person: Person, call: Record) -> SignedTransaction:
        """A duty, signed by a key that need not be the host's."""
        return self.sign(person, call, nonce=0, fee_max=0)

    def certify(self, signers: Iterable[Address] | None = None) -> CommitCertificate | None:
        """The commit of the head by those of its validators who are named, all if they are no quorum."""
        if self.height == 0:
            return None
        members = validators.get_previous(self.state)
        named = [who for who in signers or () if get_validator(members, who)]
        power = sum(member.power for member in members.validators if member.address in named)
        if not is_quorum(power, compute_total_power(members)):
            named = [member.address for member in members.validators]
        return build_commit_certificate([self.sign_precommit(who) for who in sorted(named)])

    def sign_precommit(self, who: Address, block_hash: Hash | None = None) -> SignedVote:
        """A precommit of the head, or of another block at its height."""
        name = block_hash or runtime.compute_header_hash(self.live.head)
        vote = Vote(VoteKind.PRECOMMIT, self.height, 0, name, who)
        message = get_vote_signing_bytes(self.live.genesis_hash, vote)
        return SignedVote(vote, self.by_address[who].consensus.sign(message))

    def get_reveal(self, who: Address) -> Hash | None:
        """The link that is due if `who` proposes the next block."""
        epoch = self.height // self.spec.system.parameters.epoch_blocks
        chain = beacon.get_chain(self.state, who, epoch)
        return self.preimages.get(chain.tip) if chain and chain.links else None

    def build(
        self,
        candidates: Iterable[SignedTransaction] = (),
        *,
        turn: int = 0,
        signers: Iterable[Address] | None = None,
        is_revealing: bool = True,
        gap_ms: int | None = None,
    ) -> tuple[BlockResult, Refused]:
        """The next block, by validator number `turn` of the set."""
        members = validators.get_current(self.state).validators
        proposer = members[turn % len(members)].address
        inherents = Inherents(self.get_reveal(proposer) if is_revealing else None, self.certify(signers))
        return runtime.build_block(
            self.state,
            self.live.genesis_hash,
            self.live.head,
            proposer=proposer,
            time_ms=self.live.head.time_ms + (gap_ms or self.spec.system.parameters.block_ms),
            inherents=inherents,
            candidates=candidates,
        )

    def commit(self, result: BlockResult) -> None:
        """Have the twin execute the block by itself; move both."""
        again = self.twin.execute(result.block)
        assert again.block_hash == result.block_hash
        assert again.receipts == result.receipts
        self.live.commit(result)
        self.twin.commit(again)
        self.blocks.append(result.block)
        self.receipts.append(result.receipts)

    def run(self, *candidates: SignedTransaction) -> BlockReceipts:
        """One block with these, all of which must fit; returns its receipts."""
        result, refused = self.build(candidates, turn=self.height)
        assert not refused, refused
        self.commit(result)
        return result.receipts

    def replay(self) -> Replica:
        """Another replica, led from genesis to the head by the blocks alone."""
        replica = Replica(self.spec, is_reversed=True)
        for block in self.blocks:
            replica.commit(replica.execute(block))
        return replica

    def build_proofs(self, hosts: Iterable[Person], *, is_evasive: bool = False) -> list[SignedTransaction]:
        """The proofs that these hosts owe in the next block; evasive hosts do not answer demands."""
        proofs = []
        for person in hosts:
            for duty in possession.list_open_duties(self.state, person.address):
                if is_evasive and duty.demanded is not None:
                    continue
                leaves = tuple(
                    self.contents[place.datum].prove(place.leaf_index) for place in duty.challenges
                )
                call = Prove(person.address, duty.epoch, leaves, duty.demanded)
                proofs.append(self.sign_duty(person, call))
        return proofs


def build_rig(validator_count: int = 4, guest_count: int = 4) -> Rig:
    """Persons 0.. are validators with a bond of 100, those after them guests; all own 10,000 VIDYA more.

    Periods are short: an epoch is 4 blocks, an era 2 epochs, stake unbonds in 2 eras.
    """
    people = [Person(number) for number in range(validator_count + guest_count)]
    seats = [
        GenesisValidator(
            account=person.address,
            consensus_key=person.consensus.public_key,
            bond=100 * VIDYA,
            commission_ppm=10_000,
            beacon_tip=person.compute_tip(0),
            beacon_links=LINKS,
            peer_id=bytes((person.number + 1,)),
            addresses=("/ip4/127.0.0.1/tcp/1",),
        )
        for person in people[:validator_count]
    ]
    accounts = [(person.address, 10_100 * VIDYA) for person in people]
    spec = build_spec(build_short_profile(), name="rig", time_ms=GENESIS_MS, seats=seats, accounts=accounts)
    return Rig(spec, people)


def build_short_profile() -> ChainSpec:
    """The minimal profile with an economy in which everything comes up within a few blocks."""
    profile = load_profile("minimal")

    def change(name: str, **values: int) -> object:
        config = getattr(profile, name)
        return replace(config, parameters=replace(config.parameters, **values))

    changed = {
        "system": change(
            "system",
            block_ms=1_000,
            epoch_blocks=4,
            era_epochs=2,
            evidence_age_blocks=12,
            evidence_age_ms=12_000,
        ),
        "possession": change(
            "possession",
            deadline_blocks=3,
            sale_pause_blocks=0,
            window_epochs=4,
            credit_proven_epochs=3,
            demands_per_host_max=2,
        ),
        "beacon": change("beacon", renewal_links=LINKS // 2),
        "validators": change("validators", bond_min=10 * VIDYA, validators_max=6),
        "sessions": change("sessions", settle_blocks=2, lifetime_blocks_max=12),
        "hosting": change("hosting", delay_epochs=2, drop_interval_epochs=3),
        "membership": change("membership", unlocking_eras=1),
        "catalogue": change("catalogue", unpaid_eras=1, sponsor_min=VIDYA, sponsor_per_gib_min=VIDYA),
    }
    return replace(profile, **changed)


def build_contents(count: int) -> list[Content]:
    """Some small data of a few leaves each, the last one not whole."""
    random = Random(7)
    return [
        Content(number, LEAF_BYTES * (number + 1) + random.randrange(1, LEAF_BYTES))
        for number in range(count)
    ]


def list_holders(rig: Rig, datum: Hash) -> list[Address]:
    """The hosts of a datum in the next block."""
    epoch = rig.height // rig.spec.system.parameters.epoch_blocks
    return [who for who in sorted(rig.by_address) if hosting.is_holding(rig.state, who, datum, epoch)]


def put_transactions(block: Block, transactions: tuple[SignedTransaction, ...]) -> Block:
    """The block with other transactions, to which its header is made to fit."""
    changed = replace(block, transactions=transactions)
    root = compute_extrinsics_root(changed.inherents, list_transaction_ids(changed))
    return replace(changed, header=replace(changed.header, extrinsics_root=root))
