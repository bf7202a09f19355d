"""What is for sale by a node's own chain: the rule's end in seconds, and a head that stands still."""

from dataclasses import dataclass

import pytest

from chain.content import CHUNK_BYTES, CHUNK_LEAVES
from node.content.sales import STILL_SECONDS_MIN, ChunkSales, Wait
from storage.content.tree import build_datum
from tests.node.content.content_world import ContentChain, write_source

CHUNKS = 12
SIZE = CHUNKS * CHUNK_BYTES


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def chain() -> ContentChain:
    """Two hosts, for whose data the rule holds."""
    return ContentChain(2, unsold_bytes_min=SIZE)


def list_waits(chain: ContentChain, sales: ChunkSales, datum: bytes, seller: int = 0) -> dict[int, Wait]:
    """The chunks that a host does not sell."""
    who = chain.hosts[seller].address
    waits = {chunk: sales.get_wait(datum, chunk, who) for chunk in range(CHUNKS)}
    return {chunk: wait for chunk, wait in waits.items() if wait is not None}


async def test_what_the_chain_holds_back_is_not_for_sale(chain: ContentChain, tmp_path) -> None:
    """The pause concerns all chunks, then those of the other host's leaves wait, then all are sold; each for
    as many seconds as the blocks take that are left, rounded up. Blocks of the test take 10 ms.
    """
    datum = chain.host(build_datum(write_source(tmp_path, SIZE)).manifest)
    sales = ChunkSales(chain.ledger, Clock())
    chain.go_before_epoch(2)
    assert list_waits(chain, sales, datum) == {}
    chain.grow()
    assert list_waits(chain, sales, datum) == dict.fromkeys(range(CHUNKS), Wait(1, is_whole=True))
    chain.grow()
    unsold = list_waits(chain, sales, datum)
    chain.grow()
    owed = {one.leaf_index // CHUNK_LEAVES for one in chain.list_sampled(chain.hosts[1])}
    assert unsold == dict.fromkeys(owed, Wait(1, is_whole=False))
    chain.go_to_deadline()
    assert list_waits(chain, sales, datum) == {}
    assert sales.get_seconds_max() == 1


async def test_a_head_that_stands_still_holds_nothing_back(chain: ContentChain, tmp_path) -> None:
    """A node that is behind sells after half a minute; the next block begins a new one."""
    clock = Clock()
    datum = chain.host(build_datum(write_source(tmp_path, SIZE)).manifest)
    sales = ChunkSales(chain.ledger, clock)
    chain.go_before_epoch(1)
    assert len(list_waits(chain, sales, datum)) == CHUNKS
    clock.now += STILL_SECONDS_MIN
    assert len(list_waits(chain, sales, datum)) == CHUNKS
    clock.now += 1
    assert list_waits(chain, sales, datum) == {}
    chain.grow()
    assert 0 < len(list_waits(chain, sales, datum)) < CHUNKS


async def test_data_that_nobody_lists_are_for_sale(chain: ContentChain) -> None:
    """An unknown datum has no rule."""
    assert ChunkSales(chain.ledger, Clock()).get_wait(b"x" * 32, 0, b"h" * 32) is None
