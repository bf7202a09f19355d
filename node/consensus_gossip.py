"""Consensus messages between peers: verified, relayed once, asked for when missing.

Inbound: what is signed is verified here, once; a proposal's block is put together out of the pool, the
missing transactions are asked of who sent it; only then it goes to the driver. Outbound: own and relayed
messages to all peers; every second a summary of what this node has, which peers answer with what it
lacks, so that a lost message delays a height by a second at most and never stalls it.

Bounds: messages of the next height are kept per peer up to `EARLY_MAX`, those of later heights only say
that we are behind; assemblies under way are at most `ASSEMBLIES_MAX`.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog
import trio

from chain.block import Block, Header, Inherents, compute_header_hash, is_whole
from chain.errors import ChainError
from chain.primitives.codec import decode, encode
from chain.primitives.types import Hash, Height, PeerId
from chain.transaction import SignedTransaction, decode_transaction, get_transaction_id
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
from consensus.core import Core
from consensus.types import (
    CommitCertificateReceived,
    PolkaCertificateReceived,
    Rebroadcast,
    VoteReceived,
)
from node.clock import Clock
from node.consensus_driver import Driver
from node.links import Links
from node.mempool import Mempool
from p2p.errors import PeerFault
from p2p.messages import (
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

_log = structlog.get_logger("consensus")

T = TypeVar("T")

EARLY_MAX = 256
ASSEMBLIES_MAX = 32
MISSING_COUNT_MAX = 256
SUMMARY_SECONDS = 1.0
ASK_SECONDS = 0.5
ASSEMBLY_SECONDS_MAX = 20.0
TRANSACTIONS_FRAME_BYTES = 2**20


class Assembly:
    """A proposed block whose transactions are being collected."""

    def __init__(self, header: Header, inherents: Inherents, ids: tuple[Hash, ...]) -> None:
        self.header = header
        self.inherents = inherents
        self.ids = ids
        self.found: dict[Hash, SignedTransaction] = {}
        self.is_grown = trio.Event()

    def list_missing(self) -> tuple[Hash, ...]:
        """Ids still without a transaction."""
        return tuple(tx_id for tx_id in self.ids if tx_id not in self.found)

    def add(self, signed: SignedTransaction) -> None:
        """Take a transaction in, if it is one of the block's."""
        tx_id = get_transaction_id(signed)
        if tx_id in self.ids:
            self.found[tx_id] = signed
            self.is_grown.set()

    def build(self) -> Block:
        """The whole block."""
        return Block(self.header, self.inherents, tuple(self.found[tx_id] for tx_id in self.ids))


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
        self.peer_heights: dict[PeerId, Height] = {}
        """Highest final block that each peer claims; a claim, no more."""
        self._seen: set[bytes] = set()
        self._early: dict[PeerId, list[ConsensusMessage]] = {}
        self._assemblies: dict[Hash, Assembly] = {}
        self._fetches: dict[Hash, trio.MemorySendChannel[Block]] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the assemblies and say every second what this node has."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            while True:
                await trio.sleep(SUMMARY_SECONDS)
                summary = Summary(encode(build_summary(self._driver.core)))
                self.links.broadcast(summary)

    async def attend(self, peer: PeerId) -> None:
        """Serve one connected peer's outbox."""
        try:
            await self.links.attend(peer)
        finally:
            self.peer_heights.pop(peer, None)
            self._early.pop(peer, None)

    # What the driver calls.

    def send_proposal(self, signed: SignedProposal, block: Block) -> None:
        """To all peers, in short form."""
        self._seen.add(signed.signature)
        self.links.broadcast(build_compact(signed, block))

    def send_votes(self, votes: tuple[SignedVote, ...]) -> None:
        """To all peers."""
        self._seen.update(signed.signature for signed in votes)
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
        """Asks everybody, again and again, until somebody sends the block."""
        send, receive = trio.open_memory_channel[Block](1)
        self._fetches[block_hash] = send
        try:
            while True:
                self.links.broadcast(BlockWanted(height, block_hash))
                with trio.move_on_after(2 * ASK_SECONDS):
                    return await receive.receive()
        finally:
            del self._fetches[block_hash]

    def on_new_height(self, core: Core) -> None:
        """Forget the last height, and take up what came early for this one."""
        self._seen.clear()
        self._assemblies.clear()
        early, self._early = self._early, {}
        for peer, messages in early.items():
            if self._nursery is not None:
                self._nursery.start_soon(self._receive_early, peer, messages)

    async def _receive_early(self, peer: PeerId, messages: list[ConsensusMessage]) -> None:
        for message in messages:
            try:
                await self._receive(peer, message)
            except PeerFault as fault:
                self._blame(peer, fault)

    # Inbound.

    async def _receive(self, peer: PeerId, message: ConsensusMessage) -> None:
        match message:
            case Votes(votes):
                await self._on_votes(peer, message, votes)
            case CompactProposal(signed):
                self._on_proposal(peer, message, signed)
            case Summary(summary):
                self._on_summary(peer, _decode(VoteSummary, summary))
            case Commit(certificate):
                await self._on_commit(peer, message, certificate)
            case Polka(certificate):
                await self._on_polka(peer, message, certificate)
            case BlockTransactionsWanted(block_hash, ids):
                self._on_transactions_wanted(peer, block_hash, ids)
            case BlockTransactions(block_hash, transactions):
                self._on_transactions(peer, block_hash, transactions)
            case BlockWanted(height, block_hash):
                self._on_block_wanted(peer, height, block_hash)
            case WholeBlock(_, data):
                self._on_whole_block(_decode(Block, data))
            case Refusal():
                pass

    def _is_for_now(self, peer: PeerId, message: ConsensusMessage, height: Height) -> bool:
        """Whether the height is the one being decided; the next one's messages wait, later ones tell that
        we lag.
        """
        now = self._driver.core.height
        if height == now + 1:
            early = self._early.setdefault(peer, [])
            if len(early) < EARLY_MAX:
                early.append(message)
        return height == now

    async def _on_votes(self, peer: PeerId, message: ConsensusMessage, votes: tuple[SignedVote, ...]) -> None:
        fresh = []
        for signed in votes:
            if self._add_late_vote(signed) or signed.signature in self._seen:
                continue
            if not self._is_for_now(peer, Votes((signed,)), signed.vote.height):
                continue
            self._check_vote(self._driver.core, signed)
            self._seen.add(signed.signature)
            fresh.append(signed)
            await self._driver.put(VoteReceived(signed))
        if fresh:
            self.links.broadcast(Votes(tuple(fresh)), but=peer)

    def _add_late_vote(self, signed: SignedVote) -> bool:
        """A precommit that comes after its height was decided still counts for its validator's pay."""
        last = self._driver.last_core
        if last is None or signed.vote.height != last.height or last.height == self._driver.core.height:
            return False
        if signed.signature not in self._seen:
            self._check_vote(last, signed)
            self._seen.add(signed.signature)
            last.handle(VoteReceived(signed))
        return True

    def _check_vote(self, core: Core, signed: SignedVote) -> None:
        genesis_hash = self._ledger.genesis_hash
        self._check(lambda: check_signed_vote(genesis_hash, core.validator_set, signed, self._verify))

    def _check(self, check: Callable[[], None]) -> None:
        try:
            check()
        except ChainError as error:
            raise PeerFault(f"{type(error).__name__}: {error}", points=50) from error

    def _on_proposal(self, peer: PeerId, message: CompactProposal, signed: SignedProposal) -> None:
        proposal = signed.proposal
        if signed.signature in self._seen or not self._is_for_now(peer, message, proposal.height):
            return
        self._check(
            lambda: check_signed_proposal(
                self._ledger.genesis_hash, self._driver.core.validator_set, signed, self._verify
            )
        )
        header = _decode(Header, message.header)
        if compute_header_hash(header) != proposal.block_hash:
            raise PeerFault("header of another block", points=50)
        if proposal.block_hash in self._assemblies or len(self._assemblies) >= ASSEMBLIES_MAX:
            return
        assert self._nursery is not None
        inherents = _decode(Inherents, message.inherents)
        assembly = Assembly(header, inherents, message.transaction_ids)
        self._assemblies[proposal.block_hash] = assembly
        self._nursery.start_soon(self._assemble, peer, message, assembly, self._clock.now_ms())

    async def _assemble(
        self, peer: PeerId, message: CompactProposal, assembly: Assembly, received_ms: int
    ) -> None:
        block_hash = message.proposal.proposal.block_hash
        try:
            block = self._driver.candidates.get(block_hash) or await self._collect(peer, block_hash, assembly)
            if block is None:
                return
            if not is_whole(block):
                self._blame(peer, PeerFault("body of another block", points=50))
                return
            self._seen.add(message.proposal.signature)
            self.links.broadcast(message, but=peer)
            if assembly.header.height == self._driver.core.height:
                await self._driver.put_proposal(message.proposal, block, received_ms)
        finally:
            if self._assemblies.get(block_hash) is assembly:
                del self._assemblies[block_hash]

    async def _collect(self, peer: PeerId, block_hash: Hash, assembly: Assembly) -> Block | None:
        """The block, out of the pool and out of what the peer sends; None if it does not."""
        for tx_id in assembly.ids:
            pooled = self._mempool.get(tx_id)
            if pooled is not None:
                assembly.found[tx_id] = pooled.signed
        with trio.move_on_after(ASSEMBLY_SECONDS_MAX):
            while missing := assembly.list_missing():
                self.links.post(peer, BlockTransactionsWanted(block_hash, missing[:4096]))
                with trio.move_on_after(ASK_SECONDS):
                    assembly.is_grown = trio.Event()
                    await assembly.is_grown.wait()
            return assembly.build()
        _log.info("block_not_collected", missing=len(assembly.list_missing()), height=assembly.header.height)
        return None

    async def _on_commit(
        self, peer: PeerId, message: ConsensusMessage, certificate: CommitCertificate
    ) -> None:
        if self._is_for_now(peer, message, certificate.height):
            self._check_certificate(certificate)
            await self._driver.put(CommitCertificateReceived(certificate))

    async def _on_polka(self, peer: PeerId, message: ConsensusMessage, certificate: PolkaCertificate) -> None:
        if self._is_for_now(peer, message, certificate.height):
            self._check_certificate(certificate)
            await self._driver.put(PolkaCertificateReceived(certificate))

    def _check_certificate(self, certificate: CommitCertificate | PolkaCertificate) -> None:
        self._check(
            lambda: check_certificate(
                self._ledger.genesis_hash, self._driver.core.validator_set, certificate, self._verify
            )
        )

    def _on_summary(self, peer: PeerId, summary: VoteSummary) -> None:
        core = self._driver.core
        self.peer_heights[peer] = summary.height - 1
        if summary.height < core.height:
            certificate = self._ledger.get_certificate(summary.height)
            if certificate is not None:
                self.links.post(peer, Commit(certificate))
        elif summary.height > core.height + 1:
            self._driver.note_behind()
        elif summary.height == core.height:
            self._answer_summary(peer, core, summary)

    def _answer_summary(self, peer: PeerId, core: Core, summary: VoteSummary) -> None:
        missing = []
        self._check(lambda: missing.extend(select_missing(core, summary, MISSING_COUNT_MAX)))
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

    def _on_transactions_wanted(self, peer: PeerId, block_hash: Hash, ids: tuple[Hash, ...]) -> None:
        block = self._driver.candidates.get(block_hash)
        if block is None:
            return
        wanted = set(ids)
        batch: list[bytes] = []
        for signed in block.transactions:
            if get_transaction_id(signed) in wanted:
                batch.append(encode(signed))
                if sum(map(len, batch)) > TRANSACTIONS_FRAME_BYTES:
                    self.links.post(peer, BlockTransactions(block_hash, tuple(batch)))
                    batch = []
        if batch:
            self.links.post(peer, BlockTransactions(block_hash, tuple(batch)))

    def _on_transactions(self, peer: PeerId, block_hash: Hash, transactions: tuple[bytes, ...]) -> None:
        assembly = self._assemblies.get(block_hash)
        if assembly is None:
            return
        for data in transactions:
            self._check(partial(_add_encoded, assembly, data))

    def _on_block_wanted(self, peer: PeerId, height: Height, block_hash: Hash) -> None:
        block = self._driver.candidates.get(block_hash)
        if block is None and height <= self._ledger.height:
            block = self._ledger.get_block(height)
        if block is not None and compute_header_hash(block.header) == block_hash:
            self.links.post(peer, WholeBlock(height, encode(block)))

    def _on_whole_block(self, block: Block) -> None:
        fetch = self._fetches.get(compute_header_hash(block.header))
        if fetch is None:
            return
        if not is_whole(block):
            raise PeerFault("body of another block", points=50)
        try:
            fetch.send_nowait(block)
        except trio.WouldBlock:
            return


def _add_encoded(assembly: Assembly, data: bytes) -> None:
    assembly.add(decode_transaction(data))


def build_compact(signed: SignedProposal, block: Block) -> CompactProposal:
    """The short form of a proposal with its block."""
    ids = tuple(get_transaction_id(signed_transaction) for signed_transaction in block.transactions)
    return CompactProposal(signed, encode(block.header), encode(block.inherents), ids)


def _decode(kind: type[T], data: bytes) -> T:
    try:
        return decode(kind, data)
    except ChainError as error:
        raise PeerFault(f"undecodable: {error}", points=50) from error
