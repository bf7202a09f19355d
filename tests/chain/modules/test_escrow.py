"""Escrow: shares by age, linear release, seizure, and the pot that always owes what it holds."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidChainSpec
from chain.modules import balances, escrow
from chain.primitives.codec import replace
from tests.chain.support.worlds import ESCROW, VIDYA, World, account

HOST, OTHER = account(1), account(2)
TREASURY = balances.compute_pot("treasury")


def build_world() -> World:
    return World({OTHER: 10 * VIDYA, TREASURY: 100 * VIDYA})


@pytest.mark.parametrize(
    ("age", "share"), [(0, 750_000), (1, 750_000), (2, 500_000), (4, 250_000), (6, 100_000), (999, 100_000)]
)
def test_share_follows_age(age: int, share: int) -> None:
    """The share is that of the first tier that the age is below, else the last."""
    assert escrow.compute_share(ESCROW, age) == share


def test_pay_splits_and_tells() -> None:
    """A minted reward reaches the host but for the withheld part, and the event carries the factors."""
    world = build_world()
    events = world.run(escrow.pay, HOST, 1_001, 0)
    assert world.balance(HOST) == 250
    assert escrow.get_withheld(world.state, HOST) == 751
    assert events == [escrow.Paid(HOST, 1_001, 0, 750_000, 751)]
    assert balances.get_supply(world.state).minted == 1_001


def test_pay_out_of_a_pot_mints_nothing() -> None:
    """With a source both parts come from there."""
    world = build_world()
    world.run(escrow.pay, HOST, 1_000, 9, TREASURY)
    assert world.balance(TREASURY) == 100 * VIDYA - 1_000
    assert balances.get_supply(world.state).minted == 0
    assert (world.balance(HOST), escrow.get_withheld(world.state, HOST)) == (900, 100)


def test_release_is_linear_and_complete() -> None:
    """Nothing leaves in the era of the reward; then a quarter of it per era, to the last unit."""
    world = build_world()
    world.run(escrow.pay, HOST, 1_003, 0)
    withheld, at_once = escrow.get_withheld(world.state, HOST), world.balance(HOST)
    released = []
    for era in range(6):
        world.go_to_era(era)
        before = world.balance(HOST)
        world.run(escrow.on_era_end)
        released.append(world.balance(HOST) - before)
    assert released == [0, 188, 188, 188, 189, 0]
    assert sum(released) == withheld == 753
    assert world.balance(HOST) == at_once + withheld
    assert list(escrow.GRANTS.items(world.state)) == []


def test_rewards_of_one_era_share_a_grant() -> None:
    """Two payments in one era are one grant; those of another era are another."""
    world = build_world()
    world.run(escrow.pay, HOST, 100, 0)
    world.run(escrow.pay, HOST, 100, 0)
    world.go_to_era(1)
    world.run(escrow.pay, HOST, 100, 0)
    assert [grant.amount for _, grant in escrow.GRANTS.items(world.state)] == [150, 75]


def test_seize_takes_from_every_grant_of_one_host_only() -> None:
    """Seizing moves the share of all that is withheld for the host, and nothing of another's."""
    world = build_world()
    world.run(escrow.pay, HOST, 1_000, 0)
    world.run(escrow.pay, OTHER, 1_000, 0)
    world.go_to_era(1)
    world.run(escrow.pay, HOST, 100, 0)
    world.run(escrow.seize, HOST, 100_000, TREASURY)
    assert escrow.get_withheld(world.state, HOST) == 750 - 75 + 75 - 7
    assert escrow.get_withheld(world.state, OTHER) == 750
    assert world.balance(TREASURY) == 100 * VIDYA + 82
    world.run(escrow.seize, HOST, 1_000_000, TREASURY)
    assert escrow.get_withheld(world.state, HOST) == 0


def test_junk_pay_is_burned_out_of_hosting_pay_alone() -> None:
    """A share of what is withheld of hosting pay, from an era on, rounded up; other pay stays."""
    world = build_world()
    world.run(escrow.pay, HOST, 1_000, 0)
    pay_hosting = partial(escrow.pay, is_hosting=True)
    world.run(pay_hosting, HOST, 1_000, 0)
    world.go_to_era(1)
    world.run(pay_hosting, HOST, 1_001, 0)
    before = balances.get_supply(world.state).burned
    world.run(escrow.burn_hosting, HOST, 500_000, 1)
    assert balances.get_supply(world.state).burned - before == 376
    world.run(escrow.burn_hosting, HOST, 1_000_000, 0)
    assert escrow.get_withheld(world.state, HOST) == 750
    world.run(escrow.burn_hosting, OTHER, 1_000_000, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 10**15), st.integers(0, 8), st.integers(0, 1_000_000)),
        max_size=12,
    )
)
def test_no_unit_is_lost(steps: list[tuple[int, int, int, int]]) -> None:
    """Over any payments, seizures and releases, what was minted is with hosts, withheld, taken or burned."""
    world = World({})
    for step, (who, amount, age, ppm) in enumerate(steps):
        world.go_to_era(step)
        world.run(partial(escrow.pay, is_hosting=ppm % 2 == 0), account(who + 1), amount, age)
        world.run(escrow.seize, account(who + 1), ppm, TREASURY)
        world.run(escrow.burn_hosting, account(who + 1), ppm // 2, step - 1 if step else 0)
        world.run(escrow.on_era_end)
    minted = balances.get_supply(world.state).minted - balances.get_supply(world.state).burned
    held = sum(world.balance(account(who)) for who in (1, 2, 3))
    assert minted == held + world.balance(escrow.POT) + world.balance(TREASURY)


@pytest.mark.parametrize(
    "change",
    [
        {"release_eras": 0},
        {"last_share_ppm": 1_000_001},
        {"tiers": (escrow.Tier(5, 1), escrow.Tier(2, 1))},
    ],
)
def test_nonsense_parameters_are_refused(change: dict[str, object]) -> None:
    """A chain spec whose shares or tiers make no sense starts no chain."""
    with pytest.raises(InvalidChainSpec):
        escrow.build_genesis(World({}).context(), escrow.GenesisConfig(replace(ESCROW, **change)))
