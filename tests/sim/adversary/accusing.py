"""The forger of evidence: a villain that accuses honest validators of equivocation they did not commit.

Each accusation fails one condition of evidence: the two messages are of different rounds, kinds, heights
or validators, are the same message, carry a bad signature, or are too old. Everything else in it holds, so
that no other check can refuse it. It goes into the forger's own blocks, and to the pools of all peers.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

from chain.block import Block
from chain.errors import InvalidTransaction
from chain.modules import offences, validators
from chain.primitives.codec import encode, replace
from chain.primitives.types import Height, PeerId
from chain.runtime import build_call
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.votes import (
    Evidence,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
    build_duplicate_proposal,
    build_duplicate_vote,
)
from p2p.wire.messages import CompactProposal, ConsensusMessage, Votes
from tests.sim.adversary import forgery
from tests.sim.adversary.behaviour import Villain
from tests.sim.adversary.proposing import Proposer

HEARD_MAX = 400
PROPOSALS_MAX = 40
VALID_BLOCKS = 3
SUBMIT_SHARE = 0.3
EXPIRED_SHARE = 0.6

Differs = Callable[[Vote, Vote], bool]


def _is_same(one: Vote, other: Vote, *names: str) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


PAIRS: dict[str, Differs] = {
    "two rounds": lambda one, other: (
        _is_same(one, other, "validator", "height", "kind") and one.round != other.round
    ),
    "two kinds": lambda one, other: (
        _is_same(one, other, "validator", "height", "round") and one.kind != other.kind
    ),
    "two heights": lambda one, other: (
        _is_same(one, other, "validator", "round", "kind") and one.height != other.height
    ),
    "two validators": lambda one, other: (
        _is_same(one, other, "height", "round", "kind") and one.validator != other.validator
    ),
}
"""Two honest votes that differ in one part of their slot."""


class EvidenceForger(Proposer):
    """Accuses honest validators with evidence that has one thing wrong."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._heard: list[SignedVote] = []
        self._proposals: list[SignedProposal] = []

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Accusations are made of honest votes and proposals."""
        mine = [keys.address for keys in self.villain.colluders]
        if isinstance(message, Votes):
            fresh = [one for one in message.votes if one.vote.validator not in mine]
            self._heard = [*self._heard, *fresh][-HEARD_MAX:]
        elif isinstance(message, CompactProposal) and message.signed.proposal.proposer not in mine:
            self._proposals = [*self._proposals, message.signed][-HEARD_MAX:]

    def on_tick(self) -> None:
        """Now and then an accusation goes to the pools of all peers."""
        if self.villain.random.random() < SUBMIT_SHARE:
            evidence = self._build_evidence(self.villain.ledger.height + 1)
            if evidence is not None:
                self.villain.submit(encode(self._build_report(evidence)))

    def spoil(self, block: Block) -> Block:
        """The block with an accusation in front: executed where the rules allow it, else as it is."""
        evidence = self._build_evidence(block.header.height)
        if evidence is None:
            return block
        report = self._build_report(evidence)
        try:
            return forgery.rebuild(self.villain.ledger, block, transactions=(report, *block.transactions))
        except InvalidTransaction:
            return forgery.seal(block.header, block.inherents, (report, *block.transactions))

    def _build_report(self, evidence: Evidence) -> SignedTransaction:
        account, valid_until = self.villain.keys.account, self.villain.ledger.height + VALID_BLOCKS
        calls = (build_call(offences.Report(evidence)),)
        transaction = Transaction(1, self.genesis_hash, account.public_key, 0, valid_until, 0, 0, calls)
        return sign_transaction(account, transaction)

    def _build_evidence(self, height: Height) -> Evidence | None:
        """One of the accusations that can be made now: of two rounds first, since those are the rarest."""
        random, expired = self.villain.random, self._list_expired(height)
        if expired and random.random() < EXPIRED_SHARE:
            self.villain.count("expired evidence")
            return self._build_expired(random.choice(expired))
        rounds = list(self._iterate_two_rounds(height))
        if rounds and random.random() < 0.5:
            self.villain.count("evidence of two rounds")
            return random.choice(rounds)
        return self._build_pair(random.choice(list(PAIRS))) or self._build_forged()

    def _iterate_two_rounds(self, height: Height) -> Iterator[Evidence]:
        oldest = height - self.villain.ledger.get_parameters().evidence_age_blocks
        votes = [one for one in self._heard if one.vote.height > oldest]
        for pair in _list_pairs(votes, PAIRS["two rounds"]):
            yield build_duplicate_vote(*pair)
        for one, other in combinations(self._proposals[-PROPOSALS_MAX:], 2):
            left, right = one.proposal, other.proposal
            if (left.proposer, left.height) == (right.proposer, right.height) and left.round != right.round:
                yield build_duplicate_proposal(one, other)

    def _build_pair(self, name: str) -> Evidence | None:
        pairs = _list_pairs(self._heard, PAIRS[name])
        return build_duplicate_vote(*self.villain.random.choice(pairs)) if pairs else None

    def _build_forged(self) -> Evidence | None:
        """A vote and one that its validator never signed, or one vote twice."""
        if not self._heard:
            return None
        first = self.villain.random.choice(self._heard)
        other = replace(first.vote, block_hash=self.villain.random.randbytes(32))
        forged = SignedVote(other, self.villain.keys.consensus.sign(encode(other)))
        return build_duplicate_vote(first, self.villain.random.choice([forged, first]))

    def _list_expired(self, height: Height) -> list[Height]:
        """Heights too old to be punished, of which the chain still knows who decided them."""
        state, head = self.villain.ledger.state, self.villain.ledger.head
        return [
            old
            for old in range(1, height)
            if validators.is_expired(state, head.height, head.time_ms, old)
            and validators.get_members_at(state, old) is not None
        ]

    def _build_expired(self, height: Height) -> Evidence:
        """A true accusation of the forger itself, too late."""
        vote = Vote(VoteKind.PREVOTE, height, 0, None, self.villain.keys.address)
        pair = self.sign_vote(vote), self.sign_vote(replace(vote, block_hash=bytes(32)))
        return build_duplicate_vote(*pair)


def _list_pairs(votes: list[SignedVote], differs: Differs) -> list[tuple[SignedVote, SignedVote]]:
    """Pairs of the newest votes."""
    recent = [*{encode(one.vote): one for one in votes}.values()][-60:]
    return [pair for pair in combinations(recent, 2) if differs(pair[0].vote, pair[1].vote)]
