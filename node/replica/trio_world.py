"""The world of a running replica: trio's clock, the lane's thread, streams to connected peers.

The replica runs in the loop's thread, one turn after the other. Jobs run in the lane's thread in the order of
the calls, each followed by its continuation. An exception of a job, a timer or a continuation ends `open`,
and with it the node. A peer's message is handled in that peer's reading task, behind the boundary of `p2p`;
while the lane has more than JOBS_MAX jobs, no peer is read.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, Protocol, TypeVar

import trio

from chain.primitives.codec import Record
from chain.primitives.types import PeerId, TimeMs
from node.clock import Clock
from node.ledger.lane import Lane
from node.ledger.ledger import Ledger
from node.network.peer_streams import PeerStreams
from node.replica.sync.server import SyncServer, compute_reply_bytes_max
from p2p.errors import NetworkError, PeerFault
from p2p.network import Network
from p2p.notifier import Notifier
from p2p.wire.answer_budget import AnswerBudget
from p2p.wire.messages import ConsensusMessage, SyncReply, SyncRequest
from p2p.wire.protocols import CONSENSUS, SYNC
from p2p.wire.requests import build_answerer, request

T = TypeVar("T")
R = TypeVar("R", bound=Record)

JOBS_MAX = 64
READERS_MAX = 2
REQUESTS_MAX = 8


class PeerListener(Protocol):
    """Gets told which peers are connected."""

    def connected(self, peer: PeerId) -> None:
        """The peer is connected, for the first time or again."""

    def disconnected(self, peer: PeerId) -> None:
        """The peer is gone."""


class MessageHandler(PeerListener, Protocol):
    """Gets the messages of peers: `node.replica.gossip`."""

    def on_message(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Handle a peer's message; raises PeerFault."""


class ScopeTimer:
    """A timer that is a cancel scope."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def cancel(self) -> None:
        """Cancel the call; does nothing if it was made."""
        self.scope.cancel()


class _Opened(NamedTuple):
    nursery: trio.Nursery
    gossip: MessageHandler
    sync: PeerListener


class ReplicaWorld:
    """`node.replica.ports.World` over trio; `open` runs it.

    Jobs and messages wait for `open`; timers and requests before it raise RuntimeError.
    """

    def __init__(self, network: Network, lane: Lane, clock: Clock) -> None:
        self._network = network
        self._lane = lane
        self._clock = clock
        self._streams: PeerStreams[ConsensusMessage] = PeerStreams(
            network, CONSENSUS, ConsensusMessage, self._receive
        )
        self._jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._jobs_changed = Notifier()
        self._connections: Counter[PeerId] = Counter()
        self._opened: _Opened | None = None
        self._on_open = trio.Event()

    async def open(
        self,
        gossip: MessageHandler,
        sync: PeerListener,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Runs until cancelled; raises the exception of a job or a turn."""
        async with trio.open_nursery() as nursery:
            self._opened = _Opened(nursery, gossip, sync)
            self._on_open.set()
            task_status.started()
            await self._run_jobs()

    async def _wait_open(self) -> _Opened:
        await self._on_open.wait()
        return self._get_opened()

    def _get_opened(self) -> _Opened:
        if self._opened is None:
            raise RuntimeError("the replica's world is not open")
        return self._opened

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
        self._get_opened().nursery.start_soon(_wait, timer, delay_ms / 1_000, action)
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
        """The peers with a stream."""
        return self._streams.peers

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Puts the message into the peer's outbox."""
        self._streams.post(peer, message)

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        """Puts the message into all outboxes except those of `but`."""
        self._streams.broadcast(message, but)

    def ask(
        self,
        peer: PeerId,
        message: Record,
        reply: type[R],
        limit_ms: int,
        then: Callable[[R | NetworkError], None],
    ) -> None:
        """Sends the request on a stream of its own."""
        self._get_opened().nursery.start_soon(self._ask, peer, message, reply, limit_ms, then)

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
        """Sends one connected peer's outbox until it is gone or this is cancelled."""
        opened = await self._wait_open()
        self._connections[peer] += 1
        opened.gossip.connected(peer)
        opened.sync.connected(peer)
        try:
            await self._streams.run_peer(peer)
        finally:
            self._connections[peer] -= 1
            if not self._connections[peer]:
                del self._connections[peer]
                opened.gossip.disconnected(peer)
                opened.sync.disconnected(peer)

    async def _receive(self, peer: PeerId, message: ConsensusMessage) -> None:
        opened = await self._wait_open()
        while len(self._jobs) > JOBS_MAX:
            await self._jobs_changed.wait()
        opened.gossip.on_message(peer, message)


async def _wait(timer: ScopeTimer, seconds: float, action: Callable[[], None]) -> None:
    with timer.scope:
        await trio.sleep(seconds)
    if not timer.scope.cancel_called:
        action()


def serve_sync(network: Network, ledger: Ledger) -> None:
    """Lets peers sync from this node, READERS_MAX at a time, in threads."""
    server, readers = SyncServer(ledger), trio.CapacityLimiter(READERS_MAX)

    async def answer(_: PeerId, message: SyncRequest) -> SyncReply:
        return await trio.to_thread.run_sync(server.answer, message, limiter=readers)

    network.serve(
        SYNC, build_answerer(SyncRequest, answer, REQUESTS_MAX, AnswerBudget(compute_reply_bytes_max))
    )
