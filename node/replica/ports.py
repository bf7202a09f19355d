"""The interfaces around a replica: its world (time, lane, peers), and its messenger and sync.

A replica and its world run in one thread. No method of `World` blocks or calls back before it returns: every
callback is a turn of its own, in an order that the world decides. When a world drops a replica (a crash, a
stop), it makes no further callback.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

from chain.block import Block
from chain.primitives.codec import Record
from chain.primitives.types import Hash, Height, PeerId, TimeMs
from chain.runtime import BlockResult
from chain.votes import CommitCertificate, SignedProposal, SignedVote
from consensus.core import Core
from consensus.types import Rebroadcast
from p2p.errors import NetworkError, PeerFault
from p2p.wire.messages import ConsensusMessage

T = TypeVar("T")
R = TypeVar("R", bound=Record)


class Timer(Protocol):
    """A scheduled call that can be cancelled."""

    def cancel(self) -> None:
        """Cancel the call; does nothing if it was made."""


class RandomSource(Protocol):
    """The part of `random.Random` that is used; tests seed it, so that runs repeat."""

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """`k` different members in any order."""


class World(Protocol):
    """Everything outside a replica that it may use."""

    def now_ms(self) -> TimeMs:
        """The wall clock, which somebody may set forwards or backwards. Jobs may read it too."""

    def elapsed_ms(self) -> int:
        """A monotonic clock with an arbitrary start."""

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Calls `action` once, `delay_ms` from now by `elapsed_ms`."""

    def run(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """Runs blocking work in the lane, then calls `then` with its result.

        Jobs run one after the other in the order of the calls, so what one wrote is on disk before the next
        begins. An exception of a job or of `then` ends the node: expected failures are results.
        """

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """The connected peers."""

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Sends to one peer if it is connected; the message may be lost."""

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        """Sends to all peers except `but`; the message may be lost."""

    def ask(
        self,
        peer: PeerId,
        message: Record,
        reply: type[R],
        limit_ms: int,
        then: Callable[[R | NetworkError], None],
    ) -> None:
        """Sends a request of the sync protocol; `then` gets the reply or the error."""

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        """Takes points from the peer's score; at zero the peer is banned."""


class CommitBlock(Protocol):
    """Makes an executed block final: `Replica.commit`."""

    def __call__(self, result: BlockResult, certificate: CommitCertificate, then: Callable[[], None]) -> None:
        """`then` is called when the block is on disk and the listeners were told."""


class Messenger(Protocol):
    """How the replica reaches other validators; `gossip` implements it."""

    def send_proposal(self, signed: SignedProposal, block: Block) -> None:
        """To all peers."""

    def send_votes(self, votes: tuple[SignedVote, ...]) -> None:
        """To all peers."""

    def send_again(self, again: Rebroadcast, block: Block | None) -> None:
        """To all peers."""

    def fetch_block(self, height: Height, block_hash: Hash, then: Callable[[Block], None]) -> None:
        """Asks peers for the block until one sends it or the height is over."""

    def on_new_height(self, core: Core) -> None:
        """The replica has begun the height of `core`."""


class BlockSync(Protocol):
    """How the replica catches up; `sync` implements it."""

    def catch_up(self, then: Callable[[], None]) -> None:
        """Calls `then` when no usable peer is ahead."""

    def look_ahead(self, then: Callable[[bool], None]) -> None:
        """Tells `then` whether a peer shows the next final block and claims more."""
