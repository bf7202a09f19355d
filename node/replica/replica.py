"""The replica: feeds the pure core, carries out its outputs, and makes decided blocks final.

There is one `Core` per height. An input is in the log before anything that follows from it leaves the node:
one job of the lane writes the noted inputs and the block to be signed for, signs, and writes the sign-state.
Then the message is published and goes into the core as one more input.

`put` gives each input a turn of its own. So an error that an input causes here ends the node, and is not
charged to the peer that sent it. A replica that syncs handles no input, so it signs nothing. A peer's claim
to be ahead interrupts a height only when the peer has proven it. A callback for a height that is over does
nothing.

Bounds: `SeenMessages` limits the inputs; at most as many blocks are executed as `gossip` has assemblies, and
one is built and fetched per round and block. Not here: messages (`gossip`), execution (`node.ledger.ledger`).
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from chain.block import Block, Inherents, compute_header_hash
from chain.errors import InvalidBlock, InvalidTransaction
from chain.primitives.types import Address, Hash, Height, Round, TimeMs
from chain.runtime import BlockResult
from chain.transaction import SignedTransaction
from chain.votes import (
    CommitCertificate,
    Evidence,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    compute_evidence_hash,
    get_offence_height,
)
from consensus.core import Core
from consensus.proposal_time import SynchronyParameters, is_timely
from consensus.timeouts import TimeoutParameters
from consensus.types import (
    BlockBuilt,
    BlockReceived,
    BuildBlock,
    CastVote,
    CommitCertificateReceived,
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
from node.replica.inbox import Inbox
from node.replica.journal import Journal, Note
from node.replica.lead_checks import LeadChecks
from node.replica.mode import NEXT_MODES, Mode
from node.replica.past_cores import PastCores
from node.replica.ports import BlockSync, CommitBlock, Messenger, World
from node.replica.restoration import replay
from node.replica.signing.policy import SigningPolicy
from node.replica.signing.signer import Signer
from node.replica.timers import HeightTimers
from storage.crash_points import CrashPoint, reach
from storage.errors import DoubleSignRefused

_log = structlog.get_logger("consensus")

CANDIDATES_MAX = 16
WAIT_MS_MAX = 1_000
"""The wall clock is read again after this long, because somebody may have set it."""

S = TypeVar("S", SignedVote, SignedProposal)
Refusals = list[tuple[SignedTransaction, InvalidTransaction]]


class Replica:
    """Runs height after height, from `start` on."""

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
        build_messenger: Callable[["Replica"], Messenger],
        build_sync: Callable[[CommitBlock], BlockSync],
    ) -> None:
        """`reveal` returns the beacon link for the next block, or None; `report` gets evidence.

        `build_messenger` and `build_sync` are called once, when everything else of the replica is there.
        """
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
        self.policy = SigningPolicy(world, ledger, signer, journal)
        self.core = self._build_core()
        self.past_cores = PastCores()
        self._mode = Mode.STARTING
        self._reported: set[Hash] = set()
        self._inbox = Inbox(world, self._handle, self._is_running)
        self._timers = HeightTimers(world)
        self._messenger = build_messenger(self)
        self._sync = build_sync(self.commit)
        self._lead_checks = LeadChecks(world, self._sync.look_ahead, self._is_running, self._on_behind)

    def _build_core(self) -> Core:
        height = self.ledger.height + 1
        me = self._signer.address if self._signer and self._may_sign(height) else None
        return Core(height, self.ledger.get_validators(), me, self._timeouts)

    def _may_sign(self, height: Height) -> bool:
        """Decided once per height, before any input of it is handled; what is found later stops the signer.

        A log of a later height forbids it: the store is then older than the log, and the height was seen.
        """
        return self._journal.height <= height and self.policy.may_sign(height)

    def _is_running(self) -> bool:
        return self._mode is Mode.RUNNING

    def _enter(self, mode: Mode) -> None:
        """Every change of mode; only callbacks of this class lead here, in the order of `NEXT_MODES`."""
        assert mode in NEXT_MODES[self._mode], (self._mode, mode)
        self._mode = mode

    # What others call.

    def start(self) -> None:
        """Called once; everything else follows in later turns."""
        self.policy.load(lambda: self._catch_up(self._open_height))

    def put(self, received: Input) -> None:
        """Hand in a verified input."""
        self.policy.on_received(received)
        self._inbox.put(received)

    def put_proposal(
        self, signed: SignedProposal, block: Block, received_ms: TimeMs, then: Callable[[], None]
    ) -> None:
        """Hand in a verified proposal whose block is whole; `then` is called when the block was executed."""
        proposal = signed.proposal
        timely = proposal.pol_round is not None or is_timely(
            received_ms, block.header.time_ms, proposal.round, self._synchrony
        )

        def hand_in(is_valid: bool | None) -> None:
            if is_valid is not None:
                self.put(ProposalReceived(signed, is_valid, timely))
            then()

        self._check_candidate(proposal.height, block, hand_in)

    def report(self, evidence: Evidence) -> None:
        """A validator equivocated; the same evidence is reported once in a height."""
        name = compute_evidence_hash(evidence)
        if name not in self._reported:
            self._reported.add(name)
            _log.warning("equivocation", height=get_offence_height(evidence))
            self._report(evidence)

    def note_behind(self) -> None:
        """A peer claims to be heights ahead: check it, in a later turn."""
        self._lead_checks.request()

    def commit(self, result: BlockResult, certificate: CommitCertificate, then: Callable[[], None]) -> None:
        """Make an executed block final and tell the listeners; `sync` calls this."""
        self._world.run(
            partial(self._commit_now, result, certificate), lambda done: self._on_committed(done, then)
        )

    # Catching up.

    def _catch_up(self, then: Callable[[], None]) -> None:
        self._enter(Mode.SYNCING)
        self._lead_checks.drop_request()
        self._sync.catch_up(lambda: self.policy.search_chain(then))

    def _on_behind(self) -> None:
        if self._is_running() and self.core.step < Step.DECIDED:
            self._catch_up(self._on_caught_up)

    def _on_caught_up(self) -> None:
        if self.core.height == self.ledger.height + 1:
            self._enter(Mode.RUNNING)
            self._inbox.wake()
        else:
            self._open_height()

    # Heights.

    def _open_height(self) -> None:
        """Begin the height after the head; its core gets what the log holds of it first."""
        if not self._is_running():
            self._enter(Mode.RESTORING)
        self._timers.cancel_all()
        height = self.ledger.height + 1
        self._world.run(partial(self._restore, height), self._begin)

    def _restore(self, height: Height) -> list[Note]:
        """The notes of this height in the log; their blocks are executed here. Runs in the lane."""
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
        core, pending = self._replay(notes)
        self.past_cores.replace(self.core, core.height)
        self.core = core
        self._reported.clear()
        # Proposals that came during the sync wait in the inbox; their blocks are candidates already.
        here = [block for block in self.candidates.values() if block.header.height == core.height]
        blocks = [*here, *(note for note in notes if isinstance(note, Block))]
        self.candidates = {compute_header_hash(block.header): block for block in blocks}
        if pending:
            _log.info("resumed", height=core.height, round=core.round, step=core.step.name)
        self._messenger.on_new_height(core)
        if not self._is_running():
            self._enter(Mode.RUNNING)
        for output in pending:
            self._carry_out(output)
        if core.step is Step.UNSTARTED:
            self._start_when_due(self._world.elapsed_ms())
        self._inbox.wake()

    def _replay(self, notes: list[Note]) -> tuple[Core, list[Output]]:
        """A core fed with the log, and what it still has to do; an observing core if the log is cut short."""
        core = self._build_core()
        pending, asked = replay(core, notes)
        if self.policy.is_cut(core.height, asked):
            core = self._build_core()
            pending, _ = replay(core, notes)
        return core, pending

    def _is_logging(self) -> bool:
        """Only validators log: an observer's partial log would pass for complete after a restart."""
        return not self.core.is_observer

    def _start_when_due(self, begun_ms: int) -> None:
        """Start the height one block interval after the time of the last block, which paces the chain.

        If our clock is behind the last proposer's, an interval after `begun_ms` is long enough.
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

    def _handle(self, received: Input) -> None:
        past = None
        if isinstance(received, VoteReceived):
            past = self.past_cores.get(received.signed.vote.height)
        if past is not None:
            # A late precommit counts for its validator's pay, and a conflicting vote is evidence.
            outputs = past.handle(received)
        else:
            outputs = self.core.handle(received)
            if self._is_logging():
                self._journal.note(received)
        for output in outputs:
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
                self.report(evidence)
            case Rebroadcast(proposal):
                block = self.candidates.get(proposal.proposal.block_hash) if proposal else None
                self._messenger.send_again(output, block)
            case Decide(certificate):
                self._decide(certificate)
            case ConsensusFailure(certificate):
                raise ConsensusHalted(f"block {certificate.block_hash.hex()} at height {certificate.height}")

    def _get_signer(self) -> Signer:
        # `_build_core` gives a core an address only if there is a signer; other cores cast and build nothing.
        assert self._signer is not None
        return self._signer

    def _cast(self, vote: Vote) -> None:
        signer = self._get_signer()

        def publish(signed: SignedVote) -> None:
            self.policy.note_made(vote)
            self._messenger.send_votes((signed,))
            self.put(VoteReceived(signed))

        self._sign(vote, lambda: signer.sign_vote(vote), publish)

    def _propose(self, proposal: Proposal) -> None:
        signer, block = self._get_signer(), self.candidates.get(proposal.block_hash)
        if block is None:
            _log.warning("proposal_without_body", height=proposal.height, round=proposal.round)
            return

        def publish(signed: SignedProposal) -> None:
            self.policy.note_made(proposal)
            self._messenger.send_proposal(signed, block)
            self.put(ProposalReceived(signed, is_valid=True, is_timely=True))

        self._sign(proposal, lambda: signer.sign_proposal(proposal), publish)

    def _sign(self, message: Vote | Proposal, sign: Callable[[], S], publish: Callable[[S], None]) -> None:
        """Write the log, with the block that is signed for; then sign; then publish."""
        block_hash = message.block_hash
        block = self.candidates.get(block_hash) if block_hash else None
        if self._is_logging() and block_hash is not None and block is not None:
            self._journal.note_block(block_hash, block)
        entries = self._journal.take()

        def work() -> S | None:
            self._journal.write(entries)
            reach(CrashPoint.SIGN)
            try:
                return self.policy.sign(message, sign)
            except DoubleSignRefused as error:
                _log.error("signature_refused", reason=str(error))
                return None

        self._world.run(work, lambda signed: _publish(signed, publish))

    def _build_when_due(self, height: Height, round: Round) -> None:
        """Wait until the clock is later than the last block's time, as a block's time must be."""
        left_ms = self.ledger.head.time_ms + 1 - self._world.now_ms()
        if left_ms > 0:
            wait_ms = min(left_ms, WAIT_MS_MAX)
            self._timers.call_later(("build", round), wait_ms, lambda: self._build_when_due(height, round))
        else:
            self._build(height, round)

    def _build(self, height: Height, round: Round) -> None:
        inherents = Inherents(self._reveal(), self._get_last_commit())
        limit = self.ledger.get_parameters().block_transactions_max
        candidates = [pooled.signed for pooled in self._mempool.select(limit)]
        proposer = self._get_signer().address
        self._world.run(
            lambda: self._build_now(height, proposer, inherents, candidates),
            lambda built: self._on_built(height, round, built),
        )

    def _build_now(
        self, height: Height, proposer: Address, inherents: Inherents, candidates: list[SignedTransaction]
    ) -> tuple[BlockResult, Refusals] | None:
        """The block; None if the height was decided while the job waited."""
        if self.ledger.live.height + 1 != height:
            return None
        time_ms = max(self._world.now_ms(), self.ledger.live.head.time_ms + 1)
        return self.ledger.build(proposer, time_ms, inherents, candidates)

    def _on_built(self, height: Height, round: Round, built: tuple[BlockResult, Refusals] | None) -> None:
        if built is not None:
            result, refused = built
            self._mempool.on_refused(refused)
            self._remember(height, result.block)
            self.put(BlockBuilt(height, round, result.block_hash))

    def _get_last_commit(self) -> CommitCertificate | None:
        """The last block's certificate, with the precommits that came since it was final."""
        stored = self.ledger.get_certificate(self.ledger.height)
        last = self.past_cores.get(self.ledger.height)
        return last.build_commit_certificate() or stored if last is not None else stored

    # Candidates.

    def _check_candidate(self, height: Height, block: Block, then: Callable[[bool | None], None]) -> None:
        """Remembers the block and executes it; tells `then` whether it is valid."""
        self._remember(height, block)
        self._world.run(lambda: self._judge(height, block), then)

    def _judge(self, height: Height, block: Block) -> bool | None:
        """Whether the block is valid; None if its height was decided while the job waited."""
        if self.ledger.live.height + 1 != height:
            return None
        try:
            self.ledger.execute(block)
        except InvalidBlock as error:
            _log.warning("invalid_block", height=height, reason=str(error))
            return False
        return True

    def _remember(self, height: Height, block: Block) -> None:
        """Add a candidate and drop the oldest beyond the bound, but none that may be proposed or decided."""
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
        """Calls `then` with the block: at once if it is a candidate, else when a peer sent it."""
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
        self.ledger.move_head(committed)
        self.policy.on_final(committed)
        if self._mode is Mode.SYNCING:
            self._find_equivocations(committed.certificate)
        self._mempool.on_block(committed.included, self.ledger)
        for listener in self.listeners:
            listener(committed)
        then()

    def _find_equivocations(self, certificate: CommitCertificate) -> None:
        """Compare a certificate that a sync brought with the votes that came here before."""
        if certificate.height == self.core.height:
            for output in self.core.handle(CommitCertificateReceived(certificate)):
                if isinstance(output, ReportEquivocation):
                    self._carry_out(output)


def _publish(signed: S | None, publish: Callable[[S], None]) -> None:
    """Publishes unless the signature was refused."""
    if signed is not None:
        reach(CrashPoint.PUBLISH)
        publish(signed)
        reach(CrashPoint.PUBLISHED)
