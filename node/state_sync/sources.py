"""The peers of state sync: what they offer, and what they are charged with.

A peer that lied is blamed and not believed for a while, also where it can not be banned because it is a
validator; one that is slow, busy or gone rests for a shorter while and is not blamed.
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
"""How long others are waited for after each answer."""
LIE_SECONDS = 600.0
SLOW_SECONDS = 30.0
BUSY_SECONDS = 1.0
DOUBTS_MAX = 4096
LIE_POINTS = 100


class Survey(NamedTuple):
    """Who offers what, and how many answered at all."""

    offers: dict[SnapshotOffer, list[PeerId]]
    answered: int


class Sources:
    """The connected peers."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._peers: dict[PeerId, None] = {}
        self._doubts: dict[PeerId, float] = {}

    async def run_peer(self, peer: PeerId) -> None:
        """Count the peer among those to ask while it is connected."""
        self._peers[peer] = None
        try:
            await trio.sleep_forever()
        finally:
            self._peers.pop(peer, None)

    def list_believed(self) -> list[PeerId]:
        """Those connected who neither lied nor rest."""
        now = trio.current_time()
        return [peer for peer in self._peers if self._doubts.get(peer, 0.0) <= now]

    async def ask(self, peer: PeerId, message: Record, reply: type[R], seconds_max: float) -> R:
        """The peer's answer; raises NetworkError."""
        return await request(self._network, peer, SNAPSHOT, message, reply, seconds_max)

    def charge(self, peer: PeerId, error: NetworkError) -> None:
        """The peer did not do what it offered."""
        if isinstance(error, PeerFault):
            _log.warning("peer_lied", reason=str(error))
            self._network.blame(peer, error)
            self._doubt(peer, LIE_SECONDS)
        elif isinstance(error, PeerSlow):
            _log.info("peer_slow", reason=str(error))
            self._doubt(peer, SLOW_SECONDS)
        else:
            _log.debug("peer_gone_or_busy", reason=str(error))
            self._doubt(peer, BUSY_SECONDS)

    def _doubt(self, peer: PeerId, seconds: float) -> None:
        self._doubts.pop(peer, None)
        self._doubts[peer] = trio.current_time() + seconds
        if len(self._doubts) > DOUBTS_MAX:
            del self._doubts[next(iter(self._doubts))]

    async def survey(self) -> Survey:
        """What those believed offer. Who says nothing does not hold up the others."""
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
            for peer in self.list_believed():
                nursery.start_soon(ask, peer)
        return Survey(offers, answers)


def build_lie(reason: object) -> PeerFault:
    """What a peer is charged with that sent what no honest one sends."""
    return PeerFault(f"state sync: {reason}", LIE_POINTS)
