"""A world for one syncing node: virtual time, a lane, and peers that answer as a test says.

Requests and replies cross as bytes, through the decoder of the wire. Blame at the full price disconnects the
peer in a turn of its own, as a ban does, unless it is trusted.
"""

import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, TypeVar

from chain.primitives.codec import decode, encode
from chain.primitives.keys import is_signed_by
from chain.primitives.types import PeerId, TimeMs
from chain.runtime import BlockResult
from chain.votes import CommitCertificate
from node.ledger.ledger import CommittedBlock, Ledger
from node.replica.sync.peer_heights import LIE_POINTS
from node.replica.sync.sync import Sync
from p2p.errors import NetworkError, PeerFault, PeerGone, PeerSlow
from p2p.wire.messages import BlocksRequest, StatusRequest, SyncReply, SyncRequest
from storage.kv import MemoryStore
from tests.node.forge import Forge

T = TypeVar("T")
Answer = Callable[[SyncRequest], SyncReply | None]
"""None: no answer comes."""


class Event:
    """A scheduled call that can be cancelled."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


@dataclass
class Peer:
    """A peer, and the requests that it got."""

    answer: Answer
    delay_ms: int = 10
    block_ms: int = 0
    """Delay of an answer per requested block."""
    is_trusted: bool = False
    asked: list[SyncRequest] = field(default_factory=list)
    asked_at: list[int] = field(default_factory=list)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Starts and counts of the requested blocks."""
        return [(one.start, one.count) for one in self.asked if isinstance(one, BlocksRequest)]

    @property
    def surveys(self) -> int:
        """How often it was asked for its height."""
        return sum(isinstance(one, StatusRequest) for one in self.asked)


class SyncWorld:
    """The world, the node in it, and its peers by number."""

    def __init__(self, forge: Forge, *, seed: int = 0, ledger: Ledger | None = None) -> None:
        self.ledger = ledger or Ledger(MemoryStore(), forge.spec)
        self.sync = Sync(self, self.ledger, is_signed_by, self.commit, Random(seed))
        self.blamed: list[tuple[PeerId, PeerFault]] = []
        self.committed: list[int] = []
        self._time_ms = 1_000
        self._events: list[tuple[int, int, Event]] = []
        self._number = count()
        self._began_ms = 0
        self._ended_ms: list[int] = []
        self._peers: dict[PeerId, Peer] = {}

    # As the node sees it.

    def now_ms(self) -> TimeMs:
        return 10**12 + self._time_ms

    def elapsed_ms(self) -> int:
        return self._time_ms

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> Event:
        event = Event(action)
        heapq.heappush(self._events, (self._time_ms + delay_ms, next(self._number), event))
        return event

    def run(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        self.call_later(1, lambda: then(job()))

    @property
    def peers(self) -> tuple[PeerId, ...]:
        return tuple(self._peers)

    def post(self, peer: PeerId, message: object) -> None:
        raise AssertionError("sync asks, it does not tell")

    def broadcast(self, message: object, but: Collection[PeerId] = ()) -> None:
        raise AssertionError("sync asks, it does not tell")

    def ask(
        self, peer: PeerId, message: Any, reply: type[Any], limit_ms: int, then: Callable[[Any], None]
    ) -> None:
        there = self._peers.get(peer)
        if there is None:
            self.call_later(1, lambda: then(PeerGone("not connected")))
            return
        there.asked.append(message)
        there.asked_at.append(self._time_ms)
        delay_ms = there.delay_ms + there.block_ms * getattr(message, "count", 0)
        answer = self._fetch(there, message, reply) if delay_ms < limit_ms else None
        if answer is None:
            self.call_later(limit_ms, lambda: then(PeerSlow("no answer")))
        else:
            self.call_later(delay_ms, lambda: then(answer))

    def _fetch(self, peer: Peer, message: Any, reply: type[Any]) -> Any:
        try:
            answer = peer.answer(decode(SyncRequest, encode(message)))  # type: ignore[arg-type]
        except NetworkError as error:
            return error
        return None if answer is None else decode(reply, encode(answer))

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        self.blamed.append((peer, fault))
        there = self._peers.get(peer)
        if fault.points >= LIE_POINTS and there is not None and not there.is_trusted:
            self.call_later(0, lambda: self.leave(peer))

    def commit(self, result: BlockResult, certificate: CommitCertificate, then: Callable[[], None]) -> None:
        """As `Replica.commit`."""

        def on_done(committed: CommittedBlock) -> None:
            self.ledger.move_head(committed)
            self.committed.append(self.ledger.height)
            then()

        self.run(lambda: self.ledger.commit(result, certificate), on_done)

    # As the test sees it.

    def join(
        self, name: int, answer: Answer, *, delay_ms: int = 10, block_ms: int = 0, is_trusted: bool = False
    ) -> Peer:
        """Connects a peer."""
        peer = Peer(answer, delay_ms, block_ms, is_trusted)
        self._peers[build_peer_id(name)] = peer
        self.sync.connected(build_peer_id(name))
        return peer

    def leave(self, peer: PeerId) -> None:
        """Disconnects a peer if it is connected."""
        if self._peers.pop(peer, None) is not None:
            self.sync.disconnected(peer)

    @property
    def banned(self) -> list[int]:
        """Numbers of the peers that were banned, in order."""
        return [peer[0] for peer, fault in self.blamed if fault.points >= LIE_POINTS]

    def begin(self) -> None:
        """Begins a sync, in a later event."""
        self._began_ms, self._ended_ms = self._time_ms, []
        self.sync.catch_up(lambda: self._ended_ms.append(self._time_ms))

    def finish(self, seconds_max: int = 1_000) -> int:
        """Runs until sync has ended; returns the milliseconds it took."""
        self.run_until(lambda: bool(self._ended_ms), seconds_max)
        assert not self.sync.is_syncing and len(self._ended_ms) == 1
        return self._ended_ms[0] - self._began_ms

    def catch_up(self) -> int:
        """Begins a sync and runs to its end; returns the milliseconds it took."""
        self.begin()
        return self.finish()

    def look_ahead(self) -> bool:
        """Runs one lead check; nothing else may be pending."""
        told: list[bool] = []
        self.sync.look_ahead(told.append)
        self.run_until(lambda: bool(told))
        return told[0]

    def run_until(self, is_so: Callable[[], bool], seconds_max: int = 1_000) -> None:
        """Runs event after event until it is so; fails the test if none is left or time is up."""
        end_ms = self._time_ms + 1000 * seconds_max
        while not is_so():
            assert self._events, "nothing will ever happen again"
            assert self._time_ms <= end_ms, "too late"
            self.turn()

    def turn(self) -> None:
        """Runs the next event."""
        self._time_ms, _, event = heapq.heappop(self._events)
        if event.action is not None:
            event.action()

    def settle(self) -> None:
        """Runs until no event is left."""
        while self._events:
            self.turn()


def build_peer_id(name: int) -> PeerId:
    """The id of the peer with that number, which is its first byte."""
    return bytes((name,)) * 38
