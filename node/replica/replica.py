"""The replica: feeds the pure core, carries out what it says, and makes decided blocks final.

Per height one `Core`. Every input is noted before anything that follows from it leaves the node: one job of
the lane writes the notes, and with them the block that is signed for, to the log, signs, and has the
sign-state on disk; only then the message is published and goes into the core, as one more input.

    replica = Replica(world, ledger, mempool, signer=..., ...)
    gossip = Gossip(world, replica, mempool, verify)
    sync = Sync(world, ledger, verify, replica.commit, random)
    gossip.start()
    replica.start(gossip, sync)

`put` never handles an input at once: it gives it a turn of its own, so that what a peer's message leads to in
here is not laid to the peer, and a failure in here ends the node. While it catches up the replica handles
nothing, so a syncing node signs nothing; that others are ahead interrupts a height only when one of them has
proven it. Callbacks that come too late, for a height that is over, change nothing.

Bounds: `put` gets what `Sightings` let through; executions are as many as the assemblies of `gossip`, builds
and fetches one per round and block. Not here: messages (`gossip`), execution (`node.ledger.ledger`).
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from chain.block import Block, Inherents, compute_header_hash
from chain.errors import InvalidBlock, InvalidTransaction
from chain.primitives.types import Address, Hash, Height, Round, TimeMs
from chain.runtime import BlockResult
from chain.transaction import SignedTransaction
from chain.validator_set import get_validator
from chain.votes import CommitCertificate, Evidence, Proposal, SignedProposal, SignedVote, Vote
from consensus.core import Core
from consensus.proposal_time import SynchronyParameters, is_timely
from consensus.timeouts import TimeoutParameters
from consensus.types import (
    BlockBuilt,
    BlockReceived,
    BuildBlock,
    CastVote,
    ConsensusFailure,
    Decide,
    FetchBlock,
    HeightStarted,
    Input,
    Output,
    ProposalReceived,
    Rebroadcast,
    ReportEquivocation,
    ScheduleTimeout,
    SendProposal,
    Step,
    TimeoutElapsed,
    VoteReceived,
)
from node.ledger.ledger import CommittedBlock, Ledger
from node.mempool.pool import Mempool
from node.replica.errors import ConsensusHalted
from node.replica.journal import Journal, Note
from node.replica.ports import Messenger, Sync, World
from node.replica.restoration import replay
from node.replica.signing.policy import SigningPolicy
from node.replica.signing.signer import Signer
from node.replica.timers import HeightTimers
from storage.crash_points import CrashPoint, reach
from storage.errors import DoubleSignRefused

_log = structlog.get_logger("consensus")

CANDIDATES_MAX = 16
LOOK_AHEAD_MS = 2_000
"""Least time between two looks into claims that others are ahead."""
WAIT_MS_MAX = 1_000
"""The wall clock is read again after so long: somebody may have set it."""

S = TypeVar("S", SignedVote, SignedProposal)
Refusals = list[tuple[SignedTransaction, InvalidTransaction]]


class Replica:
    """Runs height after height."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        mempool: Mempool,
        *,
        signer: Signer | None,
        journal: Journal,
        timeouts: TimeoutParameters,
        synchrony: SynchronyParameters,
        reveal: Callable[[], Hash | None],
        report: Callable[[Evidence], None],
    ) -> None:
        self.ledger = ledger
        self._world = world
        self._mempool = mempool
        self._signer = signer
        self._journal = journal
        self._timeouts = timeouts
        self._synchrony = synchrony
        self._reveal = reveal
        self._report = report
        self.listeners: list[Callable[[CommittedBlock], None]] = []
        self.candidates: dict[Hash, Block] = {}
        self.custody = SigningPolicy(world, ledger, signer, journal)
        self.core = self._build_core()
        self.last_core: Core | None = None
        """Of the last height, if it was decided here: it still counts late precommits."""
        self._messenger: Messenger
        self._sync: Sync
        self._begun: Height = 0
        self._is_open = False
        """Whether inputs are handled."""
        self._is_logging = False
        self._inbox: deque[Input] = deque()
        self._has_turn = False
        self._timers = HeightTimers(world)
        self._is_claimed = False
        self._is_looking = False

    def _build_core(self) -> Core:
        height = self.ledger.height + 1
        me = self._signer.address if self._signer and self._may_sign(height) else None
        return Core(height, self.ledger.get_validators(), me, self._timeouts)

    def _may_sign(self, height: Height) -> bool:
        """Decided once per height, before anything of it is handled; what is found later stops the signer. No
        if the log is of a later height, which this node has seen before: the store is older than the log.
        """
        return self._journal.height <= height and self.custody.may_sign(height)

    # What others call.

    def start(self, messenger: Messenger, sync: Sync) -> None:
        """Called once; everything else follows in later turns."""
        self._messenger, self._sync = messenger, sync
        self.custody.load(self._catch_up)

    def put(self, received: Input) -> None:
        """Hand in a verified input."""
        self.custody.hear(received)
        self._inbox.append(received)
        self._take_turn_soon()

    def put_proposal(
        self, signed: SignedProposal, block: Block, received_ms: TimeMs, then: Callable[[], None]
    ) -> None:
        """Hand in a verified proposal whose block is whole: executes the block first; `then` it has."""
        proposal = signed.proposal
        timely = proposal.pol_round is not None or is_timely(
            received_ms, block.header.time_ms, proposal.round, self._synchrony
        )

        def hand_in(is_valid: bool | None) -> None:
            if is_valid is not None:
                self.put(ProposalReceived(signed, is_valid, timely))
            then()

        self._check_candidate(proposal.height, block, hand_in)

    def note_behind(self) -> None:
        """Somebody claims to be heights ahead: have it looked into."""
        if self._is_open and not self._is_claimed:
            self._is_claimed = True
            self._world.call_later(0, self._look_ahead)

    def commit(self, result: BlockResult, certificate: CommitCertificate, then: Callable[[], None]) -> None:
        """Make an executed block final, tell everybody, then `then`: the door of `sync`."""
        self._world.run(
            partial(self._commit_now, result, certificate), lambda done: self._on_committed(done, then)
        )

    # Catching up.

    def _catch_up(self) -> None:
        self._is_open = self._is_claimed = False
        self._sync.catch_up(lambda: self.custody.look_back(self._on_caught_up))

    def _on_caught_up(self) -> None:
        if self._begun == self.ledger.height + 1:
            self._is_open = True
            self._take_turn_soon()
        else:
            self._open_height()

    def _look_ahead(self) -> None:
        """Looks into claims, beside consensus: a liar must not be able to hold it up."""
        if self._is_open and self._is_claimed and not self._is_looking:
            self._is_claimed, self._is_looking = False, True
            self._sync.look_ahead(self._on_looked)

    def _on_looked(self, is_behind: bool) -> None:
        self._world.call_later(LOOK_AHEAD_MS, self._on_look_over)
        if is_behind and self._is_open and self.core.step < Step.DECIDED:
            self._catch_up()

    def _on_look_over(self) -> None:
        self._is_looking = False
        self._look_ahead()

    # Heights.

    def _open_height(self) -> None:
        """Take up the height after the head; what the log knows of it is fed to its core first."""
        self._timers.cancel_all()
        height = self.ledger.height + 1
        self._world.run(partial(self._restore, height), self._begin)

    def _restore(self, height: Height) -> list[Note]:
        """The notes of this height, its noted blocks executed."""
        if self._journal.height < height:
            self._journal.start(height)
        if self._journal.height != height:
            return []
        notes = self._journal.read()
        for note in notes:
            if isinstance(note, Block):
                self._journal.on_restored(compute_header_hash(note.header), note)
                self._judge(height, note)
        return notes

    def _begin(self, notes: list[Note]) -> None:
        self.last_core = self.core if self.core.step is Step.DECIDED else None
        core, pending = self._replay(notes)
        self.core = core
        self._begun, self._is_logging = core.height, self._must_log(core)
        # What came while this node caught up waits in the inbox, and its blocks are candidates already.
        here = [block for block in self.candidates.values() if block.header.height == core.height]
        blocks = [*here, *(note for note in notes if isinstance(note, Block))]
        self.candidates = {compute_header_hash(block.header): block for block in blocks}
        if pending:
            _log.info("resumed", height=core.height, round=core.round, step=core.step.name)
        self._messenger.on_new_height(core)
        self._is_open = True
        for output in pending:
            self._carry_out(output)
        if core.step is Step.UNSTARTED:
            self._start_when_due(self._world.elapsed_ms())
        self._take_turn_soon()

    def _replay(self, notes: list[Note]) -> tuple[Core, list[Output]]:
        """A core that knows what the log knows; one that only observes if the log has lost its end."""
        core = self._build_core()
        pending, asked = replay(core, notes)
        if self.custody.is_cut(core.height, asked):
            core = self._build_core()
            pending, _ = replay(core, notes)
        return core, pending

    def _must_log(self, core: Core) -> bool:
        """Only who may sign needs to remember; what others remembered would look like a whole log later."""
        is_member = self._signer and get_validator(core.validator_set, self._signer.address)
        return bool(is_member) and self._may_sign(core.height) and self._journal.height == core.height

    def _start_when_due(self, begun_ms: int) -> None:
        """A height starts one block interval after the time of the block before: that paces the chain.

        If our clock is behind that of the last proposer, an interval from now is long enough.
        """
        head_ms, block_ms = self.ledger.head.time_ms, self.ledger.get_parameters().block_ms
        left_ms = head_ms - self._world.now_ms()
        if self.ledger.height > 0:
            left_ms = min(left_ms + block_ms, begun_ms + block_ms - self._world.elapsed_ms())
        if left_ms > 0:
            self._timers.call_later(
                "start", min(left_ms, WAIT_MS_MAX), lambda: self._start_when_due(begun_ms)
            )
        else:
            self.put(HeightStarted(self.core.height))

    # Inputs.

    def _take_turn_soon(self) -> None:
        if self._is_open and self._inbox and not self._has_turn:
            self._has_turn = True
            self._world.call_later(0, self._take_turn)

    def _take_turn(self) -> None:
        self._has_turn = False
        while self._is_open and self._inbox:
            self._handle(self._inbox.popleft())

    def _handle(self, received: Input) -> None:
        if isinstance(received, VoteReceived) and self._is_late(received):
            self._count_late(received)
            return
        outputs = self.core.handle(received)
        if self._is_logging:
            self._journal.note(received)
        for output in outputs:
            self._carry_out(output)

    def _is_late(self, received: VoteReceived) -> bool:
        return self.last_core is not None and self.last_core.height == received.signed.vote.height

    def _count_late(self, received: VoteReceived) -> None:
        """A precommit that comes after its height was decided still counts for its validator's pay."""
        assert self.last_core is not None
        for output in self.last_core.handle(received):
            self._carry_out(output)

    # Outputs.

    def _carry_out(self, output: Output) -> None:
        match output:
            case CastVote(vote):
                self._cast(vote)
            case SendProposal(proposal):
                self._propose(proposal)
            case BuildBlock(height, round):
                self._build_when_due(height, round)
            case FetchBlock(height, block_hash):
                self._fetch(height, block_hash)
            case ScheduleTimeout(kind, height, round, duration_ms):
                elapsed = TimeoutElapsed(kind, height, round)
                self._timers.call_later((kind, round), duration_ms, lambda: self.put(elapsed))
            case ReportEquivocation(evidence):
                _log.warning("equivocation", height=self.core.height)
                self._report(evidence)
            case Rebroadcast(proposal):
                block = self.candidates.get(proposal.proposal.block_hash) if proposal else None
                self._messenger.send_again(output, block)
            case Decide(certificate):
                self._decide(certificate)
            case ConsensusFailure(certificate):
                raise ConsensusHalted(f"block {certificate.block_hash.hex()} at height {certificate.height}")

    def _cast(self, vote: Vote) -> None:
        assert self._signer is not None
        signer = self._signer

        def publish(signed: SignedVote) -> None:
            self.custody.note_made(vote)
            self._messenger.send_votes((signed,))
            self.put(VoteReceived(signed))

        self._sign(vote, lambda: signer.sign_vote(vote), publish)

    def _propose(self, proposal: Proposal) -> None:
        assert self._signer is not None
        signer, block = self._signer, self.candidates.get(proposal.block_hash)
        if block is None:
            _log.warning("proposal_without_body", height=proposal.height, round=proposal.round)
            return

        def publish(signed: SignedProposal) -> None:
            self.custody.note_made(proposal)
            self._messenger.send_proposal(signed, block)
            self.put(ProposalReceived(signed, is_valid=True, is_timely=True))

        self._sign(proposal, lambda: signer.sign_proposal(proposal), publish)

    def _sign(self, message: Vote | Proposal, sign: Callable[[], S], publish: Callable[[S], None]) -> None:
        """Have on disk what led to the signature, and the block it is for; then make it; then send it."""
        block_hash = message.block_hash
        block = self.candidates.get(block_hash) if block_hash else None
        if self._is_logging and block_hash is not None and block is not None:
            self._journal.note_block(block_hash, block)
        entries = self._journal.take()

        def work() -> S | None:
            self._journal.write(entries)
            reach(CrashPoint.SIGN)
            try:
                return self.custody.sign(message, sign)
            except DoubleSignRefused as error:
                _log.error("signature_refused", reason=str(error))
                return None

        self._world.run(work, lambda signed: _publish(signed, publish))

    def _build_when_due(self, height: Height, round: Round) -> None:
        """A block's time is later than that of the one before: wait if the clock is not there yet."""
        left_ms = self.ledger.head.time_ms + 1 - self._world.now_ms()
        if left_ms > 0:
            wait_ms = min(left_ms, WAIT_MS_MAX)
            self._timers.call_later(("build", round), wait_ms, lambda: self._build_when_due(height, round))
        else:
            self._build(height, round)

    def _build(self, height: Height, round: Round) -> None:
        assert self._signer is not None
        inherents = Inherents(self._reveal(), self._get_last_commit())
        limit = self.ledger.get_parameters().block_transactions_max
        candidates = [pooled.signed for pooled in self._mempool.select(limit)]
        proposer = self._signer.address
        self._world.run(
            lambda: self._build_now(height, proposer, inherents, candidates),
            lambda built: self._on_built(height, round, built),
        )

    def _build_now(
        self, height: Height, proposer: Address, inherents: Inherents, candidates: list[SignedTransaction]
    ) -> tuple[BlockResult, Refusals] | None:
        """The block, unless the height was decided while this waited for its turn."""
        if self.ledger.height + 1 != height:
            return None
        time_ms = max(self._world.now_ms(), self.ledger.head.time_ms + 1)
        return self.ledger.build(proposer, time_ms, inherents, candidates)

    def _on_built(self, height: Height, round: Round, built: tuple[BlockResult, Refusals] | None) -> None:
        if built is not None:
            result, refused = built
            self._mempool.on_refused(refused)
            self._remember(height, result.block)
            self.put(BlockBuilt(height, round, result.block_hash))

    def _get_last_commit(self) -> CommitCertificate | None:
        """The last block's certificate with every precommit that has come since it was final."""
        stored = self.ledger.get_certificate(self.ledger.height)
        if self.last_core is None or self.last_core.height != self.ledger.height:
            return stored
        return self.last_core.build_commit_certificate() or stored

    # Candidates.

    def _check_candidate(self, height: Height, block: Block, then: Callable[[bool | None], None]) -> None:
        """Executes the block and tells `then` the verdict; remembers it either way."""
        self._remember(height, block)
        self._world.run(lambda: self._judge(height, block), then)

    def _judge(self, height: Height, block: Block) -> bool | None:
        """Whether the block is valid on the head; None if its height was decided while this waited."""
        if self.ledger.height + 1 != height:
            return None
        try:
            self.ledger.execute(block)
        except InvalidBlock as error:
            _log.warning("invalid_block", height=height, reason=str(error))
            return False
        return True

    def _remember(self, height: Height, block: Block) -> None:
        """Bound the candidates, oldest first, but keep what the core may still propose or decide."""
        if self.core.height != height:
            return
        self.candidates.setdefault(compute_header_hash(block.header), block)
        needed = {self.core.valid_hash, self.core.locked_hash, *self.core.tally.commits}
        spare = [block_hash for block_hash in self.candidates if block_hash not in needed]
        for block_hash in spare[: max(0, len(self.candidates) - CANDIDATES_MAX)]:
            del self.candidates[block_hash]

    def _fetch(self, height: Height, block_hash: Hash) -> None:
        def answer(is_valid: bool | None) -> None:
            if is_valid is not None:
                self.put(BlockReceived(height, block_hash, is_valid))

        self._with_block(height, block_hash, lambda block: self._check_candidate(height, block, answer))

    def _with_block(self, height: Height, block_hash: Hash, then: Callable[[Block], None]) -> None:
        """Calls `then` with the block, at once if it is here."""
        block = self.candidates.get(block_hash)
        if block is not None:
            then(block)
        else:
            self._messenger.fetch_block(height, block_hash, then)

    # Decisions.

    def _decide(self, certificate: CommitCertificate) -> None:
        def finalise(block: Block) -> None:
            self._world.run(
                lambda: self._commit_now(self.ledger.execute(block), certificate),
                lambda committed: self._on_committed(committed, self._open_height),
            )

        self._timers.cancel_all()
        self._with_block(certificate.height, certificate.block_hash, finalise)

    def _commit_now(self, result: BlockResult, certificate: CommitCertificate) -> CommittedBlock:
        reach(CrashPoint.COMMIT)
        committed = self.ledger.commit(result, certificate)
        reach(CrashPoint.COMMITTED)
        return committed

    def _on_committed(self, committed: CommittedBlock, then: Callable[[], None]) -> None:
        self.custody.on_final(committed)
        self._mempool.on_block(committed.included, self.ledger)
        for listener in self.listeners:
            listener(committed)
        then()


def _publish(signed: S | None, publish: Callable[[S], None]) -> None:
    """Unless it was refused."""
    if signed is not None:
        reach(CrashPoint.PUBLISH)
        publish(signed)
        reach(CrashPoint.PUBLISHED)
