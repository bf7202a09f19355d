"""Plans: what a seed may do to a network that must survive it."""

from random import Random

import pytest

from storage.crash_points import CrashPoint
from tests.sim import faults
from tests.sim.plan import DAMAGE, FAULTS, STEERED, draw_plan
from tests.sim.run import run_seed, silence

SEEDS = range(200)


def is_less_than_a_third(powers, numbers):
    """Whether these nodes together may be faulty in any way."""
    return 3 * sum(powers[number] for number in numbers) < sum(powers)


def test_every_kind_of_fault_has_a_function_and_is_drawn():
    """A fault that is only named would never happen."""
    assert {*FAULTS, *STEERED} == set(faults.BY_NAME)
    drawn = {kind for seed in SEEDS for _, kind in draw_plan(Random(seed)).faults}
    assert drawn == {*FAULTS, *STEERED}


@pytest.mark.parametrize("is_villainous", [False, True])
def test_no_plan_asks_for_more_than_can_be_survived(is_villainous):
    """Less than a third of the power has wrong clocks, nobody alone has a third, villains come alone."""
    for seed in SEEDS:
        plan = draw_plan(Random(seed), is_villainous=is_villainous)
        assert 4 <= len(plan.powers) <= 7
        assert is_less_than_a_third(plan.powers, plan.skewed)
        assert all(is_less_than_a_third(plan.powers, [number]) for number in range(len(plan.powers)))
        assert not (is_villainous and DAMAGE.intersection(plan.kinds))
        assert all(0 < at_ms < plan.chaos_ms for at_ms, _ in plan.faults)


def test_every_crash_point_is_passed():
    """Where a simulated node never is, it cannot crash."""
    silence()
    assert set(run_seed(2).points) == set(CrashPoint)
