"""Which addresses to dial and when: wanted ones always, others of the address book while peers are few.

Each dial has a time limit (the switch's). Each failure doubles the wait for the address, with jitter so that
the nodes of a restarted network do not dial at the same moments. A connection that lasted clears the wait.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import structlog
import trio

from chain.primitives.types import PeerId
from p2p.errors import InvalidPeerAddress, NetworkError
from p2p.identity import parse_address
from p2p.network import Network
from p2p.notifier import Notifier
from p2p.peers.addresses import AddressBook

_log = structlog.get_logger("p2p")

DIALS_MAX = 8
WAIT_SECONDS_MIN = 0.5
WAIT_SECONDS_MAX = 120.0
LASTED_SECONDS = 60.0
ROUND_SECONDS = 5.0
ADDRESSES_REMEMBERED_MAX = 4096


@dataclass(slots=True)
class _Wait:
    """Not before `until`; then, if it fails again, for `seconds` times two."""

    until: float = 0.0
    seconds: float = 0.0


@dataclass
class Dialling:
    """The dialling side of the peer manager."""

    network: Network
    book: AddressBook
    get_wanted: Callable[[], tuple[str, ...]]
    peers_wanted: int
    random: Random = field(default_factory=Random)
    _waits: dict[str, _Wait] = field(default_factory=dict)
    _woken: Notifier = field(default_factory=Notifier)

    def wake(self) -> None:
        """Looks for addresses to dial again at once."""
        self._woken.notify_all()

    def on_lost(self, address: str, lasted_seconds: float) -> None:
        """Notes that a dialled connection ended."""
        if lasted_seconds >= LASTED_SECONDS:
            self._waits.pop(address, None)
        self.wake()

    async def run(self) -> None:
        """Dials until cancelled."""
        while True:
            woken = self._woken.next
            async with trio.open_nursery() as nursery:
                for address in self._choose():
                    nursery.start_soon(self._dial, address)
            with trio.move_on_after(self._compute_pause()):
                await woken.wait()

    def _choose(self) -> list[str]:
        wanted = [address for address in self.get_wanted() if self._is_due(address)]
        # Inbound peers do not count: strangers that connect must not decide whom this node knows.
        dialled = sum(info.is_outbound for info in self.network.connections())
        lacking = self.peers_wanted - dialled - len(wanted)
        if lacking > 0:
            others = self.book.get_candidates(lacking)
            wanted += [address for address in others if address not in wanted and self._is_due(address)]
        return wanted[:DIALS_MAX]

    def _is_due(self, address: str) -> bool:
        peer = _get_peer(address)
        if peer is None or peer == self.network.peer_id or self.network.is_connected(peer):
            return False
        wait = self._waits.get(address)
        return wait is None or wait.until <= trio.current_time()

    async def _dial(self, address: str) -> None:
        self._postpone(address)
        try:
            await self.network.connect(address)
            self.book.mark_reached(address)
        except NetworkError as error:
            _log.debug("dial_failed", address=address, reason=str(error))
            peer = _get_peer(address)
            if peer is not None:
                self.book.mark_failed(peer)

    def _postpone(self, address: str) -> None:
        if len(self._waits) >= ADDRESSES_REMEMBERED_MAX:
            del self._waits[min(self._waits, key=lambda other: self._waits[other].until)]
        wait = self._waits.setdefault(address, _Wait())
        wait.seconds = min(WAIT_SECONDS_MAX, max(WAIT_SECONDS_MIN, wait.seconds * 2))
        wait.until = trio.current_time() + wait.seconds * self.random.uniform(0.75, 1.25)

    def _compute_pause(self) -> float:
        now = trio.current_time()
        due = [wait.until - now for address, wait in self._waits.items() if wait.until > now]
        return max(0.05, min([ROUND_SECONDS, *due]))


def _get_peer(address: str) -> PeerId | None:
    try:
        return parse_address(address).peer
    except InvalidPeerAddress:
        return None
