"""What a villain does as proposer: blocks with one thing wrong, or two blocks that are right."""

from chain.block import Block, compute_header_hash
from chain.errors import InvalidBlock, InvalidTransaction
from chain.modules import balances
from chain.primitives.codec import encode, replace
from chain.primitives.types import Address, Hash, Height, PeerId, Round
from chain.runtime import build_call
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.votes import (
    PolkaCertificate,
    Proposal,
    SignedVote,
    Vote,
    VoteKind,
)
from p2p.wire.messages import (
    CompactProposal,
    ConsensusMessage,
    PolkaMessage,
    Votes,
)
from tests.sim.adversary import forgery
from tests.sim.adversary.behaviour import Behaviour, Villain

HEARD_MAX = 400
HOUR_MS = 3_600_000


class Proposer(Behaviour):
    """Replaces the villain's own new proposals by forged ones."""

    forges_again = False
    """Whether it also forges what had a polka before."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._forged: dict[bytes, CompactProposal | None] = {}
        self._replaced: dict[tuple[Height, Round, Hash | None], Hash] = {}

    def get_forged(self, message: ConsensusMessage) -> CompactProposal | None:
        """The forged proposal for this message; None if the message is sent unchanged."""
        if not isinstance(message, CompactProposal):
            return None
        signed = message.signed
        is_new = signed.proposal.pol_round is None or self.forges_again
        if signed.proposal.proposer != self.villain.keys.address or not is_new:
            return None
        if signed.signature not in self._forged:
            self._forged[signed.signature] = forged = self._try_to_forge(signed.proposal)
            if forged is not None:
                self.villain.count(type(self).__name__)
                told, old = forged.signed.proposal, signed.proposal
                self._replaced[old.height, old.round, old.block_hash] = told.block_hash
        return self._forged[signed.signature]

    def _try_to_forge(self, proposal: Proposal) -> CompactProposal | None:
        block = self.villain.get_block(proposal.block_hash)
        if block is None or proposal.height != self.villain.ledger.height + 1:
            return None
        try:
            return self.forge(block, proposal)
        except (InvalidBlock, InvalidTransaction):
            return None

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """The proposal in another form."""
        spoiled = self.spoil(block)
        self.villain.keep_block(spoiled)
        if spoiled != block and self.is_invalid(spoiled):
            block_hash = compute_header_hash(spoiled.header)
            self.villain.note_spoiled(block_hash, type(self).__name__)
        return forgery.propose(self.villain.keys, self.genesis_hash, spoiled, proposal.round)

    def spoil(self, block: Block) -> Block:
        """The block with something wrong."""
        return block

    def is_invalid(self, spoiled: Block) -> bool:
        """Whether the block is invalid at any time of arrival."""
        return True

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """The forged proposal in place of the other, and the villain's votes for it."""
        if isinstance(message, Votes):
            return [Votes(tuple(self._bend(signed) for signed in message.votes))]
        forged = self.get_forged(message)
        return [message] if forged is None else [forged, *self.second(forged.signed.proposal)]

    def _bend(self, signed: SignedVote) -> SignedVote:
        """An own vote moves to the replacement: signing both would be equivocation."""
        vote, mine = signed.vote, self.villain.keys.address
        other = self._replaced.get((vote.height, vote.round, vote.block_hash))
        is_own = vote.validator == mine
        return self.sign_vote(replace(vote, block_hash=other)) if is_own and other else signed

    def second(self, proposal: Proposal) -> list[ConsensusMessage]:
        """Messages that follow a forged proposal."""
        return []


class EquivocatingProposer(Proposer):
    """Proposes two valid blocks in one round, each to one side, and votes for both."""

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """Another valid block."""
        fewer = block.transactions[:-1]
        other = forgery.rebuild(
            self.villain.ledger, block, time_ms=block.header.time_ms + 1, transactions=fewer
        )
        self.villain.keep_block(other)
        return forgery.propose(self.villain.keys, self.genesis_hash, other, proposal.round)

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """The proposal of the peer's side, or both."""
        forged = self.get_forged(message)
        if forged is None:
            return [message]
        proposal = forged.signed.proposal
        votes = [
            self.sign_vote(Vote(kind, proposal.height, proposal.round, proposal.block_hash, keys.address))
            for kind in VoteKind
            for keys in self.villain.colluders
        ]
        other = [forged, Votes(tuple(votes))]
        sides: list[list[ConsensusMessage]] = [[message], other, [message, *other]]
        return sides[self.villain.get_side(peer)]


