"""The interface of a transport (libp2p, memory) to the switch.

All failures of a peer or connection are PeerGone, PeerFault or Refused; the transport's own errors do not
pass.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from chain.primitives.types import PeerId
from p2p.identity import PeerAddress


class ByteStream(Protocol):
    """A two-way stream of bytes with back-pressure."""

    async def read(self, bytes_max: int) -> bytes:
        """At least one byte and at most `bytes_max`; empty at the end; raises PeerGone."""

    async def write(self, data: bytes) -> None:
        """Hands over all of the data; raises PeerGone."""

    async def finish(self) -> None:
        """Announces that no more bytes follow."""

    async def abort(self) -> None:
        """Drops both directions; never raises."""


OnStream = Callable[[str, ByteStream], Awaitable[None]]


class SecureConnection(Protocol):
    """An authenticated connection with one peer."""

    @property
    def peer(self) -> PeerId:
        """The peer, proved by the handshake."""

    @property
    def host(self) -> str:
        """The IP address of the peer."""

    @property
    def address(self) -> str:
        """The address at which the peer was dialled, or from which it came."""

    @property
    def is_outbound(self) -> bool:
        """Whether this node dialled."""

    async def run(self, served: Callable[[], tuple[str, ...]], on_stream: OnStream) -> None:
        """Carries the connection until it ends; calls `on_stream` in a task per inbound stream."""

    async def open_stream(self, protocol_id: str) -> ByteStream:
        """A new stream; raises PeerGone, Refused."""

    async def close(self) -> None:
        """Ends the connection at once; never raises."""


class Dialler(Protocol):
    """Dials peers."""

    async def dial(self, address: PeerAddress) -> SecureConnection:
        """An authenticated connection with exactly that peer; raises PeerGone, PeerFault."""
