"""The consensus driver: feeds the pure core, carries out what it says, and makes decided blocks final.

Per height one `Core`. Every input is in the journal before anything that follows from it leaves the node: the
journal is synced before a signature is made, and with it the block that is signed for; the sign-state before
the signature is used.

The driver is the only one who commits blocks: while a node is behind, `sync.catch_up` runs in this same
task, so a syncing node never signs. That others are ahead interrupts consensus only when one of them has
proven it. Not here: messages (`node.consensus_gossip`), execution (`node.ledger`).
"""

import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

import structlog
import trio

from chain.block import Block, Inherents, compute_header_hash
from chain.errors import InvalidBlock, InvalidTransaction
from chain.primitives.types import Address, Hash, Height, Round
from chain.runtime import BlockResult
from chain.transaction import SignedTransaction
from chain.validator_set import get_validator
from chain.votes import (
    CommitCertificate,
    Evidence,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    build_certificate_votes,
)
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
from node.journal import Journal
from node.lane import Lane
from node.ledger import Committed, Ledger
from node.mempool import Mempool
from node.signer import Signer
from storage.errors import DoubleSignRefused

_log = structlog.get_logger("consensus")

INBOX_MAX = 4096
CANDIDATES_MAX = 16
LOOK_AHEAD_SECONDS = 2.0
"""Least time between two looks into claims that others are ahead."""
OWN_HEIGHTS_MAX = 64
"""Newest heights in which an own signature is looked for at start."""
SLEEP_SECONDS_MAX = 1.0
"""The wall clock is read again after so long: somebody may have set it."""

Refusals = list[tuple[SignedTransaction, InvalidTransaction]]


class ConsensusHalted(Exception):
    """The others finalised a block that this node finds invalid: it must not go on (docs/operating.md)."""


