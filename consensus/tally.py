"""The votes of one height, counted by power.

Invariants: a vote is counted once, however often and with whatever signature it is delivered. Different votes
of one validator in one slot (round and kind) each count for their own value, because two nodes that each
dropped another one would disagree forever on whether there is a quorum; towards "any value" and towards a
round the validator counts once. Of such votes two are kept per validator and slot, which are the evidence;
more only out of a certificate, since what more than 2/3 signed is bounded by honest validators.

The tally knows no rounds ahead or behind: `FarVotes` bounds what comes from far ahead. Neither verifies
signatures.
"""

from dataclasses import dataclass, field

from chain.primitives.types import Address, Hash, Round
from chain.validator_set import ValidatorSet, compute_total_power, has_honest_member, is_quorum
from chain.votes import DuplicateVote, SignedVote, VoteKind, build_duplicate_vote

VOTES_PER_SLOT_MAX = 2


@dataclass(slots=True)
class _Slot:
    """The votes of one kind in one round, in order of arrival."""

    votes: dict[Address, list[SignedVote]] = field(default_factory=dict)
    powers: dict[Hash | None, int] = field(default_factory=dict)
    any_power: int = 0


class VoteTally:
    """Counts votes; answers whether some value, or all values together, have more than 2/3 of the power."""

    def __init__(self, validator_set: ValidatorSet) -> None:
        self.commits: dict[Hash, Round] = {}
        """The blocks with a quorum of precommits, and the round in which it was seen first."""
        self.skip_round: Round = 0
        """The highest round in which more than 1/3 of the power was seen, in either kind of vote."""
        self._power_of = {member.address: member.power for member in validator_set.validators}
        self._total = compute_total_power(validator_set)
        self._slots: dict[tuple[Round, VoteKind], _Slot] = {}
        self._round_powers: dict[Round, int] = {}

    def add(self, signed: SignedVote, *, is_certified: bool = False) -> DuplicateVote | None:
        """Count a vote. Returns the evidence if it is the validator's second one in its slot."""
        vote = signed.vote
        if vote.validator not in self._power_of:
            return None
        self._count_towards_round(vote.round, vote.validator)
        slot = self._slots.setdefault((vote.round, vote.kind), _Slot())
        earlier = slot.votes.setdefault(vote.validator, [])
        if any(known.vote == vote for known in earlier):
            return None
        if len(earlier) >= VOTES_PER_SLOT_MAX and not is_certified:
            return None
        earlier.append(signed)
        self._count(slot, signed)
        return build_duplicate_vote(earlier[0], signed) if len(earlier) == VOTES_PER_SLOT_MAX else None

    def has_quorum(self, kind: VoteKind, round: Round, block_hash: Hash | None) -> bool:
        """Whether more than 2/3 voted for this value; None is nil."""
        slot = self._slots.get((round, kind))
        return slot is not None and is_quorum(slot.powers.get(block_hash, 0), self._total)

    def has_any_quorum(self, kind: VoteKind, round: Round) -> bool:
        """Whether more than 2/3 voted at all."""
        slot = self._slots.get((round, kind))
        return slot is not None and is_quorum(slot.any_power, self._total)

    def get_votes(self, kind: VoteKind, round: Round) -> list[SignedVote]:
        """All votes kept of a slot, an equivocator's one after the other."""
        slot = self._slots.get((round, kind))
        return [] if slot is None else [signed for votes in slot.votes.values() for signed in votes]

    def get_votes_for(self, kind: VoteKind, round: Round, block_hash: Hash | None) -> list[SignedVote]:
        """The votes for one value, at most one per validator."""
        return [signed for signed in self.get_votes(kind, round) if signed.vote.block_hash == block_hash]

    def get_votes_of(self, validator: Address, round: Round) -> list[SignedVote]:
        """The votes of one validator in a round, prevotes first."""
        slots = [self._slots.get((round, kind)) for kind in VoteKind]
        return [signed for slot in slots if slot is not None for signed in slot.votes.get(validator, ())]

    def get_values(self, kind: VoteKind, round: Round) -> list[Hash | None]:
        """The values voted for, the one with most power first; on a tie nil, then the smaller hash."""
        slot = self._slots.get((round, kind), _Slot())
        return sorted(slot.powers, key=lambda value: (-slot.powers[value], value or b""))

    def _count_towards_round(self, round: Round, validator: Address) -> None:
        slots = [self._slots.get((round, kind)) for kind in VoteKind]
        if any(slot is not None and validator in slot.votes for slot in slots):
            return
        power = self._round_powers.get(round, 0) + self._power_of[validator]
        self._round_powers[round] = power
        if has_honest_member(power, self._total):
            self.skip_round = max(self.skip_round, round)

    def _count(self, slot: _Slot, signed: SignedVote) -> None:
        vote = signed.vote
        power = self._power_of[vote.validator]
        slot.powers[vote.block_hash] = slot.powers.get(vote.block_hash, 0) + power
        if len(slot.votes[vote.validator]) == 1:
            slot.any_power += power
        if vote.kind is VoteKind.PRECOMMIT:
            self._note_commit(vote.block_hash, vote.round, slot.powers[vote.block_hash])

    def _note_commit(self, block_hash: Hash | None, round: Round, power: int) -> None:
        if block_hash is not None and is_quorum(power, self._total):
            self.commits.setdefault(block_hash, round)


class FarVotes:
    """Votes of rounds too far ahead for the tally: of each validator those of its highest round only.

    That is all that finding a later round takes (C9), and a bound that no validator can push others over.
    """

    def __init__(self, validator_set: ValidatorSet) -> None:
        self.skip_round: Round = 0
        """The highest round in which more than 1/3 of the power was seen at one time."""
        self._power_of = {member.address: member.power for member in validator_set.validators}
        self._total = compute_total_power(validator_set)
        self._votes: dict[Address, list[SignedVote]] = {}

    def add(self, signed: SignedVote) -> DuplicateVote | None:
        """Keep the vote, if none of its validator is known from a higher round.

        Returns the evidence if it is the validator's second one in its slot.
        """
        vote = signed.vote
        if vote.validator not in self._power_of:
            return None
        kept = self._votes.get(vote.validator, [])
        if kept and vote.round != kept[0].vote.round:
            if vote.round < kept[0].vote.round:
                return None
            kept = []
        same_kind = [known for known in kept if known.vote.kind is vote.kind]
        if len(same_kind) >= VOTES_PER_SLOT_MAX or any(known.vote == vote for known in same_kind):
            return None
        self._votes[vote.validator] = [*kept, signed]
        self._find_skip_round(vote.round)
        return build_duplicate_vote(same_kind[0], signed) if same_kind else None

    def take(self, round_max: Round) -> list[SignedVote]:
        """Remove and return the votes of rounds up to `round_max`."""
        near = [address for address, votes in self._votes.items() if votes[0].vote.round <= round_max]
        return [signed for address in near for signed in self._votes.pop(address)]

    def _find_skip_round(self, round: Round) -> None:
        power = sum(self._power_of[a] for a, votes in self._votes.items() if votes[0].vote.round == round)
        if has_honest_member(power, self._total):
            self.skip_round = max(self.skip_round, round)
