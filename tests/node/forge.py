"""A chain of a test's own making: blocks, votes and certificates by any validators, good and bad ones.

The forge holds every key of a cluster and a ledger of its own; what it makes is fed to the node under test.
"""

from collections.abc import Callable, Iterable, Sequence

import trio
import trio.testing

from chain.block import Inherents
from chain.genesis import ChainSpec
from chain.modules import beacon, system
from chain.primitives.codec import Record, encode
from chain.primitives.types import Hash, Round
from chain.runtime import BlockResult, build_call
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.validator_set import compute_proposer
from chain.votes import (
    CommitCertificate,
    PolkaCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    build_polka_certificate,
    get_proposal_signing_bytes,
    get_vote_signing_bytes,
)
from node.duties.reveals import Reveals
from node.ledger.ledger import CommittedBlock, Ledger
from p2p.wire.messages import FinalBlock
from storage.kv import MemoryStore
from tests.node.cluster import VIDYA, Person, build_cluster_spec

ALICE, BOB = Person(100), Person(101)


class Forge:
    """Everybody's keys, and a ledger that moves when it is told to."""

    def __init__(self, count: int = 4, spec: ChainSpec | None = None) -> None:
        self.people = [Person(number) for number in range(count)]
        self.spec = spec or build_cluster_spec(count, guests=(ALICE, BOB))
        self.ledger = Ledger(MemoryStore(), self.spec)
        self.by_address = {person.address: person for person in self.people}
        self._reveals = {person.address: Reveals(person.keys.beacon_secret) for person in self.people}
        self._last: CommitCertificate | None = None

    @property
    def genesis_hash(self) -> Hash:
        """The network."""
        return self.ledger.genesis_hash

    def list_validators(self) -> list[Person]:
        """Who decides the next height."""
        members = {one.address for one in self.ledger.get_validators().validators}
        return [person for person in self.people if person.address in members]

    def get_proposer(self, round: Round = 0) -> Person:
        """Whose turn it is at the next height."""
        return self.by_address[compute_proposer(self.ledger.get_validators(), round).address]

    def sign(
        self, person: Person, *calls: Record, nonce: int | None = None, **changes: int
    ) -> SignedTransaction:
        """A transaction for the next block."""
        fields = {"valid_until": self.ledger.height + 100, "fee_max": VIDYA // 10, "tip": 0} | changes
        transaction = Transaction(
            version=1,
            genesis_hash=self.genesis_hash,
            sender=person.address,
            nonce=self.ledger.get_nonce(person.address) if nonce is None else nonce,
            calls=tuple(map(build_call, calls)),
            **fields,
        )
        return sign_transaction(person.account, transaction)

    def build(
        self,
        candidates: Iterable[SignedTransaction] = (),
        *,
        by: Person | None = None,
        gap_ms: int = 10,
        is_revealing: bool = True,
    ) -> BlockResult:
        """A valid next block; `by` somebody else than the proposer of round 0."""
        proposer = by or self.get_proposer()
        epoch = system.compute_epoch(self.ledger.get_parameters(), self.ledger.height + 1)
        chain = beacon.get_chain(self.ledger.state, proposer.address, epoch)
        link = self._reveals[proposer.address].get_next_link(chain) if is_revealing else None
        time_ms = self.ledger.head.time_ms + gap_ms
        inherents = Inherents(link, self._last)
        result, refused = self.ledger.build(proposer.address, time_ms, inherents, candidates)
        assert not refused
        return result

    def vote(
        self, person: Person, kind: VoteKind, block_hash: Hash | None, round: Round = 0, *, ahead: int = 1
    ) -> SignedVote:
        """A vote at the next height, or further ahead."""
        vote = Vote(kind, self.ledger.height + ahead, round, block_hash, person.address)
        message = get_vote_signing_bytes(self.genesis_hash, vote)
        return SignedVote(vote, person.keys.consensus.sign(message))

    def propose(
        self, person: Person, block_hash: Hash, round: Round = 0, pol_round: Round | None = None
    ) -> SignedProposal:
        """A proposal at the next height."""
        proposal = Proposal(self.ledger.height + 1, round, block_hash, pol_round, person.address)
        message = get_proposal_signing_bytes(self.genesis_hash, proposal)
        return SignedProposal(proposal, person.keys.consensus.sign(message))

    def certify(
        self, block_hash: Hash, signers: Sequence[Person] | None = None, round: Round = 0
    ) -> CommitCertificate:
        """The precommits of these, of all validators by default, for a block at the next height."""
        chosen = signers or self.list_validators()
        votes = [self.vote(one, VoteKind.PRECOMMIT, block_hash, round) for one in chosen]
        return build_commit_certificate(votes)

    def polka(self, block_hash: Hash, round: Round = 0) -> PolkaCertificate:
        """The prevotes of all for a block at the next height."""
        votes = [self.vote(one, VoteKind.PREVOTE, block_hash, round) for one in self.people]
        return build_polka_certificate(votes)

    def commit(self, result: BlockResult) -> CommittedBlock:
        """Make a block the head."""
        self._last = self.certify(result.block_hash)
        return make_final(self.ledger, result, self._last)

    def grow(self, count: int = 1) -> list[FinalBlock]:
        """So many empty blocks, as sync sends them."""
        final = []
        for _ in range(count):
            committed = self.commit(self.build())
            final.append(FinalBlock(encode(committed.block), committed.certificate))
        return final


def make_final(ledger: Ledger, result: BlockResult, certificate: CommitCertificate) -> CommittedBlock:
    """Commit and publish, as a replica does in the lane and then in the loop."""
    committed = ledger.commit(result, certificate)
    ledger.move_head(committed)
    return committed


async def wait_until(is_so: Callable[[], bool], seconds_max: float = 20.0) -> None:
    """Until it is so, looked at whenever nothing else can run; fails the test if it never is."""
    with trio.fail_after(seconds_max):
        while not is_so():
            await trio.testing.wait_all_tasks_blocked(0.001)
