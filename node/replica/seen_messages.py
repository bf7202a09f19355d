"""The messages of a height that were seen, so that each is verified and relayed once.

A validator can sign any number of messages, and no relay could be blamed for them. So the number that is
relayed is bounded per validator: two votes per round and kind (the second is the evidence), and in total as
many as the rounds so far have, plus FAR_VOTES_MAX for later rounds, of which the core keeps few. Votes beyond
that are neither verified nor relayed; if one ever matters, it comes in a certificate, of which there is one
per round and block.
"""

from collections import Counter

from chain.primitives.codec import encode
from chain.primitives.types import Address, Round
from chain.votes import CommitCertificate, PolkaCertificate, SignedProposal, SignedVote, VoteKind
from consensus.core import PROPOSALS_PER_ROUND_MAX, ROUNDS_AHEAD_MAX
from consensus.tally import VOTES_PER_SLOT_MAX

FAR_VOTES_MAX = 64
VOTES_PER_ROUND_MAX = VOTES_PER_SLOT_MAX * len(VoteKind)


class SeenMessages:
    """The messages of one height."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._slots: Counter[tuple[Address, Round, VoteKind]] = Counter()
        self._votes: Counter[Address] = Counter()
        self._proposals: Counter[Round] = Counter()

    def is_wanted_vote(self, signed: SignedVote, round: Round) -> bool:
        """Whether the vote is new and within the bounds, in a height that is in this round."""
        vote = signed.vote
        votes_max = VOTES_PER_ROUND_MAX * (round + 1 + ROUNDS_AHEAD_MAX) + FAR_VOTES_MAX
        return (
            signed.signature not in self._seen
            and self._slots[vote.validator, vote.round, vote.kind] < VOTES_PER_SLOT_MAX
            and self._votes[vote.validator] < votes_max
        )

    def note_vote(self, signed: SignedVote) -> None:
        """The vote is well signed."""
        vote = signed.vote
        self._seen.add(signed.signature)
        self._slots[vote.validator, vote.round, vote.kind] += 1
        self._votes[vote.validator] += 1

    def is_wanted_proposal(self, signed: SignedProposal, round: Round) -> bool:
        """Whether the proposal is new, of a round that the core takes, and one of its first two."""
        proposal = signed.proposal
        return (
            signed.signature not in self._seen
            and proposal.round <= round + ROUNDS_AHEAD_MAX
            and self._proposals[proposal.round] < PROPOSALS_PER_ROUND_MAX
        )

    def note_proposal(self, signed: SignedProposal) -> None:
        """The proposal is well signed, by the proposer of its round, and its block is here."""
        self._seen.add(signed.signature)
        self._proposals[signed.proposal.round] += 1

    def is_new_certificate(self, certificate: CommitCertificate | PolkaCertificate) -> bool:
        """Whether it is the first of its kind for its round and block."""
        return _name(certificate) not in self._seen

    def note_certificate(self, certificate: CommitCertificate | PolkaCertificate) -> None:
        """The certificate holds."""
        self._seen.add(_name(certificate))


def _name(certificate: CommitCertificate | PolkaCertificate) -> bytes:
    return encode((type(certificate).__name__, certificate.round, certificate.block_hash))
