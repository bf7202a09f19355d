"""Lockers: what a lock weighs, accrues, vests and forfeits, to the base unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidChainSpec
from chain.modules import balances, lockers
from chain.modules.lockers import ClaimLock, ExtendLock, LeaveLock, Lock, LockTokens
from chain.primitives.codec import replace
from chain.primitives.power_law import ONE, Exponent
from tests.chain.support.worlds import VIDYA, World, account

ALICE, BOB, CAROL = account(1), account(2), account(3)
PARAMETERS = lockers.Parameters(
    week_eras=7,
    weeks_max=52,
    amount_min=VIDYA,
    weight_exponent=Exponent(3, 2),
    vesting_eras=365,
    vesting_exponent=Exponent(2, 1),
    fund_divisor=90,
    pay_ppm_max=2_000,
)


def build_world(fund: int = 90 * VIDYA) -> World:
    owned = {ALICE: 10**6 * VIDYA, BOB: 10**6 * VIDYA, CAROL: 10**6 * VIDYA, lockers.FUND: fund}
    world = World(owned, checks=(lockers.check_invariants,))
    lockers.build_genesis(world.context(), lockers.GenesisConfig(PARAMETERS))
    return world


def end_eras(world: World, count: int) -> None:
    """So many eras end, with their payments; the world is in the first block of the next."""
    for _ in range(count):
        era = world.context().era
        world.go_to_era(era + 1)
        world.height -= 1
        world.run(lockers.on_era_end)
        world.height += 1


def get_lock(world: World, who: bytes, number: int = 0) -> Lock:
    lock = lockers.get_lock(world.state, who, number)
    assert lock is not None
    return lock


def test_a_year_weighs_its_amount_and_a_week_almost_nothing() -> None:
    """(T/52)^1.5: one week is 2.667 thousandths of a year, 26 weeks are 353.553."""
    weights = [lockers.compute_weight(PARAMETERS, 1_000 * VIDYA, weeks) for weeks in (1, 26, 52)]
    assert weights == [2_666_827_000, 353_553_390_000, 1_000 * VIDYA]


def test_locking_takes_the_amount_and_says_until_when() -> None:
    """The amount waits in a pot, the term begins with the next era."""
    world = build_world()
    (event,) = world.call(lockers.lock_tokens, ALICE, LockTokens(100 * VIDYA, 52))
    assert event == lockers.Locked(ALICE, 0, 100 * VIDYA, 52, 1 + 52 * 7, 100 * VIDYA)
    assert world.balance(lockers.LOCKED_POT) == 100 * VIDYA
    assert world.balance(ALICE) == 10**6 * VIDYA - 100 * VIDYA


def test_the_fund_pays_a_ninetieth_by_weight() -> None:
    """Two locks of one year share by amount; what is paid leaves the fund to the base unit."""
    world = build_world()
    world.call(lockers.lock_tokens, ALICE, LockTokens(3_000 * VIDYA, 52))
    world.call(lockers.lock_tokens, BOB, LockTokens(1_000 * VIDYA, 52))
    end_eras(world, 1)
    assert world.balance(lockers.FUND) == 89 * VIDYA
    assert get_lock(world, ALICE).accrued == 750_000_000
    assert get_lock(world, BOB).accrued == 250_000_000


def test_the_first_locker_does_not_take_what_gathered_before() -> None:
    """However much waits, an era pays at most 0.2 % of what is locked, less what the index cannot express."""
    world = build_world(fund=500_000 * VIDYA)
    world.call(lockers.lock_tokens, ALICE, LockTokens(1_000 * VIDYA, 1))
    end_eras(world, 1)
    assert 0 <= 2 * VIDYA - (500_000 * VIDYA - world.balance(lockers.FUND)) <= 2


def test_nobody_locked_means_nothing_is_paid() -> None:
    """The fund waits."""
    world = build_world()
    end_eras(world, 3)
    assert world.balance(lockers.FUND) == 90 * VIDYA


def test_a_served_year_pays_all_that_accrued() -> None:
    """After 365 eras everything has vested; the lock weighs nothing after its 52 weeks."""
    world = build_world()
    world.call(lockers.lock_tokens, ALICE, LockTokens(100 * VIDYA, 52))
    end_eras(world, 366)
    lock = get_lock(world, ALICE)
    assert lock.weight == 0
    (event,) = world.call(lockers.leave_lock, ALICE, LeaveLock(0))
    assert event == lockers.LockLeft(ALICE, 0, 100 * VIDYA, lock.accrued, 0)
    assert world.balance(ALICE) == 10**6 * VIDYA + lock.accrued
    assert lockers.get_totals(world.state).weight == lockers.get_totals(world.state).amount == 0


def test_an_early_leaver_gets_what_the_served_term_is_worth() -> None:
    """After 10 of 52 weeks: (70/365)^2 has vested, (10/52)^1.5 is served; the rest goes back to the fund."""
    world = build_world(fund=900_000 * VIDYA)
    world.call(lockers.lock_tokens, ALICE, LockTokens(1_000 * VIDYA, 52))
    end_eras(world, 71)
    lock, fund = get_lock(world, ALICE), world.balance(lockers.FUND)
    (event,) = world.call(lockers.leave_lock, ALICE, LeaveLock(0))
    expected = lock.accrued * (36_779_883 * 84_332_501) // ONE**2
    assert (event.amount, event.paid) == (1_000 * VIDYA, expected)
    assert event.forfeited == lock.accrued - expected
    assert world.balance(lockers.FUND) == fund + event.forfeited


def test_forfeits_stay_with_the_others() -> None:
    """What one leaver lost is paid to those who stay, to the base unit of the fund."""
    world = build_world()
    world.call(lockers.lock_tokens, ALICE, LockTokens(1_000 * VIDYA, 52))
    world.call(lockers.lock_tokens, BOB, LockTokens(1_000 * VIDYA, 52))
    end_eras(world, 30)
    (left,) = world.call(lockers.leave_lock, ALICE, LeaveLock(0))
    held = world.balance(lockers.FUND) + world.balance(lockers.ACCRUED_POT)
    assert held + left.paid == 90 * VIDYA
    before = get_lock(world, BOB).accrued
    end_eras(world, 1)
    assert get_lock(world, BOB).accrued > before


@given(promised=st.integers(2, 52), weeks=st.integers(1, 51), eras=st.integers(0, 6))
def test_a_broken_promise_never_beats_a_kept_one(promised: int, weeks: int, eras: int) -> None:
    """Paid the same per unit of weight, leaving early pays as the served term would, to a millionth."""
    weeks = min(weeks, promised - 1)
    era = 1 + weeks * 7 + eras
    broken = _build_accrued(promised, era)
    kept = _build_accrued(weeks, era)
    paid = lockers.compute_claimable(PARAMETERS, broken, era)
    most = lockers.compute_claimable(PARAMETERS, kept, era)
    assert paid <= most + most // 10**6


def _build_accrued(weeks: int, era: int) -> Lock:
    """A lock of era 0 whose every unit of weight was paid a thousandth."""
    weight = lockers.compute_weight(PARAMETERS, 10**6 * VIDYA, weeks)
    ends_era = lockers.compute_end(PARAMETERS, 0, weeks)
    return Lock(10**6 * VIDYA, weeks, 0, 0, ends_era, weight, 0, accrued=weight // 1_000)


@given(st.integers(1, 52), st.integers(0, 800))
def test_vesting_is_monotone(weeks: int, era: int) -> None:
    """Waiting an era more never makes a lock worth less."""
    lock = _build_accrued(weeks, era)
    assert lockers.compute_claimable(PARAMETERS, lock, era) <= lockers.compute_claimable(
        PARAMETERS, lock, era + 1
    )


def test_claims_add_up_to_the_accrual_and_no_more() -> None:
    """Claiming on the way changes nothing of the total."""
    world = build_world()
    world.call(lockers.lock_tokens, ALICE, LockTokens(100 * VIDYA, 4))
    world.refuse(lockers.NothingVested, lockers.claim_lock, ALICE, ClaimLock(0))
    for _ in range(6):
        end_eras(world, 30)
        world.call(lockers.claim_lock, ALICE, ClaimLock(0))
    end_eras(world, 200)
    lock = get_lock(world, ALICE)
    world.call(lockers.leave_lock, ALICE, LeaveLock(0))
    assert world.balance(ALICE) == 10**6 * VIDYA + lock.accrued


def test_an_extension_is_a_new_promise_for_all_that_accrued() -> None:
    """A lock that was served and is extended to a year pays nothing more until the new promise is served."""
    world = build_world()
    world.call(lockers.lock_tokens, ALICE, LockTokens(100 * VIDYA, 8))
    world.refuse(lockers.TermOutOfBounds, lockers.extend_lock, ALICE, ExtendLock(0, 8))
    end_eras(world, 57)
    world.call(lockers.claim_lock, ALICE, ClaimLock(0))
    (event,) = world.call(lockers.extend_lock, ALICE, ExtendLock(0, 52))
    assert event == lockers.LockExtended(ALICE, 0, 52, 57 + 1 + 52 * 7, 100 * VIDYA)
    world.refuse(lockers.NothingVested, lockers.claim_lock, ALICE, ClaimLock(0))
    end_eras(world, 7)
    (left,) = world.call(lockers.leave_lock, ALICE, LeaveLock(0))
    assert left.paid == 0


@pytest.mark.parametrize(
    ("error", "handler", "who", "arguments"),
    [
        (lockers.AmountTooSmall, lockers.lock_tokens, ALICE, LockTokens(VIDYA - 1, 52)),
        (lockers.TermOutOfBounds, lockers.lock_tokens, ALICE, LockTokens(VIDYA, 0)),
        (lockers.TermOutOfBounds, lockers.lock_tokens, ALICE, LockTokens(VIDYA, 53)),
        (balances.InsufficientBalance, lockers.lock_tokens, ALICE, LockTokens(10**7 * VIDYA, 1)),
        (lockers.NoSuchLock, lockers.extend_lock, ALICE, ExtendLock(0, 2)),
        (lockers.NoSuchLock, lockers.claim_lock, BOB, ClaimLock(1)),
        (lockers.NoSuchLock, lockers.leave_lock, CAROL, LeaveLock(0)),
    ],
)
def test_refusals(error, handler, who, arguments) -> None:
    """Every call that may not happen is refused for its reason and leaves no trace."""
    world = build_world()
    world.call(lockers.lock_tokens, BOB, LockTokens(VIDYA, 1))
    world.refuse(error, handler, who, arguments)


def test_locks_of_one_account_are_bounded() -> None:
    """Beyond LOCKS_MAX a lock is refused until another has ended; numbers are never used again."""
    world = build_world()
    for _ in range(lockers.LOCKS_MAX):
        world.call(lockers.lock_tokens, ALICE, LockTokens(VIDYA, 1))
    world.refuse(lockers.TooManyLocks, lockers.lock_tokens, ALICE, LockTokens(VIDYA, 1))
    world.call(lockers.leave_lock, ALICE, LeaveLock(3))
    (event,) = world.call(lockers.lock_tokens, ALICE, LockTokens(VIDYA, 1))
    assert event.number == lockers.LOCKS_MAX


@pytest.mark.parametrize(
    "change",
    [
        {"weight_exponent": Exponent(0, 1)},
        {"vesting_exponent": Exponent(1, 9)},
        {"weeks_max": 0},
        {"weeks_max": lockers.TERM_WEEKS_MAX + 1},
        {"week_eras": 0},
        {"fund_divisor": 0},
        {"amount_min": 0},
        {"vesting_eras": 0},
        {"pay_ppm_max": 1_000_001},
    ],
)
def test_parameters_out_of_bounds_start_no_chain(change) -> None:
    """A chain spec with them is refused."""
    config = lockers.GenesisConfig(replace(PARAMETERS, **change))
    with pytest.raises(InvalidChainSpec):
        lockers.build_genesis(World({}).context(), config)


STEPS = st.lists(
    st.tuples(st.sampled_from("lecx."), st.integers(0, 2), st.integers(0, 4), st.integers(1, 52)), max_size=30
)


@given(STEPS)
def test_no_order_of_calls_makes_or_loses_a_unit(steps) -> None:
    """Invariants hold after every step, and at the end fund, pots and accounts hold what there was."""
    world = build_world(fund=1_000 * VIDYA)
    total = balances.get_total_supply(world.state)
    calls = {
        "l": lambda number, weeks: (lockers.lock_tokens, LockTokens(weeks * VIDYA, weeks)),
        "e": lambda number, weeks: (lockers.extend_lock, ExtendLock(number, weeks)),
        "c": lambda number, weeks: (lockers.claim_lock, ClaimLock(number)),
        "x": lambda number, weeks: (lockers.leave_lock, LeaveLock(number)),
    }
    for kind, who, number, weeks in steps:
        if kind == ".":
            end_eras(world, weeks)
            continue
        handler, arguments = calls[kind](number, weeks)
        try:
            world.call(handler, (ALICE, BOB, CAROL)[who], arguments)
        except (lockers.NoSuchLock, lockers.TermOutOfBounds, lockers.NothingVested):
            continue
    assert balances.get_total_supply(world.state) == total
