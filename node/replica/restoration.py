"""After a crash: how a height is taken up again."""

from collections.abc import Iterable

from chain.block import Block
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


def replay(core: Core, notes: Iterable[Note]) -> list[Output]:
    """Feeds the core what was noted; returns what is still to be carried out, in order."""
    pending: list[Output] = []
    for note in notes:
        if not isinstance(note, Block):
            pending = [output for output in pending if not _is_answer(output, note)]
            pending += core.handle(note)
    return [output for output in pending if not isinstance(output, Rebroadcast)]


def _is_answer(output: Output, received: Input) -> bool:
    """Whether a logged input shows that the output was carried out before the crash."""
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
