"""The chain store: what a batch adds is read back verified; damage, gaps and foreign values are refused."""

from pathlib import Path

import pytest

from chain.block import Header
from chain.primitives.codec import encode
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import NO_HASH, Hash, Height
from storage.chain_store import ChainStore, Extent, StoredBlock, TxPlace
from storage.errors import CorruptStore
from storage.kv import LevelDbStore, MemoryStore, Prefix

ROSTER = b"who decides"
ROSTER_HASH = hash_bytes(Domain.VALIDATOR_SET, ROSTER)


def _encode_header(height: Height, parent_hash: Hash) -> bytes:
    return encode(
        Header(
            spec_version=1,
            height=height,
            time_ms=height,
            parent_hash=parent_hash,
            proposer=NO_HASH,
            extrinsics_root=NO_HASH,
            receipts_root=NO_HASH,
            state_root=NO_HASH,
            validators_hash=ROSTER_HASH,
            next_validators_hash=ROSTER_HASH,
            priorities_hash=NO_HASH,
        )
    )


def _build_chain(count: int, first: Height = 1) -> list[StoredBlock]:
    """Blocks that chain to each other, with two transactions each."""
    chain, parent_hash = list[StoredBlock](), NO_HASH
    for height in range(first, first + count):
        header = _encode_header(height, parent_hash)
        parent_hash = hash_bytes(Domain.HEADER, header)
        tx_ids = [hash_bytes(Domain.TRANSACTION, b"%d %d" % (height, index)) for index in range(2)]
        block, certificate, receipts = (b"%s %d" % (part, height) for part in (b"block", b"votes", b"logs"))
        rosters = (ROSTER,) if height == first else ()
        chain.append(StoredBlock(height, header, block, certificate, receipts, tx_ids, rosters))
    return chain


def _fill(count: int, first: Height = 1) -> tuple[MemoryStore, ChainStore, list[StoredBlock]]:
    store, chain = MemoryStore(), _build_chain(count, first)
    chain_store = ChainStore(store)
    for stored in chain:
        store.write_batch(chain_store.stage_block(stored))
    return store, chain_store, chain


def test_block_is_read_back_by_height_hash_and_transaction(tmp_path: Path) -> None:
    """Every part of a block is found again after closing, and its parts lead to each other."""
    directory = tmp_path / "db"
    store = LevelDbStore(directory)
    for stored in _build_chain(3):
        store.write_batch(ChainStore(store).stage_block(stored))
    store.close()
    store = LevelDbStore(directory)
    chain_store = ChainStore(store)
    chain_store.check_integrity(10)
    for stored in _build_chain(3):
        assert chain_store.get_header(stored.height) == stored.header
        assert chain_store.get_block(stored.height) == stored.block
        assert chain_store.get_certificate(stored.height) == stored.certificate
        assert chain_store.get_receipts(stored.height) == stored.receipts
        assert chain_store.get_height(hash_bytes(Domain.HEADER, stored.header)) == stored.height
        assert [chain_store.get_tx_place(tx_id) for tx_id in stored.tx_ids] == [
            TxPlace(stored.height, 0),
            TxPlace(stored.height, 1),
        ]
    assert chain_store.get_roster(ROSTER_HASH) == ROSTER
    assert chain_store.get_extent() == Extent(1, 3, hash_bytes(Domain.HEADER, _build_chain(3)[-1].header))
    store.close()


def test_absent_things_are_none() -> None:
    """An empty store answers None to every question and is whole."""
    chain_store = ChainStore(MemoryStore())
    assert chain_store.get_extent() is None
    assert chain_store.get_header(1) is None
    assert chain_store.get_block(1) is None
    assert chain_store.get_certificate(1) is None
    assert chain_store.get_receipts(1) is None
    assert chain_store.get_height(NO_HASH) is None
    assert chain_store.get_tx_place(NO_HASH) is None
    assert chain_store.get_roster(NO_HASH) is None
    assert chain_store.stage_prune(5, 100) == []
    chain_store.check_integrity(10)


def test_staging_writes_nothing() -> None:
    """Without the batch the store is as before, so a crash in between leaves no half block."""
    store = MemoryStore()
    ChainStore(store).stage_block(_build_chain(1)[0])
    assert list(store.iterate()) == []


def test_chain_may_begin_anywhere_but_has_no_gap() -> None:
    """The first block may be a snapshot's; the next must be one higher."""
    _, chain_store, chain = _fill(2, first=1000)
    assert chain_store.get_extent() == Extent(1000, 1001, hash_bytes(Domain.HEADER, chain[-1].header))
    chain_store.check_integrity(10)
    for height in (1001, 1003):
        with pytest.raises(AssertionError):
            chain_store.stage_block(chain[0]._replace(height=height))


def test_genesis_block_has_no_certificate() -> None:
    """Height 0 is stored and checked without one; above it, a block without one is not taken."""
    store = MemoryStore()
    chain_store = ChainStore(store)
    genesis, first = (stored._replace(certificate=None) for stored in _build_chain(2, first=0))
    store.write_batch(chain_store.stage_block(genesis))
    assert chain_store.get_certificate(0) is None
    chain_store.check_integrity(10)
    with pytest.raises(AssertionError):
        chain_store.stage_block(first)


