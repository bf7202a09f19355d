"""A proposal in short form, while the transactions of its block are collected."""

from chain.block import Block, Header, Inherents, compute_extrinsics_root, compute_header_hash
from chain.primitives.codec import decode, replace
from chain.primitives.types import Hash, PeerId, TimeMs
from chain.transaction import SignedTransaction
from chain.votes import Proposal
from node.replica.ports import Timer
from p2p.errors import PeerFault
from p2p.wire.messages import CompactProposal

LIE_POINTS = 50


class Assembly:
    """One proposal; any peer that announced it may be asked for missing transactions."""

    def __init__(self, message: CompactProposal, peer: PeerId, received_ms: TimeMs, until_ms: int) -> None:
        self.message = message
        self.received_ms = received_ms
        self.until_ms = until_ms
        """When to give up, by `World.elapsed_ms`."""
        self.header = decode(Header, message.header)
        self.inherents = decode(Inherents, message.inherents)
        self.sources = [peer]
        self.asking: Timer | None = None
        """Runs until the next source is asked."""
        self._turn = 0
        self._found: dict[Hash, SignedTransaction | None] = dict.fromkeys(message.transaction_ids)

    @property
    def proposal(self) -> Proposal:
        """The proposal, without its signature."""
        return self.message.signed.proposal

    def check(self) -> None:
        """Raises PeerFault unless header and body are those that the proposer signed.

        The header of a new block must name the proposer; only a block with a polka in an earlier round may be
        another's. Otherwise a proposer could put its fault, such as a missing beacon link, on another.
        """
        if compute_header_hash(self.header) != self.proposal.block_hash:
            raise PeerFault("header of another block", LIE_POINTS)
        if (
            compute_extrinsics_root(self.inherents, self.message.transaction_ids)
            != self.header.extrinsics_root
        ):
            raise PeerFault("body of another block", LIE_POINTS)
        if self.header.height != self.proposal.height:
            raise PeerFault("block of another height", LIE_POINTS)
        if self.proposal.pol_round is None and self.header.proposer != self.proposal.proposer:
            raise PeerFault("new block in the name of another proposer", LIE_POINTS)

    def has_block_of(self, message: CompactProposal) -> bool:
        """Whether the message is for this proposal's block, under whatever signature."""
        return replace(message, signed=self.message.signed) == self.message

    def add_source(self, peer: PeerId) -> None:
        """Another peer announced the same."""
        if peer not in self.sources:
            self.sources.append(peer)

    def take_source(self) -> PeerId:
        """The source to ask next: one after the other, also those that were added later."""
        self._turn += 1
        return self.sources[(self._turn - 1) % len(self.sources)]

    def list_missing(self) -> tuple[Hash, ...]:
        """Ids of the transactions that are missing."""
        return tuple(tx_id for tx_id, signed in self._found.items() if signed is None)

    def add(self, signed: SignedTransaction) -> bool:
        """Add a transaction; returns whether it was missing."""
        tx_id = signed.id
        is_missing = tx_id in self._found and self._found[tx_id] is None
        if is_missing:
            self._found[tx_id] = signed
        return is_missing

    def build(self) -> Block:
        """The whole block; called when `list_missing` is empty."""
        found = [self._found[tx_id] for tx_id in self.message.transaction_ids]
        transactions = tuple(signed for signed in found if signed is not None)
        assert len(transactions) == len(found)  # The only caller checks `list_missing` first.
        return Block(self.header, self.inherents, transactions)

    def stop_asking(self) -> None:
        """Cancel the request to the next source."""
        if self.asking is not None:
            self.asking.cancel()
            self.asking = None
