"""What a replica needs of the world: time, a lane for blocking work, peers; and what its parts need of it.

One thread calls the replica and is called by it. Nothing here blocks or calls back before it returns: what
happens later happens in a turn of its own, in an order that the world decides. When a world drops a replica
(a crash, a stop), nothing of it is called any more.
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
    """Something that is to happen."""

    def cancel(self) -> None:
        """It is not to happen; nothing if it has."""


class RandomSource(Protocol):
    """What a choice is left to: a `random.Random`, seeded where runs are to repeat."""

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """`k` different members in any order."""


class World(Protocol):
    """The one door out of a replica."""

    def now_ms(self) -> TimeMs:
        """The wall clock: somebody may set it, forwards or backwards. Jobs may look at it, too."""

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
        """The block with this hash, from whoever has it; tries until it is there or the height is over."""

    def on_new_height(self, core: Core) -> None:
        """The replica works on another height now."""


class Sync(Protocol):
    """How the replica catches up; `sync` implements it."""

    def catch_up(self, then: Callable[[], None]) -> None:
        """`then` is called when nobody who can be believed is ahead."""

    def look_ahead(self, then: Callable[[bool], None]) -> None:
        """Tells `then` whether a peer shows the next block, final, and claims more."""
