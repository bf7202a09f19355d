"""Links: one long-lived stream to each peer per protocol, for messages that nobody waits for.

`broadcast` and `post` put an encoded message into the peer's outbox and return at once; a task per peer sends. A full
outbox drops its oldest message: whoever needs it asks again (consensus by summaries, the pool by new batches).
Inbound streams of the protocol are read in a task per stream, behind the per-peer boundary of `p2p`.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import trio

from chain.primitives.codec import decode, encode
from chain.primitives.types import PeerId
from p2p.boundary import run_for_peer
from p2p.errors import PeerGone, StreamEnded
from p2p.network import Network, ProtocolSpec, Stream

M = TypeVar("M")
Receive = Callable[[PeerId, M], Awaitable[None]]

REOPEN_SECONDS = 1.0


class Outbox:
    """Frames for one peer, oldest dropped first."""

    def __init__(self, frames_max: int, bytes_max: int) -> None:
        self._frames: deque[bytes] = deque()
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._is_filled = trio.Event()
        self.dropped = 0

    def put(self, frame: bytes) -> None:
        """Add a frame; never waits."""
        self._frames.append(frame)
        self._bytes += len(frame)
        while len(self._frames) > self._frames_max or (self._bytes > self._bytes_max and len(self._frames) > 1):
            self._bytes -= len(self._frames.popleft())
            self.dropped += 1
        self._is_filled.set()

    async def take(self) -> bytes:
        """The oldest frame, as soon as there is one."""
        while not self._frames:
            self._is_filled = trio.Event()
            await self._is_filled.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame


class Links(Generic[M]):
    """All links of one protocol; `M` is its union of messages."""

    def __init__(
        self,
        network: Network,
        protocol: ProtocolSpec,
        messages: Any,
        receive: Receive[M],
        *,
        frames_max: int = 4096,
        bytes_max: int = 32 * 2**20,
    ) -> None:
        self._network = network
        self._protocol = protocol
        self._messages = messages
        self._receive = receive
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._outboxes: dict[PeerId, Outbox] = {}
        self._tasks: dict[PeerId, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        network.serve(protocol, self._serve)

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Peers that messages go to now."""
        return tuple(self._outboxes)

    def post(self, peer: PeerId, message: M) -> None:
        """Send to one peer, if there is a link."""
        outbox = self._outboxes.get(peer)
        if outbox is not None:
            outbox.put(encode(message))

    def broadcast(self, message: M, but: PeerId | None = None) -> None:
        """Send to all peers, except the one it came from."""
        frame = encode(message)
        for peer, outbox in self._outboxes.items():
            if peer != but:
                outbox.put(frame)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the tasks of the links; ends by cancellation."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def on_peer_ready(self, peer: PeerId) -> None:
        """A peer of this network is connected and has said hello."""
        if peer in self._outboxes or self._nursery is None:
            return
        self._outboxes[peer] = Outbox(self._frames_max, self._bytes_max)
        self._tasks[peer] = trio.CancelScope()
        self._nursery.start_soon(self._run_link, peer, self._outboxes[peer], self._tasks[peer])

    def on_peer_gone(self, peer: PeerId) -> None:
        """The peer is not connected any more."""
        self._outboxes.pop(peer, None)
        scope = self._tasks.pop(peer, None)
        if scope is not None:
            scope.cancel()

    async def _run_link(self, peer: PeerId, outbox: Outbox, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await run_for_peer(peer, lambda: self._send_all(peer, outbox), self._network.blame)
                await trio.sleep(REOPEN_SECONDS)

    async def _send_all(self, peer: PeerId, outbox: Outbox) -> None:
        stream = await self._network.open(peer, self._protocol)
        try:
            while True:
                await stream.send(await outbox.take())
        finally:
            with trio.move_on_after(1, shield=True):
                await stream.reset()

    async def _serve(self, stream: Stream) -> None:
        try:
            while True:
                frame = await stream.receive()
                await self._receive(stream.peer, decode(self._messages, frame, self._protocol.frame_bytes_max))
        except (StreamEnded, PeerGone):
            return
