"""What a peer is missing: a summary of what a core knows, and the answer to another core's summary.

The proof of Tendermint assumes that what one honest node has, all get (C14). Links lose messages, so nodes
exchange summaries: one bit per validator for each value voted for. The bits are per value, not per slot,
because a peer that has an equivocator's *other* vote lacks the one that completes our quorum. A quorum the
peer lacks is sent as a certificate, which its tally takes whatever it kept before.

Pure and bounded both ways: a summary names ROUNDS_MAX rounds around the current one and VALUES_MAX values per
slot (those with most power); an answer has at most `count_max` messages, the most useful first. Summaries
come from outside: their bit arrays must have exactly the length of the set, with no bit beyond it (CometBFT's
ASA-2025-003 was that check). Other heights are the shell's business: to a node that is behind it sends the
stored commit certificate.

ChainError
└── InvalidSummary   wrong length of a bit array, stray bits, rounds or values not in order
"""

from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import Annotated

from msgspec import Meta

from chain.primitives.codec import Record
from chain.primitives.errors import ChainError
from chain.primitives.types import Hash, Height, Round
from chain.validator_set import VALIDATORS_MAX, ValidatorSet, compute_total_power, get_position, is_quorum
from chain.votes import (
    CommitCertificate,
    PolkaCertificate,
    SignedProposal,
    SignedVote,
    VoteKind,
    build_polka_certificate,
)
from consensus.core import PROPOSALS_PER_ROUND_MAX, Core
from consensus.types import Step

ROUNDS_MAX = 8
VALUES_MAX = 4

