"""The peers of state sync, their offers and their faults.

A peer that lied is blamed and ignored for LIE_SECONDS, even if it cannot be banned because it is a validator.
A slow peer is ignored for SLOW_SECONDS, a busy or gone one for BUSY_SECONDS; neither is blamed.
"""

from typing import NamedTuple, TypeVar

import structlog
import trio

from chain.primitives.codec import Record
from chain.primitives.types import PeerId
from p2p.errors import NetworkError, PeerFault, PeerSlow
from p2p.network import Network
from p2p.wire.messages import SnapshotOffer, Snapshots, SnapshotsRequest
from p2p.wire.protocols import SNAPSHOT
from p2p.wire.requests import request

_log = structlog.get_logger("state_sync")

R = TypeVar("R", bound=Record)

OFFER_SECONDS_MAX = 5.0
LATE_OFFER_SECONDS = 0.5
"""How long to wait for others after each answer."""
LIE_SECONDS = 600.0
SLOW_SECONDS = 30.0
BUSY_SECONDS = 1.0
IGNORED_MAX = 4096
LIE_POINTS = 100


class Survey(NamedTuple):
    """Offers with the peers that made them, and the number of peers that answered."""

    offers: dict[SnapshotOffer, list[PeerId]]
    answered: int


class Sources:
    """The connected peers."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._peers: dict[PeerId, None] = {}
        self._ignored_until: dict[PeerId, float] = {}

    async def run_peer(self, peer: PeerId) -> None:
        """Count the peer among those to ask while it is connected."""
        self._peers[peer] = None
        try:
            await trio.sleep_forever()
        finally:
            self._peers.pop(peer, None)

    def list_usable(self) -> list[PeerId]:
        """The connected peers that are not ignored."""
        now = trio.current_time()
        return [peer for peer in self._peers if self._ignored_until.get(peer, 0.0) <= now]

    async def ask(self, peer: PeerId, message: Record, reply: type[R], seconds_max: float) -> R:
        """The peer's answer; raises NetworkError."""
        return await request(self._network, peer, SNAPSHOT, message, reply, seconds_max)

    def charge(self, peer: PeerId, error: NetworkError) -> None:
        """The peer failed a request: blame it if it lied, and ignore it for a while."""
        if isinstance(error, PeerFault):
            _log.warning("peer_lied", reason=str(error))
            self._network.blame(peer, error)
            self._ignore(peer, LIE_SECONDS)
        elif isinstance(error, PeerSlow):
            _log.info("peer_slow", reason=str(error))
            self._ignore(peer, SLOW_SECONDS)
        else:
            _log.debug("peer_gone_or_busy", reason=str(error))
            self._ignore(peer, BUSY_SECONDS)

    def _ignore(self, peer: PeerId, seconds: float) -> None:
        self._ignored_until.pop(peer, None)
        self._ignored_until[peer] = trio.current_time() + seconds
        if len(self._ignored_until) > IGNORED_MAX:
            del self._ignored_until[next(iter(self._ignored_until))]

    async def survey(self) -> Survey:
        """Asks every usable peer for its offers; a silent peer does not hold up the others."""
        offers: dict[SnapshotOffer, list[PeerId]] = {}
        answers = 0

        async def ask(peer: PeerId) -> None:
            nonlocal answers
            try:
                answer = await self.ask(peer, SnapshotsRequest(), Snapshots, OFFER_SECONDS_MAX)
            except NetworkError as error:
                self.charge(peer, error)
                return
            answers += 1
            for offer in dict.fromkeys(answer.offers):
                offers.setdefault(offer, []).append(peer)
            scope = nursery.cancel_scope
            scope.deadline = min(scope.deadline, trio.current_time() + LATE_OFFER_SECONDS)

        async with trio.open_nursery() as nursery:
            for peer in self.list_usable():
                nursery.start_soon(ask, peer)
        return Survey(offers, answers)


def build_lie(reason: object) -> PeerFault:
    """The fault of a peer that sent what no honest peer sends."""
    return PeerFault(f"state sync: {reason}", LIE_POINTS)
