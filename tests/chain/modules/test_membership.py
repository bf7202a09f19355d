"""Membership: the gate, its price to the unit, and the lock that comes back."""

import pytest

from chain.errors import InvalidChainSpec
from chain.modules import balances, lockers, membership
from chain.modules.membership import Join, Leave, WithdrawLock
from chain.primitives.codec import replace
from tests.chain.support.worlds import VIDYA, World, account

ALICE, BOB = account(1), account(2)
PARAMETERS = membership.Parameters(
    gate="fixed_gate", lock=45 * VIDYA, fee_lockers=3 * VIDYA, fee_burned=2 * VIDYA, unlocking_eras=1
)


def build_world(*members: bytes) -> World:
    world = World({ALICE: 100 * VIDYA, BOB: 50 * VIDYA - 1}, checks=(membership.check_invariants,))
    membership.build_genesis(world.context(), membership.GenesisConfig(PARAMETERS, members))
    return world


def test_join_locks_pays_and_burns() -> None:
    """The gate costs 50: 45 locked, 3 to the fund of lockers, 2 burned; the member is one at once."""
    world = build_world()
    events = world.call(membership.join, ALICE, Join())
    assert events == [membership.Joined(ALICE, 45 * VIDYA, 3 * VIDYA, 2 * VIDYA)]
    assert membership.is_member(world.state, ALICE)
    assert membership.get_count(world.state) == 1
    assert world.balance(ALICE) == 50 * VIDYA
    assert world.balance(lockers.FUND) == 3 * VIDYA
    assert balances.get_supply(world.state).burned == 2 * VIDYA


def test_leaving_returns_the_lock_after_full_eras() -> None:
    """A leaver is no member at once and has the lock back after one full era more."""
    world = build_world(ALICE)
    assert world.call(membership.leave, ALICE, Leave()) == [membership.Left(ALICE, 45 * VIDYA, 2)]
    assert not membership.is_member(world.state, ALICE)
    world.go_to_era(2)
    world.height -= 1
    world.refuse(membership.StillLocked, membership.withdraw_lock, ALICE, WithdrawLock())
    world.refuse(membership.StillLocked, membership.join, ALICE, Join())
    world.height += 1
    world.call(membership.withdraw_lock, ALICE, WithdrawLock())
    assert world.balance(ALICE) == 95 * VIDYA
    assert membership.get_membership(world.state, ALICE) is None
    world.call(membership.join, ALICE, Join())
    assert membership.is_member(world.state, ALICE)


@pytest.mark.parametrize(
    ("error", "handler", "who", "arguments"),
    [
        (membership.AlreadyMember, membership.join, ALICE, Join()),
        (balances.InsufficientBalance, membership.join, BOB, Join()),
        (membership.NotMember, membership.leave, BOB, Leave()),
        (membership.NothingLocked, membership.withdraw_lock, ALICE, WithdrawLock()),
        (membership.NothingLocked, membership.withdraw_lock, BOB, WithdrawLock()),
    ],
)
def test_refusals(error, handler, who, arguments) -> None:
    """Every call that may not happen is refused for its reason and leaves no trace."""
    build_world(ALICE).refuse(error, handler, who, arguments)


def test_leaving_twice_is_refused() -> None:
    """An account that has left cannot leave again."""
    world = build_world(ALICE)
    world.call(membership.leave, ALICE, Leave())
    world.refuse(membership.NotMember, membership.leave, ALICE, Leave())
    assert membership.get_count(world.state) == 0


def test_unknown_gate_is_refused() -> None:
    """A chain spec that asks for the other gate starts no chain."""
    config = membership.GenesisConfig(replace(PARAMETERS, gate="fixed_price"))
    with pytest.raises(InvalidChainSpec):
        membership.build_genesis(World({}).context(), config)