class WrongTime(Proposer):
    """Blocks of an hour ahead, of just beyond what is allowed, or not later than the parent."""

    def spoil(self, block: Block) -> Block:
        """The same at another time."""
        now_ms, parent_ms = block.header.time_ms, self.villain.ledger.head.time_ms
        precision_ms = self.villain.ledger.get_parameters().precision_ms
        times = (now_ms + HOUR_MS, now_ms + 3 * precision_ms, parent_ms, parent_ms - HOUR_MS)
        return forgery.rebuild(self.villain.ledger, block, time_ms=self.villain.random.choice(times))

    def is_invalid(self, spoiled: Block) -> bool:
        """Only a time not after the parent: a time that clocks refuse now may be valid in a later round."""
        return spoiled.header.time_ms <= self.villain.ledger.head.time_ms


class WrongStateRoot(Proposer):
    """A header that names a state which the block does not lead to."""

    def spoil(self, block: Block) -> Block:
        """The same with another root."""
        return forgery.spoil_state_root(block)


class WrongParent(Proposer):
    """A block on a parent that is not the head."""

    def spoil(self, block: Block) -> Block:
        """The same on its grandparent, or on nothing."""
        parent_hash = self.villain.ledger.head.parent_hash
        return replace(block, header=replace(block.header, parent_hash=parent_hash))


