"""The simulated network: who is connected to whom, and what becomes of each message.

Links are directed for what they do to messages (delay, loss, cuts) and mutual as connections. Messages are
bytes; those of consensus and pool may be lost, doubled and overtake each other, which is more than TCP would
do to them; requests and replies come late instead of getting lost, unless a link is cut. A cut is silent:
both ends notice only after a while, if at all, and connect again when it has healed.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Protocol

from tests.sim.world.schedule import Audit, Schedule

MILLION = 1_000_000
NOTICE_MS = (2_000, 12_000)
"""How long a cut lasts until both ends take the connection for dead."""
RETRANSMIT_MS = 250
CONNECT_MS = 1_000

# Round trips in ms between cloud regions, rounded from public measurements (cloudping.co): Virginia, Oregon,
# Ireland, Frankfurt, Tokyo, Singapore, Sao Paulo.
REGIONS_MS = (
    (1, 65, 68, 93, 148, 216, 114),
    (65, 1, 120, 142, 98, 165, 175),
    (68, 120, 1, 25, 203, 175, 177),
    (93, 142, 25, 1, 227, 160, 202),
    (148, 98, 203, 227, 1, 70, 257),
    (216, 165, 175, 160, 70, 1, 325),
    (114, 175, 177, 202, 257, 325, 1),
)
LAN_MS = 1


class End(Protocol):
    """What the network needs of a machine."""

    is_up: bool

    def on_connected(self, peer: int) -> None:
        """The peer is connected: messages may be sent to it."""

    def on_disconnected(self, peer: int) -> None:
        """The connection to the peer is closed."""

    def on_message(self, peer: int, channel: str, data: bytes) -> None:
        """A message is here."""


class Conditions:
    """How bad the network is apart from cuts."""

    def __init__(self) -> None:
        self.jitter_ms = 1
        self.loss_ppm = 0
        self.duplicate_ppm = 0

    def heal(self) -> None:
        """No loss and little jitter; distances stay."""
        self.jitter_ms, self.loss_ppm, self.duplicate_ppm = 5, 0, 0


class Network:
    """All links of a run; machines are numbers."""

    def __init__(self, schedule: Schedule, audit: Audit, random: Random, rtt_ms: list[list[int]]) -> None:
        self.schedule = schedule
        self.conditions = Conditions()
        self.ends: list[End] = []
        self.messages = 0
        self._audit = audit
        self._random = random
        self._rtt_ms = rtt_ms
        self._connections: dict[tuple[int, int], int] = {}
        self._serial = 0
        self.censor: Callable[[int, int, bytes], bool] | None = None
        """Which consensus messages do not arrive: sender, receiver, message."""
        self._cuts: dict[tuple[int, int], int] = {}
        """Cut links, sender first, and how many faults cut each."""

    # Cuts.

    def cut(self, links: Iterable[tuple[int, int]]) -> None:
        """Messages on these links vanish from now on; a link may be cut several times."""
        for sender, receiver in links:
            self._cuts[sender, receiver] = self._cuts.get((sender, receiver), 0) + 1
            delay_ms = self._random.randint(*NOTICE_MS)
            self.schedule.after(delay_ms, lambda pair=(sender, receiver): self._notice(*pair))

    def heal(self, links: Iterable[tuple[int, int]]) -> None:
        """Undoes one cut of each link."""
        for link in links:
            left = self._cuts.get(link, 0) - 1
            if left > 0:
                self._cuts[link] = left
            else:
                self._cuts.pop(link, None)
            self._connect_later(*link)

    def heal_all(self) -> None:
        """No link is cut any more, and nothing is withheld."""
        self.censor = None
        cut = list(self._cuts)
        self._cuts.clear()
        for link in cut:
            self._connect_later(*link)

    def is_cut(self, sender: int, receiver: int) -> bool:
        """Whether messages from one to the other vanish."""
        return (sender, receiver) in self._cuts

    def _is_reachable(self, one: int, other: int) -> bool:
        return not self.is_cut(one, other) and not self.is_cut(other, one)

    def _notice(self, one: int, other: int) -> None:
        if not self._is_reachable(one, other):
            self._drop(one, other)

    # Connections.

    def on_started(self, number: int) -> None:
        """The machine is up, and looks for the others."""
        for other in range(len(self.ends)):
            if other != number:
                self._connect_later(number, other)

    def on_stopped(self, number: int) -> None:
        """Its process is gone; the others notice, those at once that its operating system still tells."""
        for one, other in list(self._connections):
            if number in (one, other):
                self._drop(one, other)

    def _connect_later(self, one: int, other: int) -> None:
        delay_ms = self._random.randint(2, CONNECT_MS)
        self.schedule.after(delay_ms, lambda: self._connect(one, other))

    def _connect(self, one: int, other: int) -> None:
        pair = min(one, other), max(one, other)
        both_up = self.ends[one].is_up and self.ends[other].is_up
        if pair in self._connections or not both_up or not self._is_reachable(one, other):
            return
        self._serial += 1
        self._connections[pair] = serial = self._serial
        self._audit.note(f"{pair[0]}-{pair[1]}", "connect")
        for end, peer in (pair, pair[::-1]):
            self.schedule.after(
                self._compute_delay_ms(peer, end), lambda e=end, p=peer: self._tell(e, p, serial)
            )

    def _tell(self, end: int, peer: int, serial: int) -> None:
        if self._connections.get((min(end, peer), max(end, peer))) == serial and self.ends[end].is_up:
            self.ends[end].on_connected(peer)

    def _drop(self, one: int, other: int) -> None:
        pair = min(one, other), max(one, other)
        if self._connections.pop(pair, None) is None:
            return
        self._audit.note(f"{pair[0]}-{pair[1]}", "disconnect")
        for end, peer in (pair, pair[::-1]):
            if self.ends[end].is_up:
                self.ends[end].on_disconnected(peer)
        # Who was dropped for a cut that is over connects again.
        self._connect_later(one, other)

    def is_connected(self, one: int, other: int) -> bool:
        """Whether there is a connection, even over a cut link."""
        return (min(one, other), max(one, other)) in self._connections

    # Messages.

    def send(self, sender: int, receiver: int, channel: str, data: bytes, *, is_lossy: bool = True) -> None:
        """Delivers the message later, or loses it."""
        serial = self._connections.get((min(sender, receiver), max(sender, receiver)))
        if serial is None or self.is_cut(sender, receiver):
            return
        delay_ms = self._compute_delay_ms(sender, receiver)
        if self._random.randrange(MILLION) < self.conditions.loss_ppm:
            if is_lossy:
                return
            delay_ms += RETRANSMIT_MS
        self._deliver_after(delay_ms, sender, receiver, channel, data, serial)
        if is_lossy and self._random.randrange(MILLION) < self.conditions.duplicate_ppm:
            again_ms = delay_ms + self._random.randint(0, 1_000)
            self._deliver_after(again_ms, sender, receiver, channel, data, serial)

    def _deliver_after(
        self, delay_ms: int, sender: int, receiver: int, channel: str, data: bytes, serial: int
    ) -> None:
        pair = min(sender, receiver), max(sender, receiver)

        def deliver() -> None:
            is_withheld = self.censor and channel == "consensus" and self.censor(sender, receiver, data)
            if self._connections.get(pair) == serial and self.ends[receiver].is_up and not is_withheld:
                self.messages += 1
                self.ends[receiver].on_message(sender, channel, data)

        self.schedule.after(delay_ms, deliver)

    def _compute_delay_ms(self, sender: int, receiver: int) -> int:
        jitter_ms = self.conditions.jitter_ms
        return self._rtt_ms[sender][receiver] // 2 + self._random.randint(0, jitter_ms)


def build_rtts(random: Random, count: int, topology: str) -> list[list[int]]:
    """The round trips of a run: one room, or machines in regions of the world."""
    if topology == "lan":
        return [[LAN_MS] * count for _ in range(count)]
    places = [random.randrange(len(REGIONS_MS)) for _ in range(count)]
    return [[REGIONS_MS[one][other] for other in places] for one in places]
