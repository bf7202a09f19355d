"""What a villain may do, one rule broken per class; a villain has one or several.

A villain is a whole validator that follows the protocol, except that its mischief stands between it and the
network: it may change, drop or add what is sent to each peer, hears what arrives, answers requests in the
villain's place, and may act at any time. It has the keys of its coven and of nobody else.
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

from chain.block import Block, compute_header_hash
from chain.errors import InvalidBlock, InvalidTransaction
from chain.modules import balances, offences, system
from chain.primitives.codec import Record, encode, replace
from chain.primitives.types import Address, Hash, Height, PeerId, Round
from chain.runtime import build_call
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.votes import (
    DuplicateProposal,
    DuplicateVote,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
)
from consensus.core import Core
from node.ledger import Ledger
from p2p.messages import (
    BlocksRequest,
    Blocks,
    Commit,
    CompactProposal,
    ConsensusMessage,
    FinalBlock,
    Polka,
    Status,
    StatusRequest,
    Votes,
)
from chain.votes import CommitCertificate, PolkaCertificate
from tests.sim import forgery
from tests.sim.forgery import Hand

HEARD_MAX = 400
HOUR_MS = 3_600_000
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


class Rogue(Protocol):
    """A villain as its mischief sees it."""

    random: Random
    hand: Hand
    coven: tuple[Hand, ...]

    @property
    def ledger(self) -> Ledger: ...
    @property
    def core(self) -> Core: ...
    @property
    def peers(self) -> tuple[PeerId, ...]: ...

    def send(self, peer: PeerId, message: ConsensusMessage) -> None:
        """To this peer, past all mischief."""

    def get_story(self, peer: PeerId) -> int:
        """Which of two stories the peer is told, always the same: 0 or 1; 2 for both."""

    def get_block(self, block_hash: Hash) -> Block | None:
        """A block that it proposed or saw."""

    def keep_block(self, block: Block) -> None:
        """Serve this block to whoever asks for it."""


class Mischief:
    """None: an honest validator."""

    def __init__(self, rogue: Rogue) -> None:
        self.rogue = rogue

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """What is sent to this peer in place of the message."""
        return [message]

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """A message arrived."""

    def on_request(self, peer: PeerId, request: Record) -> Record | None:
        """The reply, or None to have it answered honestly."""
        return None

    def on_tick(self) -> None:
        """Some time has passed."""

    # For the classes below.

    @property
    def genesis_hash(self) -> Hash:
        return self.rogue.ledger.genesis_hash

    def sign_vote(self, vote: Vote) -> SignedVote:
        """With the key of its validator."""
        hand = next(hand for hand in self.rogue.coven if hand.address == vote.validator)
        return forgery.sign_vote(hand, self.genesis_hash, vote)

    def pick_peer(self) -> PeerId | None:
        """Any peer."""
        return self.rogue.random.choice(self.rogue.peers) if self.rogue.peers else None

    def send_all(self, message: ConsensusMessage) -> None:
        """To everybody."""
        for peer in self.rogue.peers:
            self.rogue.send(peer, message)


# Proposers.


class Proposer(Mischief):
    """Makes something else of the villain's own new proposals."""

    def __init__(self, rogue: Rogue) -> None:
        super().__init__(rogue)
        self._forged: dict[bytes, CompactProposal | None] = {}

    def get_forged(self, message: ConsensusMessage) -> CompactProposal | None:
        """What is told in place of the message; None where it is to be told as it is."""
        if not isinstance(message, CompactProposal):
            return None
        signed = message.proposal
        if signed.proposal.proposer != self.rogue.hand.address or signed.proposal.pol_round is not None:
            return None
        if signed.signature not in self._forged:
            self._forged[signed.signature] = self._try_to_forge(signed.proposal)
        return self._forged[signed.signature]

    def _try_to_forge(self, proposal: Proposal) -> CompactProposal | None:
        block = self.rogue.get_block(proposal.block_hash)
        if block is None or proposal.height != self.rogue.ledger.height + 1:
            return None
        try:
            return self.forge(block, proposal)
        except (InvalidBlock, InvalidTransaction):
            return None

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """The proposal in another form."""
        spoiled = self.spoil(block)
        self.rogue.keep_block(spoiled)
        return forgery.propose(self.rogue.hand, self.genesis_hash, spoiled, proposal.round)

    def spoil(self, block: Block) -> Block:
        """The block with something wrong."""
        return block

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """The forged proposal, and votes for it."""
        forged = self.get_forged(message)
        return [message] if forged is None else [forged, *self.second(forged.proposal.proposal)]

    def second(self, proposal: Proposal) -> list[ConsensusMessage]:
        """The coven's votes for a forged block: only the honest stand against it."""
        slots = [(kind, hand) for kind in VoteKind for hand in self.rogue.coven]
        votes = [
            Vote(kind, proposal.height, proposal.round, proposal.block_hash, hand.address)
            for kind, hand in slots
        ]
        return [Votes(tuple(self.sign_vote(vote) for vote in votes))]


