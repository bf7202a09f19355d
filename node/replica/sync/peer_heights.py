"""The heights that peers claim to have, and which peers may be asked.

A claimed height only decides which peer is asked; sync believes certificates alone. A peer that lied is
ignored for LIE_MS, even if it cannot be banned because it is a validator; a slow peer for SLOW_MS, a busy
one for BUSY_MS. This outlives the connection (in a table of IGNORED_MAX entries); a claimed height does not.
Within one connection a claimed height never falls.

Not here: what a peer is asked for (`window`), and whether its answer was true (`checks`).
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
"""How long a survey waits for others after the first answer, so that a silent peer cannot hold it up."""
LIE_MS = 600_000
SLOW_MS = 10_000
BUSY_MS = 1_000
IGNORED_MAX = 4096
LIE_POINTS = 100
BATCH_BLOCKS_FIRST = 16
BATCH_BLOCKS_MAX = 64


@dataclass(eq=False)
class PeerHeight:
    """What one connected peer claims to have, and how it did so far."""

    height: Height | None = None
    """None until it has said so."""
    oldest_height: Height = 0
    asked_ms: int | None = None
    """When the pending status request was sent, by `elapsed_ms`; None if there is none."""
    batch_blocks: int = BATCH_BLOCKS_FIRST
    """How many blocks it is asked for at once; halved when it is slow."""
    has_delivered: bool = False
    """Whether it answered the last request."""


@dataclass(eq=False)
class _Survey:
    waiting: set[PeerId]
    then: Callable[[], None]
    late: Timer | None = field(default=None)


class PeerHeights:
    """The connected peers, the oldest connection first; `on_change` is called when one may be asked again."""

    def __init__(self, world: World, on_change: Callable[[], None]) -> None:
        self._world = world
        self._on_change = on_change
        self._entries: dict[PeerId, PeerHeight] = {}
        self._ignored_until: dict[PeerId, int] = {}
        """Until when a peer is ignored, by `elapsed_ms`."""
        self._surveys: list[_Survey] = []

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """The connected peers."""
        return tuple(self._entries)

    def connected(self, peer: PeerId) -> None:
        """The peer may be asked; what it claimed over an older connection no longer counts."""
        self._entries[peer] = PeerHeight()
        if any(peer in survey.waiting for survey in self._surveys):
            self.ask(peer)

    def disconnected(self, peer: PeerId) -> None:
        """The peer is gone, and its claim with it."""
        self._entries.pop(peer, None)
        self._stop_waiting(peer)

    def is_usable(self, peer: PeerId) -> bool:
        """Whether the peer is connected and not ignored."""
        return peer in self._entries and self._ignored_until.get(peer, 0) <= self._world.elapsed_ms()

    def get_ahead(self, height: Height, heights: int = 1) -> dict[PeerId, PeerHeight]:
        """Usable peers that claim `heights` blocks beyond `height` or more, and keep the first of them."""
        return {
            peer: entry
            for peer, entry in self._entries.items()
            if entry.height is not None
            and entry.height >= height + heights
            and entry.oldest_height <= height + 1
            and self.is_usable(peer)
        }

    def has_usable(self) -> bool:
        """Whether any peer may be asked."""
        return any(map(self.is_usable, self._entries))

    def has_answer(self) -> bool:
        """Whether any usable peer has claimed a height."""
        return any(entry.height is not None and self.is_usable(peer) for peer, entry in self._entries.items())

    # Asking.

    def survey(self, then: Callable[[], None]) -> None:
        """Asks every usable peer; calls `then` in a later turn, when all have answered or are late."""
        usable = [peer for peer in self._entries if self.is_usable(peer)]
        survey = _Survey({peer for peer in usable if not self._is_late(peer)} or set(usable), then)
        self._surveys.append(survey)
        for peer in usable:
            self.ask(peer)
        if not survey.waiting:
            self._world.call_later(0, partial(self._end, survey))

    def _is_late(self, peer: PeerId) -> bool:
        """Whether its pending request is too old to wait for."""
        asked_ms = self._entries[peer].asked_ms
        return asked_ms is not None and asked_ms + LATE_STATUS_MS <= self._world.elapsed_ms()

    def ask(self, peer: PeerId) -> None:
        """Asks for the peer's height, unless a request is pending."""
        entry = self._entries[peer]
        if entry.asked_ms is None:
            entry.asked_ms = self._world.elapsed_ms()
            then = partial(self._on_status, peer, entry)
            self._world.ask(peer, StatusRequest(), Status, STATUS_MS_MAX, then)

    def _on_status(self, peer: PeerId, entry: PeerHeight, reply: Status | NetworkError) -> None:
        if self._entries.get(peer) is not entry:
            return
        entry.asked_ms = None
        if isinstance(reply, Status) and entry.height is not None and reply.height < entry.height:
            reply = PeerFault(f"claims height {reply.height} after {entry.height}", LIE_POINTS)
        if isinstance(reply, PeerSlow):
            self._pause(peer, BUSY_MS)
        elif isinstance(reply, NetworkError):
            self.charge(peer, reply)
        else:
            entry.height, entry.oldest_height = reply.height, reply.oldest_height
            self._expect_others(peer)
        self._stop_waiting(peer)
        self._on_change()

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

    # Results.

    def charge(self, peer: PeerId, error: NetworkError) -> None:
        """The peer failed a request: blame it if it lied, and ignore it for a while."""
        if isinstance(error, PeerFault):
            _log.warning("sync_peer_lied", reason=str(error))
            self._world.blame(peer, error)
            self._ignore(peer, LIE_MS)
        elif isinstance(error, PeerSlow):
            _log.info("sync_peer_slow", reason=str(error))
            self._note_slow(peer)
            self._pause(peer, SLOW_MS)
        else:
            is_busy = isinstance(error, PeerGone) or (
                isinstance(error, Refused) and error.code is RefusalCode.BUSY
            )
            _log.debug("sync_peer_gone_or_busy", reason=str(error))
            self._pause(peer, BUSY_MS if is_busy else SLOW_MS)

    def note_delivered(self, peer: PeerId, *, is_late: bool) -> None:
        """The peer delivered: it is asked before others, and for more at once if it was not late."""
        if (entry := self._entries.get(peer)) is not None:
            entry.has_delivered = True
            if not is_late:
                entry.batch_blocks = min(entry.batch_blocks * 2, BATCH_BLOCKS_MAX)

    def _note_slow(self, peer: PeerId) -> None:
        if (entry := self._entries.get(peer)) is not None:
            entry.has_delivered = False
            entry.batch_blocks = max(entry.batch_blocks // 2, 1)

    def _pause(self, peer: PeerId, duration_ms: int) -> None:
        """Ignore the peer for a while, and say when that is over."""
        self._ignore(peer, duration_ms)
        self._world.call_later(duration_ms, self._on_change)

    def _ignore(self, peer: PeerId, duration_ms: int) -> None:
        until_ms = max(self._ignored_until.pop(peer, 0), self._world.elapsed_ms() + duration_ms)
        self._ignored_until[peer] = until_ms
        if len(self._ignored_until) > IGNORED_MAX:
            del self._ignored_until[next(iter(self._ignored_until))]


# A larger batch would be a request that no peer may send.
assert BATCH_BLOCKS_MAX <= BLOCKS_MAX
