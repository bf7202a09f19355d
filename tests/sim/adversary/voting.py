"""What a villain does with votes, certificates and the answers to those that sync."""

from chain.primitives.codec import Record, encode, replace
from chain.primitives.types import Hash, Height, PeerId, Round
from chain.votes import (
    CommitCertificate,
    PolkaCertificate,
    SignedVote,
    Vote,
    VoteKind,
)
from p2p.wire.messages import (
    Blocks,
    BlocksRequest,
    CommitMessage,
    CompactProposal,
    ConsensusMessage,
    FinalBlock,
    PolkaMessage,
    Status,
    StatusRequest,
    Votes,
)
from tests.sim.adversary import forgery
from tests.sim.adversary.behaviour import Behaviour, Villain
from tests.sim.world.accounts import ValidatorKeys

HEARD_MAX = 400
LATE_MS_MAX = 2_500
"""Longer than the first timeouts of a round together."""
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
# Voters.


class Voter(Behaviour):
    """Replaces the villain's own votes, per peer."""

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """Others' votes are passed on."""
        if not isinstance(message, Votes):
            return [message]
        told: list[SignedVote] = []
        for signed in message.votes:
            is_own = signed.vote.validator == self.villain.keys.address
            told += self.tell(peer, signed) if is_own else [signed]
        return [Votes(tuple(told))] if told else []

    def tell(self, peer: PeerId, signed: SignedVote) -> list[SignedVote]:
        """What this peer is told of an own vote."""
        return [signed]


class SplitVoter(Voter):
    """Sends each side a vote for another value; some peers get both votes."""

    def tell(self, peer: PeerId, signed: SignedVote) -> list[SignedVote]:
        """The vote of the peer's side, or both."""
        self.villain.count(type(self).__name__)
        other = self.sign_vote(replace(signed.vote, block_hash=self._get_other(signed.vote)))
        return [[signed], [other], [signed, other]][self.villain.get_side(peer)]

    def _get_other(self, vote: Vote) -> Hash | None:
        """Another value: a proposed block, else nil; a made-up hash in place of nil."""
        proposed = [
            received.signed.proposal.block_hash
            for known in self.villain.core.proposals.values()
            for received in known
            if received.signed.proposal.block_hash != vote.block_hash
        ]
        if proposed:
            return proposed[-1]
        return None if vote.block_hash is not None else vote.validator


class Silent(Behaviour):
    """Sends nothing at all, nothing to one side, no proposals, no votes, or no precommits."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._mutes = villain.random.choice(("all", "some", "proposals", "votes", "precommits"))

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """The message, unless this villain is silent about it."""
        votes = message.votes if isinstance(message, Votes) else ()
        is_mute = {
            "all": True,
            "some": self.villain.get_side(peer) == 0,
            "proposals": isinstance(message, CompactProposal),
            "votes": bool(votes),
            "precommits": any(one.vote.kind is PRECOMMIT for one in votes),
        }[self._mutes]
        if is_mute:
            self.villain.count(type(self).__name__)
        return [] if is_mute else [message]


class LateSender(Behaviour):
    """Sends own votes and proposals about when timeouts end, to each peer at another time."""

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """Own votes and proposals come late."""
        me = self.villain.keys.address
        match message:
            case Votes(votes):
                is_own = any(signed.vote.validator == me for signed in votes)
            case CompactProposal(signed):
                is_own = signed.proposal.proposer == me
            case _:
                is_own = False
        if not is_own:
            return [message]
        self.villain.count(type(self).__name__)
        delay_ms = self.villain.random.randrange(LATE_MS_MAX)
        self.villain.later(delay_ms, lambda: self.villain.send(peer, message))
        return []


class Amnesiac(Behaviour):
    """Forgets what it is locked on, and votes for whatever is proposed."""

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Forgets the lock before the message is handled."""
        core = self.villain.core
        if core.locked_hash is not None:
            self.villain.count(type(self).__name__)
        core.locked_hash = core.locked_round = None
        if self.villain.random.random() < 0.5:
            core.valid_hash = core.valid_round = None


