"""What a villain may do, one rule broken per class; a villain has one or several.

A villain is a whole validator that follows the protocol, except that its behaviour stands between it and the
network: it may change, drop or add what is sent to each peer, hears what arrives, answers requests in the
villain's place, and may act at any time. It has the keys of its colluders and of nobody else.
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
    """A villain as its behaviour sees it."""

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
        """To this peer, past all behaviour."""

    def answer_honestly(self, request: Record) -> Record:
        """What an honest node with this store would answer about snapshots and light blocks."""

    def submit(self, data: bytes) -> None:
        """To the pools of all peers, past the checks of the own pool."""

    def get_side(self, peer: PeerId) -> int:
        """Which of two sides the peer is told, always the same: 0 or 1; 2 for both."""

    def get_block(self, block_hash: Hash) -> Block | None:
        """A block that it proposed or saw."""

    def keep_block(self, block: Block) -> None:
        """Serve this block to whoever asks for it."""

    def note_spoiled(self, block_hash: Hash, what: str) -> None:
        """No honest node may vote for this block."""

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Calls `action` after a while, if the villain still runs."""

    def count(self, what: str) -> None:
        """Something wrong was done, once more."""


class Behaviour:
    """None: an honest validator."""

    def __init__(self, villain: Villain) -> None:
        self.villain = villain

    def on_sending(self, peer: PeerId, message: ConsensusMessage) -> list[ConsensusMessage]:
        """What is sent to this peer in place of the message."""
        return [message]

    def on_heard(self, peer: PeerId, message: ConsensusMessage) -> None:
        """A message arrived."""

    def on_request(self, peer: PeerId, request: Record) -> Record | None:
        """The reply, or None to have it answered honestly."""
        return None

    def on_tick(self) -> None:
        """Some time has passed."""

    # For the classes below.

    @property
    def genesis_hash(self) -> Hash:
        return self.villain.ledger.genesis_hash

    def sign_vote(self, vote: Vote) -> SignedVote:
        """With the key of its validator."""
        keys = next(keys for keys in self.villain.colluders if keys.address == vote.validator)
        return forgery.sign_vote(keys, self.genesis_hash, vote)

    def pick_peer(self) -> PeerId | None:
        """Any peer."""
        return self.villain.random.choice(self.villain.peers) if self.villain.peers else None

    def send_all(self, message: ConsensusMessage) -> None:
        """To everybody."""
        for peer in self.villain.peers:
            self.villain.send(peer, message)
