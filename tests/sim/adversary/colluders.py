"""Villains: validators of a run that break rules, alone or together.

A villain runs the real replica, so that it is always where the others are; its behaviours stand between it
and the network. The villains of a run collude: they know each other's keys, and agree on which peers are told
what. They have less than a third of the power (`draw_colluders`), except in the control, which must fork.

Villains are silent about themselves: their replica reports no equivocation of a colluder, as no real
equivocator would.
"""

from collections.abc import Callable, Collection, Sequence
from random import Random

from chain.block import Block, compute_header_hash
from chain.primitives.codec import Record, encode
from chain.primitives.types import Hash, PeerId
from chain.votes import Evidence, get_offender
from consensus.core import Core
from consensus.types import Input
from node.ledger.ledger import CommittedBlock
from node.replica.signing.policy import SigningPolicy
from p2p.errors import PeerFault
from p2p.wire.messages import (
    BlockTransactions,
    BlockTransactionsWanted,
    BlockWanted,
    CompactProposal,
    ConsensusMessage,
    Transactions,
    Votes,
    WholeBlock,
)
from tests.sim.adversary.behaviour import Behaviour
from tests.sim.adversary.catalogue import BEHAVIOURS, DRAWN, RESIGNERS, SILENT
from tests.sim.world.accounts import ValidatorKeys, get_validator_keys
from tests.sim.world.machine import Machine
from tests.sim.world.process import NOBODY, Process
from tests.sim.world.wire import decode_message

TICK_MS = (200, 600)
BLOCKS_KEPT_MAX = 64
RESIGNERS_SHARE = 0.1
SIDES = (0, 0, 0, 1, 1, 1, 2)


class Colluders:
    """The villains of a run: their keys, what each does, and which peers are on which side."""

    def __init__(self, random: Random, members: dict[int, tuple[str, ...]]) -> None:
        self.random = random
        self.members = members
        validators = [get_validator_keys(number) for number in members]
        self.signers = tuple(validators)
        self._peers = [keys.peer for keys in validators]
        self._sides: dict[PeerId, int] = {}

    @property
    def processes(self) -> dict[int, Callable[[Machine], Process]]:
        """How the process of each villain is built."""
        return dict.fromkeys(self.members, self._build_process)

    def _build_process(self, machine: Machine) -> "VillainProcess":
        return VillainProcess(machine, self)

    def get_side(self, peer: PeerId) -> int:
        """The side of a peer: 0 or 1, or 2 for both; villains tell each other both."""
        if peer in self._peers:
            return 2
        return self._sides.setdefault(peer, self.random.choice(SIDES))

    def split(self, sides: dict[PeerId, int]) -> None:
        """Sets the sides, which are drawn otherwise."""
        self._sides = dict(sides)


class RecklessPolicy(SigningPolicy):
    """A policy that never stops: equivocations of its own key stop the guard of an honest validator."""

    def on_received(self, received: Input) -> None:
        """Ignored: the behaviours have made such messages."""

    def on_final(self, committed: CommittedBlock) -> None:
        """Ignored likewise."""

    def search_chain(self, then: Callable[[], None]) -> None:
        """Finds nothing, so the guard allows signing."""
        if self.guard is not None:
            self._apply(self.guard.on_caught_up(0, [], is_whole=True))
        then()


