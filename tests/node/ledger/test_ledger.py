"""The ledger: candidates are judged by what their header binds, blocks become final as a whole."""

from pathlib import Path

import pytest

from chain.block import compute_extrinsics_root, compute_header_hash, list_transaction_ids
from chain.errors import ForgedBody, InvalidBlock
from chain.modules import balances
from chain.primitives.codec import encode, replace
from chain.primitives.types import NO_HASH
from node.ledger import ledger as ledger_module
from node.ledger.ledger import Ledger, OtherNetwork
from storage.errors import CorruptStore
from storage.kv import LevelDbStore, MemoryStore
from tests.node.cluster import build_cluster_spec
from tests.node.forge import ALICE, BOB, Forge, make_final

SEND = balances.Send(BOB.address, 7)


@pytest.fixture
def forge() -> Forge:
    """A chain at height 2."""
    forge = Forge()
    forge.grow(2)
    return forge


@pytest.fixture
def other(forge: Forge) -> Ledger:
    """Another node's ledger at the same height."""
    ledger = Ledger(MemoryStore(), forge.spec)
    for height in (1, 2):
        block, certificate = forge.ledger.get_block(height), forge.ledger.get_certificate(height)
        assert block is not None and certificate is not None
        make_final(ledger, ledger.execute(block), certificate)
    return ledger


def test_a_forged_body_says_nothing_about_the_block(forge: Forge, other: Ledger) -> None:
    """A peer that sends a block with another body cannot make the node refuse the block, before or after."""
    block = forge.build([forge.sign(ALICE, SEND)]).block
    forged = replace(block, transactions=())
    for _ in range(2):
        with pytest.raises(ForgedBody):
            other.execute(forged)
        assert other.execute(block).block == block
    assert compute_header_hash(block.header) in other._results


def test_a_verdict_is_reached_once(forge: Forge, other: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good or bad, a block is not executed again at its height."""
    block = forge.build([forge.sign(ALICE, SEND)]).block
    bad = replace(block, header=replace(block.header, state_root=NO_HASH))
    result = other.execute(block)
    with pytest.raises(InvalidBlock, match="state root differs"):
        other.execute(bad)
    monkeypatch.setattr(ledger_module.runtime, "execute_block", None)
    assert other.execute(block) is result
    with pytest.raises(InvalidBlock, match="state root differs"):
        other.execute(bad)


def test_results_are_bounded_and_forgotten_with_their_height(forge: Forge, other: Ledger) -> None:
    """A proposer that makes many blocks pushes out the oldest, which then costs an execution again."""
    results = [forge.build(gap_ms=gap_ms) for gap_ms in range(10, 10 + ledger_module.RESULTS_KEPT_MAX + 1)]
    for result in results:
        other.execute(result.block)
    kept = [result.block_hash in other._results for result in results]
    assert kept == [False] + [True] * ledger_module.RESULTS_KEPT_MAX
    assert other.execute(results[0].block).block_hash == results[0].block_hash
    make_final(other, other.execute(results[0].block), forge.certify(results[0].block_hash))
    assert not other._results
    with pytest.raises(InvalidBlock, match="does not follow"):
        other.execute(results[1].block)


def test_a_committed_block_can_be_read_in_every_way(forge: Forge) -> None:
    """Header, block, certificate, receipts, place of its transactions, state and proof; views keep theirs."""
    before = forge.ledger.view
    committed = forge.commit(forge.build([forge.sign(ALICE, SEND)]))
    assert (before.height, before.get_block(3)) == (2, None)
    assert before.get_free(BOB.address) == 10**12
    ledger = forge.ledger
    assert ledger.get_header(3) == committed.block.header == ledger.head
    assert ledger.get_block(3) == committed.block
    assert ledger.get_certificate(3) == committed.certificate
    assert ledger.get_receipts(3) == committed.receipts
    assert dict(committed.included) == dict(zip(committed.tx_ids, committed.block.transactions, strict=True))
    place = ledger.chain.get_tx_place(committed.tx_ids[0])
    assert place is not None and (place.height, place.index) == (3, 0)
    assert ledger.get_free(BOB.address) == 10**12 + 7
    assert ledger.get_nonce(ALICE.address) == 1
    assert ledger.prove(balances.ACCOUNTS.key(BOB.address), 3)


def test_a_ledger_opens_where_it_was_left(tmp_path: Path) -> None:
    """Head, state and certificates survive; another chain spec is refused."""
    forge = Forge(1)
    store = LevelDbStore(tmp_path / "store")
    ledger = Ledger(store, forge.spec)
    for _ in range(3):
        result = forge.build()
        forge.commit(result)
        certificate = forge.ledger.get_certificate(result.block.header.height)
        assert certificate is not None
        make_final(ledger, ledger.execute(result.block), certificate)
    store.close()
    store = LevelDbStore(tmp_path / "store")
    again = Ledger(store, forge.spec)
    assert (again.head, again.height, again.head_hash) == (forge.ledger.head, 3, forge.ledger.head_hash)
    assert again.get_validators() == forge.ledger.get_validators()
    with pytest.raises(OtherNetwork):
        Ledger(store, build_cluster_spec(2))
    store.close()


def test_chain_and_state_that_do_not_fit_are_refused(forge: Forge) -> None:
    """Each is whole, but they are of two heights: the store was mixed from two."""
    store, ahead = MemoryStore(), MemoryStore()
    Ledger(store, forge.spec)
    ledger = Ledger(ahead, forge.spec)
    block, certificate = forge.ledger.get_block(1), forge.ledger.get_certificate(1)
    assert block is not None and certificate is not None
    make_final(ledger, ledger.execute(block), certificate)
    state_columns = tuple(bytes((column,)) for column in (16, 17, 18, 19))
    mixed = MemoryStore()
    mixed.write_batch([pair for pair in store.iterate() if pair[0].startswith(state_columns)])
    mixed.write_batch([pair for pair in ahead.iterate() if not pair[0].startswith(state_columns)])
    with pytest.raises(CorruptStore, match="not of one height"):
        Ledger(mixed, forge.spec)


def test_building_leaves_out_what_does_not_fit_and_says_why(forge: Forge) -> None:
    """The proposer's result is kept, so its own block is not executed again."""
    good, gap = forge.sign(ALICE, SEND), forge.sign(BOB, SEND, nonce=5)
    proposer = forge.get_proposer().address
    inherents = forge.build().block.inherents
    result, refused = forge.ledger.build(proposer, forge.ledger.head.time_ms + 10, inherents, [gap, good])
    assert [(one, error.code) for one, error in refused] == [(gap, "nonce_too_high")]
    assert result.block.transactions == (good,)
    assert forge.ledger.execute(result.block) is result
    root = compute_extrinsics_root(inherents, list_transaction_ids(result.block))
    assert root == result.block.header.extrinsics_root
    assert len(encode(result.block)) > len(encode(good))
