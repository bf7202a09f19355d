"""Rewards: what demand and listers make of a datum's weight, and the record of what hosting paid."""

from functools import cache

import pytest

from chain.errors import InvalidChainSpec
from chain.modules import catalogue, rewards, staking
from chain.modules.rewards.types import EpochRewarded, HostingRewarded
from chain.primitives.codec import replace
from chain.primitives.types import PPM, Hash
from tests.chain.support.content_worlds import Content
from tests.chain.support.market_worlds import (
    HOSTS,
    LARGE,
    LISTER,
    MEMBERS,
    REWARDS,
    SMALL,
    STRANGER,
    Market,
    build_hosted,
    finish,
    pick,
)
from tests.chain.support.worlds import CATALOGUE, ERA_EPOCHS

ONE = HOSTS[0]
HALVED = replace(REWARDS, halving_eras=2)
CAPPED = replace(REWARDS, subtree_ppm=50_000)


@pytest.mark.parametrize(
    ("eras", "demand"), [(-3, PPM), (0, PPM), (1, PPM), (2, 500_000), (5, 250_000), (14, 7_812), (99, 0)]
)
def test_weight_halves_with_each_stretch_without_demand(eras: int, demand: int) -> None:
    """After 2, 4, 6 eras a half, a quarter, an eighth; without a stretch never."""
    assert rewards.weights.compute_demand(HALVED, eras) == demand
    assert rewards.weights.compute_demand(REWARDS, eras) == PPM


def test_a_datum_that_nobody_wants_loses_weight_until_it_is_bought() -> None:
    """In its third era a datum weighs half; a member that pays for it, or a new sponsor, restores it."""
    world, common, rare = build_hosted(paid=HALVED)
    factors = pick(finish(world.fork()), HostingRewarded, ONE).factors
    assert [(one.demand_ppm, one.factor_ppm) for one in factors] == [
        (500_000, 687_500),
        (500_000, 550_000),
    ]
    world.run(catalogue.record_paid_download, common, MEMBERS[0])
    by_datum = {one.datum: one.demand_ppm for one in pick(finish(world), HostingRewarded, ONE).factors}
    assert by_datum == {common: PPM, rare: 500_000}


def test_the_lister_cannot_want_its_own_datum() -> None:
    """Paying for what one has listed restores nothing."""
    world, common, _ = build_hosted(paid=HALVED)
    world.run(catalogue.record_paid_download, common, LISTER)
    assert {one.demand_ppm for one in pick(finish(world), HostingRewarded, ONE).factors} == {500_000}


@cache
def _build_listers() -> tuple[Market, Hash]:
    """The usual lister has a large and a small datum, another one a small one."""
    world = Market(paid=CAPPED)
    world.publish(1, SMALL)
    world.publish(2, LARGE)
    content = Content(3, SMALL)
    call = catalogue.ListDatum(content.files_hash, content.root, SMALL, "a title", "text", (), "")
    world.call(catalogue.list_datum, STRANGER, call)
    world.contents[content.datum] = content
    world.host_all(content.datum)
    world.go_to_epoch(4)
    return world, content.datum


def test_data_of_one_lister_get_a_twentieth_of_the_pool() -> None:
    """Both listers have more than 5 % of the weight: each gets 5 %, and the lockers get what that leaves."""
    world, datum = _build_listers()
    events = finish(world.fork())
    told, shares = pick(events, EpochRewarded), [one for one in events if isinstance(one, HostingRewarded)]
    pool = shares[0].pool
    assert pool * 98 // 1_000 < told.hosting_paid <= pool * 100 // 1_000
    assert (
        told.lockers_paid - told.pools.lockers
        == pool - pool * sum(one.weight_paid for one in shares) // shares[0].weight_total
    )
    by_lister = {
        is_other: sum(
            one.weight * one.capped_ppm // PPM
            for share in shares
            for one in share.factors
            if (one.datum == datum) == is_other
        )
        for is_other in (True, False)
    }
    bound = shares[0].weight_total * 50_000 // PPM
    assert all(bound * 99 // 100 < weight <= bound for weight in by_lister.values())


def test_enough_outside_members_lift_the_cap_of_a_datum() -> None:
    """Two members that are not the lister have paid for it: it is paid in full, the others are not."""
    world, datum = _build_listers()
    world = world.fork()
    for member in MEMBERS:
        world.run(catalogue.record_paid_download, datum, member)
    factors = pick(finish(world), HostingRewarded, ONE).factors
    assert {one.capped_ppm for one in factors if one.datum == datum} == {PPM}
    assert all(one.capped_ppm < PPM for one in factors if one.datum != datum)


def test_the_pay_of_a_gib_is_recorded_at_the_end_of_an_era() -> None:
    """It is what was paid in the era, per paid byte and epoch, times the epochs of an era."""
    world, _, _ = build_hosted(epoch=4)
    assert catalogue.get_pay_per_gib(world.state) > 0
    amount = size = 0
    for epoch in (4, 5):
        shares = [one for one in world.go_to_epoch(epoch + 1) if isinstance(one, HostingRewarded)]
        amount += sum(one.amount for one in shares)
        size += sum(part.size_bytes for one in shares if one.amount for part in one.factors)
    assert catalogue.get_pay_per_gib(world.state) == amount * ERA_EPOCHS * 2**30 // size


def test_an_era_without_pay_is_recorded_as_nothing() -> None:
    """Then sponsors bond the minimum."""
    world = Market()
    world.go_to_epoch(2)
    assert catalogue.get_pay_per_gib(world.state) == 0


def test_the_share_of_a_datum_does_not_depend_on_proofs() -> None:
    """A host in jail, and one that missed, has the share of its weight that the datum has; rounded up."""
    world, common, rare = build_hosted()
    shares = rewards.list_datum_shares(world.state, 4, (common, rare))
    weights = SMALL * 11 // 10, LARGE * 125 * 11 // 1_000
    parts = {(one.host, one.datum): one.share_ppm for one in shares}
    assert parts[ONE, common] == -(-weights[0] * PPM // sum(weights))
    assert parts[ONE, rare] == -(-weights[1] * PPM // sum(weights))
    assert parts[HOSTS[1], common] == PPM and (HOSTS[1], rare) not in parts
    world.run(staking.jail, ONE, 99)
    (jailed,) = rewards.list_datum_shares(world.state, 4, (rare,))
    assert jailed == rewards.DatumShare(ONE, rare, parts[ONE, rare])


def test_genesis_refuses_a_share_above_the_whole() -> None:
    """The bound on one lister's data is a share."""
    with pytest.raises(InvalidChainSpec):
        Market(paid=replace(REWARDS, subtree_ppm=PPM + 1))


def test_unpaid_eras_pay_nothing() -> None:
    """A datum is hosted from its listing on; its first reward is for the epoch after its unpaid eras."""
    world = Market(listed=replace(CATALOGUE, unpaid_eras=2))
    world.publish(1, SMALL)
    events = world.go_to_epoch(6)
    assert not [one for one in events if isinstance(one, HostingRewarded)]
    assert pick(finish(world), HostingRewarded, ONE).amount > 0
