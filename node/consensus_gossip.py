"""Consensus messages between peers: verified, relayed once, asked for when missing.

Inbound: what is signed is verified here, once; a proposal's block is put together out of the pool, the
missing transactions are asked of those who announced it; only then it goes to the driver. Outbound: own and
relayed messages to all peers; every second a summary of what this node has, which peers answer with what it
lacks, so that a lost message delays a height by a second at most and never stalls it.

Bounds: `Sightings` for what validators sign; messages of the next height wait per peer, up to
EARLY_VOTES_MAX and one proposal, those of later heights only make us look whether we are behind; assemblies
under way are at most ASSEMBLIES_MAX; what a peer has us send is paced per peer.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TypeVar

import structlog
import trio

from chain.block import Block, compute_header_hash, is_whole
from chain.errors import ChainError
from chain.primitives.codec import decode, encode
from chain.primitives.types import Hash, Height, PeerId
from chain.transaction import decode_transaction, get_transaction_id
from chain.votes import (
    CommitCertificate,
    PolkaCertificate,
    SignedProposal,
    SignedVote,
    Verify,
    check_certificate,
    check_signed_proposal,
    check_signed_vote,
)
from consensus.catchup import VoteSummary, build_summary, select_missing
from consensus.core import PROPOSALS_PER_ROUND_MAX, Core
from consensus.proposers import Proposers
from consensus.types import (
    CommitCertificateReceived,
    PolkaCertificateReceived,
    Rebroadcast,
    Step,
    VoteReceived,
)
from node.assembly import LIE_POINTS, Assembly
from node.clock import Clock
from node.consensus_driver import Driver
from node.links import Links, split_batches
from node.mempool import Mempool
from node.sightings import Sightings
from p2p.errors import PeerFault
from p2p.messages import (
    IDS_MAX,
    BlockTransactions,
    BlockTransactionsWanted,
    BlockWanted,
    Commit,
    CompactProposal,
    ConsensusMessage,
    Polka,
    Refusal,
    Summary,
    Votes,
    WholeBlock,
)
from p2p.network import Network
from p2p.protocols import CONSENSUS
from p2p.rates import TokenBucket

_log = structlog.get_logger("consensus")

T = TypeVar("T")

EARLY_VOTES_MAX = 512
ASSEMBLIES_MAX = 32
MISSING_COUNT_MAX = 256
SUMMARY_SECONDS = 1.0
ASK_SECONDS = 0.5
FETCH_SECONDS = 1.0
ASSEMBLY_SECONDS_MAX = 20.0
TRANSACTIONS_FRAME_BYTES = 2**20
BODIES_BYTES_PER_SECOND = 8 * 2**20
BODIES_BURST_BYTES = 16 * 2**20


class _Peer:
    """What is kept of one connected peer."""

    def __init__(self) -> None:
        self.early_votes: list[SignedVote] = []
        self.early_proposal: CompactProposal | None = None
        self.bodies = TokenBucket(BODIES_BYTES_PER_SECOND, BODIES_BURST_BYTES)
        """Bytes of blocks and transactions that it has us send."""


class ConsensusGossip:
    """The driver's network, and the handler of the consensus protocol."""

    def __init__(
        self, network: Network, driver: Driver, mempool: Mempool, clock: Clock, verify: Verify
    ) -> None:
        self._driver = driver
        self._ledger = driver.ledger
        self._mempool = mempool
        self._clock = clock
        self._verify = verify
        self._blame = network.blame
        self.links: Links[ConsensusMessage] = Links(network, CONSENSUS, ConsensusMessage, self._receive)
        self._sightings, self._last_sightings = Sightings(), Sightings()
        self._proposers = Proposers(driver.core.validator_set)
        self._peers: dict[PeerId, _Peer] = {}
        self._assemblies: dict[bytes, Assembly] = {}
        """By the proposal's signature."""
        self._fetches: dict[Hash, trio.MemorySendChannel[Block]] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the assemblies and say every second what this node has."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            while True:
                await trio.sleep(SUMMARY_SECONDS)
                self.links.broadcast(Summary(encode(build_summary(self._driver.core))))

    async def attend(self, peer: PeerId) -> None:
        """Serve one connected peer's outbox."""
        mine = self._peers[peer] = _Peer()
        try:
            await self.links.attend(peer)
        finally:
            if self._peers.get(peer) is mine:
                del self._peers[peer]

    # What the driver calls.

    def send_proposal(self, signed: SignedProposal, block: Block) -> None:
        """To all peers, in short form."""
        self._sightings.note_proposal(signed)
        self.links.broadcast(build_compact(signed, block))

    def send_votes(self, votes: tuple[SignedVote, ...]) -> None:
        """To all peers."""
        for signed in votes:
            self._sightings.note_vote(signed)
        self.links.broadcast(Votes(votes))

    def send_again(self, again: Rebroadcast, block: Block | None) -> None:
        """What may have been lost, to all peers."""
        if again.proposal is not None and block is not None:
            self.links.broadcast(build_compact(again.proposal, block))
        if again.polka is not None:
            self.links.broadcast(Polka(again.polka))
        if again.votes:
            self.links.broadcast(Votes(again.votes[:MISSING_COUNT_MAX]))

    async def fetch_block(self, height: Height, block_hash: Hash) -> Block:
        """Asks one peer after the other until somebody sends the block."""
        send, receive = trio.open_memory_channel[Block](1)
        self._fetches[block_hash] = send
        try:
            while True:
                # Nobody connected: one more second, then look again.
                for peer in self.links.peers or (None,):
                    if peer is not None:
                        self.links.post(peer, BlockWanted(height, block_hash))
                    with trio.move_on_after(FETCH_SECONDS):
                        return await receive.receive()
        finally:
            del self._fetches[block_hash]

    def on_new_height(self, core: Core) -> None:
        """Forget the last height, and take up what came early for this one."""
        self._last_sightings, self._sightings = self._sightings, Sightings()
        self._proposers = Proposers(core.validator_set)
        self._assemblies.clear()
        for peer, kept in self._peers.items():
            votes, kept.early_votes = kept.early_votes, []
            proposal, kept.early_proposal = kept.early_proposal, None
            if self._nursery is not None and (votes or proposal):
                self._nursery.start_soon(self._receive_early, peer, votes, proposal)

    async def _receive_early(
        self, peer: PeerId, votes: list[SignedVote], proposal: CompactProposal | None
    ) -> None:
        try:
            if proposal is not None:
                await self._receive(peer, proposal)
            await self._on_votes(peer, tuple(votes))
        except PeerFault as fault:
            self._blame(peer, fault)

    # Inbound.

    async def _receive(self, peer: PeerId, message: ConsensusMessage) -> None:
        match message:
            case Votes(votes):
                await self._on_votes(peer, votes)
            case CompactProposal(signed):
                self._on_proposal(peer, message, signed)
            case Summary(summary):
                self._on_summary(peer, _decode(VoteSummary, summary))
            case Commit(certificate) | Polka(certificate):
                await self._on_certificate(certificate)
            case BlockTransactionsWanted(block_hash, ids):
                self._on_transactions_wanted(peer, block_hash, ids)
            case BlockTransactions(block_hash, transactions):
                self._on_transactions(block_hash, transactions)
            case BlockWanted(height, block_hash):
                self._on_block_wanted(peer, height, block_hash)
            case WholeBlock(_, data):
                self._on_whole_block(data)
            case Refusal():
                pass

    def _is_for_now(self, height: Height) -> bool:
        """Whether the height is the one being decided; once it is, nothing more is of use."""
        core = self._driver.core
        return height == core.height and core.step < Step.DECIDED

    def _is_early(self, height: Height) -> bool:
        return height == self._driver.core.height + 1

    async def _on_votes(self, peer: PeerId, votes: tuple[SignedVote, ...]) -> None:
        fresh: list[SignedVote] = []
        try:
            for signed in votes:
                await self._on_vote(peer, signed, fresh)
        finally:
            # Also when the next vote was bad: nobody else would pass on what is noted as seen.
            if fresh:
                self.links.broadcast(Votes(tuple(fresh)), but=(peer,))

    async def _on_vote(self, peer: PeerId, signed: SignedVote, fresh: list[SignedVote]) -> None:
        height, kept = signed.vote.height, self._peers.get(peer)
        if self._is_for_now(height):
            if self._take_vote(self._driver.core, self._sightings, signed):
                fresh.append(signed)
                await self._driver.put(VoteReceived(signed))
        elif not self._is_early(height):
            self._take_late_vote(signed)
        elif kept is not None and len(kept.early_votes) < EARLY_VOTES_MAX:
            kept.early_votes.append(signed)

    def _take_vote(self, core: Core, sightings: Sightings, signed: SignedVote) -> bool:
        """Whether the vote is new; raises PeerFault if it is not signed by a validator of the height."""
        if not sightings.is_wanted_vote(signed, core.round):
            return False
        genesis_hash = self._ledger.genesis_hash
        _check(lambda: check_signed_vote(genesis_hash, core.validator_set, signed, self._verify))
        sightings.note_vote(signed)
        return True

    def _take_late_vote(self, signed: SignedVote) -> None:
        """A precommit that comes after its height was decided still counts for its validator's pay."""
        last = self._driver.last_core
        for core, sightings in ((self._driver.core, self._sightings), (last, self._last_sightings)):
            if core is None or core.height != signed.vote.height or core.step is not Step.DECIDED:
                continue
            if self._take_vote(core, sightings, signed):
                core.handle(VoteReceived(signed))
            return

    def _on_proposal(self, peer: PeerId, message: CompactProposal, signed: SignedProposal) -> None:
        kept, known = self._peers.get(peer), self._assemblies.get(signed.signature)
        if known is not None and known.message == message:
            known.sources = list(dict.fromkeys((*known.sources, peer)))
        elif self._is_early(signed.proposal.height) and kept is not None:
            kept.early_proposal = message
        elif known is None and self._is_for_now(signed.proposal.height):
            self._begin_assembly(peer, message, signed)

    def _begin_assembly(self, peer: PeerId, message: CompactProposal, signed: SignedProposal) -> None:
        core, proposal = self._driver.core, signed.proposal
        begun = sum(1 for one in self._assemblies.values() if one.proposal.round == proposal.round)
        if (
            not self._sightings.is_wanted_proposal(signed, core.round)
            or begun >= PROPOSALS_PER_ROUND_MAX
            or len(self._assemblies) >= ASSEMBLIES_MAX
        ):
            return
        genesis_hash = self._ledger.genesis_hash
        _check(lambda: check_signed_proposal(genesis_hash, core.validator_set, signed, self._verify))
        if proposal.proposer != self._proposers.get(proposal.round):
            raise PeerFault("proposal out of turn", LIE_POINTS)
        assembly = _check(lambda: Assembly(message, peer, self._clock.now_ms()))
        assembly.check()
        assert self._nursery is not None
        self._assemblies[signed.signature] = assembly
        self._nursery.start_soon(self._assemble, assembly)

    async def _assemble(self, assembly: Assembly) -> None:
        signed = assembly.message.proposal
        try:
            known = self._driver.candidates.get(assembly.proposal.block_hash)
            block = known or await self._collect(assembly)
            if block is None or not self._is_for_now(assembly.proposal.height):
                return
            self._sightings.note_proposal(signed)
            self.links.broadcast(assembly.message, but=assembly.sources)
            await self._driver.put_proposal(signed, block, assembly.received_ms)
        finally:
            if self._assemblies.get(signed.signature) is assembly:
                del self._assemblies[signed.signature]

    async def _collect(self, assembly: Assembly) -> Block | None:
        """The block, out of the pool and out of what its announcers send; None if they do not."""
        for tx_id in assembly.message.transaction_ids:
            pooled = self._mempool.get(tx_id)
            if pooled is not None:
                assembly.add(pooled.signed)
        asked = _rotate(assembly)
        with trio.move_on_after(ASSEMBLY_SECONDS_MAX):
            while missing := assembly.list_missing():
                assembly.is_grown = trio.Event()
                wanted = BlockTransactionsWanted(assembly.proposal.block_hash, missing[:IDS_MAX])
                self.links.post(next(asked), wanted)
                with trio.move_on_after(ASK_SECONDS):
                    await assembly.is_grown.wait()
            return assembly.build()
        missing_count = len(assembly.list_missing())
        _log.info("block_not_collected", missing=missing_count, height=assembly.proposal.height)
        return None

    async def _on_certificate(self, certificate: CommitCertificate | PolkaCertificate) -> None:
        if not self._is_for_now(certificate.height) or not self._sightings.is_new_certificate(certificate):
            return
        core, genesis_hash = self._driver.core, self._ledger.genesis_hash
        _check(lambda: check_certificate(genesis_hash, core.validator_set, certificate, self._verify))
        self._sightings.note_certificate(certificate)
        if isinstance(certificate, CommitCertificate):
            await self._driver.put(CommitCertificateReceived(certificate))
        else:
            await self._driver.put(PolkaCertificateReceived(certificate))

    def _on_summary(self, peer: PeerId, summary: VoteSummary) -> None:
        core = self._driver.core
        if summary.height < core.height:
            certificate = self._ledger.get_certificate(summary.height)
            if certificate is not None:
                self.links.post(peer, Commit(certificate))
        elif summary.height > core.height + 1:
            self._driver.note_behind()
        elif summary.height == core.height:
            self._answer_summary(peer, core, summary)

    def _answer_summary(self, peer: PeerId, core: Core, summary: VoteSummary) -> None:
        missing = _check(lambda: select_missing(core, summary, MISSING_COUNT_MAX))
        votes = tuple(item for item in missing if isinstance(item, SignedVote))
        for item in missing:
            if isinstance(item, CommitCertificate):
                self.links.post(peer, Commit(item))
            elif isinstance(item, PolkaCertificate):
                self.links.post(peer, Polka(item))
            elif isinstance(item, SignedProposal):
                block = self._driver.candidates.get(item.proposal.block_hash)
                if block is not None:
                    self.links.post(peer, build_compact(item, block))
        if votes:
            self.links.post(peer, Votes(votes))

    # Bodies.

    def _post_body(self, peer: PeerId, message: ConsensusMessage, size_bytes: int) -> None:
        """Send, unless the peer has had its share; then it asks again, or another."""
        kept = self._peers.get(peer)
        if kept is not None and not kept.bodies.compute_wait(size_bytes):
            kept.bodies.spend(size_bytes)
            self.links.post(peer, message)

    def _on_transactions_wanted(self, peer: PeerId, block_hash: Hash, ids: tuple[Hash, ...]) -> None:
        block = self._driver.candidates.get(block_hash)
        if block is None:
            return
        wanted = frozenset(ids)
        found = (encode(signed) for signed in block.transactions if get_transaction_id(signed) in wanted)
        for batch in split_batches(found, TRANSACTIONS_FRAME_BYTES):
            self._post_body(peer, BlockTransactions(block_hash, batch), sum(map(len, batch)))

    def _on_transactions(self, block_hash: Hash, transactions: tuple[bytes, ...]) -> None:
        waiting = [one for one in self._assemblies.values() if one.proposal.block_hash == block_hash]
        for data in transactions if waiting else ():
            signed = _check(partial(decode_transaction, data))
            for assembly in waiting:
                assembly.add(signed)

    def _on_block_wanted(self, peer: PeerId, height: Height, block_hash: Hash) -> None:
        block = self._driver.candidates.get(block_hash)
        if block is None and height <= self._ledger.height:
            block = self._ledger.get_block(height)
        if block is not None and compute_header_hash(block.header) == block_hash:
            data = encode(block)
            self._post_body(peer, WholeBlock(height, data), len(data))

    def _on_whole_block(self, data: bytes) -> None:
        if not self._fetches:
            return
        block = _decode(Block, data)
        fetch = self._fetches.get(compute_header_hash(block.header))
        if fetch is None:
            return
        if not is_whole(block):
            raise PeerFault("body of another block", LIE_POINTS)
        with suppress(trio.WouldBlock):
            fetch.send_nowait(block)


def build_compact(signed: SignedProposal, block: Block) -> CompactProposal:
    """The short form of a proposal with its block."""
    ids = tuple(get_transaction_id(signed_transaction) for signed_transaction in block.transactions)
    return CompactProposal(signed, encode(block.header), encode(block.inherents), ids)


def _rotate(assembly: Assembly) -> Iterator[PeerId]:
    """The sources in turn, those included that are added meanwhile."""
    for turn in count():
        yield assembly.sources[turn % len(assembly.sources)]


def _check(check: Callable[[], T]) -> T:
    """The result; what is refused is laid to the peer."""
    try:
        return check()
    except PeerFault:
        raise
    except ChainError as error:
        raise PeerFault(f"{type(error).__name__}: {error}", LIE_POINTS) from error


def _decode(kind: type[T], data: bytes) -> T:
    return _check(partial(decode, kind, data))
