"""How a height is resumed after a crash: a fresh core gets the logged inputs."""

from collections.abc import Iterable
from typing import NamedTuple

from chain.block import Block
from chain.votes import Proposal, Vote
from consensus.core import Core
from consensus.types import (
    BlockBuilt,
    BlockReceived,
    BuildBlock,
    CastVote,
    FetchBlock,
    Input,
    Output,
    ProposalReceived,
    Rebroadcast,
    ScheduleTimeout,
    SendProposal,
    TimeoutElapsed,
    VoteReceived,
)
from node.replica.journal import Note


class Replayed(NamedTuple):
    """What a core answered to the notes of its height."""

    pending: list[Output]
    """Outputs that no logged input answers, in order: still to be carried out."""
    asked: list[Vote | Proposal]
    """Every message that it asked to be signed."""


def replay(core: Core, notes: Iterable[Note]) -> Replayed:
    """Feeds the notes to the core."""
    pending: list[Output] = []
    asked: list[Vote | Proposal] = []
    for note in notes:
        if not isinstance(note, Block):
            outputs = core.handle(note)
            asked += [output.vote for output in outputs if isinstance(output, CastVote)]
            asked += [output.proposal for output in outputs if isinstance(output, SendProposal)]
            pending = [*(output for output in pending if not _is_answer(output, note)), *outputs]
    return Replayed([output for output in pending if not isinstance(output, Rebroadcast)], asked)


def _is_answer(output: Output, received: Input) -> bool:
    """Whether the logged input shows that the output was carried out before the crash."""
    match output, received:
        case CastVote(vote), VoteReceived(signed):
            return signed.vote == vote
        case SendProposal(proposal), ProposalReceived(signed):
            return signed.proposal == proposal
        case BuildBlock(_, round), BlockBuilt(_, built_round):
            return round == built_round
        case FetchBlock(_, block_hash), BlockReceived(_, received_hash):
            return block_hash == received_hash
        case ScheduleTimeout(kind, _, round), TimeoutElapsed(elapsed, _, elapsed_round):
            return (kind, round) == (elapsed, elapsed_round)
        case _:
            return False
