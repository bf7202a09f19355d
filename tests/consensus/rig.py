"""Names, sets and messages for tests of the core.

Signatures here are arbitrary bytes: the core's inputs have passed verification, and it never looks at them.
Tests of verification, and the cluster, sign for real.
"""

from collections.abc import Iterable, Sequence

from chain.primitives.types import Address, Hash
from chain.validator_set import ValidatorChange, ValidatorSet, build_validator_set, compute_proposer, rotate
from chain.votes import Proposal, SignedProposal, SignedVote, Vote, VoteKind
from consensus.core import Core
from consensus.timeouts import TimeoutParameters
from consensus.types import (
    BlockBuilt,
    Output,
    ProposalReceived,
    TimeoutElapsed,
    TimeoutKind,
    VoteReceived,
)

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
HEIGHT = 5
TIMEOUTS = TimeoutParameters()


def address(name: str) -> Address:
    """An address that sorts as its name does."""
    return name.encode().ljust(32, b"\0")


def block(name: str) -> Hash:
    """The hash of a block that has only a name."""
    return name.encode().rjust(32, b"\0")


def validators(powers: dict[str, int], first: str | None = None) -> ValidatorSet:
    """A set by names, rotated until `first` is the proposer of round 0."""
    changes = [ValidatorChange(address(n), address(n + "'s key"), power) for n, power in powers.items()]
    validator_set = build_validator_set(changes)
    while first is not None and compute_proposer(validator_set, 0).address != address(first):
        validator_set = rotate(validator_set)
    return validator_set


EQUAL = validators({"a": 1, "b": 1, "c": 1, "d": 1}, first="a")
"""Four equal validators; a, b, c, d propose in rounds 0, 1, 2, 3."""


def vote(kind: VoteKind, round: int, value: str | None, who: str, height: int = HEIGHT) -> SignedVote:
    """A vote for the block named `value`; None is nil."""
    block_hash = None if value is None else block(value)
    return SignedVote(Vote(kind, height, round, block_hash, address(who)), who.encode() * 64)


def votes(kind: VoteKind, round: int, value: str | None, names: Iterable[str]) -> list[VoteReceived]:
    """The inputs of votes of several validators."""
    return [VoteReceived(vote(kind, round, value, who)) for who in names]


def proposal(round: int, value: str, pol_round: int | None = None, who: str | None = None) -> SignedProposal:
    """The proposal of `value` in the set EQUAL, by the proposer of the round unless `who` says otherwise."""
    proposer = address(who) if who else compute_proposer(EQUAL, round).address
    return SignedProposal(Proposal(HEIGHT, round, block(value), pol_round, proposer), b"p" * 64)


def proposed(
    round: int,
    value: str,
    pol_round: int | None = None,
    *,
    who: str | None = None,
    is_valid: bool = True,
    is_timely: bool = True,
) -> ProposalReceived:
    """The input of a proposal."""
    return ProposalReceived(proposal(round, value, pol_round, who), is_valid, is_timely)


def elapsed(kind: TimeoutKind, round: int) -> TimeoutElapsed:
    """The input of a timeout."""
    return TimeoutElapsed(kind, HEIGHT, round)


def built(round: int, value: str) -> BlockBuilt:
    """The input of a block that was built."""
    return BlockBuilt(HEIGHT, round, block(value))


def core(me: str | None, validator_set: ValidatorSet = EQUAL, core_class: type[Core] = Core) -> Core:
    """A core that has not started."""
    return core_class(HEIGHT, validator_set, None if me is None else address(me), TIMEOUTS)


def feed(target: Core, inputs: Sequence[object]) -> list[Output]:
    """All outputs of several inputs; lists among them are fed one by one."""
    outputs: list[Output] = []
    for entry in inputs:
        for received in entry if isinstance(entry, list) else [entry]:
            outputs += target.handle(received)
    return outputs


def short(output: Output) -> str:
    """An output in a few words, for tables."""
    kind = type(output).__name__
    match kind:
        case "CastVote":
            cast = output.vote
            return f"{cast.kind.name.lower()} {cast.round} {name_of(cast.block_hash)}"
        case "SendProposal":
            sent = output.proposal
            return f"propose {sent.round} {name_of(sent.block_hash)} {sent.pol_round}"
        case "BuildBlock":
            return f"build {output.round}"
        case "FetchBlock":
            return f"fetch {name_of(output.block_hash)}"
        case "ScheduleTimeout":
            return f"wait {output.kind.name.lower()} {output.round}"
        case "Decide":
            return f"decide {output.certificate.round} {name_of(output.certificate.block_hash)}"
        case "ConsensusFailure":
            return f"failure {output.certificate.round} {name_of(output.certificate.block_hash)}"
        case "ReportEquivocation":
            return f"report {type(output.evidence).__name__}"
        case _:
            return kind.lower()


def shorts(outputs: Iterable[Output]) -> list[str]:
    """The outputs in words, without the clock of rebroadcasts."""
    words = [short(output) for output in outputs]
    return [word for word in words if not word.startswith(("wait rebroadcast", "rebroadcast"))]


def name_of(block_hash: Hash | None) -> str:
    """The name behind a hash or an address."""
    return "nil" if block_hash is None else block_hash.strip(b"\0").decode()