class VillainProcess(Process):
    """A process of a villain; implements `behaviour.Villain`."""

    is_honest = False

    def __init__(self, machine: Machine, colluders: Colluders) -> None:
        self._colluders = colluders
        self._kept: dict[Hash, Block] = {}
        self._behaviours: list[Behaviour] = []
        super().__init__(machine)
        self.random = Random(colluders.random.random())
        self.keys = machine.keys
        names = colluders.members[machine.number]
        self._behaviours = [BEHAVIOURS[name](self) for name in names]
        self._tick_later()

    def _build(self) -> None:
        super()._build()
        self.replica.policy = RecklessPolicy(self, self.ledger, self.signer, self.journal)

    # As behaviours see it.

    @property
    def colluders(self) -> tuple[ValidatorKeys, ...]:
        """As Villain."""
        return self._colluders.signers

    @property
    def core(self) -> Core:
        """As Villain."""
        return self.replica.core

    def _report(self, evidence: Evidence) -> None:
        """As Process, except against a colluder."""
        if get_offender(evidence) not in [keys.address for keys in self.colluders]:
            super()._report(evidence)

    def answer_honestly(self, request: Record) -> Record:
        """As Villain."""
        return super().answer_snapshot(NOBODY, request)

    def answer_snapshot(self, peer: PeerId, request: Record) -> Record:
        """As Process, unless a behaviour has another answer."""
        for behaviour in self._behaviours:
            reply = behaviour.on_request(peer, request)
            if reply is not None:
                return reply
        return super().answer_snapshot(peer, request)

    def submit(self, data: bytes) -> None:
        """As Villain."""
        self._relay(Transactions((data,)), ())

    def get_side(self, peer: PeerId) -> int:
        """As Villain."""
        return self._colluders.get_side(peer)

    def get_block(self, block_hash: Hash) -> Block | None:
        """As Villain."""
        return self._kept.get(block_hash) or self.replica.candidates.get(block_hash)

    def keep_block(self, block: Block) -> None:
        """As Villain."""
        self._kept[compute_header_hash(block.header)] = block
        if len(self._kept) > BLOCKS_KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def note_spoiled(self, block_hash: Hash, what: str) -> None:
        """As Villain."""
        self._context.history.spoiled[block_hash] = what

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """As Villain."""
        self._context.schedule.after(delay_ms, lambda: self.turn("behaviour", action))

    def count(self, what: str) -> None:
        """As Villain."""
        self._context.counts[what] += 1

    def send(self, peer: PeerId, message: ConsensusMessage) -> None:
        """As Villain."""
        if peer in self._peers:
            self._note_told(message)
            self._send(peer, "consensus", encode(message))

    def _note_told(self, message: ConsensusMessage) -> None:
        """Records what villains signed with their own keys; forgeries in the names of others are left out."""
        mine = [keys.address for keys in self.colluders]
        if isinstance(message, CompactProposal) and message.signed.proposal.proposer in mine:
            self._context.history.note_message(message)
        if isinstance(message, Votes):
            self._context.history.note_votes(one for one in message.votes if one.vote.validator in mine)

    # Between the replica and the network.

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        """As World; the behaviours may change the message."""
        told: list[ConsensusMessage] = [message]
        for behaviour in self._behaviours:
            told = [other for one in told for other in behaviour.on_sending(peer, one)]
        for one in told:
            self.send(peer, one)

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        """As World; the behaviours may change the message."""
        for peer in self.peers:
            if peer not in but:
                self.post(peer, message)

    def on_message(self, number: int, channel: str, data: bytes) -> None:
        """As Process; the behaviours see the message first."""
        if channel == "consensus":
            peer = self._get_peer(number)
            try:
                message = decode_message(ConsensusMessage, data)
            except PeerFault:
                return
            self._serve(peer, message)
            for behaviour in self._behaviours:
                behaviour.on_heard(peer, message)
        super().on_message(number, channel, data)

    def _serve(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Serves forged blocks; the replica serves all others."""
        match message:
            case BlockTransactionsWanted(block_hash, _) if block_hash in self._kept:
                bodies = tuple(encode(signed) for signed in self._kept[block_hash].transactions)
                if bodies:
                    self.send(peer, BlockTransactions(block_hash, bodies))
            case BlockWanted(height, block_hash) if block_hash in self._kept:
                self.send(peer, WholeBlock(height, encode(self._kept[block_hash])))

    def answer(self, peer: PeerId, request: Record) -> Record:
        """As Process, unless a behaviour has another answer."""
        for behaviour in self._behaviours:
            reply = behaviour.on_request(peer, request)
            if reply is not None:
                return reply
        return super().answer(peer, request)

    def _tick_later(self) -> None:
        self.later(self.random.randint(*TICK_MS), self._tick)

    def _tick(self) -> None:
        for behaviour in self._behaviours:
            behaviour.on_tick()
        self._tick_later()


def draw_colluders(
    random: Random, powers: list[int], names: Sequence[str] = DRAWN, late: Collection[int] = ()
) -> Colluders:
    """One or several with less than a third of the power; each has one behaviour or several."""
    members: dict[int, tuple[str, ...]] = {}
    # Whoever joins late is honest: what villains serve to it is of interest.
    candidates = [number for number in range(len(powers)) if number not in late]
    for number in random.sample(candidates, random.choice((1, 1, 2, 3))):
        power = sum(powers[member] for member in {*members, *late, number})
        if 3 * power < sum(powers):
            members[number] = _draw_behaviours(random, names)
    return Colluders(Random(random.random()), members)


def _draw_behaviours(random: Random, names: Sequence[str]) -> tuple[str, ...]:
    """One or several. A re-signer does nothing else, or its other faults would convict it."""
    if random.random() < RESIGNERS_SHARE:
        return (random.choice(RESIGNERS),)
    drawn = random.sample(names, min(len(names), random.choice((1, 2, 3, 4))))
    return tuple(drawn[:1] if SILENT in drawn[:1] else [name for name in drawn if name != SILENT])
