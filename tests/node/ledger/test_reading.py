"""Who may read what of a ledger from which thread: the live state in the lane, everything else elsewhere."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
import trio

from chain.modules import balances
from chain.primitives.codec import encode
from chain.primitives.keys import is_signed_by
from node.ledger.lane import Lane
from node.ledger.ledger import Ledger, LedgerView
from node.mempool.admission import PoolAdmission
from p2p.memory import MemoryHub
from storage.kv import Entry, LevelDbStore, MemoryStore
from tests.node.cluster import Person, build_cluster_spec, build_signed, open_node, wait_for_height
from tests.node.forge import ALICE, BOB, Forge

SEND = balances.Send(BOB.address, 7)


class HoldingStore(MemoryStore):
    """Waits, where a commit has written its batch and not returned yet."""

    def __init__(self) -> None:
        super().__init__()
        self.is_written = threading.Event()
        self.may_return = threading.Event()
        self.may_return.set()

    def write_batch(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        super().write_batch(entries, sync=sync)
        self.is_written.set()
        assert self.may_return.wait(10)


async def test_the_loop_reads_one_head_while_the_lane_commits() -> None:
    """Between the batch on disk and `move_head`, the pool judges by the head that listeners know."""
    forge, store = Forge(1), HoldingStore()
    ledger = Ledger(store, forge.spec)
    signed = forge.sign(ALICE, SEND)
    result = forge.build([signed])
    certificate = forge.certify(result.block_hash)
    data = encode(signed)
    admission = PoolAdmission(ledger, is_signed_by)
    store.is_written.clear()
    store.may_return.clear()
    async with trio.open_nursery() as nursery:

        async def commit() -> None:
            block = await Lane().run(lambda: ledger.commit(ledger.execute(result.block), certificate))
            assert ledger.height == 0 and ledger.get_nonce(ALICE.address) == 0
            ledger.move_head(block)

        nursery.start_soon(commit)
        await trio.to_thread.run_sync(store.is_written.wait, 10)
        assert (ledger.height, ledger.get_nonce(ALICE.address)) == (0, 0)
        assert ledger.view.get_header(1) is None
        admission.check(signed.id, signed, len(data))
        store.may_return.set()
    assert (ledger.height, ledger.get_nonce(ALICE.address), ledger.view.height) == (1, 1, 1)


async def test_nobody_reads_the_live_state_on_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes finalise a transaction while every read of the live chain on the loop fails."""
    loop, armed = threading.get_ident(), False

    def check_thread() -> None:
        assert not (armed and threading.get_ident() == loop), "live state read on the loop"

    def guard_live(ledger: Ledger) -> LedgerView:
        check_thread()
        return ledger._live

    def guard_get(store: LevelDbStore, key: bytes) -> bytes | None:
        if store.directory.name == "store":
            check_thread()
        return super(LevelDbStore, store).get(key)

    monkeypatch.setattr(Ledger, "live", property(guard_live))
    monkeypatch.setattr(LevelDbStore, "get", guard_get)
    hub, spec = MemoryHub(), build_cluster_spec(2, guests=(ALICE,))
    async with (
        open_node(hub, spec, Person(0), tmp_path) as first,
        open_node(hub, spec, Person(1), tmp_path) as second,
    ):
        armed = True
        [(tx_id, refusal)] = await first.pool.submit([build_signed(first, ALICE, SEND)])
        assert refusal is None
        await wait_for_height(second, 4)
        assert second.ledger.chain.get_tx_place(tx_id) is not None
        with pytest.raises(AssertionError, match="on the loop"):
            _ = first.ledger.live
        armed = False
