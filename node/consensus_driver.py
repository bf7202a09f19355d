"""The consensus driver: feeds the pure core, carries out what it says, and makes decided blocks final.

Per height one `Core`. Every input is logged before anything that follows from it leaves the node: the log
is synced before a signature is made, the sign-state before the signature is used, a candidate block is
logged before the proposal that names it, so that after a crash of all validators at once somebody still
has the body of what they locked.

The driver is the only one who commits blocks: while a node is behind, `sync.catch_up` runs in this same
task, so a syncing node never signs. Not here: messages (`node.consensus_gossip`), execution
(`node.ledger`).
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog
import trio

from chain.block import Block, Inherents, compute_header_hash
from chain.errors import InvalidBlock
from chain.primitives.codec import decode, encode
from chain.primitives.types import Hash, Height, Round
from chain.runtime import BlockResult
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
from node.clock import Clock
from node.lane import Lane
from node.ledger import Committed, Ledger
from node.mempool import Mempool
from node.signer import Signer
from storage.errors import DoubleSignRefused
from storage.wal import Wal

_log = structlog.get_logger("consensus")

INBOX_MAX = 4096
CANDIDATES_MAX = 16
_WAL_INPUT = b"\x01"
_WAL_BLOCK = b"\x02"


class ConsensusHalted(Exception):
    """The others finalised a block that this node finds invalid: it must not go on (docs/operating.md)."""


class Behind:
    """Says that peers claim to be heights ahead: sync before going on."""


class Network(Protocol):
    """How the driver reaches other validators; `node.consensus_gossip` implements it."""

    def send_proposal(self, signed: SignedProposal, block: Block) -> None:
        """To all peers."""

    def send_votes(self, votes: tuple[SignedVote, ...]) -> None:
        """To all peers."""

    def send_again(self, again: Rebroadcast, block: Block | None) -> None:
        """To all peers."""

    async def fetch_block(self, height: Height, block_hash: Hash) -> Block:
        """The block with this hash, from whoever has it; tries until it is there."""

    def on_new_height(self, core: Core) -> None:
        """The driver works on another height now."""


class Sync(Protocol):
    """How the driver catches up; `node.sync` implements it."""

    async def catch_up(self) -> None:
        """Returns when no peer is more than a height ahead."""


class Driver:
    """Runs height after height."""

    def __init__(
        self,
        ledger: Ledger,
        lane: Lane,
        mempool: Mempool,
        clock: Clock,
        *,
        signer: Signer | None,
        wal: Wal,
        timeouts: TimeoutParameters,
        synchrony: SynchronyParameters,
        reveal: Callable[[], Hash | None],
        report: Callable[[Evidence], None],
    ) -> None:
        self.ledger = ledger
        self._lane = lane
        self._mempool = mempool
        self._clock = clock
        self._signer = signer
        self._wal = wal
        self._timeouts = timeouts
        self._synchrony = synchrony
        self._reveal = reveal
        self._report = report
        self.listeners: list[Callable[[Committed], None]] = []
        self.candidates: dict[Hash, Block] = {}
        self.core = self._build_core()
        self.last_core: Core | None = None
        self._send_inbox, self._inbox = trio.open_memory_channel[Input | Behind](INBOX_MAX)
        self._own: deque[Input] = deque()
        self._tasks: trio.Nursery | None = None
        self._is_behind = False

    def _build_core(self) -> Core:
        me = self._signer.address if self._signer else None
        return Core(self.ledger.height + 1, self.ledger.get_validators(), me, self._timeouts)

    # What others call.

    async def put(self, received: Input) -> None:
        """Hand in a verified input; waits while the driver is busy."""
        await self._send_inbox.send(received)

    def note_behind(self) -> None:
        """Somebody claims to be heights ahead: look into it, once, before going on."""
        if not self._is_behind:
            try:
                self._send_inbox.send_nowait(Behind())
                self._is_behind = True
            except trio.WouldBlock:
                _log.warning("inbox_full", height=self.core.height)

    async def put_proposal(self, signed: SignedProposal, block: Block, received_ms: int) -> None:
        """Hand in a verified proposal whose block is whole: executes the block first."""
        proposal = signed.proposal
        is_valid = await self.check_candidate(block)
        timely = proposal.pol_round is not None or is_timely(
            received_ms, block.header.time_ms, proposal.round, self._synchrony
        )
        await self.put(ProposalReceived(signed, is_valid, timely))

    async def check_candidate(self, block: Block) -> bool:
        """Whether the block is valid on the head; remembers it as a candidate either way."""
        self._remember(block)
        try:
            await self._lane.run(lambda: self.ledger.execute(block))
        except InvalidBlock as error:
            _log.warning("invalid_block", height=block.header.height, reason=str(error))
            return False
        return True

    def _remember(self, block: Block) -> None:
        block_hash = compute_header_hash(block.header)
        if block_hash in self.candidates:
            return
        self.candidates[block_hash] = block
        self._log_entry(_WAL_BLOCK + encode(block))
        self._forget_candidates()

    def _forget_candidates(self) -> None:
        """Bound the candidates, oldest first, but keep what the core may still propose or decide."""
        needed = {self.core.valid_hash, self.core.locked_hash, *self.core.tally.commits}
        spare = [block_hash for block_hash in self.candidates if block_hash not in needed]
        for block_hash in spare[: max(0, len(self.candidates) - CANDIDATES_MAX)]:
            del self.candidates[block_hash]

    # The loop.

    async def run(
        self, network: Network, sync: Sync, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Runs until cancelled; raises ConsensusHalted, and whatever the stores raise."""
        task_status.started()
        await sync.catch_up()
        while True:
            await self._run_height(network, sync)

    async def _run_height(self, network: Network, sync: Sync) -> None:
        if self.core.height != self.ledger.height + 1:
            self.core = self._build_core()
            self.candidates.clear()
        pending = await self._restore()
        network.on_new_height(self.core)
        async with trio.open_nursery() as self._tasks:
            for output in pending:
                await self._carry_out(output, network)
            if self.core.step is Step.UNSTARTED:
                self._tasks.start_soon(self._start_when_due, self.core.height)
            while self.core.height == self.ledger.height + 1:
                received = self._own.popleft() if self._own else await self._inbox.receive()
                if isinstance(received, Behind):
                    await sync.catch_up()
                    self._is_behind = False
                else:
                    await self._handle(received, network)
            self._own.clear()
            self._tasks.cancel_scope.cancel()

    async def _start_when_due(self, height: Height) -> None:
        """A height starts one block interval after the time of the block before: that paces the chain."""
        due_ms = self.ledger.head.time_ms + self.ledger.get_parameters().block_ms
        await self._sleep_until(due_ms if height > 1 else self.ledger.head.time_ms)
        await self.put(HeightStarted(height))

    async def _sleep_until(self, due_ms: int) -> None:
        await trio.sleep(max(0, due_ms - self._clock.now_ms()) / 1000)

    async def _handle(self, received: Input, network: Network) -> None:
        outputs = self.core.handle(received)
        self._log_entry(_WAL_INPUT + encode(received))
        if any(isinstance(output, CastVote | SendProposal) for output in outputs):
            await self._lane.run(self._wal.sync)
        for output in outputs:
            await self._carry_out(output, network)

    def _log_entry(self, entry: bytes) -> None:
        if self._wal.height == self.core.height:
            self._wal.append(self.core.height, entry)

    async def _carry_out(self, output: Output, network: Network) -> None:
        assert self._tasks is not None
        match output:
            case CastVote(vote):
                await self._cast(vote, network)
            case SendProposal(proposal):
                await self._propose(proposal, network)
            case BuildBlock(height, round):
                self._tasks.start_soon(self._build, height, round)
            case FetchBlock(height, block_hash):
                self._tasks.start_soon(self._fetch, network, height, block_hash)
            case ScheduleTimeout():
                self._tasks.start_soon(self._wait, output)
            case ReportEquivocation(evidence):
                _log.warning("equivocation", height=self.core.height)
                self._report(evidence)
            case Rebroadcast(proposal):
                block = self.candidates.get(proposal.proposal.block_hash) if proposal else None
                network.send_again(output, block)
            case Decide(certificate):
                await self._finalise(certificate, network)
            case ConsensusFailure(certificate):
                raise ConsensusHalted(f"block {certificate.block_hash.hex()} at height {certificate.height}")

    # Outputs.

    async def _cast(self, vote: Vote, network: Network) -> None:
        assert self._signer is not None
        signer = self._signer
        try:
            signed = await self._lane.run(lambda: signer.sign_vote(vote))
        except DoubleSignRefused as error:
            _log.error("signature_refused", reason=str(error))
            return
        network.send_votes((signed,))
        self._own.append(VoteReceived(signed))

    async def _propose(self, proposal: Proposal, network: Network) -> None:
        assert self._signer is not None
        signer, block = self._signer, self.candidates.get(proposal.block_hash)
        if block is None:
            _log.warning("proposal_without_body", height=proposal.height, round=proposal.round)
            return
        try:
            signed = await self._lane.run(lambda: signer.sign_proposal(proposal))
        except DoubleSignRefused as error:
            _log.error("signature_refused", reason=str(error))
            return
        network.send_proposal(signed, block)
        self._own.append(ProposalReceived(signed, is_valid=True, is_timely=True))

    async def _build(self, height: Height, round: Round) -> None:
        assert self._signer is not None
        await self._sleep_until(self.ledger.head.time_ms + 1)
        time_ms = max(self._clock.now_ms(), self.ledger.head.time_ms + 1)
        inherents = Inherents(self._reveal(), self._get_last_commit())
        proposer = self._signer.address
        limit = self.ledger.get_parameters().block_transactions_max
        candidates = [pooled.signed for pooled in self._mempool.select(self.ledger, limit)]
        result, refused = await self._lane.run(
            lambda: self.ledger.build(proposer, time_ms, inherents, candidates)
        )
        self._mempool.on_refused(refused)
        self._remember(result.block)
        await self.put(BlockBuilt(height, round, result.block_hash))

    def _get_last_commit(self) -> CommitCertificate | None:
        """The last block's certificate with every precommit that has come since it was final."""
        stored = self.ledger.get_certificate(self.ledger.height)
        if self.last_core is None or self.last_core.height != self.ledger.height:
            return stored
        return self.last_core.build_commit_certificate() or stored

    async def _fetch(self, network: Network, height: Height, block_hash: Hash) -> None:
        block = self.candidates.get(block_hash) or await network.fetch_block(height, block_hash)
        await self.put(BlockReceived(height, block_hash, await self.check_candidate(block)))

    async def _wait(self, timeout: ScheduleTimeout) -> None:
        await trio.sleep(timeout.duration_ms / 1000)
        await self.put(TimeoutElapsed(timeout.kind, timeout.height, timeout.round))

    async def _finalise(self, certificate: CommitCertificate, network: Network) -> None:
        block = self.candidates.get(certificate.block_hash)
        if block is None:
            block = await network.fetch_block(certificate.height, certificate.block_hash)
        result = await self._lane.run(lambda: self.ledger.execute(block))
        self.last_core = self.core
        await self.commit(result, certificate)

    async def commit(self, result: BlockResult, certificate: CommitCertificate) -> None:
        """Make an executed block final and tell everybody; also the door of `node.sync`."""
        committed = await self._lane.run(lambda: self.ledger.commit(result, certificate))
        height = self.ledger.height
        await self._lane.run(lambda: self._wal.reset(height + 1))
        self._mempool.on_block(committed.tx_ids, self.ledger)
        for listener in self.listeners:
            listener(committed)

    # After a crash.

    async def _restore(self) -> list[Output]:
        """Feeds the core what was logged of this height; returns what is still to be carried out."""
        if self._wal.height != self.core.height:
            height = self.core.height
            await self._lane.run(lambda: self._wal.reset(height))
            return []
        pending: list[Output] = []
        for entry in self._wal.replay():
            if entry[:1] == _WAL_BLOCK:
                await self._restore_block(decode(Block, entry[1:]))
            else:
                received: Input = decode(Input, entry[1:])  # type: ignore[arg-type]
                pending = [output for output in pending if not _is_answer(output, received)]
                pending += self.core.handle(received)
        if pending:
            _log.info("resumed", height=self.core.height, round=self.core.round, step=self.core.step.name)
        return [output for output in pending if not isinstance(output, Rebroadcast)]

    async def _restore_block(self, block: Block) -> None:
        self.candidates[compute_header_hash(block.header)] = block
        try:
            await self._lane.run(lambda: self.ledger.execute(block))
        except InvalidBlock as error:
            _log.warning("invalid_block", height=block.header.height, reason=str(error))


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
