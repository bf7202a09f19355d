"""Pruning: a node that keeps few blocks drops the oldest bodies, and none that others may ask for."""

import pytest

from chain.genesis import ChainSpec
from chain.primitives.codec import encode
from node.ledger import ledger as ledger_module
from node.ledger.ledger import Ledger, compute_blocks_kept_min
from node.replica.signing.guard import WATCH_HEIGHTS
from storage.kv import MemoryStore
from tests.node.forge import Forge, make_final


class Follower:
    """A ledger that takes over the blocks of a forge."""

    def __init__(self, blocks_kept: int) -> None:
        self.forge = Forge(1)
        self.store = MemoryStore()
        self.open(blocks_kept)

    @property
    def spec(self) -> ChainSpec:
        return self.forge.spec

    def open(self, blocks_kept: int) -> None:
        self.ledger = Ledger(self.store, self.spec, blocks_kept=blocks_kept)

    def grow(self, count: int) -> None:
        for _ in range(count):
            committed = self.forge.commit(self.forge.build())
            make_final(self.ledger, self.ledger.execute(committed.block), committed.certificate)

    def list_bodies(self) -> list[int]:
        """The heights whose block is there."""
        heights = range(self.ledger.height + 1)
        return [height for height in heights if self.ledger.get_block(height) is not None]


@pytest.fixture
def kept_min() -> int:
    """What every node keeps."""
    return compute_blocks_kept_min(Forge(1).ledger.get_parameters())


def test_bodies_beyond_the_setting_go_with_each_block(kept_min: int) -> None:
    """The newest blocks and their receipts stay; headers, certificates and rosters stay forever."""
    follower, kept = Follower(kept_min + 3), kept_min + 3
    follower.grow(kept + 5)
    ledger, head = follower.ledger, kept + 5
    assert follower.list_bodies() == list(range(head - kept + 1, head + 1))
    assert ledger.chain.get_body_first() == head - kept + 1
    for height in range(1, head + 1):
        header, whole = ledger.get_header(height), follower.forge.ledger
        assert header == whole.get_header(height)
        assert ledger.get_certificate(height) == whole.get_certificate(height)
        assert header is not None and ledger.get_roster(header.validators_hash) is not None
        assert (ledger.get_receipts(height) is None) == (height <= head - kept)
    again = Ledger(follower.store, follower.spec)
    assert encode(again.head) == encode(ledger.head)


@pytest.mark.parametrize("blocks_kept", [1, 2])
def test_no_setting_drops_what_others_may_ask_for(kept_min: int, blocks_kept: int) -> None:
    """Evidence, the sync of a node that joins at a snapshot and a watching validator need recent blocks."""
    assert kept_min >= WATCH_HEIGHTS
    follower = Follower(blocks_kept)
    follower.grow(kept_min + 2)
    assert follower.list_bodies() == list(range(3, kept_min + 3))


def test_a_node_keeps_everything_by_default(kept_min: int) -> None:
    """A setting of 0 prunes nothing."""
    follower = Follower(0)
    follower.grow(kept_min + 2)
    assert follower.list_bodies() == list(range(kept_min + 3))


def test_a_lowered_setting_is_caught_up_with_a_few_at_a_time(
    kept_min: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One block drops at most PRUNED_BLOCKS_MAX old ones, so that no block is held up by it."""
    monkeypatch.setattr(ledger_module, "PRUNED_BLOCKS_MAX", 4)
    follower = Follower(0)
    follower.grow(kept_min + 10)
    follower.open(1)
    firsts = []
    for _ in range(5):
        follower.grow(1)
        firsts.append(follower.ledger.chain.get_body_first())
    assert firsts == [4, 8, 12, 15, 16]
