"""The pool of waiting transactions: what it takes, offers, replaces and lets go."""

from collections import Counter
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InvalidTransaction
from chain.primitives.types import Address
from chain.transaction import Call, SignedTransaction, Transaction
from node.mempool import pool as mempool
from node.mempool.pool import ACCOUNT_TRANSACTIONS_MAX, Mempool, Pooled

ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32


class Facts:
    """A head with the facts that the test sets."""

    def __init__(self) -> None:
        self.height = 10
        self.nonces: Counter[Address] = Counter()
        self.free: dict[Address, int] = {}
        self.asked: list[Address] = []

    def get_nonce(self, who: Address) -> int:
        self.asked.append(who)
        return self.nonces[who]

    def get_free(self, who: Address) -> int:
        return self.free.get(who, 10**9)


def make(
    sender: Address, nonce: int, tip: int = 0, *, valid_until: int = 100, fee_max: int = 1, weight: int = 100
) -> Pooled:
    """A paying transaction; nobody looks at its signature here."""
    call = Call(1, 1, b"")
    return wrap(Transaction(1, bytes(32), sender, nonce, valid_until, fee_max, tip, (call,)), weight)


def make_duty(sender: Address, arguments: bytes, *, valid_until: int = 100, module: int = 9) -> Pooled:
    """A duty; module 10 makes it a settlement."""
    call = Call(module, 1, arguments)
    duty = Transaction(1, bytes(32), sender, 0, valid_until, 0, 0, (call,))
    return wrap(duty, 100, is_duty=True)


def wrap(transaction: Transaction, weight: int, *, is_duty: bool = False) -> Pooled:
    signed = SignedTransaction(transaction, bytes(64))
    return Pooled(signed.id, signed, 200, weight, is_duty)


def fill(pool: Mempool, facts: Facts, *pooled: Pooled) -> None:
    """Adds all of them."""
    for one in pooled:
        pool.add(one, facts)


def get_nonces(pool: Mempool) -> list[tuple[Address, int]]:
    """The nonces that a block would be offered, in order."""
    offered = [one.signed.transaction for one in pool.select(1_000)]
    return [(transaction.sender, transaction.nonce) for transaction in offered]


def refuse(pool: Mempool, facts: Facts, pooled: Pooled, code: str) -> None:
    """Show that the pool refuses, remembers why, and is as before."""
    before = pool.list_ids(), pool.bytes_used, get_nonces(pool)
    with pytest.raises(InvalidTransaction) as caught:
        pool.add(pooled, facts)
    assert caught.value.code == code
    assert (pool.list_ids(), pool.bytes_used, get_nonces(pool)) == before
    if code != "already_pooled":
        assert pool.get_refusal(pooled.tx_id) == code


def test_best_payers_come_first_and_each_account_in_the_order_of_nonces() -> None:
    """A well-paid transaction behind a cheap one has to wait for it; duties come before all."""
    pool, facts = Mempool(), Facts()
    duty = make_duty(CAROL, b"duty")
    fill(pool, facts, make(ALICE, 1, 50), make(ALICE, 0, 1), make(BOB, 0, 20), make(BOB, 1, 2), duty)
    assert get_nonces(pool) == [(CAROL, 0), (BOB, 0), (BOB, 1), (ALICE, 0), (ALICE, 1)]
    assert [one.signed.transaction.nonce for one in pool.select(2)] == [0, 0]


def test_what_pays_is_the_tip_per_weight() -> None:
    """The same tip for less weight ranks higher."""
    pool, facts = Mempool(), Facts()
    fill(pool, facts, make(ALICE, 0, 100, weight=200), make(BOB, 0, 100, weight=100))
    assert get_nonces(pool) == [(BOB, 0), (ALICE, 0)]


def test_a_gap_is_kept_and_not_offered() -> None:
    """Transactions above a gap in the nonces wait until the gap is filled."""
    pool, facts = Mempool(), Facts()
    fill(pool, facts, make(ALICE, 0), make(ALICE, 2), make(BOB, 5))
    assert get_nonces(pool) == [(ALICE, 0)]
    assert pool.get_next_nonce(ALICE, 0) == 1
    pool.add(make(ALICE, 1), facts)
    assert get_nonces(pool) == [(ALICE, 0), (ALICE, 1), (ALICE, 2)]
    assert pool.get_next_nonce(ALICE, 0) == 3
    assert pool.get_next_nonce(CAROL, 4) == 4


def test_refusals() -> None:
    """The same again, the same nonce for less, more than the account can pay, too many of one account."""
    pool, facts = Mempool(), Facts()
    first = make(ALICE, 0, 100)
    fill(pool, facts, first)
    refuse(pool, facts, first, "already_pooled")
    refuse(pool, facts, make(ALICE, 0, 100, fee_max=2), "replacement_underpriced")
    refuse(pool, facts, make(ALICE, 0, 109), "replacement_underpriced")
    facts.free[ALICE] = 1_000
    refuse(pool, facts, make(ALICE, 1, fee_max=900), "insufficient_balance")
    fill(pool, facts, make(ALICE, 1, fee_max=899))
    refuse(pool, facts, make(ALICE, 0, 102 + 10, fee_max=1), "insufficient_balance")
    facts.free[BOB] = 10**9
    fill(pool, facts, *(make(BOB, nonce) for nonce in range(ACCOUNT_TRANSACTIONS_MAX)))
    refuse(pool, facts, make(BOB, ACCOUNT_TRANSACTIONS_MAX), "too_many_pooled")
    pool.add(make(BOB, 0, tip=1), facts)


