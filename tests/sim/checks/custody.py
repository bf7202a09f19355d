"""Whether a key that two processes have is used as the guard allows (`node.replica.signing.guard`).

The guard cannot prevent every double signature: two equal copies that start at one time know nothing of each
other. What it can know is on its own chain and in what it hears. So with two processes of one key:

- no process signs a height if its chain has, in the WATCH_HEIGHTS before, a signature of the key that was not
  made on its machine;
- a process that hears a message of its key which was not made on its machine signs no later round, nor any of
  the WATCH_HEIGHTS after.

What was made on a machine is recorded here, from what leaves it; a copy of a disk begins with what was made
on the original.
"""

from collections import Counter
from typing import TYPE_CHECKING

from chain.primitives.codec import encode
from chain.primitives.types import Height, Round
from node.replica.signing.guard import WATCH_HEIGHTS, Phase, get_slot, list_own_votes
from p2p.wire.messages import CommitMessage, ConsensusMessage, PolkaMessage
from storage.sign_state import UNSIGNED, Hold, SignSlot, SignState
from tests.sim.checks.checkers import Violation
from tests.sim.checks.history import Message, iterate_messages

if TYPE_CHECKING:
    from tests.sim.world.process import Process


class _Signatures:
    """The signatures of one machine."""

    def __init__(self, known: SignSlot, made: set[bytes], relayed: set[bytes]) -> None:
        self.known = known
        """What is at or below it was made here, or on the disk that was copied."""
        self.made = made
        self.relayed = relayed
        """Messages of the key that came from peers: they may leave again without being signed here."""
        self.phase = Phase.STARTING
        self.heard: tuple[Process, tuple[Height, Round]] | None = None
        """Which process has heard a foreign message, and at which height and round."""

    def is_foreign(self, message: Message) -> bool:
        return get_slot(message) > self.known and encode(message) not in self.made


class CustodyWatch:
    """The machines whose key two processes have; all others are ignored."""

    def __init__(self, counts: Counter[str]) -> None:
        self.violations: list[Violation] = []
        self._counts = counts
        self._machines: dict[int, _Signatures] = {}

    def add(self, number: int) -> None:
        """A machine whose disk has signed nothing yet."""
        self._machines[number] = _Signatures(UNSIGNED, set(), set())

    def copy(self, original: int, number: int, slot: SignSlot) -> None:
        """The disk of `original`, which had signed up to `slot`, is put into another machine."""
        disk = self._machines[original]
        self._machines[number] = _Signatures(slot, set(disk.made), set(disk.relayed))

    def on_started(self, number: int, state: SignState) -> None:
        """A process starts with this sign-state, whose signature may not have left the machine yet.

        While it watches, the slot may be that of a foreign signature.
        """
        if number in self._machines:
            mine = self._machines[number]
            mine.known = max(mine.known, state.slot) if state.hold is Hold.NONE else mine.known
            mine.phase = Phase.STARTING

    def on_turn(self, process: "Process") -> None:
        """A turn has ended: counts what the guard did."""
        mine, guard = self._machines.get(process.number), process.replica.policy.guard
        if mine is None or guard is None or guard.phase is mine.phase:
            return
        if guard.phase is Phase.SIGNING and mine.phase is Phase.WATCHING:
            self._counts["key signed after a watch"] += 1
        elif guard.phase is Phase.WATCHING:
            self._counts["key watched before it signed"] += 1
        elif guard.phase is Phase.STOPPED:
            self._counts["process stopped since another one had its key"] += 1
        mine.phase = guard.phase

    def on_arrived(self, process: "Process", message: ConsensusMessage) -> None:
        """Called with everything from peers, before it is handled."""
        mine, me = self._machines.get(process.number), process.machine.keys.address
        if mine is None:
            return
        own: list[Message] = [said for who, said, _ in iterate_messages(message) if who == me]
        if isinstance(message, CommitMessage | PolkaMessage):
            own += list_own_votes(me, [message.certificate])
        mine.relayed.update(said for one in own if (said := encode(one)) not in mine.made)

    def is_relayed(self, number: int, message: Message) -> bool:
        """Whether a message of the machine's own key came from a peer first."""
        return number in self._machines and encode(message) in self._machines[number].relayed

    def on_heard(self, process: "Process", message: Message) -> None:
        """An open core gets a well signed message of its own key."""
        mine = self._machines.get(process.number)
        if mine is not None and mine.is_foreign(message):
            core = process.replica.core
            mine.heard = process, (core.height, core.round)

    def on_made(self, process: "Process", message: Message) -> None:
        """A message of its own key leaves the machine, for the first time."""
        mine = self._machines.get(process.number)
        if mine is None:
            return
        mine.made.add(encode(message))
        if get_slot(message) > mine.known:
            self._check_heard(process, mine, message)
            self._check_chain(process, mine, message)

    def _check_heard(self, process: "Process", mine: _Signatures, message: Message) -> None:
        heard_by, heard_at = mine.heard or (None, (0, 0))
        is_later = (message.height, message.round) > heard_at
        if heard_by is process and is_later and message.height <= heard_at[0] + WATCH_HEIGHTS:
            what = f"signs {get_slot(message)}, though at {heard_at} it heard its key from elsewhere"
            self.violations.append(Violation("custody", f"node {process.number} {what}"))

    def _check_chain(self, process: "Process", mine: _Signatures, message: Message) -> None:
        ledger, me = process.ledger, process.machine.keys.address
        first = max(1, message.height - WATCH_HEIGHTS)
        for height in range(first, message.height):
            block = ledger.get_block(height)
            last_commit = None if block is None else block.inherents.last_commit
            own = list_own_votes(me, (ledger.get_certificate(height), last_commit))
            if any(vote.height >= first and mine.is_foreign(vote) for vote in own):
                what = f"signs {get_slot(message)}, though its chain has its key from elsewhere at {height}"
                self.violations.append(Violation("custody", f"node {process.number} {what}"))
                return