def test_a_roster_that_a_header_names_must_be_there() -> None:
    """A store that lacks one is not whole: it could not serve those who follow the headers."""
    store, chain_store, _ = _fill(3)
    chain_store.check_integrity(1)
    store.write_batch([(bytes((Prefix.ROSTER,)) + ROSTER_HASH, None)])
    with pytest.raises(CorruptStore, match="roster"):
        chain_store.check_integrity(1)


def test_flipped_bit_of_any_value_is_found() -> None:
    """Each stored value with any bit flipped raises CorruptStore when it is read, or by the check."""
    store, chain_store, chain = _fill(2)

    def read_all() -> None:
        chain_store.check_integrity(10)
        for stored in chain:
            for tx_id in stored.tx_ids:
                chain_store.get_tx_place(tx_id)

    read_all()
    for key, value in list(store.iterate()):
        for offset in range(len(value)):
            damaged = bytearray(value)
            damaged[offset] ^= 1 << offset % 8
            store.write_batch([(key, bytes(damaged))])
            with pytest.raises(CorruptStore):
                read_all()
        store.write_batch([(key, value)])
    read_all()


def test_missing_value_is_found() -> None:
    """Any value of the newest heights that is gone raises CorruptStore at the check."""
    store, chain_store, _ = _fill(3)
    for key, value in list(store.iterate()):
        if key[0] == Prefix.TX_PLACE:
            continue
        store.write_batch([(key, None)])
        with pytest.raises(CorruptStore):
            chain_store.check_integrity(3)
        store.write_batch([(key, value)])


def test_swapped_values_are_found() -> None:
    """A valid value under another height's key does not verify."""
    store, chain_store, _ = _fill(2)
    blocks = list(store.iterate(bytes((Prefix.BLOCK,))))
    store.write_batch([(blocks[0][0], blocks[1][1])])
    with pytest.raises(CorruptStore, match="BLOCK 1 "):
        chain_store.get_block(1)


def test_broken_hash_chain_is_found_at_its_height() -> None:
    """A well stored header that is not its child's parent is refused, naming the height."""
    store, chain_store, chain = _fill(3)
    forged = chain[1]._replace(header=_encode_header(2, b"\x07" * 32))
    replaced = [entry for entry in _stage_alone(forged) if entry[0][0] == Prefix.HEADER]
    store.write_batch(replaced)
    with pytest.raises(CorruptStore, match="height 2"):
        chain_store.check_integrity(3)


def _stage_alone(stored: StoredBlock) -> list[tuple[bytes, bytes | None]]:
    return ChainStore(MemoryStore()).stage_block(stored)


@pytest.mark.parametrize("header", [_encode_header(9, NO_HASH), b"no header"])
def test_header_that_names_another_height_is_found(header: bytes) -> None:
    """A header whose own height is not where it lies, or that is no header at all, is refused."""
    store = MemoryStore()
    chain_store = ChainStore(store)
    store.write_batch(chain_store.stage_block(_build_chain(1)[0]._replace(header=header)))
    with pytest.raises(CorruptStore, match="height 1"):
        chain_store.check_integrity(1)


def test_only_the_newest_heights_are_checked() -> None:
    """The check reads `last_n` heights and no more, so that it takes the same time for any length."""
    store, chain_store, _ = _fill(5)
    store.write_batch([(bytes((Prefix.HEADER,)) + (2).to_bytes(8, "big"), None)])
    chain_store.check_integrity(3)
    with pytest.raises(CorruptStore, match="height 2"):
        chain_store.check_integrity(4)


def test_pruning_drops_bodies_and_nothing_else() -> None:
    """Blocks and receipts below the mark go, in bounded steps; headers, certificates and places stay."""
    count = 25
    store, chain_store, chain = _fill(count)
    store.write_batch(chain_store.stage_prune(count + 100, 20))
    assert chain_store.get_body_first() == 21
    store.write_batch(chain_store.stage_prune(count + 100, 20))
    assert chain_store.get_body_first() == count
    assert chain_store.stage_prune(count + 100, 20) == []
    assert [chain_store.get_block(height) is None for height in (1, count - 1, count)] == [True, True, False]
    assert chain_store.get_receipts(count - 1) is None
    assert chain_store.get_header(1) == chain[0].header
    assert chain_store.get_certificate(1) == chain[0].certificate
    assert chain_store.get_tx_place(chain[0].tx_ids[1]) == TxPlace(1, 1)
    chain_store.check_integrity(count)


def test_pruning_and_a_new_block_go_into_one_batch() -> None:
    """Staged together, neither undoes the other."""
    store, chain_store, _ = _fill(3)
    store.write_batch([*chain_store.stage_prune(3, 20), *chain_store.stage_block(_build_chain(4)[3])])
    extent = chain_store.get_extent()
    assert extent is not None
    assert (extent.head, chain_store.get_body_first()) == (4, 3)
    chain_store.check_integrity(4)
