"""Networks that fail or count, for tests of downloads: real switches behind a few lines.

Every frame that a client sends or receives in the content protocol is an event. A plan says what happens at
which event: the connection is cut before or after it, or something that the test gives is done.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from chain.primitives.codec import decode
from chain.primitives.types import PeerId
from p2p.errors import PeerGone
from p2p.network import ProtocolSpec, Stream, StreamHandler
from p2p.switch.switch import Switch
from p2p.wire.messages import ChunkReply, ContentReply

Act = Callable[[], None]
"""Something that a test does at an event; a cut is made beside it."""


def do_nothing() -> None:
    """A cut alone."""


@dataclass
class Faults:
    """A plan of failures, and how far it has come."""

    plan: dict[int, Act] = field(default_factory=dict)
    """Event -> what is done; the connection ends with it."""
    is_after: bool = False
    """Whether a frame still passes when its event cuts the connection."""
    delays: dict[int, float] = field(default_factory=dict)
    """Event -> seconds that its frame takes longer."""
    events: int = 0

    @property
    def delay_seconds(self) -> float:
        """The delay of the event that comes next."""
        return self.delays.get(self.events + 1, 0.0)

    def count(self) -> bool:
        """Notes an event; returns whether it ends the connection."""
        self.events += 1
        act = self.plan.pop(self.events, None)
        if act is not None:
            act()
        return act is not None


class _Delegate:
    """Everything that is not changed is the wrapped object's."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class _FaultyStream(_Delegate):
    def __init__(self, stream: Stream, faults: Faults) -> None:
        super().__init__(stream)
        self._faults = faults
        self._sending = trio.Lock()

    async def send(self, frame: bytes) -> None:
        async with self._sending:
            await trio.sleep(self._faults.delay_seconds)
            is_cut = self._faults.count()
            if not is_cut or self._faults.is_after:
                await self._wrapped.send(frame)
            if is_cut:
                await self._cut()

    async def receive(self) -> bytes:
        frame: bytes = await self._wrapped.receive()
        await trio.sleep(self._faults.delay_seconds)
        if self._faults.count():
            await self._cut()
        return frame

    async def _cut(self) -> None:
        await self._wrapped.reset()
        raise PeerGone("connection cut")


class FaultyNetwork(_Delegate):
    """The network of a client whose streams fail as planned."""

    def __init__(self, network: Switch, faults: Faults) -> None:
        super().__init__(network)
        self._faults = faults

    async def open(self, peer: PeerId, protocol: ProtocolSpec) -> Stream:
        """A stream whose frames are events."""
        stream: Any = _FaultyStream(await self._wrapped.open(peer, protocol), self._faults)
        return stream  # type: ignore[no-any-return]


class _CountingStream(_Delegate):
    def __init__(self, stream: Stream, sent: list[int]) -> None:
        super().__init__(stream)
        self._sent = sent

    async def send(self, frame: bytes) -> None:
        message = decode(ContentReply, frame)
        if isinstance(message, ChunkReply):
            self._sent.append(len(message.content))
        await self._wrapped.send(frame)


class CountingNetwork(_Delegate):
    """The network of a host that notes the size of every chunk that it sends, received or not."""

    def __init__(self, network: Switch, sent: list[int]) -> None:
        super().__init__(network)
        self._sent = sent

    def serve(self, protocol: ProtocolSpec, handler: StreamHandler) -> None:
        """Serves on counting streams."""

        async def serve(stream: Stream) -> None:
            counting: Any = _CountingStream(stream, self._sent)
            await handler(counting)

        self._wrapped.serve(protocol, serve)
