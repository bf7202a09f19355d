"""What a behaviour of a villain is: it breaks one rule; a villain has one behaviour or several.

A villain is a whole validator that follows the protocol, except that its behaviours stand between it and the
network. A behaviour may change, drop or add what is sent to each peer, sees what arrives, answers requests in
the villain's place, and may act at any time. It has the keys of the villains and of nobody else.
"""

from collections.abc import Callable
from random import Random
from typing import Protocol

from chain.block import Block
from chain.primitives.codec import Record
from chain.primitives.types import Hash, PeerId
from chain.votes import (
    SignedVote,
    Vote,
    VoteKind,
)
from consensus.core import Core
from node.ledger.ledger import Ledger
from p2p.wire.messages import (
    ConsensusMessage,
)
from tests.sim.adversary import forgery
from tests.sim.world.accounts import ValidatorKeys

HEARD_MAX = 400
HOUR_MS = 3_600_000
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


class Villain(Protocol):
    """A villain, as seen by its behaviours."""

    random: Random
    keys: ValidatorKeys
    colluders: tuple[ValidatorKeys, ...]

    @property
    def ledger(self) -> Ledger: ...
    @property
    def core(self) -> Core: ...
    @property
    def peers(self) -> tuple[PeerId, ...]: ...

    def send(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Sends to this peer; no behaviour changes it."""

    def answer_honestly(self, request: Record) -> Record:
        """What an honest node with this store would answer about snapshots and light blocks."""

    def submit(self, data: bytes) -> None:
        """Sends a transaction to all peers without checking it first."""

    def get_side(self, peer: PeerId) -> int:
        """The side that the peer is on: 0 or 1, or 2 if it gets what both sides get."""

    def get_block(self, block_hash: Hash) -> Block | None:
        """A block that the villain proposed or saw; None if it has no such block."""

    def keep_block(self, block: Block) -> None:
        """Keeps the block, to serve it to peers that ask."""

    def note_spoiled(self, block_hash: Hash, what: str) -> None:
        """The block is invalid: an honest vote for it is a violation."""

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Calls `action` after a while, if the villain still runs."""

    def count(self, what: str) -> None:
        """Counts one act of a behaviour."""


class Behaviour:
    """The base: a validator that follows the protocol."""

    def __init__(self, villain: Villain) -> None:
        self.villain = villain

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """What is sent to this peer in place of the message."""
        return [message]

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """A message arrived."""

    def on_request(self, peer: PeerId, request: Record) -> Record | None:
        """The reply; None to answer honestly."""
        return None

    def on_tick(self) -> None:
        """Called every few hundred milliseconds."""

    # For the classes below.

    @property
    def genesis_hash(self) -> Hash:
        return self.villain.ledger.genesis_hash

    def sign_vote(self, vote: Vote) -> SignedVote:
        """The vote, signed with its validator's key."""
        keys = next(keys for keys in self.villain.colluders if keys.address == vote.validator)
        return forgery.sign_vote(keys, self.genesis_hash, vote)

    def pick_peer(self) -> PeerId | None:
        """A random peer; None without peers."""
        return self.villain.random.choice(self.villain.peers) if self.villain.peers else None

    def send_all(self, message: ConsensusMessage) -> None:
        """Sends to all peers."""
        for peer in self.villain.peers:
            self.villain.send(peer, message)