# Talkers.


class Replayer(Behaviour):
    """Repeats old messages of any height and round, and signs votes for slots that are over."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._heard: list[ConsensusMessage] = []

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Remember it."""
        self._heard.append(message)
        if len(self._heard) > HEARD_MAX:
            self._heard.pop(self.villain.random.randrange(HEARD_MAX))

    def on_tick(self) -> None:
        """Repeats some messages, and signs an old vote."""
        peer = self.pick_peer()
        if peer is None or not self._heard:
            return
        self.villain.count(type(self).__name__)
        for message in self.villain.random.sample(self._heard, min(3, len(self._heard))):
            self.villain.send(peer, message)
        core = self.villain.core
        height = self.villain.random.randint(max(1, core.height - 3), core.height)
        kind, block_hash = self.villain.random.choice(list(VoteKind)), self.villain.random.randbytes(32)
        vote = Vote(kind, height, 0, block_hash, self.villain.keys.address)
        self.villain.send(peer, Votes((self.sign_vote(vote),)))


class Flooder(Behaviour):
    """Votes in rounds and heights that are far ahead, and for values that nobody proposed."""

    def on_tick(self) -> None:
        """Six votes to all peers."""
        self.villain.count(type(self).__name__)
        random, core = self.villain.random, self.villain.core
        ahead = [random.choice((0, 1, 4, 5, 64, 2**20)) for _ in range(6)]
        votes = [
            Vote(
                random.choice(list(VoteKind)),
                core.height + random.choice((0, 0, 1, 2, 1_000)),
                core.round + rounds,
                random.choice((None, random.randbytes(32))),
                self.villain.keys.address,
            )
            for rounds in ahead
        ]
        self.send_all(Votes(tuple(self.sign_vote(vote) for vote in votes)))


class CertificateForger(Behaviour):
    """Forges certificates: repeated signers, too few, prevotes for precommits, another height or block."""

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
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
        """Sends one to a random peer."""
        peer = self.pick_peer()
        forged = self._build()
        if peer is None or forged is None:
            return
        self.villain.count(type(self).__name__)
        if self.villain.random.random() < 0.5:
            self.villain.send(peer, CommitMessage(forged))
        else:
            parts = (forged.height, forged.round, forged.block_hash, forged.signatures)
            self.villain.send(peer, PolkaMessage(PolkaCertificate(*parts)))

    def _build(self) -> CommitCertificate | None:
        """A certificate of a block of the current round, out of any signatures."""
        random, core = self.villain.random, self.villain.core
        if not self._heard:
            return None
        slot = random.choice(list(self._heard))
        values = [slot[3], bytes(32), *core.tally.get_values(PREVOTE, core.round)]
        block_hash = random.choice([value for value in values if value is not None])
        height, round = core.height, core.round
        if random.random() < 0.5:
            return forgery.build_certificate(self._heard[slot], block_hash, height, round)
        mine = self.sign_vote(Vote(PRECOMMIT, height, round, block_hash, self.villain.keys.address))
        light = forgery.build_certificate([mine], block_hash, height, round)
        return replace(light, signatures=light.signatures * len(core.validator_set.validators))


class Impersonator(Behaviour):
    """Votes in the name of others, and signs with its own key."""

    def on_tick(self) -> None:
        """Votes of all validators for a value of this round, or for nil."""
        self.villain.count(type(self).__name__)
        core, random = self.villain.core, self.villain.random
        values = [*core.tally.get_values(PREVOTE, core.round), None, bytes(32)]
        block_hash, kind = random.choice(values), random.choice(list(VoteKind))
        votes = [
            Vote(kind, core.height, core.round, block_hash, who.address)
            for who in core.validator_set.validators
        ]
        forged = [
            replace(self.sign_vote(replace(vote, validator=self.villain.keys.address)), vote=vote)
            for vote in votes
        ]
        self.send_all(Votes(tuple(forged)))


