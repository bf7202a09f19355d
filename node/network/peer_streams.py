"""PeerStreams: one long-lived stream to each peer per protocol, for messages that are not answered.

`broadcast` and `post` put an encoded message into the peer's outbox and return at once; a task per peer
sends. A full outbox drops its oldest message: the peer asks again for what it misses (in consensus by
summaries, in the pool by later batches). Inbound streams of the protocol are read in a task per stream,
behind the per-peer boundary of `p2p`. So is `run_peer`, which the peer manager runs for each connected peer.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Generic, TypeVar

import trio

from chain.primitives.codec import encode
from chain.primitives.types import PeerId
from p2p.errors import PeerFault
from p2p.network import Network, ProtocolSpec, Stream
from p2p.notifier import Notifier
from p2p.wire.requests import open_stream, receive_message

M = TypeVar("M")
GREETING_SECONDS_MAX = 10.0
UNGREETED_POINTS = 34
Receive = Callable[[PeerId, M], Awaitable[None]]


class Outbox:
    """Frames that wait for one peer; the oldest is dropped first."""

    def __init__(self, frames_max: int, bytes_max: int) -> None:
        self._frames: deque[bytes] = deque()
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._filled = Notifier()

    def put(self, frame: bytes) -> None:
        """Adds a frame, and drops the oldest ones above the bounds; never waits."""
        self._frames.append(frame)
        self._bytes += len(frame)
        while len(self._frames) > self._frames_max or (
            self._bytes > self._bytes_max and len(self._frames) > 1
        ):
            self._bytes -= len(self._frames.popleft())
        self._filled.notify_all()

    async def take(self) -> bytes:
        """Removes the oldest frame; waits until there is one."""
        while not self._frames:
            await self._filled.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame


class PeerStreams(Generic[M]):
    """The streams of one protocol; `M` is its union of messages."""

    def __init__(
        self,
        network: Network,
        protocol: ProtocolSpec,
        messages: Any,
        receive: Receive[M],
        *,
        frames_max: int = 4096,
        bytes_max: int = 8 * 2**20,
    ) -> None:
        self._network = network
        self._protocol = protocol
        self._messages = messages
        self._receive = receive
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._outboxes: dict[PeerId, Outbox] = {}
        self._opened = Notifier()
        network.serve(protocol, self._serve)

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Peers with an outbox."""
        return tuple(self._outboxes)

    def post(self, peer: PeerId, message: M) -> None:
        """Queues a message for one peer; does nothing if it has no outbox."""
        outbox = self._outboxes.get(peer)
        if outbox is not None:
            outbox.put(encode(message))

    def broadcast(self, message: M, but: Collection[PeerId] = ()) -> None:
        """Queues a message for all peers but those that it came from."""
        frame = encode(message)
        for peer, outbox in self._outboxes.items():
            if peer not in but:
                outbox.put(frame)

    async def wait_for(self, peer: PeerId, seconds_max: float) -> bool:
        """Waits for the peer's outbox, since its first message may come before; False if there is none in
        time.
        """
        with trio.move_on_after(seconds_max):
            while peer not in self._outboxes:
                await self._opened.wait()
        return peer in self._outboxes

    async def run_peer(self, peer: PeerId) -> None:
        """Sends what is queued for a peer until the task is cancelled; raises PeerGone when the connection or
        the stream ends.
        """
        outbox = self._outboxes[peer] = Outbox(self._frames_max, self._bytes_max)
        self._opened.notify_all()
        try:
            async with open_stream(self._network, peer, self._protocol) as stream:
                while True:
                    await stream.send(await outbox.take())
        finally:
            if self._outboxes.get(peer) is outbox:
                del self._outboxes[peer]

    async def _serve(self, stream: Stream) -> None:
        """Reads a stream of a peer that has one to it too: one that said hello, and takes part."""
        if not await self.wait_for(stream.peer, GREETING_SECONDS_MAX):
            raise PeerFault(f"{self._protocol.name}: without a hello that takes part", UNGREETED_POINTS)
        while True:
            await self._receive(stream.peer, await receive_message(stream, self._messages))
