"""What peers say of their heights, and whom of them we believe: for sync, which believes certificates only.

A claim decides who is asked, nothing more. Who lied is not believed for a while, also where it can not be
banned because it is a validator; who is slow or busy rests for a shorter while. That outlives the
connection, in a table of DOUBTS_MAX; a claim does not. Within one connection a height never falls.

Not here: what a peer is asked for (`sync_window`), and whether it was true (`sync_checks`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from chain.primitives.types import Height, PeerId
from node.replica.ports import Timer, World
from p2p.errors import NetworkError, PeerFault, PeerGone, PeerSlow, RefusalCode, Refused
from p2p.wire.messages import BLOCKS_MAX, Status, StatusRequest

_log = structlog.get_logger("sync")

STATUS_MS_MAX = 5_000
LATE_STATUS_MS = 500
"""How long a survey waits for others after the first answer: a silent stranger must not hold it up."""
LIE_MS = 600_000
SLOW_MS = 10_000
BUSY_MS = 1_000
DOUBTS_MAX = 4096
LIE_POINTS = 100
BATCH_BLOCKS_FIRST = 16
BATCH_BLOCKS_MAX = 64


@dataclass(eq=False)
class PeerHeight:
    """What one connected peer says it can deliver."""

    height: Height | None = None
    """None until it has said so."""
    oldest_height: Height = 0
    asked_ms: int | None = None
    """Since when a status request is under way."""
    batch_blocks: int = BATCH_BLOCKS_FIRST
    """As many blocks as it is asked for at once; who is slow is asked for less."""
    has_delivered: bool = False
    """Whether it did what it was asked for, the last time."""


@dataclass(eq=False)
class _Survey:
    waiting: set[PeerId]
    then: Callable[[], None]
    late: Timer | None = field(default=None)


class PeerHeights:
    """The connected peers, in the order in which they came."""

    def __init__(self, world: World, on_claim: Callable[[], None]) -> None:
        self._world = world
        self._on_claim = on_claim
        self._claims: dict[PeerId, PeerHeight] = {}
        self._doubts: dict[PeerId, int] = {}
        """Until when a peer counts for nothing, by `elapsed_ms`."""
        self._surveys: list[_Survey] = []

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Who is connected."""
        return tuple(self._claims)

    def connected(self, peer: PeerId) -> None:
        """The peer may be asked; what it said over an older connection does not count."""
        self._claims[peer] = PeerHeight()
        if any(peer in survey.waiting for survey in self._surveys):
            self.ask(peer)

    def disconnected(self, peer: PeerId) -> None:
        """The peer is gone, with what it said."""
        self._claims.pop(peer, None)
        self._stop_waiting(peer)

    def is_believed(self, peer: PeerId) -> bool:
        """Whether the peer is connected and neither lied nor rests."""
        return peer in self._claims and self._doubts.get(peer, 0) <= self._world.elapsed_ms()

    def get_ahead(self, height: Height, heights: int = 1) -> dict[PeerId, PeerHeight]:
        """Those believed who claim so many blocks beyond `height`, and to keep the first of them."""
        return {
            peer: claim
            for peer, claim in self._claims.items()
            if claim.height is not None
            and claim.height >= height + heights
            and claim.oldest_height <= height + 1
            and self.is_believed(peer)
        }

    def has_believed(self) -> bool:
        """Whether there is anybody to ask."""
        return any(map(self.is_believed, self._claims))

    def has_answer(self) -> bool:
        """Whether anybody who is believed has said anything."""
        return any(
            claim.height is not None and self.is_believed(peer) for peer, claim in self._claims.items()
        )

    # Asking.

    def survey(self, then: Callable[[], None]) -> None:
        """Asks everybody believed; `then`, in a later turn, when they have answered or are late."""
        believed = [peer for peer in self._claims if self.is_believed(peer)]
        survey = _Survey({peer for peer in believed if not self._is_late(peer)} or set(believed), then)
        self._surveys.append(survey)
        for peer in believed:
            self.ask(peer)
        if not survey.waiting:
            self._world.call_later(0, partial(self._end, survey))

    def _is_late(self, peer: PeerId) -> bool:
        """Whether it was asked before and is not waited for any more."""
        asked_ms = self._claims[peer].asked_ms
        return asked_ms is not None and asked_ms + LATE_STATUS_MS <= self._world.elapsed_ms()

    def ask(self, peer: PeerId) -> None:
        """Asks for the peer's height, unless that is under way."""
        claim = self._claims[peer]
        if claim.asked_ms is None:
            claim.asked_ms = self._world.elapsed_ms()
            then = partial(self._on_status, peer, claim)
            self._world.ask(peer, StatusRequest(), Status, STATUS_MS_MAX, then)

    def _on_status(self, peer: PeerId, claim: PeerHeight, reply: Status | NetworkError) -> None:
        if self._claims.get(peer) is not claim:
            return
        claim.asked_ms = None
        if isinstance(reply, Status) and claim.height is not None and reply.height < claim.height:
            reply = PeerFault(f"claims height {reply.height} after {claim.height}", LIE_POINTS)
        if isinstance(reply, PeerSlow):
            self._rest(peer, BUSY_MS)
        elif isinstance(reply, NetworkError):
            self.charge(peer, reply)
        else:
            claim.height, claim.oldest_height = reply.height, reply.oldest_height
            self._expect_others(peer)
        self._stop_waiting(peer)
        self._on_claim()

    def _expect_others(self, peer: PeerId) -> None:
        for survey in self._surveys:
            if peer in survey.waiting and survey.late is None:
                survey.late = self._world.call_later(LATE_STATUS_MS, partial(self._end, survey))

    def _stop_waiting(self, peer: PeerId) -> None:
        for survey in [one for one in self._surveys if peer in one.waiting]:
            survey.waiting.remove(peer)
            if not survey.waiting:
                self._end(survey)

    def _end(self, survey: _Survey) -> None:
        if survey not in self._surveys:
            return
        self._surveys.remove(survey)
        if survey.late is not None:
            survey.late.cancel()
        survey.then()

    # Judging.

    def charge(self, peer: PeerId, error: NetworkError) -> None:
        """The peer did not do what it claimed it could: blame it if that was a lie, and let it rest."""
        if isinstance(error, PeerFault):
            _log.warning("sync_peer_lied", reason=str(error))
            self._world.blame(peer, error)
            self._doubt(peer, LIE_MS)
        elif isinstance(error, PeerSlow):
            _log.info("sync_peer_slow", reason=str(error))
            self._note_slow(peer)
            self._rest(peer, SLOW_MS)
        else:
            is_busy = isinstance(error, PeerGone) or (
                isinstance(error, Refused) and error.code is RefusalCode.BUSY
            )
            _log.debug("sync_peer_gone_or_busy", reason=str(error))
            self._rest(peer, BUSY_MS if is_busy else SLOW_MS)

    def credit(self, peer: PeerId, *, is_late: bool) -> None:
        """The peer delivered: ask it before others, and for more at once if it took no time."""
        if (claim := self._claims.get(peer)) is not None:
            claim.has_delivered = True
            if not is_late:
                claim.batch_blocks = min(claim.batch_blocks * 2, BATCH_BLOCKS_MAX)

    def _note_slow(self, peer: PeerId) -> None:
        if (claim := self._claims.get(peer)) is not None:
            claim.has_delivered = False
            claim.batch_blocks = max(claim.batch_blocks // 2, 1)

    def _rest(self, peer: PeerId, duration_ms: int) -> None:
        self._doubt(peer, duration_ms)
        self._world.call_later(duration_ms, self._on_claim)

    def _doubt(self, peer: PeerId, duration_ms: int) -> None:
        until_ms = max(self._doubts.pop(peer, 0), self._world.elapsed_ms() + duration_ms)
        self._doubts[peer] = until_ms
        if len(self._doubts) > DOUBTS_MAX:
            del self._doubts[next(iter(self._doubts))]


assert BATCH_BLOCKS_MAX <= BLOCKS_MAX
