"""Rewards: what a forecast says a newcomer would earn is what it then earns."""

import pytest

from chain.modules import hosting, rewards
from chain.modules.hosting import RegisterSubset
from chain.modules.rewards.types import HostingRewarded, Parameters
from chain.primitives.codec import replace
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM
from tests.chain.support.market_worlds import HOSTS, LARGE, REWARDS, STRANGER, build_hosted, finish, pick
from tests.chain.support.worlds import ERA_EPOCHS

TWO, EPOCH = HOSTS[1], 6
PLAIN = replace(REWARDS, tenure=())


@pytest.mark.parametrize(
    "paid",
    [
        PLAIN,
        replace(PLAIN, hosting_price_ppm=100_000),
        replace(PLAIN, subtree_ppm=50_000),
        replace(PLAIN, halving_eras=1),
    ],
    ids=["pool", "bounded by price", "bounded by lister", "unwanted"],
)
def test_a_newcomer_earns_what_was_forecast(paid: Parameters) -> None:
    """With the same other hosts, the part of its pay for the datum is the forecast, to the unit."""
    without, _, rare = build_hosted(paid=paid)
    joined = without.fork()
    joined.call(hosting.calls.register_subset, TWO, RegisterSubset((rare,), ()))
    for world in (without, joined):
        world.go_to_epoch(EPOCH)
    found = rewards.survey(without.state, EPOCH)
    told = rewards.forecast_datum(without.state, found, rare, TWO, LARGE)
    paid_out = pick(finish(joined), HostingRewarded, TWO)
    (one,) = [factors for factors in paid_out.factors if factors.datum == rare]
    named = (told.copies, told.sharers, told.factor_ppm, told.demand_ppm, told.capped_ppm)
    assert named == (one.copies, one.sharers, one.factor_ppm, one.demand_ppm, one.capped_ppm)
    earned = mul_div(paid_out.pool, mul_ppm(one.weight, one.capped_ppm), paid_out.weight_total)
    assert told.pay_per_gib == earned * ERA_EPOCHS > 0


def test_who_holds_it_already_is_counted_once() -> None:
    """A holder's forecast counts the copies as they are; a stranger's, one more."""
    world, common, _ = build_hosted(paid=PLAIN)
    found = rewards.survey(world.state, 4)
    own, other = (rewards.forecast_datum(world.state, found, common, who) for who in (TWO, STRANGER))
    assert (own.copies, own.sharers, other.copies, other.sharers) == (4, 1, 5, 1)


def test_a_newcomer_in_a_network_that_holds_it_gets_nothing() -> None:
    """Where networks count, the copy of a network belongs to who holds the datum there already."""
    paid = replace(PLAIN, are_networks_counted=True)
    world, _, rare = build_hosted(paid=paid)
    found = rewards.survey(world.state, 4)
    beside = rewards.forecast_datum(world.state, found, rare, TWO)
    assert (beside.copies, beside.sharers) == (1, 0)
    assert (beside.factor_ppm, beside.pay_per_gib) == (0, 0)
    elsewhere = rewards.forecast_datum(world.state, found, rare)
    assert (elsewhere.copies, elsewhere.sharers, elsewhere.factor_ppm) == (2, 1, 1_250_000)


def test_what_is_not_admitted_brings_nothing() -> None:
    """A datum that is not admitted has a forecast of zero."""
    world, _, _ = build_hosted(paid=PLAIN)
    told = rewards.forecast_datum(world.state, rewards.survey(world.state, 4), b"x" * 32)
    assert (told.is_admitted, told.pay_per_gib, told.factor_ppm, told.capped_ppm) == (False, 0, 0, PPM)