def test_a_better_tip_replaces_and_says_so() -> None:
    """The one that left is remembered as replaced; a replacement needs no room of its own."""
    pool, facts = Mempool(), Facts()
    old, new = make(ALICE, 0, 100), make(ALICE, 0, 110)
    fill(pool, facts, old, make(ALICE, 1), new)
    assert old.tx_id not in pool and new.tx_id in pool
    assert pool.get_refusal(old.tx_id) == "replaced"
    assert get_nonces(pool) == [(ALICE, 0), (ALICE, 1)]


def test_a_duty_waits_once_whoever_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any key may send a duty: without this one duty under many keys would shut out all others."""
    pool, facts = Mempool(), Facts()
    monkeypatch.setattr(mempool, "DUTIES_MAX", 2)
    fill(pool, facts, make_duty(ALICE, b"one"))
    refuse(pool, facts, make_duty(BOB, b"one"), "already_pooled")
    fill(pool, facts, make_duty(BOB, b"two"))
    refuse(pool, facts, make_duty(CAROL, b"three"), "pool_full")
    pool.on_refused([(make_duty(ALICE, b"one").signed, InvalidTransaction("duty_refused"))])
    fill(pool, facts, make_duty(CAROL, b"one"))
    monkeypatch.setattr(mempool, "DUTIES_MAX", 100)
    monkeypatch.setattr(mempool, "DUTIES_BYTES_MAX", 599)
    refuse(pool, facts, make_duty(CAROL, b"three"), "pool_full")


def test_a_full_pool_lets_the_worst_payers_last_transaction_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs lose from the end, so that none breaks; who pays no more than the worst stays outside."""
    monkeypatch.setattr(mempool, "POOL_TRANSACTIONS_MAX", 4)
    pool, facts = Mempool(), Facts()
    fill(pool, facts, make(ALICE, 0, 1), make(ALICE, 1, 50), make(BOB, 0, 3), make(BOB, 1, 2))
    refuse(pool, facts, make(CAROL, 0, 2), "pool_full")
    tail = make(BOB, 1, 2)
    fill(pool, facts, make(CAROL, 0, 4))
    assert pool.get_refusal(tail.tx_id) == "evicted"
    assert Counter(get_nonces(pool)) == Counter([(CAROL, 0), (BOB, 0), (ALICE, 0), (ALICE, 1)])
    refuse(pool, facts, make(CAROL, 1, 3), "pool_full")
    fill(pool, facts, make(CAROL, 1, 9), make_duty(BOB, b"duty"))
    assert len(pool) == 5


def test_bytes_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several small ones leave for a better-paid one only if all of them pay less; else none does."""
    monkeypatch.setattr(mempool, "POOL_BYTES_MAX", 600)
    pool, facts = Mempool(), Facts()
    fill(pool, facts, make(ALICE, 0, 1), make(BOB, 0, 2), make(CAROL, 0, 5))
    big = make(b"d" * 32, 0, 4)._replace(size_bytes=450)
    refuse(pool, facts, big, "pool_full")
    fill(pool, facts, make(b"d" * 32, 0, 4)._replace(size_bytes=400))
    assert Counter(get_nonces(pool)) == Counter([(CAROL, 0), (b"d" * 32, 0)])
    assert pool.bytes_used == 600


def test_a_block_takes_out_what_it_holds_overtakes_and_outlives() -> None:
    """Included ones leave without a reason; the same nonce used by another leaves as too low."""
    pool, facts = Mempool(), Facts()
    included, overtaken, late = make(ALICE, 0), make(BOB, 0), make(CAROL, 3, valid_until=11)
    kept, duty = make(ALICE, 1), make_duty(CAROL, b"duty", valid_until=11)
    fill(pool, facts, included, overtaken, late, kept, duty)
    other = make(BOB, 0, tip=9)
    facts.height, facts.nonces = 11, Counter({ALICE: 1, BOB: 1})
    pool.on_block([(included.tx_id, included.signed), (other.tx_id, other.signed)], facts)
    assert pool.list_ids() == (kept.tx_id,)
    assert get_nonces(pool) == [(ALICE, 1)]
    assert [pool.get_refusal(one.tx_id) for one in (included, overtaken, late, duty)] == [
        None,
        "nonce_too_low",
        "expired",
        "expired",
    ]
    assert pool.bytes_used == kept.size_bytes


def test_a_block_asks_for_the_accounts_in_it_alone() -> None:
    """However many wait: the rest of the pool is not walked."""
    pool, facts = Mempool(), Facts()
    fill(pool, facts, *(make(bytes((number,)) * 32, nonce) for number in range(200) for nonce in (0, 1)))
    facts.asked.clear()
    included = make(b"\x05" * 32, 0)
    facts.nonces[b"\x05" * 32] = 1
    pool.on_block([(included.tx_id, included.signed)], facts)
    assert facts.asked == [b"\x05" * 32]
    list(pool.select(1_000))
    assert facts.asked == [b"\x05" * 32]


def test_a_proposers_refusals_keep_what_the_next_block_may_take() -> None:
    """A full block, a gap, a fee that may fall again; the rest leaves."""
    pool, facts = Mempool(), Facts()
    codes = ("block_full", "nonce_too_high", "fee_too_low", "insufficient_balance", "expired")
    waiting = [make(bytes((number,)) * 32, 0) for number in range(len(codes))]
    fill(pool, facts, *waiting)
    pool.on_refused((one.signed, InvalidTransaction(code)) for one, code in zip(waiting, codes, strict=True))
    assert [one.tx_id in pool for one in waiting] == [True, True, True, False, False]
    pool.on_refused([(make(ALICE, 9).signed, InvalidTransaction("expired"))])
    assert len(pool) == 3


def test_refusals_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first."""
    monkeypatch.setattr(mempool, "REFUSALS_KEPT_MAX", 2)
    pool = Mempool()
    for name in (b"1", b"2", b"1", b"3"):
        pool.remember_refusal(name, "evicted")
    assert [pool.get_refusal(name) for name in (b"1", b"2", b"3")] == ["evicted", None, "evicted"]


