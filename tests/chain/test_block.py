"""Blocks and headers: names, and what the roots bind."""

import pytest
from hypothesis import given

from chain.block import (
    Block,
    BlockReceipts,
    EventRecord,
    Header,
    Inherents,
    Receipt,
    compute_extrinsics_root,
    compute_header_hash,
    compute_receipts_root,
    is_whole,
    list_receipt_entries,
    list_transaction_ids,
)
from chain.jsonable import get_fields
from chain.list_tree import check_entry, prove_entry
from chain.primitives.codec import decode, encode, replace
from chain.primitives.types import NO_HASH
from tests.chain.support.record_strategies import build_strategy

EVENT = EventRecord(1, 2, b"fields")
RECEIPTS = BlockReceipts((EVENT,), (Receipt(None, 1, 2, 3, (EVENT,)), Receipt((1, 2, 0), 1, 2, 3, ())), ())


@given(build_strategy(Block))
def test_a_block_is_whole_if_its_body_is_the_one_its_header_binds(block: Block) -> None:
    """Ids and inherents are bound, each in its place; encoding keeps all of it."""
    root = compute_extrinsics_root(block.inherents, list_transaction_ids(block))
    block = replace(block, header=replace(block.header, extrinsics_root=root))
    assert decode(Block, encode(block)) == block
    assert is_whole(block)
    assert not is_whole(replace(block, header=replace(block.header, extrinsics_root=NO_HASH)))
    assert not is_whole(replace(block, inherents=replace(block.inherents, beacon_reveal=b"r" * 32)))
    if block.transactions:
        assert not is_whole(replace(block, transactions=block.transactions[:-1]))
        signed = replace(block.transactions[0], signature=bytes(64))
        if signed != block.transactions[0]:
            assert not is_whole(replace(block, transactions=(signed, *block.transactions[1:])))


@given(build_strategy(Header))
def test_the_name_of_a_block_depends_on_every_field(header: Header) -> None:
    """Two headers have one name only if they are equal."""
    for name, _, _ in get_fields(Header):
        value = getattr(header, name)
        changed = value ^ 1 if isinstance(value, int) else bytes((value[0] ^ 1,)) + value[1:]
        assert compute_header_hash(replace(header, **{name: changed})) != compute_header_hash(header)


def test_a_transaction_is_proven_by_its_id() -> None:
    """The position of a transaction in a block can be proven from its id."""
    ids = (b"a" * 32, b"b" * 32, b"c" * 32)
    inherents = Inherents(None, None)
    root = compute_extrinsics_root(inherents, ids)
    entries = (encode(inherents), *ids)
    for index, tx_id in enumerate(ids, start=1):
        check_entry(root, tx_id, prove_entry(entries, index))


def test_a_receipt_is_proven_at_the_place_of_its_transaction() -> None:
    """Events of the start come first, those of the end last."""
    entries = list_receipt_entries(RECEIPTS)
    assert entries[0] == encode((EVENT,))
    assert entries[-1] == encode(())
    root = compute_receipts_root(RECEIPTS)
    for index, receipt in enumerate(RECEIPTS.transactions, start=1):
        check_entry(root, encode(receipt), prove_entry(entries, index))


@pytest.mark.parametrize(
    "changed",
    [
        replace(RECEIPTS, start=()),
        replace(RECEIPTS, end=(EVENT,)),
        replace(RECEIPTS, start=(), end=(EVENT,)),
        replace(RECEIPTS, transactions=RECEIPTS.transactions[::-1]),
        replace(RECEIPTS, transactions=(replace(RECEIPTS.transactions[0], fee=2), RECEIPTS.transactions[1])),
    ],
)
def test_receipts_are_bound(changed: BlockReceipts) -> None:
    """Whatever differs gives another root."""
    assert compute_receipts_root(changed) != compute_receipts_root(RECEIPTS)
