"""What a replica needs of the world, and nothing else: time, a lane for blocking work, peers.

One thread calls the replica and is called by it. Nothing here blocks or calls back before it returns: what
happens later happens in a turn of its own, in an order that the world decides. When a world drops a replica
(a crash, a stop), nothing of it is called any more.
"""

from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

from chain.primitives.codec import Record
from chain.primitives.types import PeerId, TimeMs
from p2p.errors import NetworkError, PeerFault
from p2p.messages import ConsensusMessage

T = TypeVar("T")
R = TypeVar("R", bound=Record)


class Timer(Protocol):
    """Something that is to happen."""

    def cancel(self) -> None:
        """It is not to happen; nothing if it has."""


class World(Protocol):
    """The one door out of a replica."""

    def now_ms(self) -> TimeMs:
        """The wall clock: somebody may set it, forwards or backwards."""

    def elapsed_ms(self) -> int:
        """A clock that nobody sets, from an arbitrary start."""

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Calls `action` once, so many milliseconds of `elapsed_ms` from now."""

    def run(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Runs blocking work in the lane, then hands over its result.

        Jobs run one after the other in the order of the calls, so what one has made durable is durable before
        the next begins. What a job or `then` raises ends the node: a job returns what is expected of it.
        """

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Peers that messages go to now."""

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Sends to one peer if it is there; may be lost."""

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        """Sends to all peers but those that it came from; may be lost."""

    def ask(
        self,
        peer: PeerId,
        message: Record,
        reply: type[R],
        limit_ms: int,
        then: Callable[[R | NetworkError], None],
    ) -> None:
        """Sends a request of the sync protocol; `then` gets the reply, or why there is none."""

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        """Takes points from the peer's score; at zero it is banned."""