SENDERS = [bytes((number,)) * 32 for number in range(4)]


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_the_pool_stays_in_order_whatever_happens(seed: int) -> None:
    """Counts and bytes add up, offers are runs without gaps, nothing leaves unexplained."""
    chance, pool, facts = Random(seed), Mempool(), Facts()
    known: dict[bytes, Pooled] = {}
    done: set[bytes] = set()
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(mempool, "POOL_TRANSACTIONS_MAX", 8)
        for _ in range(60):
            sender, until = chance.choice(SENDERS), facts.height + chance.randrange(1, 6)
            nonce = facts.nonces[sender] + chance.randrange(4)
            paying = make(sender, nonce, chance.randrange(40), valid_until=until)
            duty = make_duty(sender, bytes((chance.randrange(4),)), valid_until=until)
            fresh = chance.choice((paying, paying, duty))
            known[fresh.tx_id] = fresh
            with suppress(InvalidTransaction):
                pool.add(fresh, facts)
            if chance.random() < 0.3:
                pass_block(chance, pool, facts, done)
            check_pool(pool, facts, known, done)


def pass_block(chance: Random, pool: Mempool, facts: Facts, done: set[bytes]) -> None:
    """Makes a block of some of the offered transactions."""
    taken = list(pool.select(chance.randrange(5)))
    facts.height += 1
    for one in taken:
        facts.nonces[one.signed.transaction.sender] += not one.is_duty
    pool.on_block([(one.tx_id, one.signed) for one in taken], facts)
    done.update(one.tx_id for one in taken)


def check_pool(pool: Mempool, facts: Facts, known: dict[bytes, Pooled], done: set[bytes]) -> None:
    """Checks what must hold after every step."""
    waiting = [known[tx_id] for tx_id in pool.list_ids()]
    assert len(pool) == len(waiting)
    assert pool.bytes_used == sum(one.size_bytes for one in waiting)
    assert sum(not one.is_duty for one in waiting) <= mempool.POOL_TRANSACTIONS_MAX
    assert all(one.signed.transaction.valid_until > facts.height for one in waiting)
    gone = [tx_id for tx_id in known if tx_id not in pool and tx_id not in done]
    assert all(pool.get_refusal(tx_id) for tx_id in gone if not known[tx_id].is_duty)
    offered = [one for one in pool.select(1_000) if not one.is_duty]
    expected = dict(facts.nonces)
    for one in offered:
        sender = one.signed.transaction.sender
        assert one.signed.transaction.nonce == expected.get(sender, 0)
        expected[sender] = expected.get(sender, 0) + 1
    paying = {one.tx_id for one in waiting if not one.is_duty}
    stuck = [known[tx_id] for tx_id in paying - {one.tx_id for one in offered}]
    for one in stuck:
        assert one.signed.transaction.nonce > expected.get(one.signed.transaction.sender, 0)


def test_settlements_never_crowd_out_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come after all other duties, and may fill only their part of the shelf."""
    monkeypatch.setattr(mempool, "SETTLEMENTS_MAX", 2)
    pool, facts = Mempool(), Facts()
    settlements = [make_duty(ALICE, bytes((number,)), module=10) for number in range(3)]
    fill(pool, facts, *settlements[:2])
    refuse(pool, facts, settlements[2], "pool_full")
    proof = make_duty(BOB, b"proof")
    fill(pool, facts, proof)
    assert list(pool.select(10)) == [proof, *settlements[:2]]
    pool.on_refused([(settlements[0].signed, InvalidTransaction("duty_refused"))])
    fill(pool, facts, settlements[2])
