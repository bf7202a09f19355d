"""Debts of payers: kept through a restart, each its own, bounded in number and size."""

import pytest

from node.content import debts
from node.content.debts import DEBT_BYTES_MAX, FALL_RATIO, DebtBook
from storage.errors import CorruptStore
from storage.kv import KeyColumn, MemoryStore, Prefix

HOST = b"h" * 32
PAYER = b"p" * 32
OTHER = b"o" * 32


def test_a_debt_is_kept_and_falls_as_the_payer_pays() -> None:
    """A book that is opened again has it; one byte is forgiven for FALL_RATIO bytes paid, down to nothing."""
    store = MemoryStore()
    DebtBook(store, HOST).owe(PAYER, 1000)
    DebtBook(store, HOST).pay(PAYER, 400 * FALL_RATIO)
    assert DebtBook(store, HOST).get(PAYER) == 600
    DebtBook(store, HOST).pay(PAYER, 10_000 * FALL_RATIO)
    assert DebtBook(store, HOST).get(PAYER) == 0
    assert list(store.iterate()) == []


def test_a_debt_is_of_one_payer_at_one_host() -> None:
    """Another payer, or the same at another host that shares the database, owes nothing."""
    store = MemoryStore()
    book = DebtBook(store, HOST)
    book.owe(PAYER, DEBT_BYTES_MAX)
    assert not book.can_owe(PAYER, 1) and book.can_owe(OTHER, DEBT_BYTES_MAX)
    book.pay(OTHER, 10**9)
    assert book.get(PAYER) == DEBT_BYTES_MAX
    assert DebtBook(store, OTHER).get(PAYER) == 0


def test_the_smallest_debt_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of payers is bounded, and the newest one is not the one that is forgotten."""
    monkeypatch.setattr(debts, "DEBTS_MAX", 2)
    store = MemoryStore()
    book = DebtBook(store, HOST)
    for payer, size in ((PAYER, 300), (OTHER, 200), (HOST, 100)):
        book.owe(payer, size)
    assert [book.get(payer) for payer in (PAYER, OTHER, HOST)] == [300, 0, 100]
    assert DebtBook(store, HOST).get(OTHER) == 0


def test_a_damaged_debt_is_reported() -> None:
    """A record that does not decode is a corrupt store."""
    store = MemoryStore()
    store.write_batch([KeyColumn(store, Prefix.DEBT).entry(HOST + PAYER, b"\xc1")])
    with pytest.raises(CorruptStore):
        DebtBook(store, HOST)