class EquivocatingProposer(Proposer):
    """Two valid blocks in one round, each to some; votes for both."""

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """A block that is as good."""
        fewer = block.transactions[:-1]
        other = forgery.rebuild(
            self.rogue.ledger, block, time_ms=block.header.time_ms + 1, transactions=fewer
        )
        self.rogue.keep_block(other)
        return forgery.propose(self.rogue.hand, self.genesis_hash, other, proposal.round)

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """One story, the other, or both."""
        forged = self.get_forged(message)
        if forged is None:
            return [message]
        other = [forged, *self.second(forged.proposal.proposal)]
        stories: list[list[ConsensusMessage]] = [[message], other, [message, *other]]
        return stories[self.rogue.get_story(peer)]


class WrongTime(Proposer):
    """Blocks of an hour ahead, of just beyond what is allowed, or not later than the parent."""

    def spoil(self, block: Block) -> Block:
        """The same at another time."""
        now_ms, parent_ms = block.header.time_ms, self.rogue.ledger.head.time_ms
        precision_ms = self.rogue.ledger.get_parameters().precision_ms
        times = (now_ms + HOUR_MS, now_ms + 3 * precision_ms, parent_ms, parent_ms - HOUR_MS)
        return forgery.rebuild(self.rogue.ledger, block, time_ms=self.rogue.random.choice(times))


class WrongStateRoot(Proposer):
    """A header that names a state which the block does not lead to."""

    def spoil(self, block: Block) -> Block:
        """The same with another root."""
        return forgery.spoil_state_root(block)


class WrongParent(Proposer):
    """A block on a parent that is not the head."""

    def spoil(self, block: Block) -> Block:
        """The same on its grandparent, or on nothing."""
        parent_hash = self.rogue.ledger.head.parent_hash
        return replace(block, header=replace(block.header, parent_hash=parent_hash))