Bits = Annotated[bytes, Meta(max_length=(VALIDATORS_MAX + 7) // 8)]
Message = CommitCertificate | PolkaCertificate | SignedProposal | SignedVote


class InvalidSummary(ChainError):
    """The summary does not fit the validator set, or is not in canonical form."""


class ValueSummary(Record):
    """Whose votes for a value are known: bit `i % 8` of byte `i // 8` is validator i of the set."""

    kind: VoteKind
    block_hash: Hash | None
    bits: Bits


class RoundSummary(Record):
    """What is known of a round."""

    round: Round
    proposals: Annotated[tuple[Hash, ...], Meta(max_length=PROPOSALS_PER_ROUND_MAX)]
    values: Annotated[tuple[ValueSummary, ...], Meta(max_length=2 * VALUES_MAX)]


class VoteSummary(Record):
    """Where a node stands in a height, and what it knows of the rounds that matter to it; rounds ascend."""

    height: Height
    round: Round
    step: Step
    rounds: Annotated[tuple[RoundSummary, ...], Meta(max_length=ROUNDS_MAX)]


def build_summary(core: Core) -> VoteSummary:
    """What this core knows of the rounds that matter to it."""
    rounds = tuple(_build_round(core, round) for round in _get_rounds_of_interest(core))
    return VoteSummary(core.height, core.round, core.step, rounds)


def check_summary(validator_set: ValidatorSet, summary: VoteSummary) -> None:
    """Raises InvalidSummary unless the summary fits the set."""
    if any(left.round >= right.round for left, right in pairwise(summary.rounds)):
        raise InvalidSummary("rounds are not strictly ascending")
    for entry in summary.rounds:
        if len({(value.kind, value.block_hash) for value in entry.values}) != len(entry.values):
            raise InvalidSummary("a value is named twice")
        for value in entry.values:
            _check_bits(value.bits, len(validator_set.validators))


def select_missing(core: Core, summary: VoteSummary, count_max: int) -> list[Message]:
    """Up to `count_max` messages that a peer with this summary lacks; nothing if it is at another height.

    Raises InvalidSummary.
    """
    if summary.height != core.height:
        return []
    check_summary(core.validator_set, summary)
    if summary.step >= Step.DECIDED:
        return []
    return list(islice(_iterate_missing(core, summary), count_max))


def _iterate_missing(core: Core, summary: VoteSummary) -> Iterator[Message]:
    commit = core.build_commit_certificate()
    if commit is not None:
        # Nothing else matters any more: with it the peer fetches the block and is done.
        yield commit
        return
    known = {entry.round: entry for entry in summary.rounds}
    entries = [known.get(round, RoundSummary(round, (), ())) for round in _get_rounds_for(core, summary)]
    for entry in entries:
        yield from _get_missing_proposals(core, entry)
    for entry in entries:
        yield from _iterate_missing_votes(core, entry)


def _get_rounds_of_interest(core: Core) -> list[Round]:
    """The current round, the next, those that proposals refer to, and as many earlier ones as fit."""
    proposals = (received.signed.proposal for received in core.proposals.get(core.round, ()))
    referred = [proposal.pol_round for proposal in proposals if proposal.pol_round is not None]
    wanted = [core.round, core.round + 1, *referred, *range(core.round - 1, -1, -1)]
    return sorted(list(dict.fromkeys(wanted))[:ROUNDS_MAX])


def _get_rounds_for(core: Core, summary: VoteSummary) -> list[Round]:
    """The rounds to compare: ours, the one before, which lets the peer enter ours, those it names."""
    ours = [core.round, core.round - 1] if core.round >= max(summary.round, 1) else [core.round]
    named = [entry.round for entry in reversed(summary.rounds)]
    return list(dict.fromkeys([*ours, *named]))


def _build_round(core: Core, round: Round) -> RoundSummary:
    hashes = tuple(received.signed.proposal.block_hash for received in core.proposals.get(round, ()))
    values = [
        ValueSummary(kind, value, _build_bits(core, core.tally.get_votes_for(kind, round, value)))
        for kind in VoteKind
        for value in core.tally.get_values(kind, round)[:VALUES_MAX]
    ]
    return RoundSummary(round, hashes, tuple(values))


def _get_missing_proposals(core: Core, entry: RoundSummary) -> list[SignedProposal]:
    if len(entry.proposals) >= PROPOSALS_PER_ROUND_MAX:
        return []
    known = [received.signed for received in core.proposals.get(entry.round, ())]
    return [signed for signed in known if signed.proposal.block_hash not in entry.proposals]


def _iterate_missing_votes(core: Core, entry: RoundSummary) -> Iterator[PolkaCertificate | SignedVote]:
    """Values with most power first; a certificate in place of votes where the peer has no polka."""
    for kind in VoteKind:
        for value in core.tally.get_values(kind, entry.round):
            votes = core.tally.get_votes_for(kind, entry.round, value)
            mask = _get_mask(entry, kind, value)
            is_polka = kind is VoteKind.PREVOTE and value is not None
            if is_polka and core.tally.has_quorum(kind, entry.round, value) and not _has_quorum(core, mask):
                yield build_polka_certificate(votes)
            else:
                yield from (signed for signed in votes if not mask >> _get_position(core, signed) & 1)


def _get_position(core: Core, signed: SignedVote) -> int:
    position = get_position(core.validator_set, signed.vote.validator)
    assert position is not None, "the tally keeps votes of members only"
    return position


def _build_bits(core: Core, votes: Iterable[SignedVote]) -> bytes:
    mask = sum(1 << _get_position(core, signed) for signed in votes)
    return mask.to_bytes(_compute_bits_bytes(len(core.validator_set.validators)), "little")


def _get_mask(entry: RoundSummary, kind: VoteKind, block_hash: Hash | None) -> int:
    """Bit mask of the validators whose vote for the value the peer has; 0 if it does not name the value."""
    matching = (value.bits for value in entry.values if (value.kind, value.block_hash) == (kind, block_hash))
    return int.from_bytes(next(matching, b""), "little")


def _has_quorum(core: Core, mask: int) -> bool:
    members = enumerate(core.validator_set.validators)
    power = sum(member.power for position, member in members if mask >> position & 1)
    return is_quorum(power, compute_total_power(core.validator_set))


def _compute_bits_bytes(count: int) -> int:
    return (count + 7) // 8


def _check_bits(bits: bytes, count: int) -> None:
    if len(bits) != _compute_bits_bytes(count):
        raise InvalidSummary(f"{len(bits)} bytes of bits for {count} validators")
    if int.from_bytes(bits, "little") >> count:
        raise InvalidSummary("bits beyond the validator set")
