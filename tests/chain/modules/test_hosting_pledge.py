"""Pledges: the own bond behind every registered byte, frozen, and what follows when the bond falls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.modules import balances, hosting, staking, validators
from chain.modules.catalogue import GIB
from chain.modules.hosting.queries import compute_pledge, compute_pledge_step
from chain.modules.staking.calls import Unbond
from chain.primitives.codec import replace
from chain.primitives.types import PPM
from tests.chain.support.content_worlds import Content, ContentWorld
from tests.chain.support.worlds import HOSTING, VIDYA, account, build_collective, run_block

ALICE, BOB = account(1), account(2)
ONE = Content(1, 2**30, has_bytes=False)
TWO = Content(2, 2**30, has_bytes=False)
THREE = Content(3, 2**30, has_bytes=False)
HOST = hosting.RegisterHost(b"peer", ("/ip4/192.0.2.1/tcp/1",), 1_000)


def build_world(bond: int) -> ContentWorld:
    world = ContentWorld((ALICE, BOB))
    for content in (ONE, TWO, THREE):
        world.list_content(content)
    for who in (ALICE, BOB):
        world.call(staking.calls.bond, who, staking.Bond(bond))
        world.call(hosting.calls.register_host, who, HOST)
    return world


def hold(world: ContentWorld, who: bytes, *contents: Content) -> None:
    add = tuple(one.datum for one in contents)
    world.call(hosting.calls.register_subset, who, hosting.RegisterSubset(add, ()))


def get_pledge(world: ContentWorld, who: bytes, content: Content) -> int:
    holding = hosting.get_holding(world.state, who, content.datum)
    assert holding is not None
    return holding.pledge


def test_a_pledge_has_two_parts() -> None:
    """The pay of some eras, and the share of all registered bytes of a share of the supply."""
    world = build_world(1_000 * VIDYA)
    supply = balances.get_total_supply(world.state)
    parameters = replace(HOSTING, pledge_supply_ppm=30_000, pledge_bytes_min=100 * GIB)
    hosting.types.PARAMETERS.set(world.state, parameters)
    share = -(-supply * 3 // 10_000)
    assert hosting.get_pledge_per_gib(world.state) == 6 * VIDYA + share
    hold(world, ALICE, ONE)
    assert get_pledge(world, ALICE, ONE) == 6 * VIDYA + share


def test_a_pledge_is_frozen_while_registered() -> None:
    """What bytes cost later changes nothing for those that are registered."""
    world = build_world(1_000 * VIDYA)
    hold(world, ALICE, ONE)
    world.run(hosting.on_era_paid, 100 * VIDYA)
    hold(world, ALICE, TWO)
    assert (get_pledge(world, ALICE, ONE), get_pledge(world, ALICE, TWO)) == (6 * VIDYA, 63 * VIDYA // 10)
    assert staking.get_ledger(world.state, ALICE).committed == 6 * VIDYA + 63 * VIDYA // 10


@given(st.integers(VIDYA, 10**15), st.integers(0, 10**15))
def test_the_first_part_moves_by_a_bounded_step(before: int, pay: int) -> None:
    """At most 5 % an era, towards 20 eras of pay, and never below the floor once it is there."""
    parameters = replace(HOSTING, pledge_per_gib_min=VIDYA)
    after = compute_pledge_step(parameters, before, pay)
    assert abs(after - before) <= before * 50_000 // PPM
    wanted = max(20 * pay, VIDYA)
    assert min(before, wanted) <= after <= max(before, wanted)


@given(st.integers(1, 2**40), st.integers(1, 2**40), st.integers(1, 10**12))
def test_a_pledge_is_never_smaller_than_for_fewer_bytes(few: int, more: int, per_gib: int) -> None:
    """It rises with the bytes and rounds up."""
    low, high = sorted((few, few + more))
    assert 0 < compute_pledge(per_gib, low) <= compute_pledge(per_gib, high)


def test_a_fallen_bond_ends_what_it_does_not_cover() -> None:
    """A slash that leaves room for two of three GiB unregisters one, from the next epoch on."""
    world = build_world(18 * VIDYA)
    hold(world, ALICE, ONE, TWO, THREE)
    world.run(staking.slash_amount, ALICE, 2 * VIDYA, "test")
    world.run(hosting.on_block_end)
    ended = [one for one in (ONE, TWO, THREE) if _get_end(world, one) is not None]
    assert len(ended) == 1
    assert _get_end(world, ended[0]) == world.context().epoch + 1


def _get_end(world: ContentWorld, content: Content) -> int | None:
    holding = hosting.get_holding(world.state, ALICE, content.datum)
    assert holding is not None
    return holding.until_epoch


def test_a_bond_that_is_gone_ends_everything() -> None:
    """Nothing of a host counts from the next epoch on whose whole bond was taken."""
    world = build_world(18 * VIDYA)
    hold(world, ALICE, ONE, TWO, THREE)
    world.run(staking.slash_amount, ALICE, 18 * VIDYA, "test")
    world.run(hosting.on_block_end)
    epoch = world.context().epoch + 2
    assert not any(hosting.is_holding(world.state, ALICE, one.datum, epoch) for one in (ONE, TWO, THREE))


@pytest.mark.parametrize("cause", ["unbond", "slash"])
def test_power_follows_a_falling_bond_at_once(cause: str) -> None:
    """In the block in which half of the bond leaves, half of the power is on its way out; a rise waits."""
    world = build_collective()
    run_block(world)

    def fall(world) -> None:
        if cause == "unbond":
            world.call(staking.calls.unbond, ALICE, Unbond(50 * VIDYA))
        else:
            world.run(staking.slash_amount, ALICE, 50 * VIDYA, "test")

    run_block(world, fall)
    powers = {one.address: one.power for one in validators.types.TARGET.require(world.state)}
    assert (powers[ALICE], powers[BOB]) == (50, 100)
    assert staking.list_fallen(world.state) == ()
    run_block(world, lambda world: world.call(staking.calls.bond, ALICE, staking.Bond(50 * VIDYA)))
    powers = {one.address: one.power for one in validators.types.TARGET.require(world.state)}
    assert powers[ALICE] == 50