class SyncLiar(Behaviour):
    """Serves blocks that are not final, not in order, or not blocks; may claim to be far ahead.

    Half of them lie in certificates only: whoever claims too much is not asked again for a while.
    """

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._is_subtle = villain.random.random() < 0.5

    def on_request(self, peer: PeerId, request: Record) -> Record | None:
        """A lie in place of the height and of most blocks."""
        self.villain.count(type(self).__name__)
        ledger = self.villain.ledger
        match request:
            case StatusRequest() if not self._is_subtle:
                return Status(ledger.height + self.villain.random.choice((1, 2, 50)), ledger.head_hash, 1)
            case BlocksRequest(start, count):
                return self._build_blocks(start, count)
        return None

    def _build_blocks(self, start: Height, count: int) -> Blocks:
        ledger, random = self.villain.ledger, self.villain.random
        found: list[FinalBlock] = []
        for height in range(start, min(start + count, ledger.height + 1)):
            block, certificate = ledger.get_block(height), ledger.get_certificate(height)
            if block is not None and certificate is not None:
                found.append(FinalBlock(encode(block), certificate))
        if found:
            place = random.randrange(len(found))
            spoils_block = not self._is_subtle and random.random() < 0.5
            spoil = self._spoil_block if spoils_block else self._spoil_certificate
            found[place] = spoil(found[place])
        if self._is_subtle:
            return Blocks(start, tuple(found))
        lie = random.choice(("none", "order", "start", "spoiled", "spoiled"))
        if lie == "none":
            found.clear()
        elif lie == "order":
            random.shuffle(found)
        return Blocks(start + (lie == "start"), tuple(found))

    def _spoil_block(self, final: FinalBlock) -> FinalBlock:
        place = self.villain.random.randrange(len(final.block))
        flipped = final.block[place] ^ 1 << self.villain.random.randrange(8)
        return replace(final, block=final.block[:place] + bytes([flipped]) + final.block[place + 1 :])

    def _spoil_certificate(self, final: FinalBlock) -> FinalBlock:
        """Too few signatures, one repeated, or one forged."""
        certificate, random = final.certificate, self.villain.random
        parts = list(certificate.signatures)
        place = random.randrange(len(parts))
        way = random.choice(("few", "one", "forged"))
        if way == "few":
            parts = parts[: place + 1]
        elif way == "one":
            parts = [parts[place]] * len(parts)
        else:
            forged = self.villain.keys.consensus.sign(certificate.block_hash)
            parts[place] = replace(parts[place], signature=forged)
        return replace(final, certificate=replace(certificate, signatures=tuple(parts)))


class Echo(Behaviour):
    """The control: all villains repeat every honest vote, to the side of its voter only.

    So each half of a network that is cut in two has a quorum whenever its honest members agree.
    """

    def __init__(self, villain: Villain) -> None:
        super().__init__(villain)
        self._echoed: set[bytes] = set()

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """Sends none of the replica's own messages."""
        return []

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """The same vote from each villain, to the voter's side."""
        side = self.villain.get_side(peer)
        for signed in message.votes if isinstance(message, Votes) else ():
            if signed.vote.validator not in [keys.address for keys in self.villain.colluders]:
                self._echo(side, signed)

    def _echo(self, side: int, signed: SignedVote) -> None:
        echoes = [self._copy(keys, signed) for keys in self.villain.colluders]
        name = bytes([side]) + encode(echoes[0].vote)
        if name not in self._echoed:
            self._echoed.add(name)
            for peer in self.villain.peers:
                if self.villain.get_side(peer) == side:
                    self.villain.send(peer, Votes(tuple(echoes)))

    def _copy(self, keys: ValidatorKeys, signed: SignedVote) -> SignedVote:
        return forgery.sign_vote(keys, self.genesis_hash, replace(signed.vote, validator=keys.address))
