"""What happened in a run, as the checkers see it. It is kept apart from the nodes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from chain.primitives.codec import encode
from chain.primitives.types import Address, Hash, Height, Round
from chain.votes import (
    Certificate,
    Evidence,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    build_certificate_votes,
)
from p2p.wire.messages import CommitMessage, CompactProposal, ConsensusMessage, PolkaMessage, Votes

Slot = tuple[Address, Height, Round, int]
"""Who signs, height, round, and the kind of message: 0 proposal, 1 prevote, 2 precommit."""
PROPOSAL = 0


Message = Vote | Proposal
Signed = SignedVote | SignedProposal


class Finality(NamedTuple):
    """A node made a block final."""

    time_ms: int
    node: int
    height: Height
    round: Round
    block_hash: Hash


class Acknowledgement(NamedTuple):
    """A node told somebody that a transaction is final."""

    node: int
    tx_id: Hash
    height: Height


class Reported(NamedTuple):
    """A node has seen an equivocation."""

    time_ms: int
    node: int
    evidence: Evidence


@dataclass
class History:
    """The facts of one run."""

    finalities: list[Finality] = field(default_factory=list)
    acknowledged: dict[Hash, Acknowledgement] = field(default_factory=dict)
    reported: list[Reported] = field(default_factory=list)
    signed: dict[Slot, dict[bytes, SignedVote | SignedProposal]] = field(default_factory=dict)
    """Every signed message that an honest node sent or passed on, by slot and by what was signed."""
    spoiled: dict[Hash, str] = field(default_factory=dict)
    """Blocks that a villain has made invalid, and by which behaviour."""
    blames: list[tuple[int, int, str]] = field(default_factory=list)
    """An honest node charged another with a fault: who, whom, why."""

    def note_message(self, message: ConsensusMessage) -> None:
        """A message leaves an honest node."""
        match message:
            case Votes(votes):
                self.note_votes(votes)
            case CompactProposal(signed):
                proposal = signed.proposal
                slot = proposal.proposer, proposal.height, proposal.round, PROPOSAL
                self.signed.setdefault(slot, {}).setdefault(encode(proposal), signed)
            case CommitMessage(certificate) | PolkaMessage(certificate):
                self.note_certificate(certificate)

    def note_votes(self, votes: Iterable[SignedVote]) -> None:
        """Votes leave an honest node."""
        for signed in votes:
            vote = signed.vote
            slot = vote.validator, vote.height, vote.round, int(vote.kind)
            known = self.signed.setdefault(slot, {})
            if not any(other.vote == vote for other in known.values() if isinstance(other, SignedVote)):
                known[encode(vote)] = signed

    def note_certificate(self, certificate: Certificate) -> None:
        """A certificate is made of votes."""
        self.note_votes(build_certificate_votes(certificate))

    def note_final(self, fact: Finality, tx_ids: Iterable[Hash]) -> None:
        """A node made a block final, and acknowledges its transactions."""
        self.finalities.append(fact)
        for tx_id in tx_ids:
            self.acknowledged.setdefault(tx_id, Acknowledgement(fact.node, tx_id, fact.height))


def iterate_messages(message: ConsensusMessage) -> Iterator[tuple[Address, Message, Signed]]:
    """What is signed in a message, and by whom; certificates are left out."""
    match message:
        case Votes(votes):
            for signed in votes:
                yield signed.vote.validator, signed.vote, signed
        case CompactProposal(signed):
            yield signed.proposal.proposer, signed.proposal, signed
