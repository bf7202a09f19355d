"""What a buyer remembers: payments by session and host, and hosts that did not deliver."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.content import CHUNK_BYTES
from chain.modules.sessions import compute_price
from chain.primitives.keys import KeyPair
from node.content.debts import FALL_RATIO
from node.content.downloads import DownloadJob, LossBook, PaymentBook, SessionHost, losses
from node.content.downloads.payments import HostPayments, PaymentAccount
from node.content.downloads.types import HostFailed
from node.content.prepayment import PREPAID_BYTES_MAX
from p2p.errors import PeerFault
from p2p.wire.messages import Granted
from storage.errors import CorruptStore
from storage.kv import KeyColumn, MemoryStore, Prefix

SESSION, HOST, OTHER = b"s" * 32, b"h" * 32, b"o" * 32
PRICE = 10**10
LIMIT = compute_price(2**30, PRICE)
JOB = DownloadJob(SESSION, 1, b"d" * 32, b"r" * 32, 2**30, PRICE, KeyPair(b"v" * 32), ())


def open_account(store: MemoryStore, limit: int = LIMIT) -> PaymentAccount:
    """The account of the host, as a new process has it."""
    return PaymentAccount(PaymentBook(store), JOB, SessionHost(HOST, (), limit), b"g" * 32)


def test_payments_are_kept_by_session_and_host() -> None:
    """A book that is opened again has them, until their session is forgotten."""
    store = MemoryStore()
    PaymentBook(store).keep(SESSION, HOST, HostPayments(3, 2, 1))
    assert PaymentBook(store).get(SESSION, HOST) == HostPayments(3, 2, 1)
    assert PaymentBook(store).get(SESSION, OTHER) is None
    assert PaymentBook(store).list_sessions() == {SESSION}
    PaymentBook(store).forget([SESSION])
    assert PaymentBook(store).list_sessions() == set()


def test_damaged_payments_are_reported() -> None:
    """A record that does not decode is a corrupt store."""
    store = MemoryStore()
    store.write_batch([KeyColumn(store, Prefix.PAYMENT).entry(SESSION + HOST, b"\xc1")])
    with pytest.raises(CorruptStore):
        PaymentBook(store).get(SESSION, HOST)


STEPS = st.one_of(
    st.tuples(st.just("pay"), st.integers(0, 3 * PREPAID_BYTES_MAX)),
    st.tuples(st.just("verify"), st.integers(0, PREPAID_BYTES_MAX)),
    st.tuples(st.just("again"), st.integers(0, PREPAID_BYTES_MAX)),
    st.tuples(st.just("resume"), st.integers(0, 4 * PREPAID_BYTES_MAX)),
    st.tuples(st.just("restart"), st.just(0)),
)


@given(st.lists(STEPS, max_size=30))
def test_never_more_than_a_mebibyte_is_at_stake(steps: list[tuple[str, int]]) -> None:
    """Whatever a host counts or claims, and however often the buyer begins again, what was promised is at
    most 1 MiB more than what verified; vouchers only grow.
    """
    store = MemoryStore()
    account, promised = open_account(store), 0
    for kind, size in steps:
        match kind:
            case "pay":
                account.build_voucher(size)
            case "verify":
                account.count_verified(min(size, account.lost_bytes), is_again=False)
            case "again":
                account.count_verified(size, is_again=True)
            case "resume" if promised:
                claim = Granted(None, size, ())
                if size > promised:
                    with pytest.raises(PeerFault):
                        account.resume(claim)
                else:
                    account.resume(claim)
            case "restart":
                account = open_account(store)
        assert account.promised_bytes >= promised
        promised = account.promised_bytes
        assert account.promised_bytes - account.verified_bytes <= PREPAID_BYTES_MAX


def test_no_voucher_exceeds_the_allotment() -> None:
    """A voucher above the host's allotment is never signed."""
    account = open_account(MemoryStore(), compute_price(CHUNK_BYTES, PRICE))
    assert account.build_voucher(CHUNK_BYTES) is not None
    with pytest.raises(HostFailed):
        account.build_voucher(2 * CHUNK_BYTES)
    assert account.promised_bytes == CHUNK_BYTES


def test_a_loss_is_noted_once_and_made_up_for() -> None:
    """The same loss is not counted again in the next run; bytes that come later lower it."""
    store = MemoryStore()
    account = open_account(store)
    account.build_voucher(CHUNK_BYTES)
    assert account.note_lost() == CHUNK_BYTES
    account = open_account(store)
    assert account.note_lost() == 0
    account.count_verified(CHUNK_BYTES, is_again=False)
    assert account.note_lost() == -CHUNK_BYTES


def test_losses_are_kept_and_fall_with_what_is_delivered(tmp_path: Path) -> None:
    """A host owes until it has delivered FALL_RATIO bytes for each; a file brings it to the next process."""
    book = LossBook(tmp_path / "losses")
    book.note(HOST, 1000, 0)
    book.save()
    again = LossBook(tmp_path / "losses")
    again.note(HOST, 0, 999 * FALL_RATIO)
    assert again.get(HOST) == 1
    again.note(HOST, 0, FALL_RATIO)
    assert again.get(HOST) == 0


def test_the_smallest_loss_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of hosts is bounded."""
    monkeypatch.setattr(losses, "LOSSES_MAX", 2)
    book = LossBook()
    for host, size in ((HOST, 300), (OTHER, 200), (SESSION, 100)):
        book.note(host, size, 0)
    assert [book.get(host) for host in (HOST, OTHER, SESSION)] == [300, 0, 100]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"junk" * 100])
def test_a_damaged_file_of_losses_counts_as_empty(tmp_path: Path, data: bytes) -> None:
    """Only an order of hosts is lost; the next save repairs it."""
    (tmp_path / "losses").write_bytes(data)
    book = LossBook(tmp_path / "losses")
    assert book.get(HOST) == 0
    book.note(HOST, 5, 0)
    book.save()
    assert LossBook(tmp_path / "losses").get(HOST) == 5
