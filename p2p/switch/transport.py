"""What a way of moving bytes (libp2p, memory) must offer to the switch.

All failures of the peer or the line are PeerGone, PeerFault or Refused; nothing of the transport's own
errors passes.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from chain.primitives.types import PeerId
from p2p.identity import PeerAddress


class ByteStream(Protocol):
    """A two-way pipe of bytes with back-pressure."""

    async def read(self, bytes_max: int) -> bytes:
        """At least one byte and at most `bytes_max`; empty at the end; raises PeerGone."""

    async def write(self, data: bytes) -> None:
        """Hands all of it over; raises PeerGone."""

    async def finish(self) -> None:
        """No more bytes follow."""

    async def abort(self) -> None:
        """Drops both directions; never raises."""


OnStream = Callable[[str, ByteStream], Awaitable[None]]


class SecureConnection(Protocol):
    """An authenticated connection with one peer."""

    @property
    def peer(self) -> PeerId:
        """Who it is, proved."""

    @property
    def host(self) -> str:
        """The IP address at the other end."""

    @property
    def address(self) -> str:
        """Where the peer was dialled or came from."""

    @property
    def is_outbound(self) -> bool:
        """Whether we dialled."""

    async def run(self, served: Callable[[], tuple[str, ...]], on_stream: OnStream) -> None:
        """Carries the connection until it ends; calls `on_stream` in a task per inbound stream."""

    async def open_stream(self, protocol_id: str) -> ByteStream:
        """A new stream; raises PeerGone, Refused."""

    async def close(self) -> None:
        """Ends the connection at once; never raises."""


class Dialler(Protocol):
    """The way out."""

    async def dial(self, address: PeerAddress) -> SecureConnection:
        """An authenticated connection with exactly that peer; raises PeerGone, PeerFault."""
