"""Accounts, pots and the supply identity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidChainSpec
from chain.modules import balances
from chain.modules.balances import (
    Burn,
    BurnCause,
    Burned,
    InsufficientBalance,
    LeaveMemo,
    MemoLeft,
    MemoTooLong,
    PotAddress,
    Send,
    Transferred,
    UnprintableMemo,
    ZeroAmount,
)
from tests.chain.support.worlds import World, account

ALICE, BOB, CAROL = account(1), account(2), account(3)
POT = balances.compute_pot("test")


def test_send_moves_the_amount_and_says_so() -> None:
    """Exactly the amount moves, and the supply stays the same."""
    world = World({ALICE: 10})
    assert world.call(balances.send, ALICE, Send(BOB, 4)) == [Transferred(ALICE, BOB, 4)]
    assert (world.balance(ALICE), world.balance(BOB)) == (6, 4)
    assert balances.get_total_supply(world.state) == 10


def test_send_to_oneself_changes_nothing() -> None:
    """The sender must have the amount."""
    world = World({ALICE: 10})
    world.call(balances.send, ALICE, Send(ALICE, 10))
    assert world.balance(ALICE) == 10
    world.refuse(InsufficientBalance, balances.send, ALICE, Send(ALICE, 11))


def test_burn_takes_out_of_the_supply() -> None:
    """Burned units are in no account and no longer in the supply."""
    world = World({ALICE: 10})
    assert world.call(balances.burn_own, ALICE, Burn(3)) == [Burned(ALICE, 3)]
    by_cause = balances.BurnedByCause(own=3)
    assert balances.get_supply(world.state) == balances.Supply(genesis=10, burned=3, burned_by=by_cause)
    assert balances.get_total_supply(world.state) == 7


@pytest.mark.parametrize("text", ["order 17", "Danke für die Töne", "ü" * 128, "x" * 256])
def test_a_memo_is_told_and_not_kept(text: str) -> None:
    """The event has the text, and the state does not change."""
    world = World({ALICE: 10})
    before = dict(world.state.changes)
    assert world.call(balances.leave_memo, ALICE, LeaveMemo(text)) == [MemoLeft(ALICE, text)]
    assert dict(world.state.changes) == before


@pytest.mark.parametrize(
    ("error", "handler", "call"),
    [
        (MemoTooLong, balances.leave_memo, LeaveMemo("")),
        (MemoTooLong, balances.leave_memo, LeaveMemo("ü" * 129)),
        (UnprintableMemo, balances.leave_memo, LeaveMemo("a\x1b[2J")),
        (UnprintableMemo, balances.leave_memo, LeaveMemo("a\u202eb")),
        (UnprintableMemo, balances.leave_memo, LeaveMemo("two\nlines")),
        (ZeroAmount, balances.send, Send(BOB, 0)),
        (ZeroAmount, balances.burn_own, Burn(0)),
        (InsufficientBalance, balances.send, Send(BOB, 11)),
        (InsufficientBalance, balances.send, Send(BOB, 2**63 - 1)),
        (InsufficientBalance, balances.burn_own, Burn(11)),
        (PotAddress, balances.send, Send(POT, 1)),
        (PotAddress, balances.send, Send(balances.compute_pot("a pot of a later version"), 1)),
    ],
)
def test_refusals(error, handler, call) -> None:
    """Refused are amounts above the balance, zero, payments to a pot, and memos that mislead or are long."""
    World({ALICE: 10}).refuse(error, handler, ALICE, call)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("transfer", "mint", "burn")),
            st.sampled_from((ALICE, BOB, CAROL, POT)),
            st.sampled_from((ALICE, BOB, CAROL, POT)),
            st.integers(0, 12),
        ),
        max_size=12,
    )
)
def test_units_appear_and_disappear_only_here(steps: list[tuple[str, bytes, bytes, int]]) -> None:
    """After any moves a ledger of plain numbers agrees; a refused move changes nothing."""
    world, owned = World({ALICE: 10, BOB: 5}), {ALICE: 10, BOB: 5, CAROL: 0, POT: 0}
    for what, payer, payee, amount in steps:
        try:
            if what == "transfer":
                world.run(balances.transfer, payer, payee, amount)
            elif what == "mint":
                world.run(balances.mint, payee, amount)
            else:
                world.run(balances.burn, payer, amount, BurnCause.FEES)
        except InsufficientBalance:
            assert what != "mint" and amount > owned[payer]
            continue
        owned[payer] -= 0 if what == "mint" else amount
        owned[payee] += 0 if what == "burn" else amount
        assert {who: world.balance(who) for who in owned} == owned
    assert balances.get_total_supply(world.state) == sum(owned.values())


def test_an_empty_account_takes_no_room() -> None:
    """An account with balance 0 is deleted, unless its nonce was used: no transaction may be valid twice."""
    world = World({ALICE: 10})
    world.call(balances.send, ALICE, Send(BOB, 10))
    assert not balances.ACCOUNTS.has(world.state, ALICE)
    balances.use_nonce(world.state, BOB)
    world.call(balances.send, BOB, Send(ALICE, 10))
    assert balances.get_account(world.state, BOB) == balances.Account(nonce=1, free=0)
    assert balances.ACCOUNTS.has(world.state, BOB)


def test_pots_are_told_by_their_form() -> None:
    """No person's account has the form of a pot, nor has the zero address of the genesis proposer."""
    assert balances.is_pot(POT)
    assert balances.compute_pot("test2") != POT
    assert not any(map(balances.is_pot, (ALICE, bytes(32), POT[:-1] + b"\1", b"\0" + POT[1:])))


def test_genesis_adds_what_is_listed_twice() -> None:
    """The supply is the sum of the list."""
    world = World({ALICE: 1})
    balances.build_genesis(world.context(), balances.GenesisConfig(((BOB, 5), (BOB, 6))))
    assert world.balance(BOB) == 11


def test_genesis_leaves_room_for_emission() -> None:
    """Amounts are below 2^63, and mint must never get there."""
    World({ALICE: balances.GENESIS_SUPPLY_MAX})
    with pytest.raises(InvalidChainSpec, match="balances: accounts own"):
        World({ALICE: balances.GENESIS_SUPPLY_MAX, BOB: 1})
    supply = balances.GENESIS_SUPPLY_MAX
    for _ in range(27):
        supply += supply * 8 // 100
    assert supply < 2**63


def test_a_burn_is_counted_by_its_cause() -> None:
    """Each cause has a field of the record, and only that field grows."""
    world = World({ALICE: 100})
    assert list(balances.BurnedByCause.__struct_fields__) == [cause.value for cause in BurnCause]
    for number, cause in enumerate(BurnCause, start=1):
        world.run(balances.burn, ALICE, number, cause)
    by_cause = balances.get_supply(world.state).burned_by
    assert [getattr(by_cause, cause) for cause in BurnCause] == list(range(1, len(BurnCause) + 1))


def test_invariants_see_a_burn_without_a_cause() -> None:
    """A unit that is burned and counted under no cause is found."""
    world = World({ALICE: 10})
    balances.ACCOUNTS.set(world.state, balances.Account(0, 9), ALICE)
    balances.SUPPLY.set(world.state, balances.Supply(genesis=10, burned=1))
    with pytest.raises(AssertionError, match="by causes"):
        balances.check_invariants(world.state)


def test_invariants_see_a_unit_too_many() -> None:
    """One unit too many in an account is found."""
    world = World({ALICE: 10})
    balances.ACCOUNTS.set(world.state, balances.Account(0, 11), ALICE)
    with pytest.raises(AssertionError, match="supply"):
        balances.check_invariants(world.state)
