"""The messages of a height that were seen, so that each is verified and relayed once.

A validator can sign any number of messages, and no relay could be blamed for them. So their number is bounded
per validator: two votes per slot (the second is the evidence), of near rounds all slots, of rounds further
ahead FAR_VOTES_MAX votes; and two proposals per round. The bounds of far rounds and near slots are separate,
so that no flood of votes hides a conflicting one. What is beyond the bounds is neither verified nor relayed;
if such a vote ever matters, it comes in a certificate, of which there is one per round and block.

Messages are known by what they say, never by their signature: Ed25519 (RFC 8032) has many valid signatures of
one message by one key, and copies would fill the bounds.
"""

from collections import Counter

from chain.primitives.types import Address, Hash, Round
from chain.votes import (
    CommitCertificate,
    DuplicateProposal,
    PolkaCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
    build_duplicate_proposal,
)
from consensus.core import PROPOSALS_PER_ROUND_MAX, ROUNDS_AHEAD_MAX
from consensus.tally import VOTES_PER_SLOT_MAX

FAR_VOTES_MAX = 64


class SeenMessages:
    """The messages of one height; `round` is the round that the height is in."""

    def __init__(self) -> None:
        self._votes: set[Vote] = set()
        self._slots: Counter[tuple[Address, Round, VoteKind]] = Counter()
        self._far_votes: Counter[Address] = Counter()
        self._proposals: dict[Round, set[Proposal]] = {}
        self._first_signed: dict[Round, SignedProposal] = {}
        self._convicted: set[Round] = set()
        """Rounds of which evidence against the proposer was returned."""
        self._certificates: set[tuple[bool, Round, Hash]] = set()

    def is_wanted_vote(self, signed: SignedVote, round: Round) -> bool:
        """Whether the vote is new and within the bounds."""
        vote = signed.vote
        return (
            vote not in self._votes
            and self._slots[vote.validator, vote.round, vote.kind] < VOTES_PER_SLOT_MAX
            and (not _is_far(vote, round) or self._far_votes[vote.validator] < FAR_VOTES_MAX)
        )

    def note_vote(self, signed: SignedVote, round: Round) -> None:
        """The vote was wanted, and its signature is valid."""
        vote = signed.vote
        self._votes.add(vote)
        self._slots[vote.validator, vote.round, vote.kind] += 1
        self._far_votes[vote.validator] += _is_far(vote, round)

    def is_wanted_proposal(self, signed: SignedProposal, round: Round) -> bool:
        """Whether the proposal is new, of a round that the core accepts, and one of its first two."""
        proposal = signed.proposal
        known = self._proposals.get(proposal.round, ())
        return (
            proposal not in known
            and proposal.round <= round + ROUNDS_AHEAD_MAX
            and len(known) < PROPOSALS_PER_ROUND_MAX
        )

    def note_signed_proposal(self, signed: SignedProposal) -> DuplicateProposal | None:
        """The proposer of the round signed this; returns evidence, once per round, if it conflicts.

        The block may be missing: two signatures are evidence without it.
        """
        round = signed.proposal.round
        first = self._first_signed.setdefault(round, signed)
        if not self.is_conflicting_proposal(signed):
            return None
        self._convicted.add(round)
        return build_duplicate_proposal(first, signed)

    def is_conflicting_proposal(self, signed: SignedProposal) -> bool:
        """Whether the proposer signed another proposal for this round, of which nothing was reported yet."""
        round = signed.proposal.round
        first = self._first_signed.get(round)
        return (
            first is not None
            and round not in self._convicted
            and first.proposal != signed.proposal
            and first.proposal.proposer == signed.proposal.proposer
        )

    def note_proposal(self, signed: SignedProposal) -> None:
        """The proposal was wanted and signed by the proposer of its round, and its block is here."""
        self._proposals.setdefault(signed.proposal.round, set()).add(signed.proposal)

    def is_new_certificate(self, certificate: CommitCertificate | PolkaCertificate) -> bool:
        """Whether it is the first of its kind for its round and block."""
        return _get_name(certificate) not in self._certificates

    def note_certificate(self, certificate: CommitCertificate | PolkaCertificate) -> None:
        """The certificate was verified."""
        self._certificates.add(_get_name(certificate))


def _is_far(vote: Vote, round: Round) -> bool:
    return vote.round > round + ROUNDS_AHEAD_MAX


def _get_name(certificate: CommitCertificate | PolkaCertificate) -> tuple[bool, Round, Hash]:
    return isinstance(certificate, CommitCertificate), certificate.round, certificate.block_hash