class BadTransaction(Proposer):
    """A block with a transfer in the name of somebody who did not sign it."""

    def spoil(self, block: Block) -> Block:
        """The victim's whole balance goes to the villain."""
        ledger, keys = self.villain.ledger, self.villain.keys
        others = [who.address for who in ledger.get_validators().validators if who.address != keys.address]
        victim: Address = self.villain.random.choice(others)
        transaction = Transaction(
            version=1,
            genesis_hash=ledger.genesis_hash,
            sender=victim,
            nonce=ledger.get_nonce(victim),
            valid_until=block.header.height + 5,
            fee_max=ledger.get_free(victim) // 2,
            tip=0,
            calls=(build_call(balances.Send(keys.address, ledger.get_free(victim) // 4)),),
        )
        stolen = SignedTransaction(transaction, keys.consensus.sign(encode(transaction)))
        return forgery.rebuild(ledger, block, transactions=(stolen, *_drop_sender(block, victim)))


def _drop_sender(block: Block, sender: Address) -> tuple[SignedTransaction, ...]:
    return tuple(one for one in block.transactions if one.transaction.sender != sender)


class Oversized(Proposer):
    """A block with more transactions than the chain allows, or with ids that nobody can resolve."""

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """Roots that are right, or ids without transactions."""
        if self.villain.random.random() < 0.5:
            return super().forge(block, proposal)
        message = forgery.propose(self.villain.keys, self.genesis_hash, block, proposal.round)
        ghosts = tuple(self.villain.random.randbytes(32) for _ in range(1_000))
        return replace(message, transaction_ids=ghosts)

    def spoil(self, block: Block) -> Block:
        """One transaction more than a block may have."""
        ledger, keys = self.villain.ledger, self.villain.keys
        parameters = ledger.get_parameters()
        kept = _drop_sender(block, keys.address)
        missing = min(parameters.block_transactions_max + 1, 200) - len(kept)
        nonce = ledger.get_nonce(keys.address)
        added = [self._build_transfer(nonce + number) for number in range(missing)]
        return forgery.rebuild(ledger, block, transactions=(*kept, *added))

    def _build_transfer(self, nonce: int) -> SignedTransaction:
        ledger, keys = self.villain.ledger, self.villain.keys
        transfer = balances.Send(keys.address, 1)
        fee_max = ledger.get_free(keys.address) // 1_000
        transaction = Transaction(
            1,
            ledger.genesis_hash,
            keys.address,
            nonce,
            ledger.height + 5,
            fee_max,
            0,
            (build_call(transfer),),
        )
        return sign_transaction(keys.account, transaction)


class ForgedPolRound(Proposer):
    """Proposes a new block with the round of a polka that never was: an earlier, this, or a later round.

    A forged certificate of that polka goes with the proposal.
    """

    forges_again = True

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """A block that never had a polka, with a polka round."""
        rounds = (proposal.round - 1, 0) if proposal.round else (0, 1)
        other = forgery.rebuild(self.villain.ledger, block, time_ms=block.header.time_ms + 1)
        self.villain.keep_block(other)
        pol_round = self.villain.random.choice(rounds)
        return forgery.propose(self.villain.keys, self.genesis_hash, other, proposal.round, pol_round)

    def second(self, proposal: Proposal) -> list[ConsensusMessage]:
        """The certificate of a polka that never was, signed by the colluders alone."""
        assert proposal.pol_round is not None
        slot = (VoteKind.PREVOTE, proposal.height, proposal.pol_round, proposal.block_hash)
        votes = [self.sign_vote(Vote(*slot, keys.address)) for keys in self.villain.colluders]
        commit = forgery.build_certificate(votes, proposal.block_hash, proposal.height, proposal.pol_round)
        return [
            PolkaMessage(PolkaCertificate(commit.height, commit.round, commit.block_hash, commit.signatures))
        ]


class ForgedLastCommit(Proposer):
    """Puts a wrong certificate of the last block into its block: too few signers, or a bad signature."""

    def spoil(self, block: Block) -> Block:
        """One signer as many, too few, or a signature of nobody: executed where the rules let it pass."""
        commit, random = block.inherents.last_commit, self.villain.random
        if commit is None:
            return block
        part = random.choice(commit.signatures)
        forged = replace(part, signature=self.villain.keys.consensus.sign(commit.block_hash))
        parts = [forged if one is part else one for one in commit.signatures]
        ways = ((part,) * len(commit.signatures), (part,), tuple(parts))
        commit = replace(commit, signatures=random.choice(ways))
        inherents = replace(block.inherents, last_commit=commit)
        spoiled = forgery.seal(block.header, inherents, block.transactions)
        try:
            return forgery.rebuild(self.villain.ledger, spoiled)
        except InvalidBlock:
            return spoiled


class OldPolka(Behaviour):
    """Proposes a block with an old polka again, though another block has a later one."""

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """A block of an earlier round in place of the right one."""
        if not isinstance(message, CompactProposal):
            return [message]
        proposal, core = message.signed.proposal, self.villain.core
        if (proposal.proposer, proposal.height) != (self.villain.keys.address, core.height):
            return [message]
        for pol_round in range(proposal.round):
            for block_hash in core.tally.get_values(VoteKind.PREVOTE, pol_round):
                block = self.villain.get_block(block_hash) if block_hash else None
                if block is not None and core.tally.has_quorum(VoteKind.PREVOTE, pol_round, block_hash):
                    self.villain.count(type(self).__name__)
                    keys, round = self.villain.keys, proposal.round
                    return [forgery.propose(keys, self.genesis_hash, block, round, pol_round)]
        return [message]


class OutOfTurn(Behaviour):
    """Proposes in its own name in another validator's round."""

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Takes over the other proposer's block."""
        if not isinstance(message, CompactProposal):
            return
        proposal, keys = message.signed.proposal, self.villain.keys
        block = self.villain.get_block(proposal.block_hash)
        if block is None or proposal.proposer == keys.address or self.villain.random.random() < 0.5:
            return
        if proposal.height != self.villain.ledger.height + 1:
            return
        try:
            mine = forgery.rebuild(self.villain.ledger, forgery.appropriate(block, keys))
        except (InvalidBlock, InvalidTransaction):
            return
        self.villain.count(type(self).__name__)
        self.villain.keep_block(mine)
        self.send_all(forgery.propose(keys, self.genesis_hash, mine, proposal.round))
