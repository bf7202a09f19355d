"""Villains: validators of a run that break rules, alone or together.

A villain runs the real replica, so that it is always where the others are; its mischief stands between it and
the network. Villains of a run are a coven: they have each other's keys and tell the same stories. Up to a
third of the power may be theirs (`draw_coven`), except in the control that must end in a fork.
"""

from collections.abc import Callable, Collection
from random import Random

from chain.block import Block, compute_header_hash
from chain.primitives.codec import Record, encode
from chain.primitives.types import Hash, PeerId
from consensus.core import Core
from p2p.errors import PeerFault
from p2p.wire.messages import (
    BlockTransactions,
    BlockTransactionsWanted,
    BlockWanted,
    CompactProposal,
    ConsensusMessage,
    Votes,
    WholeBlock,
)
from tests.sim.forgery import Hand
from tests.sim.mischief import Mischief
from tests.sim.node import Life, Machine
from tests.sim.people import get_person
from tests.sim.villainy import CONTROL, MISCHIEF, SILENT
from tests.sim.wire import decode_message

TICK_MS = (200, 600)
BLOCKS_KEPT_MAX = 64
STORIES = (0, 0, 0, 1, 1, 1, 2)


class Coven:
    """The villains of a run: their keys, what each is up to, and who is told which story."""

    def __init__(self, random: Random, members: dict[int, tuple[str, ...]]) -> None:
        self.random = random
        self.members = members
        people = [get_person(number) for number in members]
        self.hands = tuple(Hand(person.account, person.consensus) for person in people)
        self._peers = [person.peer for person in people]
        self._stories: dict[PeerId, int] = {}

    @property
    def lives(self) -> dict[int, Callable[[Machine], Life]]:
        """Who lives as a villain."""
        return dict.fromkeys(self.members, self._build_life)

    def _build_life(self, machine: Machine) -> "VillainLife":
        return VillainLife(machine, self)

    def get_story(self, peer: PeerId) -> int:
        """0 or 1; 2 for both, which is what members tell each other."""
        if peer in self._peers:
            return 2
        return self._stories.setdefault(peer, self.random.choice(STORIES))

    def split(self, stories: dict[PeerId, int]) -> None:
        """Who is told which story, not left to chance."""
        self._stories = dict(stories)


class VillainLife(Life):
    """A process of a villain; implements `mischief.Rogue`."""

    is_honest = False

    def __init__(self, machine: Machine, coven: Coven) -> None:
        self._coven = coven
        self._kept: dict[Hash, Block] = {}
        self._mischief: list[Mischief] = []
        super().__init__(machine)
        self.random = Random(coven.random.random())
        self.hand = Hand(machine.person.account, machine.person.consensus)
        names = coven.members[machine.number]
        self._mischief = [MISCHIEF[name](self) for name in names]
        self._tick_later()

    # As mischief sees it.

    @property
    def coven(self) -> tuple[Hand, ...]:
        """As Rogue."""
        return self._coven.hands

    @property
    def core(self) -> Core:
        """As Rogue."""
        return self.replica.core

    def get_story(self, peer: PeerId) -> int:
        """As Rogue."""
        return self._coven.get_story(peer)

    def get_block(self, block_hash: Hash) -> Block | None:
        """As Rogue."""
        return self._kept.get(block_hash) or self.replica.candidates.get(block_hash)

    def keep_block(self, block: Block) -> None:
        """As Rogue."""
        self._kept[compute_header_hash(block.header)] = block
        if len(self._kept) > BLOCKS_KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def note_spoiled(self, block_hash: Hash, what: str) -> None:
        """As Rogue."""
        self._site.history.spoiled[block_hash] = what

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """As Rogue."""
        self._site.schedule.after(delay_ms, lambda: self.turn("mischief", action))

    def count(self, what: str) -> None:
        """As Rogue."""
        self._site.counts[what] += 1

    def send(self, peer: PeerId, message: ConsensusMessage) -> None:
        """As Rogue."""
        if peer in self._peers:
            self._note_told(message)
            self._send(peer, "consensus", encode(message))

    def _note_told(self, message: ConsensusMessage) -> None:
        """What the coven has really signed belongs to what was said in the run; its forgeries do not."""
        mine = [hand.address for hand in self.coven]
        if isinstance(message, CompactProposal) and message.signed.proposal.proposer in mine:
            self._site.history.note_message(message)
        if isinstance(message, Votes):
            self._site.history.note_votes(one for one in message.votes if one.vote.validator in mine)

    # Between the replica and the network.

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        """As World, with mischief."""
        told: list[ConsensusMessage] = [message]
        for mischief in self._mischief:
            told = [other for one in told for other in mischief.on_sending(peer, one)]
        for one in told:
            self.send(peer, one)

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        """As World, with mischief."""
        for peer in self.peers:
            if peer not in but:
                self.post(peer, message)

    def on_message(self, number: int, channel: str, data: bytes) -> None:
        """As Life; mischief hears it first."""
        if channel == "consensus":
            peer = self._get_peer(number)
            try:
                message = decode_message(ConsensusMessage, data)
            except PeerFault:
                return
            self._serve(peer, message)
            for mischief in self._mischief:
                mischief.on_heard(peer, message)
        super().on_message(number, channel, data)

    def _serve(self, peer: PeerId, message: ConsensusMessage) -> None:
        """What it forged, it delivers; the rest its replica does."""
        match message:
            case BlockTransactionsWanted(block_hash, _) if block_hash in self._kept:
                bodies = tuple(encode(signed) for signed in self._kept[block_hash].transactions)
                if bodies:
                    self.send(peer, BlockTransactions(block_hash, bodies))
            case BlockWanted(height, block_hash) if block_hash in self._kept:
                self.send(peer, WholeBlock(height, encode(self._kept[block_hash])))

    def answer(self, peer: PeerId, request: Record) -> Record:
        """As Life, unless mischief has another answer."""
        for mischief in self._mischief:
            reply = mischief.on_request(peer, request)
            if reply is not None:
                return reply
        return super().answer(peer, request)

    def _tick_later(self) -> None:
        self.later(self.random.randint(*TICK_MS), self._tick)

    def _tick(self) -> None:
        for mischief in self._mischief:
            mischief.on_tick()
        self._tick_later()


def draw_coven(random: Random, powers: list[int]) -> Coven:
    """One or several with less than a third of the power; each has one mischief or several."""
    members: dict[int, tuple[str, ...]] = {}
    names = [name for name in MISCHIEF if name != CONTROL]
    for number in random.sample(range(len(powers)), random.choice((1, 1, 2, 3))):
        power = sum(powers[member] for member in (*members, number))
        if 3 * power < sum(powers):
            drawn = random.sample(names, random.choice((1, 2, 3, 4)))
            members[number] = tuple(drawn[:1] if SILENT in drawn[:1] else [n for n in drawn if n != SILENT])
    return Coven(Random(random.random()), members)
