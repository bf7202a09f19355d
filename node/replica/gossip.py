"""Consensus messages between peers: verified, relayed once, requested when missing.

Inbound: each signed message is verified here, once. A proposal's block is built from the pool, and missing
transactions are requested from the peers that announced it; the replica gets the proposal when the block is
whole. Outbound: own and relayed messages go to all peers. Every second a summary of what this node has goes
out, and peers answer with what is missing, so a lost message delays a height by about a second.

`on_message` raises PeerFault for a fault of its sender; a fault found in a later turn goes to `World.blame`.
The world calls `connected` before a peer's first message, and `start` once.

Bounds: `SeenMessages` for signed messages. Messages of the next height wait per peer, up to EARLY_VOTES_MAX
votes and one proposal; those of later heights are dropped, and summaries of later heights request a check
whether this node is behind. There are at most ASSEMBLIES_MAX assemblies, two per round. The bytes that a peer
makes this node send are limited per peer.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from chain.block import Block, compute_header_hash, is_whole
from chain.errors import ChainError
from chain.primitives.codec import decode, encode
from chain.primitives.types import HASH_BYTES, Hash, Height, PeerId
from chain.transaction import decode_transaction
from chain.votes import (
    CommitCertificate,
    PolkaCertificate,
    Proposal,
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
from node.mempool.batches import split_batches
from node.mempool.pool import Mempool
from node.replica.assembly import LIE_POINTS, Assembly
from node.replica.ports import World
from node.replica.replica import Replica
from node.replica.seen_messages import SeenMessages
from p2p.errors import PeerFault
from p2p.switch.token_bucket import NS_PER_MS, TokenBucket
from p2p.wire.messages import (
    IDS_MAX,
    BlockTransactions,
    BlockTransactionsWanted,
    BlockWanted,
    CommitMessage,
    CompactProposal,
    ConsensusMessage,
    PolkaMessage,
    Refusal,
    Summary,
    Votes,
    WholeBlock,
)

_log = structlog.get_logger("consensus")

T = TypeVar("T")

EARLY_VOTES_MAX = 512
ASSEMBLIES_MAX = 32
MISSING_COUNT_MAX = 256
SUMMARY_MS = 1_000
ASK_MS = 500
FETCH_MS = 1_000
ASSEMBLY_MS_MAX = 20_000
TRANSACTIONS_FRAME_BYTES = 2**20
BODIES_BYTES_PER_SECOND = 8 * 2**20
BODIES_BURST_BYTES = 16 * 2**20
REQUESTS_PER_SECOND = 8
REQUESTS_BURST = 120
"""A peer that was not read for a minute sends as many summaries at once."""
FLOOD_POINTS = 34


class _Peer:
    """The state of one connected peer."""

    def __init__(self, now_ms: int) -> None:
        self.early_votes: list[SignedVote] = []
        self.early_proposal: CompactProposal | None = None
        self.bodies = TokenBucket(BODIES_BYTES_PER_SECOND, BODIES_BURST_BYTES, now_ms * NS_PER_MS)
        """Limits the bytes of proposals, blocks and transactions that it makes this node send."""
        self.requests = TokenBucket(REQUESTS_PER_SECOND, REQUESTS_BURST, now_ms * NS_PER_MS)
        """Limits its summaries and requests: each may cost milliseconds when blocks are full."""


class Gossip:
    """The replica's messenger, and the handler of the consensus protocol."""

    def __init__(self, world: World, replica: Replica, mempool: Mempool, verify: Verify) -> None:
        self._world = world
        self._replica = replica
        self._ledger = replica.ledger
        self._mempool = mempool
        self._verify = verify
        self._seen = SeenMessages()
        self._past_seen: dict[Height, SeenMessages] = {}
        """Of the heights in `Replica.past_cores`."""
        self._height = replica.core.height
        self._proposers = Proposers(replica.core.validator_set)
        self._peers: dict[PeerId, _Peer] = {}
        self._assemblies: dict[Proposal, Assembly] = {}
        self._fetches: dict[Hash, Callable[[Block], None]] = {}

    # Called by the world.

    def start(self) -> None:
        """Send a summary every second from now on."""
        self._world.call_later(SUMMARY_MS, self._summarise)

    def _summarise(self) -> None:
        self._world.broadcast(Summary(encode(build_summary(self._replica.core))))
        self._world.call_later(SUMMARY_MS, self._summarise)

    def connected(self, peer: PeerId) -> None:
        """The peer is connected, for the first time or again."""
        self._peers[peer] = _Peer(self._world.elapsed_ms())

    def disconnected(self, peer: PeerId) -> None:
        """The peer is gone."""
        self._peers.pop(peer, None)

    def on_message(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Handle a peer's message; raises PeerFault."""
        match message:
            case Votes(votes):
                self._on_votes(peer, votes)
            case CompactProposal(signed):
                self._on_proposal(peer, message, signed)
            case Summary(summary):
                self._charge_request(peer)
                self._on_summary(peer, _decode(VoteSummary, summary))
            case CommitMessage(certificate) | PolkaMessage(certificate):
                self._on_certificate(certificate)
            case BlockTransactionsWanted(block_hash, ids):
                self._charge_request(peer)
                self._on_transactions_wanted(peer, block_hash, ids)
            case BlockTransactions(block_hash, transactions):
                self._on_transactions(block_hash, transactions)
            case BlockWanted(height, block_hash):
                self._charge_request(peer)
                self._on_block_wanted(peer, height, block_hash)
            case WholeBlock(_, data):
                self._on_whole_block(data)
            case Refusal():
                pass

    def _charge_request(self, peer: PeerId) -> None:
        """Raises PeerFault if the peer asks more often than an honest one can need."""
        kept = self._peers.get(peer)
        if kept is not None and not kept.requests.try_spend(1, self._world.elapsed_ms() * NS_PER_MS):
            raise PeerFault("requests of consensus above the rate", FLOOD_POINTS)

    # Called by the replica.

    def send_proposal(self, signed: SignedProposal, block: Block) -> None:
        """Send to all peers, in short form."""
        if self._is_for_now(signed.proposal.height):
            self._seen.note_proposal(signed)
        self._world.broadcast(build_compact(signed, block))

    def send_votes(self, votes: tuple[SignedVote, ...]) -> None:
        """Send to all peers."""
        for signed in votes:
            if self._is_for_now(signed.vote.height):
                self._seen.note_vote(signed, self._replica.core.round)
        self._world.broadcast(Votes(votes))

    def send_again(self, again: Rebroadcast, block: Block | None) -> None:
        """Send messages again that may have been lost."""
        if again.proposal is not None and block is not None:
            self._world.broadcast(build_compact(again.proposal, block))
        if again.polka is not None:
            self._world.broadcast(PolkaMessage(again.polka))
        if again.votes:
            self._world.broadcast(Votes(again.votes[:MISSING_COUNT_MAX]))

    def fetch_block(self, height: Height, block_hash: Hash, then: Callable[[Block], None]) -> None:
        """Asks one peer after the other until one sends the block or the height is over."""
        self._fetches[block_hash] = then
        self._ask_for_block(height, block_hash, 0)

    def _ask_for_block(self, height: Height, block_hash: Hash, turn: int) -> None:
        if block_hash in self._fetches:
            peers = self._world.peers
            if peers:
                self._world.post(peers[turn % len(peers)], BlockWanted(height, block_hash))
            self._world.call_later(FETCH_MS, partial(self._ask_for_block, height, block_hash, turn + 1))

    def on_new_height(self, core: Core) -> None:
        """Drop the state of the last height, and handle messages that came early for this one."""
        past = {**self._past_seen, self._height: self._seen}
        self._past_seen = {height: past[height] for height in self._replica.past_cores if height in past}
        self._height, self._seen = core.height, SeenMessages()
        self._proposers = Proposers(core.validator_set)
        self._fetches.clear()
        for assembly in self._assemblies.values():
            assembly.stop_asking()
        self._assemblies.clear()
        for peer, kept in list(self._peers.items()):
            votes, kept.early_votes = kept.early_votes, []
            proposal, kept.early_proposal = kept.early_proposal, None
            self._receive_early(peer, votes, proposal)

    def _receive_early(self, peer: PeerId, votes: list[SignedVote], proposal: CompactProposal | None) -> None:
        try:
            if proposal is not None:
                self._on_proposal(peer, proposal, proposal.signed)
            self._on_votes(peer, tuple(votes))
        except PeerFault as fault:
            self._world.blame(peer, fault)

    # Votes.

    def _is_for_now(self, height: Height) -> bool:
        """Whether the height is being decided; after the decision no message of it is needed."""
        core = self._replica.core
        return height == core.height and core.step < Step.DECIDED

    def _is_early(self, height: Height) -> bool:
        return height == self._replica.core.height + 1

    def _on_votes(self, peer: PeerId, votes: tuple[SignedVote, ...]) -> None:
        fresh: list[SignedVote] = []
        try:
            for signed in votes:
                self._on_vote(peer, signed, fresh)
        finally:
            # Also after a bad vote: seen votes are never relayed later.
            if fresh:
                self._world.broadcast(Votes(tuple(fresh)), but=(peer,))

    def _on_vote(self, peer: PeerId, signed: SignedVote, fresh: list[SignedVote]) -> None:
        height, kept = signed.vote.height, self._peers.get(peer)
        if self._is_for_now(height):
            if self._take_vote(self._replica.core, self._seen, signed):
                fresh.append(signed)
        elif not self._is_early(height):
            self._take_late_vote(signed)
        elif kept is not None and len(kept.early_votes) < EARLY_VOTES_MAX:
            kept.early_votes.append(signed)

    def _take_vote(self, core: Core, seen: SeenMessages, signed: SignedVote) -> bool:
        """Returns whether the vote is new; raises PeerFault unless a validator of the height signed it."""
        if not seen.is_wanted_vote(signed, core.round):
            return False
        genesis_hash = self._ledger.genesis_hash
        _check(lambda: check_signed_vote(genesis_hash, core.validator_set, signed, self._verify))
        seen.note_vote(signed, core.round)
        self._replica.put(VoteReceived(signed))
        return True

    def _take_late_vote(self, signed: SignedVote) -> None:
        """A vote for a decided height: a precommit counts for pay, and a conflicting vote is evidence."""
        core, seen = self._get_decided(signed.vote.height)
        if core is not None and seen is not None:
            self._take_vote(core, seen, signed)

    def _get_decided(self, height: Height) -> tuple[Core | None, SeenMessages | None]:
        core = self._replica.core
        if core.height == height:
            return (core, self._seen) if core.step is Step.DECIDED else (None, None)
        return self._replica.past_cores.get(height), self._past_seen.get(height)

    # Proposals.

    def _on_proposal(self, peer: PeerId, message: CompactProposal, signed: SignedProposal) -> None:
        kept, known = self._peers.get(peer), self._assemblies.get(signed.proposal)
        if known is not None and known.has_block_of(message):
            known.add_source(peer)
        elif self._is_early(signed.proposal.height) and kept is not None:
            kept.early_proposal = message
        elif known is None and self._is_for_now(signed.proposal.height):
            self._begin_assembly(peer, message, signed)
        else:
            self._take_late_proposal(signed)

    def _take_late_proposal(self, signed: SignedProposal) -> None:
        """A second proposal for a round of a decided height is evidence; nothing else of it is needed."""
        core, seen = self._get_decided(signed.proposal.height)
        if core is not None and seen is not None and seen.is_conflicting_proposal(signed):
            self._check_proposal(core, signed)
            self._note_signed_proposal(seen, signed)

    def _check_proposal(self, core: Core, signed: SignedProposal) -> None:
        genesis_hash = self._ledger.genesis_hash
        _check(lambda: check_signed_proposal(genesis_hash, core.validator_set, signed, self._verify))

    def _note_signed_proposal(self, seen: SeenMessages, signed: SignedProposal) -> None:
        evidence = seen.note_signed_proposal(signed)
        if evidence is not None:
            self._replica.report(evidence)

    def _begin_assembly(self, peer: PeerId, message: CompactProposal, signed: SignedProposal) -> None:
        core, proposal = self._replica.core, signed.proposal
        begun = sum(1 for one in self._assemblies.values() if one.proposal.round == proposal.round)
        if (
            not self._seen.is_wanted_proposal(signed, core.round)
            or begun >= PROPOSALS_PER_ROUND_MAX
            or len(self._assemblies) >= ASSEMBLIES_MAX
        ):
            return
        self._check_proposal(core, signed)
        if proposal.proposer != self._proposers.get(proposal.round):
            raise PeerFault("proposal out of turn", LIE_POINTS)
        self._note_signed_proposal(self._seen, signed)
        until_ms = self._world.elapsed_ms() + ASSEMBLY_MS_MAX
        assembly = _check(lambda: Assembly(message, peer, self._world.now_ms(), until_ms))
        assembly.check()
        self._assemblies[proposal] = assembly
        self._collect(assembly)

    def _collect(self, assembly: Assembly) -> None:
        """Find the block, or its transactions in the pool; ask the sources for missing ones."""
        known = self._replica.candidates.get(assembly.proposal.block_hash)
        if known is not None:
            self._finish(assembly, known)
            return
        for tx_id in assembly.message.transaction_ids:
            pooled = self._mempool.get(tx_id)
            if pooled is not None:
                assembly.add(pooled.signed)
        self._ask_or_finish(assembly)

    def _ask_or_finish(self, assembly: Assembly) -> None:
        assembly.stop_asking()
        missing = assembly.list_missing()
        if not missing:
            self._finish(assembly, assembly.build())
        elif self._world.elapsed_ms() >= assembly.until_ms:
            _log.info("block_not_collected", missing=len(missing), height=assembly.proposal.height)
            self._forget(assembly)
        else:
            wanted = BlockTransactionsWanted(assembly.proposal.block_hash, missing[:IDS_MAX])
            self._world.post(assembly.take_source(), wanted)
            assembly.asking = self._world.call_later(ASK_MS, partial(self._ask_or_finish, assembly))

    def _finish(self, assembly: Assembly, block: Block) -> None:
        """The block is whole: relay the proposal and hand it to the replica."""
        if not self._is_for_now(assembly.proposal.height):
            self._forget(assembly)
            return
        signed = assembly.message.signed
        self._seen.note_proposal(signed)
        self._world.broadcast(assembly.message, but=assembly.sources)
        self._replica.put_proposal(signed, block, assembly.received_ms, partial(self._forget, assembly))

    def _forget(self, assembly: Assembly) -> None:
        if self._assemblies.get(assembly.proposal) is assembly:
            del self._assemblies[assembly.proposal]

    # Certificates and summaries.

    def _on_certificate(self, certificate: CommitCertificate | PolkaCertificate) -> None:
        if not self._is_for_now(certificate.height) or not self._seen.is_new_certificate(certificate):
            return
        core, genesis_hash = self._replica.core, self._ledger.genesis_hash
        _check(lambda: check_certificate(genesis_hash, core.validator_set, certificate, self._verify))
        self._seen.note_certificate(certificate)
        if isinstance(certificate, CommitCertificate):
            self._replica.put(CommitCertificateReceived(certificate))
        else:
            self._replica.put(PolkaCertificateReceived(certificate))

    def _on_summary(self, peer: PeerId, summary: VoteSummary) -> None:
        core = self._replica.core
        if summary.height < core.height:
            certificate = self._ledger.get_certificate(summary.height)
            if certificate is not None:
                self._world.post(peer, CommitMessage(certificate))
        elif summary.height > core.height + 1:
            self._replica.note_behind()
        elif summary.height == core.height:
            self._answer_summary(peer, core, summary)

    def _answer_summary(self, peer: PeerId, core: Core, summary: VoteSummary) -> None:
        missing = _check(lambda: select_missing(core, summary, MISSING_COUNT_MAX))
        votes = tuple(item for item in missing if isinstance(item, SignedVote))
        for item in missing:
            if isinstance(item, CommitCertificate):
                self._world.post(peer, CommitMessage(item))
            elif isinstance(item, PolkaCertificate):
                self._world.post(peer, PolkaMessage(item))
            elif isinstance(item, SignedProposal):
                block = self._replica.candidates.get(item.proposal.block_hash)
                if block is not None:
                    compact = build_compact(item, block)
                    self._post_body(peer, compact, HASH_BYTES * len(compact.transaction_ids))
        if votes:
            self._world.post(peer, Votes(votes))

    # Bodies.

    def _post_body(self, peer: PeerId, message: ConsensusMessage, size_bytes: int) -> None:
        """Send unless the peer is over its limit; then it asks again later, or another peer."""
        kept = self._peers.get(peer)
        if kept is not None and kept.bodies.try_spend(size_bytes, self._world.elapsed_ms() * NS_PER_MS):
            self._world.post(peer, message)

    def _on_transactions_wanted(self, peer: PeerId, block_hash: Hash, ids: tuple[Hash, ...]) -> None:
        block = self._replica.candidates.get(block_hash)
        if block is None:
            return
        wanted = frozenset(ids)
        found = (encode(signed) for signed in block.transactions if signed.id in wanted)
        for batch in split_batches(found, TRANSACTIONS_FRAME_BYTES):
            self._post_body(peer, BlockTransactions(block_hash, batch), sum(map(len, batch)))

    def _on_transactions(self, block_hash: Hash, transactions: tuple[bytes, ...]) -> None:
        waiting = [
            one
            for one in self._assemblies.values()
            if one.proposal.block_hash == block_hash and one.asking is not None
        ]
        grown: list[Assembly] = []
        try:
            for data in transactions if waiting else ():
                signed = _check(partial(decode_transaction, data))
                grown += [assembly for assembly in waiting if assembly.add(signed)]
        finally:
            for assembly in waiting:
                if any(assembly is one for one in grown):
                    self._ask_or_finish(assembly)

    def _on_block_wanted(self, peer: PeerId, height: Height, block_hash: Hash) -> None:
        candidate = self._replica.candidates.get(block_hash)
        data = None if candidate is None else encode(candidate)
        if candidate is None and height <= self._ledger.height:
            header = self._ledger.get_header(height)
            is_known = header is not None and compute_header_hash(header) == block_hash
            data = self._ledger.chain.get_block(height) if is_known else None
        if data is not None:
            self._post_body(peer, WholeBlock(height, data), len(data))

    def _on_whole_block(self, data: bytes) -> None:
        if not self._fetches:
            return
        block = _decode(Block, data)
        block_hash = compute_header_hash(block.header)
        if block_hash not in self._fetches:
            return
        if not is_whole(block):
            raise PeerFault("body of another block", LIE_POINTS)
        self._fetches.pop(block_hash)(block)


def build_compact(signed: SignedProposal, block: Block) -> CompactProposal:
    """The short form of a proposal and its block."""
    ids = tuple(signed_transaction.id for signed_transaction in block.transactions)
    return CompactProposal(signed, encode(block.header), encode(block.inherents), ids)


def _check(check: Callable[[], T]) -> T:
    """The result of `check`; a ChainError becomes a fault of the peer."""
    try:
        return check()
    except PeerFault:
        raise
    except ChainError as error:
        raise PeerFault(f"{type(error).__name__}: {error}", LIE_POINTS) from error


def _decode(kind: type[T], data: bytes) -> T:
    return _check(partial(decode, kind, data))