class BadTransaction(Proposer):
    """A block with a transfer in the name of somebody who did not sign it."""

    def spoil(self, block: Block) -> Block:
        """The victim's whole balance goes to the villain."""
        ledger, hand = self.rogue.ledger, self.rogue.hand
        others = [who.address for who in ledger.get_validators().validators if who.address != hand.address]
        victim: Address = self.rogue.random.choice(others)
        transaction = Transaction(
            version=1,
            genesis_hash=ledger.genesis_hash,
            sender=victim,
            nonce=ledger.get_nonce(victim),
            valid_until=block.header.height + 5,
            fee_max=ledger.get_free(victim) // 2,
            tip=0,
            calls=(build_call(balances.Transfer(hand.address, ledger.get_free(victim) // 4)),),
        )
        stolen = SignedTransaction(transaction, hand.key.sign(encode(transaction)))
        return forgery.rebuild(ledger, block, transactions=(stolen, *_drop_sender(block, victim)))


def _drop_sender(block: Block, sender: Address) -> tuple[SignedTransaction, ...]:
    return tuple(one for one in block.transactions if one.transaction.sender != sender)


class Oversized(Proposer):
    """A block with more transactions than the chain allows, or with ids that nobody can resolve."""

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """Roots that are right, or ids without transactions."""
        if self.rogue.random.random() < 0.5:
            return super().forge(block, proposal)
        message = forgery.propose(self.rogue.hand, self.genesis_hash, block, proposal.round)
        ghosts = tuple(self.rogue.random.randbytes(32) for _ in range(1_000))
        return replace(message, transaction_ids=ghosts)

    def spoil(self, block: Block) -> Block:
        """Full, and one more."""
        ledger, hand = self.rogue.ledger, self.rogue.hand
        parameters = ledger.get_parameters()
        kept = _drop_sender(block, hand.address)
        missing = min(parameters.block_transactions_max + 1, 200) - len(kept)
        nonce = ledger.get_nonce(hand.address)
        added = [self._build_transfer(nonce + number) for number in range(missing)]
        return forgery.rebuild(ledger, block, transactions=(*kept, *added))

    def _build_transfer(self, nonce: int) -> SignedTransaction:
        ledger, hand = self.rogue.ledger, self.rogue.hand
        transfer = balances.Transfer(hand.address, 1)
        fee_max = ledger.get_free(hand.address) // 1_000
        transaction = Transaction(
            1,
            ledger.genesis_hash,
            hand.address,
            nonce,
            ledger.height + 5,
            fee_max,
            0,
            (build_call(transfer),),
        )
        return sign_transaction(hand.account, transaction)


class ForgedPolRound(Proposer):
    """Proposes a new block as if it had got a polka before: in the round before, in this one, or later.

    With the proposal goes a certificate of that polka which is none.
    """

    def forge(self, block: Block, proposal: Proposal) -> CompactProposal | None:
        """The same block with a reference."""
        rounds = (proposal.round - 1, 0, proposal.round, proposal.round + 1)
        pol_round = self.rogue.random.choice([round for round in rounds if round >= 0])
        return forgery.propose(self.rogue.hand, self.genesis_hash, block, proposal.round, pol_round)

    def second(self, proposal: Proposal) -> list[ConsensusMessage]:
        """Prevotes of the coven in the round referred to, as votes and as a certificate."""
        assert proposal.pol_round is not None
        votes = tuple(
            self.sign_vote(
                Vote(PREVOTE, proposal.height, proposal.pol_round, proposal.block_hash, hand.address)
            )
            for hand in self.rogue.coven
        )
        commit = forgery.build_certificate(votes, proposal.block_hash, proposal.height, proposal.pol_round)
        polka = PolkaCertificate(commit.height, commit.round, commit.block_hash, commit.signatures)
        return [Votes(votes), Polka(polka)]


class EvidenceForger(Proposer):
    """Accuses the innocent, in its own blocks: forged signatures, votes of two slots, one vote twice."""

    def __init__(self, rogue: Rogue) -> None:
        super().__init__(rogue)
        self._heard: list[SignedVote] = []

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Honest votes are what accusations are made of."""
        if isinstance(message, Votes):
            self._heard = [*self._heard, *message.votes][-HEARD_MAX:]

    def spoil(self, block: Block) -> Block:
        """An accusation in front: executed where the rules let it pass, else put in as it is."""
        evidence = self._build_evidence(block)
        if evidence is None:
            return block
        call = build_call(offences.Report(evidence))
        transaction = Transaction(
            1, self.genesis_hash, self.rogue.hand.address, 0, block.header.height + 5, 0, 0, (call,)
        )
        report = sign_transaction(self.rogue.hand.account, transaction)
        try:
            return forgery.rebuild(self.rogue.ledger, block, transactions=(report, *block.transactions))
        except InvalidTransaction:
            return forgery.seal(block.header, block.inherents, (report, *block.transactions))

    def _build_evidence(self, block: Block) -> DuplicateVote | DuplicateProposal | None:
        mine = [hand.address for hand in self.rogue.coven]
        votes = [one for one in self._heard if one.vote.validator not in mine]
        if not votes:
            return None
        first = self.rogue.random.choice(votes)
        other = replace(first.vote, block_hash=self.rogue.random.randbytes(32))
        forged = SignedVote(other, self.rogue.hand.key.sign(encode(other)))
        second = self.rogue.random.choice([forged, first, self.rogue.random.choice(votes)])
        return DuplicateVote(*sorted((first, second), key=lambda one: encode(one.vote)))


# Voters.


class Voter(Mischief):
    """Makes something else of the villain's own votes."""

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """Others' votes are passed on."""
        if not isinstance(message, Votes):
            return [message]
        told: list[SignedVote] = []
        for signed in message.votes:
            is_own = signed.vote.validator == self.rogue.hand.address
            told += self.tell(peer, signed) if is_own else [signed]
        return [Votes(tuple(told))] if told else []

    def tell(self, peer: PeerId, signed: SignedVote) -> list[SignedVote]:
        """What this peer is told of an own vote."""
        return [signed]


class SplitVoter(Voter):
    """Votes for one value before some and for another before others; some get both."""

    def tell(self, peer: PeerId, signed: SignedVote) -> list[SignedVote]:
        """One story, the other, or both."""
        other = self.sign_vote(replace(signed.vote, block_hash=self._get_other(signed.vote)))
        return [[signed], [other], [signed, other]][self.rogue.get_story(peer)]

    def _get_other(self, vote: Vote) -> Hash | None:
        """Nil for a block; for nil a block that was proposed, or one that never was."""
        proposed = [
            received.proposal.proposal.block_hash
            for known in self.rogue.core.proposals.values()
            for received in known
            if received.proposal.proposal.block_hash != vote.block_hash
        ]
        if proposed:
            return proposed[-1]
        return None if vote.block_hash is not None else vote.validator


class Silent(Mischief):
    """Says nothing: never, nothing to some, no proposals, or no votes."""

    def __init__(self, rogue: Rogue) -> None:
        super().__init__(rogue)
        self._mutes = rogue.random.choice(("all", "some", "proposals", "votes", "precommits"))

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """The message, unless this villain is silent about it."""
        votes = message.votes if isinstance(message, Votes) else ()
        is_mute = {
            "all": True,
            "some": self.rogue.get_story(peer) == 0,
            "proposals": isinstance(message, CompactProposal),
            "votes": bool(votes),
            "precommits": any(one.vote.kind is PRECOMMIT for one in votes),
        }[self._mutes]
        return [] if is_mute else [message]


class Amnesiac(Mischief):
    """Forgets what it is locked on, and votes for whatever is proposed."""

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Whatever it is: it was forgotten before."""
        core = self.rogue.core
        core.locked_hash = core.locked_round = None
        if self.rogue.random.random() < 0.5:
            core.valid_hash = core.valid_round = None


# Talkers.


class Stale(Mischief):
    """Says again what was said before, of whatever height and round, and signs anew for slots long past."""

    def __init__(self, rogue: Rogue) -> None:
        super().__init__(rogue)
        self._heard: list[ConsensusMessage] = []

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Remember it."""
        self._heard.append(message)
        if len(self._heard) > HEARD_MAX:
            self._heard.pop(self.rogue.random.randrange(HEARD_MAX))

    def on_tick(self) -> None:
        """Some of it again, and a vote in the past."""
        peer = self.pick_peer()
        if peer is None or not self._heard:
            return
        for message in self.rogue.random.sample(self._heard, min(3, len(self._heard))):
            self.rogue.send(peer, message)
        core = self.rogue.core
        height = self.rogue.random.randint(max(1, core.height - 3), core.height)
        kind, block_hash = self.rogue.random.choice(list(VoteKind)), self.rogue.random.randbytes(32)
        vote = Vote(kind, height, 0, block_hash, self.rogue.hand.address)
        self.rogue.send(peer, Votes((self.sign_vote(vote),)))


class Flooder(Mischief):
    """Votes in rounds and heights that are far ahead, and for values that nobody proposed."""

    def on_tick(self) -> None:
        """A handful to everybody."""
        random, core = self.rogue.random, self.rogue.core
        ahead = [random.choice((0, 1, 4, 5, 64, 2**20)) for _ in range(6)]
        votes = [
            Vote(
                random.choice(list(VoteKind)),
                core.height + random.choice((0, 0, 1, 2, 1_000)),
                core.round + rounds,
                random.choice((None, random.randbytes(32))),
                self.rogue.hand.address,
            )
            for rounds in ahead
        ]
        self.send_all(Votes(tuple(self.sign_vote(vote) for vote in votes)))


class CertificateForger(Mischief):
    """Certificates that are none: one signer many times, too few, of prevotes, of another height or block."""

    def __init__(self, rogue: Rogue) -> None:
        super().__init__(rogue)
        self._heard: dict[tuple[VoteKind, Height, Round, Hash | None], list[SignedVote]] = {}

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Collect signatures by what they are for."""
        for signed in message.votes if isinstance(message, Votes) else ():
            vote = signed.vote
            slot = (vote.kind, vote.height, vote.round, vote.block_hash)
            self._heard.setdefault(slot, []).append(signed)
        while len(self._heard) > HEARD_MAX:
            del self._heard[next(iter(self._heard))]

    def on_tick(self) -> None:
        """One to somebody."""
        peer = self.pick_peer()
        forged = self._build()
        if peer is None or forged is None:
            return
        if self.rogue.random.random() < 0.5:
            self.rogue.send(peer, Commit(forged))
        else:
            parts = (forged.height, forged.round, forged.block_hash, forged.signatures)
            self.rogue.send(peer, Polka(PolkaCertificate(*parts)))

    def _build(self) -> CommitCertificate | None:
        """Of a block that this villain would like, out of whatever it has."""
        random, core = self.rogue.random, self.rogue.core
        if not self._heard:
            return None
        slot = random.choice(list(self._heard))
        votes = self._heard[slot]
        values = [slot[3], *(value for value in core.tally.get_values(PREVOTE, core.round)), bytes(32)]
        block_hash = random.choice([value for value in values if value is not None])
        forged = forgery.build_certificate(votes, block_hash, core.height, core.round)
        if random.random() < 0.3:
            mine = (VoteKind.PRECOMMIT, core.height, core.round, block_hash, self.rogue.hand.address)
            [part] = forgery.build_certificate(
                [self.sign_vote(Vote(*mine))], *mine[3:0:-2], mine[2]
            ).signatures
            forged = replace(forged, signatures=(part,) * len(core.validator_set.validators))
        return forged


class SyncLiar(Mischief):
    """Claims to be far ahead, and serves blocks that are not final, not in order, or not blocks."""

    def on_request(self, peer: PeerId, request: Record) -> Record | None:
        """A lie in most cases."""
        ledger = self.rogue.ledger
        match request:
            case StatusRequest():
                return Status(ledger.height + self.rogue.random.choice((1, 2, 50)), ledger.head_hash, 1)
            case BlocksRequest(start, count):
                return self._build_blocks(start, count)
        return None

    def _build_blocks(self, start: Height, count: int) -> Blocks:
        ledger, random = self.rogue.ledger, self.rogue.random
        found: list[FinalBlock] = []
        for height in range(start, min(start + count, ledger.height + 1)):
            block, certificate = ledger.get_block(height), ledger.get_certificate(height)
            if block is not None and certificate is not None:
                found.append(FinalBlock(encode(block), certificate))
        if found:
            place = random.randrange(len(found))
            found[place] = random.choice((self._spoil_block, self._spoil_certificate))(found[place])
        lie = random.choice(("none", "order", "start", "spoiled", "spoiled"))
        if lie == "none":
            found.clear()
        elif lie == "order":
            random.shuffle(found)
        return Blocks(start + (lie == "start"), tuple(found))

    def _spoil_block(self, final: FinalBlock) -> FinalBlock:
        place = self.rogue.random.randrange(len(final.block))
        flipped = final.block[place] ^ 1 << self.rogue.random.randrange(8)
        return replace(final, block=final.block[:place] + bytes([flipped]) + final.block[place + 1 :])

    def _spoil_certificate(self, final: FinalBlock) -> FinalBlock:
        """Too few, or one signature of another."""
        certificate, random = final.certificate, self.rogue.random
        parts = list(certificate.signatures)
        place = random.randrange(len(parts))
        if random.random() < 0.5:
            parts = parts[: place + 1]
        else:
            forged = self.rogue.hand.key.sign(certificate.block_hash)
            parts[place] = replace(parts[place], signature=forged)
        return replace(final, certificate=replace(certificate, signatures=tuple(parts)))


MISCHIEF: dict[str, Callable[[Rogue], Mischief]] = {
    "equivocating proposer": EquivocatingProposer,
    "split voter": SplitVoter,
    "amnesiac": Amnesiac,
    "silent": Silent,
    "stale": Stale,
    "flooder": Flooder,
    "wrong time": WrongTime,
    "wrong state root": WrongStateRoot,
    "wrong parent": WrongParent,
    "bad transaction": BadTransaction,
    "oversized": Oversized,
    "forged pol round": ForgedPolRound,
    "certificate forger": CertificateForger,
    "sync liar": SyncLiar,
    "evidence forger": EvidenceForger,
}