class Behind:
    """Says that a peer has proven to be ahead: sync before going on."""


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
        """Returns when nobody who can be believed is ahead."""

    async def is_behind(self) -> bool:
        """Whether a peer shows the next block, final, and claims more."""


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
        journal: Journal,
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
        self._journal = journal
        self._timeouts = timeouts
        self._synchrony = synchrony
        self._reveal = reveal
        self._report = report
        self.listeners: list[Callable[[Committed], None]] = []
        self.candidates: dict[Hash, Block] = {}
        self.core = self._build_core()
        self.last_core: Core | None = None
        self._send_inbox, self._inbox = trio.open_memory_channel[Input | Behind](INBOX_MAX)
        self._send_claim, self._claims = trio.open_memory_channel[None](1)
        self._own: deque[Input] = deque()
        self._tasks: trio.Nursery | None = None

    def _build_core(self) -> Core:
        """Of the next height; an observer's if the log is of a later one, which this node has seen before."""
        height, members = self.ledger.height + 1, self.ledger.get_validators()
        me = self._signer.address if self._signer and self._journal.height <= height else None
        return Core(height, members, me, self._timeouts)

    def _is_logging(self) -> bool:
        """Only who may sign needs to remember."""
        is_member = self._signer and get_validator(self.core.validator_set, self._signer.address)
        return bool(is_member) and self._journal.height == self.core.height

    # What others call.

    async def put(self, received: Input) -> None:
        """Hand in a verified input; waits while the driver is busy."""
        await self._send_inbox.send(received)

    def note_behind(self) -> None:
        """Somebody claims to be heights ahead: have it looked into."""
        with suppress(trio.WouldBlock):
            self._send_claim.send_nowait(None)

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
        self.candidates.setdefault(compute_header_hash(block.header), block)
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
        await self._note_own_signatures()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_ahead, sync)
            await sync.catch_up()
            while True:
                await self._run_height(network, sync)

    async def _look_ahead(self, sync: Sync) -> None:
        """Looks into claims, beside consensus: a liar must not be able to hold it up."""
        async for _ in self._claims:
            if await sync.is_behind():
                await self._send_inbox.send(Behind())
            await trio.sleep(LOOK_AHEAD_SECONDS)

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
                else:
                    await self._handle(received, network)
            self._own.clear()
            self._tasks.cancel_scope.cancel()

    async def _start_when_due(self, height: Height) -> None:
        """A height starts one block interval after the time of the block before: that paces the chain.

        If our clock is behind that of the last proposer, an interval from now is long enough.
        """
        parameters = self.ledger.get_parameters()
        due_ms = self.ledger.head.time_ms + parameters.block_ms if height > 1 else self.ledger.head.time_ms
        with trio.move_on_after(parameters.block_ms / 1000 if height > 1 else math.inf):
            await self._sleep_until(due_ms)
        await self.put(HeightStarted(height))

    async def _sleep_until(self, due_ms: int) -> None:
        left_ms = due_ms - self._clock.now_ms()
        while left_ms > 0:
            await trio.sleep(min(left_ms / 1000, SLEEP_SECONDS_MAX))
            left_ms = due_ms - self._clock.now_ms()

    async def _handle(self, received: Input, network: Network) -> None:
        outputs = self.core.handle(received)
        if self._is_logging():
            self._journal.note(received)
            await self._keep(outputs)
        for output in outputs:
            await self._carry_out(output, network)

    async def _keep(self, outputs: list[Output]) -> None:
        """Have on disk what leads to a signature, and the block it is for, before it is made."""
        signed = [output for output in outputs if isinstance(output, CastVote | SendProposal)]
        for output in signed:
            what = output.vote if isinstance(output, CastVote) else output.proposal
            block = self.candidates.get(what.block_hash) if what.block_hash else None
            if what.block_hash is not None and block is not None:
                self._journal.note_block(what.block_hash, block)
        if signed:
            await self._journal.sync()

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
        inherents = Inherents(self._reveal(), self._get_last_commit())
        limit = self.ledger.get_parameters().block_transactions_max
        candidates = [pooled.signed for pooled in self._mempool.select(limit)]
        proposer = self._signer.address
        built = await self._lane.run(lambda: self._build_now(height, proposer, inherents, candidates))
        if built is not None:
            result, refused = built
            self._mempool.on_refused(refused)
            self._remember(result.block)
            await self.put(BlockBuilt(height, round, result.block_hash))

    def _build_now(
        self, height: Height, proposer: Address, inherents: Inherents, candidates: list[SignedTransaction]
    ) -> tuple[BlockResult, Refusals] | None:
        """The block, unless the height was decided while this waited for its turn."""
        if self.ledger.height + 1 != height:
            return None
        time_ms = max(self._clock.now_ms(), self.ledger.head.time_ms + 1)
        return self.ledger.build(proposer, time_ms, inherents, candidates)

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
        self._mempool.on_block(committed.included, self.ledger)
        for listener in self.listeners:
            listener(committed)

    # After a crash.

    async def _note_own_signatures(self) -> None:
        """Tell the signer what log and chain know of its signatures: its own file may be an old copy."""
        if self._signer is None:
            return
        signer, me = self._signer, self._signer.address
        newest = self.ledger.height
        certificates = map(self.ledger.get_certificate, range(max(1, newest - OWN_HEIGHTS_MAX), newest + 1))
        votes = [vote for one in certificates if one for vote in build_certificate_votes(one)]
        messages: list[Vote | Proposal] = [signed.vote for signed in votes if signed.vote.validator == me]
        for note in await self._journal.read():
            match note:
                case VoteReceived(signed) if signed.vote.validator == me:
                    messages.append(signed.vote)
                case ProposalReceived(proposal) if proposal.proposal.proposer == me:
                    messages.append(proposal.proposal)
        for message in messages:
            await self._lane.run(partial(signer.note_signed, message))

    async def _restore(self) -> list[Output]:
        """Feeds the core what was noted of this height; returns what is still to be carried out."""
        if self._journal.height < self.core.height:
            await self._journal.start(self.core.height)
        if self._journal.height != self.core.height:
            return []
        pending: list[Output] = []
        for note in await self._journal.read():
            if isinstance(note, Block):
                await self._restore_block(note)
            else:
                pending = [output for output in pending if not _is_answer(output, note)]
                pending += self.core.handle(note)
        if pending:
            _log.info("resumed", height=self.core.height, round=self.core.round, step=self.core.step.name)
        return [output for output in pending if not isinstance(output, Rebroadcast)]

    async def _restore_block(self, block: Block) -> None:
        block_hash = compute_header_hash(block.header)
        self.candidates[block_hash] = block
        self._journal.on_restored(block_hash, block)
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
