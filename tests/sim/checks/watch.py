"""Checks made during the run, because what they need is gone afterwards.

- A signed message leaves an honest machine: at this instant its disk must hold, synced, the sign-state that
  forbids another one, and a log out of which a fresh core casts the very same vote. That is what a power loss
  in the next instant would leave.
- An honest machine hears two messages of one validator for one slot while the height is open to it: if it
  stays up, the offender must be punished in the end.
"""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from chain.block import Block
from chain.modules import staking
from chain.primitives.codec import decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Address, Height
from chain.validator_set import get_validator
from chain.votes import (
    SignedProposal,
    Verify,
    Vote,
    VoteKind,
    get_vote_signing_bytes,
)
from consensus.core import ROUNDS_AHEAD_MAX, Core
from consensus.timeouts import TimeoutParameters
from consensus.types import CastVote, SendProposal, Step
from node.ledger.ledger import Ledger
from node.replica.journal import _decode_notes
from p2p.wire.messages import ConsensusMessage
from storage.sign_state import SignSlot, SignState
from storage.wal import _Image
from tests.sim.checks.checkers import Violation
from tests.sim.checks.custody import CustodyWatch
from tests.sim.checks.history import Message, Signed, iterate_messages
from tests.sim.world.disk import SimDisk

if TYPE_CHECKING:
    from tests.sim.world.process import Process

STEPS = {VoteKind.PREVOTE: 2, VoteKind.PRECOMMIT: 3}
PROPOSAL_STEP = 1
WAL, SIGN_STATE = Path("wal"), Path("sign-state")
CHECKSUM_BYTES = 16
TALK_MAX = 60
"""Votes of one validator at one height; nodes may drop more (`node.replica.seen_messages`)."""


def get_step(message: Message) -> tuple[int, int, int]:
    """Height, round and step, as the sign-state orders them."""
    step = STEPS[message.kind] if isinstance(message, Vote) else PROPOSAL_STEP
    return message.height, message.round, step


def read_durable_slot(disk: SimDisk) -> SignSlot | None:
    """The slot of the sign-state that a power loss would leave."""
    data = disk.read_durable(SIGN_STATE)
    try:
        return None if data is None else decode(SignState, data[CHECKSUM_BYTES:]).slot
    except DecodeError:
        return None


def is_logged(process: "Process", said: Message) -> bool:
    """Whether a fresh core, fed with the log that a power loss would leave, emits this message."""
    data = process.machine.disk.read_durable(WAL)
    if data is None:
        return False
    image = _Image(WAL, data)
    if image.height != said.height:
        return image.height > said.height
    members, me = process.ledger.get_validators(), process.machine.keys.address
    core = Core(said.height, members, me, TimeoutParameters())
    notes = (note for note in _decode_notes(image.entries()) if not isinstance(note, Block))
    wanted = CastVote(said) if isinstance(said, Vote) else SendProposal(said)
    return any(wanted in core.handle(note) for note in notes)


class Watch:
    """The checks of one run."""

    def __init__(self, verify: Verify, custody: CustodyWatch) -> None:
        self.violations: list[Violation] = []
        self._custody = custody
        self._verify = verify
        self._sent: dict[tuple[int, bytes], None] = {}
        self._heard: dict[tuple[int, Address, tuple[int, int, int]], bytes] = {}
        self._talk: Counter[tuple[int, Address, Height]] = Counter()
        self._seen: dict[Address, tuple[int, Height, int]] = {}
        """Who equivocated before whom: node, height, virtual time."""

    # Before it leaves.

    def on_sent(self, process: "Process", message: ConsensusMessage) -> None:
        """Called before an honest machine sends the message."""
        me, number = process.machine.keys.address, process.machine.number
        for who, said, _ in iterate_messages(message):
            name = number, encode(said)
            is_new = name not in self._sent and not self._custody.is_relayed(number, said)
            if who == me and is_new:
                self._sent[name] = None
                self._check_durable(process, said)
                self._custody.on_made(process, said)

    def _check_durable(self, process: "Process", said: Message) -> None:
        if process.machine.disk.is_flipped:
            return
        what = f"node {process.machine.number} sends {type(said).__name__} of {get_step(said)}"
        slot = read_durable_slot(process.machine.disk)
        if slot is None or slot < get_step(said):
            self.violations.append(Violation("durable", f"{what}, its sign-state on disk is of {slot}"))
        if process.ledger.height + 1 == said.height and not is_logged(process, said):
            self.violations.append(Violation("durable", f"{what}, which its log on disk does not lead to"))

    # As it arrives.

    def on_heard(self, process: "Process", message: ConsensusMessage) -> None:
        """Called before an honest machine handles the message."""
        core, number = process.replica.core, process.machine.number
        is_open = core.step < Step.DECIDED and not process.sync.is_syncing
        for who, said, signed in iterate_messages(message):
            self._talk[number, who, said.height] += 1
            is_heard = self._talk[number, who, said.height] < TALK_MAX
            if not is_open or said.height != core.height:
                continue
            if not self._is_signed(process.ledger, core, who, signed):
                return  # Who sends one forged vote is not listened to any further.
            if is_heard and said.round <= core.round + ROUNDS_AHEAD_MAX:
                self._note(process, who, said)

    def _is_signed(self, ledger: Ledger, core: Core, who: Address, signed: Signed) -> bool:
        member, genesis_hash = get_validator(core.validator_set, who), ledger.genesis_hash
        if member is None or isinstance(signed, SignedProposal):
            # A proposal counts when its block is whole, which is not for this place to see.
            return False
        message = get_vote_signing_bytes(genesis_hash, signed.vote)
        return self._verify(member.consensus_key, message, signed.signature)

    def _note(self, process: "Process", who: Address, said: Message) -> None:
        machine = process.machine
        if who == machine.keys.address:
            self._custody.on_heard(process, said)
        slot = machine.number, who, get_step(said)
        if self._heard.setdefault(slot, encode(said)) != encode(said):
            now_ms = machine.context.schedule.now_ms
            self._seen.setdefault(who, (machine.number, said.height, now_ms))

    def find_unpunished(self, final: Ledger, deadline_ms: int, crashed: Collection[int]) -> list[Violation]:
        """Equivocators that an honest machine, which never stopped, caught before the deadline."""
        violations = []
        for who, (number, height, seen_ms) in self._seen.items():
            has_left = get_validator(final.get_validators(), who) is None
            is_punished = has_left or staking.is_tombstoned(final.state, who)
            if number in crashed or seen_ms > deadline_ms or is_punished:
                continue
            detail = f"{who.hex()[:8]} equivocated at height {height} before node {number}, and goes free"
            violations.append(Violation("unpunished", detail))
        return violations
