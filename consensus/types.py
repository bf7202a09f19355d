"""What goes into the consensus core, and what comes out.

Inputs are a tagged union of records: `encode(input)` is the entry of the write-ahead log, and replaying the
entries through a fresh core gives the same outputs and the same state. Tags are protocol of the log: never
reused. Outputs are to be carried out in the order in which they come; they never leave the node as such.
"""

from enum import IntEnum

from chain.primitives.codec import Record, decode
from chain.primitives.types import Hash, Height, Round, Uint
from chain.votes import (
    CommitCertificate,
    Evidence,
    PolkaCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
)


class Step(IntEnum):
    """The step of a height; steps are in the order of time."""

    UNSTARTED = 0
    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    DECIDED = 4
    HALTED = 5


class TimeoutKind(IntEnum):
    """The three timeouts of the paper, and the clock of rebroadcasts (C14)."""

    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3
    REBROADCAST = 4


class HeightStarted(Record, tag=1):
    """The shell begins the height; what arrived earlier has only been stored."""

    height: Height


class ProposalReceived(Record, tag=2):
    """A proposal whose signature holds and whose block was fetched and executed.

    `is_valid` is about the block alone, whoever proposes it and whenever; `is_timely` about the proposal's
    time.
    """

    signed: SignedProposal
    is_valid: bool
    is_timely: bool


class VoteReceived(Record, tag=3):
    """A vote whose signature is valid. The node's own votes come back as this input."""

    signed: SignedVote


class CommitCertificateReceived(Record, tag=4):
    """A certificate that passed `check_certificate`."""

    certificate: CommitCertificate


class PolkaCertificateReceived(Record, tag=5):
    """A certificate that passed `check_certificate`."""

    certificate: PolkaCertificate


class BlockBuilt(Record, tag=6):
    """The answer to BuildBlock."""

    height: Height
    round: Round
    block_hash: Hash


class BlockReceived(Record, tag=7):
    """The answer to FetchBlock: the block is here and was executed."""

    height: Height
    block_hash: Hash
    is_valid: bool


class TimeoutElapsed(Record, tag=8):
    """The end of a ScheduleTimeout."""

    kind: TimeoutKind
    height: Height
    round: Round


Input = (
    HeightStarted
    | ProposalReceived
    | VoteReceived
    | CommitCertificateReceived
    | PolkaCertificateReceived
    | BlockBuilt
    | BlockReceived
    | TimeoutElapsed
)


def decode_input(entry: bytes) -> Input:
    """The input of a log entry; raises DecodeError."""
    received: Input = decode(Input, entry)  # type: ignore[arg-type]  # a union is no class, but has a decoder
    return received


class CastVote(Record, tag=1):
    """Sign this vote, send it to all, and hand it back in as VoteReceived."""

    vote: Vote


class SendProposal(Record, tag=2):
    """Sign this proposal, send it with its block, and hand it back in as ProposalReceived."""

    proposal: Proposal


class BuildBlock(Record, tag=3):
    """Build a block to propose in this round, and answer with BlockBuilt."""

    height: Height
    round: Round


class FetchBlock(Record, tag=4):
    """This block is final but unknown: get it from anybody, execute it, answer with BlockReceived.

    Where the same block is already being fetched or executed for a proposal, no second fetch is needed, but
    the answer is.
    """

    height: Height
    block_hash: Hash


class ScheduleTimeout(Record, tag=5):
    """Answer with TimeoutElapsed after this long. One of an older round may be cancelled, but need not be."""

    kind: TimeoutKind
    height: Height
    round: Round
    duration_ms: Uint


class ReportEquivocation(Record, tag=6):
    """A validator signed two messages for one slot; the pair is evidence for a block."""

    evidence: Evidence


class Rebroadcast(Record, tag=7):
    """Send again: own messages of this round, and the votes that led to its round and valid value."""

    proposal: SignedProposal | None
    votes: tuple[SignedVote, ...]
    polka: PolkaCertificate | None


class Decide(Record, tag=8):
    """The block is final; the last output of a height."""

    certificate: CommitCertificate


class ConsensusFailure(Record, tag=9):
    """More than 2/3 of the power made a block final that this node finds invalid: stop, and tell the
    operator.

    Either this node's software differs from the others' or a third of the power is faulty; to go on is
    wrong in both cases. The core applies no rule any more.
    """

    certificate: CommitCertificate


Output = (
    CastVote
    | SendProposal
    | BuildBlock
    | FetchBlock
    | ScheduleTimeout
    | ReportEquivocation
    | Rebroadcast
    | Decide
    | ConsensusFailure
)
