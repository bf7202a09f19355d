"""The world of a running replica: trio's clock, a thread for the lane, links to connected peers.

Everything of the replica runs in the loop's thread, one turn after the other; jobs run in the lane's thread,
in the order in which they were asked for, each followed by its continuation. A job, a timer or a continuation
that fails ends `open`, and with it the node. What a peer says is handled in that peer's reading task, behind
the boundary of `p2p`, and is read more slowly while the lane has much to do.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeVar

import trio

from chain.primitives.codec import Record
from chain.primitives.types import PeerId, TimeMs
from node.clock import Clock
from node.ledger.lane import Lane
from node.ledger.ledger import Ledger
from node.network.peer_streams import PeerStreams
from node.replica.sync.server import SyncServer
from p2p.errors import NetworkError, PeerFault
from p2p.network import Network
from p2p.notifier import Notifier
from p2p.wire.messages import ConsensusMessage, SyncReply, SyncRequest
from p2p.wire.protocols import CONSENSUS, SYNC
from p2p.wire.requests import build_answerer, request

T = TypeVar("T")
R = TypeVar("R", bound=Record)

JOBS_MAX = 64
"""With more of them waiting, peers are not read."""
READERS_MAX = 2
REQUESTS_MAX = 8


class PeerListener(Protocol):
    """Who wants to know which peers there are."""

    def connected(self, peer: PeerId) -> None:
        """The peer is there, or there anew."""

    def disconnected(self, peer: PeerId) -> None:
        """The peer is gone."""


class MessageHandler(PeerListener, Protocol):
    """What the messages are for: `node.replica.gossip`."""

    def on_message(self, peer: PeerId, message: ConsensusMessage) -> None:
        """A peer says this; raises PeerFault."""


class ScopeTimer:
    """A timer that is a cancel scope."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def cancel(self) -> None:
        """It is not to happen."""
        self.scope.cancel()


class ReplicaWorld:
    """`node.replica.ports.World` over trio; usable while `open` runs."""

    def __init__(self, network: Network, lane: Lane, clock: Clock) -> None:
        self._network = network
        self._lane = lane
        self._clock = clock
        self.streams: PeerStreams[ConsensusMessage] = PeerStreams(
            network, CONSENSUS, ConsensusMessage, self._receive
        )
        self._jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._jobs_changed = Notifier()
        self._is_open = trio.Event()
        self._attended: Counter[PeerId] = Counter()
        self._nursery: trio.Nursery
        self._gossip: MessageHandler
        self._sync: PeerListener

    async def open(
        self,
        gossip: MessageHandler,
        sync: PeerListener,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Until cancelled; raises what a job or a turn raises."""
        self._gossip, self._sync = gossip, sync
        async with trio.open_nursery() as self._nursery:
            self._is_open.set()
            task_status.started()
            await self._run_jobs()

    # Time and jobs.

    def now_ms(self) -> TimeMs:
        """The wall clock."""
        return self._clock.now_ms()

    def elapsed_ms(self) -> int:
        """The loop's clock."""
        return int(trio.current_time() * 1_000)

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> ScopeTimer:
        """Calls `action` in a task of its own."""
        timer = ScopeTimer()
        self._nursery.start_soon(_wait, timer, delay_ms / 1_000, action)
        return timer

    def run(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Puts a job at the end of the lane."""
        self._jobs.append((job, then))
        self._jobs_changed.notify_all()

    async def _run_jobs(self) -> None:
        while True:
            while not self._jobs:
                await self._jobs_changed.wait()
            job, then = self._jobs.popleft()
            then(await self._lane.run(job))
            self._jobs_changed.notify_all()

    # Peers.

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Those with a link."""
        return self.streams.peers

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Into the peer's outbox."""
        self.streams.post(peer, message)

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        """Into all outboxes but these."""
        self.streams.broadcast(message, but)

    def ask(
        self,
        peer: PeerId,
        message: Record,
        reply: type[R],
        limit_ms: int,
        then: Callable[[R | NetworkError], None],
    ) -> None:
        """On a stream of its own."""
        self._nursery.start_soon(self._ask, peer, message, reply, limit_ms, then)

    async def _ask(
        self,
        peer: PeerId,
        message: Record,
        reply: type[R],
        limit_ms: int,
        then: Callable[[R | NetworkError], None],
    ) -> None:
        answer: R | NetworkError
        try:
            answer = await request(self._network, peer, SYNC, message, reply, limit_ms / 1_000)
        except NetworkError as error:
            answer = error
        then(answer)

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        """Takes points from the peer's score."""
        self._network.blame(peer, fault)

    async def run_peer(self, peer: PeerId) -> None:
        """Serve one connected peer's outbox."""
        await self._is_open.wait()
        self._attended[peer] += 1
        self._gossip.connected(peer)
        self._sync.connected(peer)
        try:
            await self.streams.run_peer(peer)
        finally:
            self._attended[peer] -= 1
            if not self._attended[peer]:
                del self._attended[peer]
                self._gossip.disconnected(peer)
                self._sync.disconnected(peer)

    async def _receive(self, peer: PeerId, message: ConsensusMessage) -> None:
        await self._is_open.wait()
        while len(self._jobs) > JOBS_MAX:
            await self._jobs_changed.wait()
        self._gossip.on_message(peer, message)


async def _wait(timer: ScopeTimer, seconds: float, action: Callable[[], None]) -> None:
    with timer.scope:
        await trio.sleep(seconds)
    if not timer.scope.cancel_called:
        action()


def serve_sync(network: Network, ledger: Ledger) -> None:
    """From now on lets peers sync from this node; a few at a time, and none in the loop."""
    answers, readers = SyncServer(ledger), trio.CapacityLimiter(READERS_MAX)

    async def answer(_: PeerId, message: SyncRequest) -> SyncReply:
        return await trio.to_thread.run_sync(answers.answer, message, limiter=readers)

    network.serve(SYNC, build_answerer(SyncRequest, answer, REQUESTS_MAX))
