"""A process that begins at a snapshot: it fills a store beside the node's own, and makes it the node's.

It has no replica. Its machine starts an ordinary process when the store is whole, or when nobody has a
snapshot after TRIES attempts, in which case the node executes every block.
"""

from collections.abc import Callable

from chain.light import build_rules
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import PeerId
from p2p.errors import NetworkError, PeerFault, PeerSlow, RefusalCode, Refused
from p2p.wire.messages import Refusal, SnapshotReply
from storage.snapshots import Staging
from tests.sim.world.disk import SimStore
from tests.sim.world.machine import Machine
from tests.sim.world.snapshots import LIE_POINTS, Ask, Joining, Steps
from tests.sim.world.wire import NUMBER_BYTES

BEGIN_MS = 1_500
RETRY_MS = 1_000
ANSWER_MS = 2_000
TRIES = 10


class JoiningProcess:
    """One process that does nothing but state sync."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._context = machine.context
        self._peers: dict[PeerId, int] = {}
        self._asked = 0
        self._tries = 0
        self._joining: Joining | None = None
        self._steps: Steps | None = None
        self._staging = Staging(SimStore(machine.disk, machine.disk.staged))

    @property
    def has_plan(self) -> bool:
        """Whether it has begun to fetch a snapshot."""
        return self._staging.get_plan() is not None

    def start(self) -> None:
        """Everything else follows in later turns."""
        if self._staging.get_plan() is not None:
            self._context.rare["state sync resumed after a crash"] += 1
        self._later(BEGIN_MS, self._begin)

    def turn(self, action: Callable[[], None]) -> None:
        """Does something, if the process still runs; ends it if the machine stops."""
        if self.machine.joining is self:
            self.machine.run_turn(action)

    def _later(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._context.schedule.after(delay_ms, lambda: self.turn(action))

    # State sync.

    def _begin(self) -> None:
        anchor = self._context.find_anchor()
        self._tries += 1
        if self._tries > TRIES:
            self.machine.adopt(is_whole=False)
            return
        if anchor is None:
            self._later(RETRY_MS, self._begin)
            return
        self._context.audit.note(self.machine.name, "state sync", text=f"anchor {anchor[0]}")
        spec, verify = self._context.spec, self._context.signatures.verify
        peers = self._context.random.sample(list(self._peers), len(self._peers))
        self._joining = Joining(spec, build_rules(spec, verify), self._staging, anchor, peers)
        self._steps = self._joining.run(self.machine.clock.now_ms)
        self._go_on(None)

    def _go_on(self, reply: Record | NetworkError | None) -> None:
        assert self._steps is not None
        try:
            wanted = self._steps.send(reply)
        except StopIteration as end:
            self._end(end.value)
        else:
            self._ask(wanted)

    def _end(self, is_whole: bool) -> None:
        assert self._joining is not None
        self._context.audit.note(self.machine.name, "state sync", text=f"whole {is_whole}")
        for peer, reason in self._joining.liars:
            self._blame(peer, reason)
        if is_whole:
            self._context.rare["state sync finished"] += 1
            self.machine.adopt(is_whole=True)
        else:
            self._later(RETRY_MS, self._begin)

    def _ask(self, wanted: Ask) -> None:
        peer, message = wanted
        self._asked += 1
        number = self._asked
        if peer in self._peers:
            data = number.to_bytes(NUMBER_BYTES, "big") + encode(message)
            sender, receiver = self.machine.number, self._peers[peer]
            self._context.network.send(sender, receiver, "snapshot", data, is_lossy=False)
        self._later(ANSWER_MS, lambda: self._on_answer(number, PeerSlow("no answer")))

    def _on_answer(self, number: int, reply: Record | NetworkError) -> None:
        if number == self._asked:
            self._asked += 1
            self._go_on(reply)

    def _blame(self, peer: PeerId, reason: str) -> None:
        machine = self._context.find(peer)
        whom = -1 if machine is None else machine.number
        self._context.audit.note(self.machine.name, "blame", text=f"{whom}: {reason}")
        self._context.history.blames.append((self.machine.number, whom, reason))

    # The network.

    def on_connected(self, number: int) -> None:
        """A peer is there."""
        self._peers[self._context.network.ends[number].keys.peer] = number

    def on_disconnected(self, number: int) -> None:
        """A peer is gone."""
        self._peers.pop(self._context.network.ends[number].keys.peer, None)

    def on_message(self, number: int, channel: str, data: bytes) -> None:
        """Replies only: a node without a store has nothing to say about consensus."""
        if channel == "snapshot-reply":
            self._on_answer(int.from_bytes(data[:NUMBER_BYTES], "big"), decode_reply(data[NUMBER_BYTES:]))


def decode_reply(data: bytes) -> Record | NetworkError:
    """The reply; what refuses or cannot be decoded is an error."""
    try:
        reply: Record = decode(SnapshotReply, data)  # type: ignore[arg-type]  # a union is no class
    except DecodeError as error:
        return PeerFault(f"undecodable: {error}", LIE_POINTS)
    if isinstance(reply, Refusal):
        return Refused(RefusalCode(reply.code), reply.reason)
    return reply
