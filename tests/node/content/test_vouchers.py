"""Vouchers: refused as the chain would refuse them, kept through a crash, listed when due."""

from pathlib import Path
from typing import Any

import pytest

from chain.modules import sessions, system
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import replace
from chain.primitives.keys import KeyPair
from node.content.vouchers import (
    SYNC_WRITES,
    Delivery,
    Terms,
    VoucherBook,
    VoucherRefused,
    check_voucher,
    sort_vouchers,
)
from storage.content.tree import build_datum
from storage.errors import CorruptStore
from storage.kv import KeyColumn, LevelDbStore, MemoryStore, Prefix
from tests.node.cluster import VIDYA
from tests.node.content.content_world import READER, VOUCHER_KEY, ContentChain, write_source

HOST = b"h" * 32
NOTHING = Delivery(0, ())
TERMS = Terms(
    genesis_hash=b"g" * 32,
    session=b"s" * 32,
    datum=b"d" * 32,
    host=HOST,
    payer=READER.address,
    voucher_key=VOUCHER_KEY.public_key,
    price_per_gib=10 * VIDYA,
    limit=VIDYA,
)


def sign(size_bytes: int, key: KeyPair = VOUCHER_KEY, **changes: Any) -> SignedVoucher:
    """A voucher under TERMS, valid but for the changes."""
    amount = sessions.compute_price(size_bytes, TERMS.price_per_gib)
    voucher = Voucher(TERMS.genesis_hash, TERMS.session, HOST, size_bytes, amount)
    return sessions.sign_voucher(key, replace(voucher, **changes))


def test_a_good_voucher_passes() -> None:
    """It has the price of its bytes, is above the paid bytes and within the limit, and is signed by the
    session's key.
    """
    check_voucher(sign(1000), TERMS, 999)


@pytest.mark.parametrize(
    "signed",
    [
        sign(1000, genesis_hash=b"x" * 32),
        sign(1000, session=b"x" * 32),
        sign(1000, host=b"x" * 32),
        sign(999),
        sign(500),
        sign(1000, amount=1),
        sign(1000, amount=sessions.compute_price(1000, TERMS.price_per_gib) + 1),
        sign(2**30),
        sign(1000, KeyPair(b"x" * 32)),
    ],
    ids=["network", "session", "host", "replayed", "lower", "too little", "too much", "overdraft", "key"],
)
def test_a_voucher_that_the_chain_would_not_pay_is_refused(signed: SignedVoucher) -> None:
    """Each rule of settlement alone is enough for a refusal."""
    with pytest.raises(VoucherRefused):
        check_voucher(signed, TERMS, 999)


def test_the_signature_is_left_to_who_verifies() -> None:
    """The check uses the verifier that it is given, which is the node's memory of signatures."""
    unsigned = sign(1000, KeyPair(b"x" * 32))
    check_voucher(unsigned, TERMS, 999, lambda *_: True)
    with pytest.raises(VoucherRefused):
        check_voucher(sign(1000), TERMS, 999, lambda *_: False)


def test_the_highest_voucher_is_kept_and_survives_reopening(tmp_path: Path) -> None:
    """A lower voucher replaces nothing; the highest is there when the database is opened again."""
    store = LevelDbStore(tmp_path)
    book = VoucherBook(store, HOST)
    for size in (1000, 3000, 2000):
        book.keep(sign(size), NOTHING)
    store.close()
    reopened = VoucherBook(LevelDbStore(tmp_path), HOST)
    assert reopened.get(TERMS.session) == sign(3000)
    assert reopened.list() == (sign(3000),)


def test_a_book_is_of_one_host() -> None:
    """Vouchers for another account in the same database are not seen."""
    store = MemoryStore()
    VoucherBook(store, HOST).keep(sign(1000), NOTHING)
    assert VoucherBook(store, b"x" * 32).list() == ()


def test_a_forgotten_session_is_gone_for_good() -> None:
    """Neither the open book nor one opened later has its voucher."""
    store = MemoryStore()
    book = VoucherBook(store, HOST)
    book.keep(sign(1000), NOTHING)
    book.forget([TERMS.session])
    assert book.get(TERMS.session) is None
    assert VoucherBook(store, HOST).list() == ()


def test_a_sync_is_due_after_so_many_vouchers() -> None:
    """A power cut loses at most SYNC_WRITES vouchers."""
    book = VoucherBook(MemoryStore(), HOST)
    for size in range(1, SYNC_WRITES):
        book.keep(sign(size), NOTHING)
    assert not book.is_sync_due
    book.keep(sign(SYNC_WRITES), NOTHING)
    assert book.is_sync_due
    book.sync()
    assert not book.is_sync_due


def test_a_damaged_voucher_is_reported() -> None:
    """A record that does not decode is a corrupt store, not a lost session."""
    store = MemoryStore()
    store.write_batch([KeyColumn(store, Prefix.VOUCHER).entry(HOST + TERMS.session, b"\x00")])
    with pytest.raises(CorruptStore):
        VoucherBook(store, HOST)


def test_accounts_are_due_as_the_chain_settles_them(tmp_path: Path) -> None:
    """Running: once per epoch; closed: left to the release; after the end: over."""
    manifest = build_datum(write_source(tmp_path, 3 * 2**20)).manifest
    chain = ContentChain(1)
    session = chain.open_session(chain.host(manifest), [VIDYA])
    host = chain.hosts[0].address

    def sign_for(size_bytes: int) -> SignedVoucher:
        amount = sessions.compute_price(size_bytes, chain.price)
        voucher = Voucher(chain.ledger.genesis_hash, session, host, size_bytes, amount)
        return sessions.sign_voucher(VOUCHER_KEY, voucher)

    def sort(signed: SignedVoucher) -> tuple[Any, ...]:
        height = chain.ledger.height + 1
        epoch = system.compute_epoch(chain.ledger.get_parameters(), height)
        return sort_vouchers(chain.ledger.state, [signed], height, epoch)

    first, second = sign_for(2 * 2**20), sign_for(3 * 2**20)
    assert sort(first) == ((first,), ())
    chain.grow(chain.sign_duty(sessions.Settle(first)))
    assert sort(first) == ((), ())
    chain.grow(chain.sign(READER, sessions.CloseSession(session)))
    assert sort(second) == ((), ())
    chain.grow_to(chain.ledger.height + sessions.get_parameters(chain.ledger.state).settle_blocks + 1)
    assert sort(second) == ((), (session,))
