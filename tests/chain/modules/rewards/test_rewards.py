"""Rewards: what an epoch mints, and that no traffic with oneself pays."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chain.errors import InvalidChainSpec
from chain.modules import balances, escrow, hosting, possession, rewards, sessions, staking, validators
from chain.modules.rewards.types import EpochRewarded, HostingRewarded, UploadRewarded, ValidatorRewarded
from chain.primitives.codec import replace
from chain.primitives.types import PPM
from tests.chain.support.market_worlds import (
    HOSTS,
    LARGE,
    MEMBER,
    PRICE,
    REWARDS,
    SMALL,
    STRANGER,
    SUPPLY,
    TREASURY,
    Market,
    build_hosted,
    finish,
    pick,
)
from tests.chain.support.worlds import BLOCK_MS, CATALOGUE, EPOCH_BLOCKS, ERA_EPOCHS, VIDYA

ONE, TWO, THREE, FOUR = HOSTS
MIB = 2**20
EPOCH_MS = BLOCK_MS * EPOCH_BLOCKS
YEAR_MS = 365 * 86_400_000


def test_emission_is_the_yearly_share_spread_over_time() -> None:
    """An epoch mints its part of 8 % a year of the era's supply, rounded down, and so do its pools."""
    world, _, _ = build_hosted()
    pools = rewards.payments.get_pools(world.state, world.epoch_end_ms())
    exact = Fraction(pools.supply * 8 * EPOCH_MS, 100 * YEAR_MS)
    assert pools.emission == exact.__floor__()
    assert (pools.hosting, pools.uploads) == (pools.emission * 40 // 100, pools.emission * 20 // 100)
    assert pools.validators == pools.emission * 15 // 100


def test_emission_follows_the_supply_of_the_era() -> None:
    """Burning and minting change the emission of the next era, not of this one."""
    world, _, _ = build_hosted()
    before = rewards.payments.get_pools(world.state, world.epoch_end_ms())
    world.run(balances.burn, TREASURY, SUPPLY // 2, balances.BurnCause.OWN)
    world.go_to_epoch(5)
    assert rewards.payments.get_pools(world.state, world.epoch_end_ms()).emission == before.emission
    world.go_to_epoch(6)
    after = rewards.payments.get_pools(world.state, world.epoch_end_ms())
    assert after.supply == balances.get_total_supply(world.state)
    assert (
        after.emission == rewards.payments.compute_emission(80_000, after.supply, EPOCH_MS) < before.emission
    )


@pytest.mark.parametrize(
    ("hosts", "scarcity"),
    [(1, 1_250_000), (2, 1_250_000), (3, PPM), (7, PPM), (8, 875_000), (14, 500_000), (9, 777_777)],
)
def test_scarcity(hosts: int, scarcity: int) -> None:
    """v(n) is 1.25 below 3 hosts, 1 up to 7, then 7/n."""
    assert rewards.weights.compute_scarcity(REWARDS, hosts) == scarcity


def test_scarcity_never_pays_a_replica_more_than_it_takes() -> None:
    """A datum with more hosts costs the pool no less in all, and its single host earns no more."""
    shares = [rewards.weights.compute_scarcity(REWARDS, hosts) for hosts in range(1, 60)]
    assert shares == sorted(shares, reverse=True)
    assert all(share * hosts <= 7 * PPM for hosts, share in enumerate(shares, 1))


@pytest.mark.parametrize(
    ("eras", "factor"), [(0, PPM), (1, 1_100_000), (2, 1_100_000), (3, 1_200_000), (99, 1_200_000)]
)
def test_tenure(eras: int, factor: int) -> None:
    """t is the factor of the last step reached, 1 before the first."""
    assert rewards.weights.compute_tenure(REWARDS, eras) == factor


def test_factors_multiply_up_to_the_bound() -> None:
    """The product is rounded down once and never above 2."""
    assert (
        rewards.weights.compute_factor(REWARDS, 333_333, 777_777, 1_100_000)
        == 333_333 * 777_777 * 11 // 10**7
    )
    assert rewards.weights.compute_factor(REWARDS, PPM, 1_500_000, 1_500_000) == 2_000_000


def test_hosting_is_paid_by_size_and_factors() -> None:
    """The pool is shared by size x scarcity x tenure, each part rounded down; the events carry all of it."""
    world, common, rare = build_hosted()
    events = finish(world)
    pools = pick(events, EpochRewarded).pools
    pool = pools.hosting + pools.uploads
    # Registered in era 0, now era 2: tenure 1.1. The common datum has 4 hosts, the rare one a single one.
    weight, weight_rare = SMALL * 11 // 10, LARGE * 125 * 11 // 1_000
    total = 4 * weight + weight_rare
    one, two = pick(events, HostingRewarded, ONE), pick(events, HostingRewarded, TWO)
    assert one.amount == pool * (weight + weight_rare) // total
    assert two.amount == pool * weight // total
    assert (one.pool, one.weight_total, one.pay_factor_ppm) == (pool, total, PPM)
    assert [(part.datum, part.copies, part.scarcity_ppm, part.tenure_ppm) for part in one.factors] == [
        (rare, 1, 1_250_000, 1_100_000),
        (common, 4, PPM, 1_100_000),
    ]


def test_hosts_of_one_network_share_one_copy() -> None:
    """All four hosts are behind one address: one copy, scarce, whose pay they share."""
    world, common, _ = build_hosted(paid=replace(REWARDS, are_networks_counted=True))
    factors = pick(finish(world), HostingRewarded, TWO).factors
    (part,) = [part for part in factors if part.datum == common]
    assert (part.copies, part.sharers, part.scarcity_ppm) == (1, 4, 1_250_000)
    assert part.factor_ppm == 1_250_000 * 11 // 10 // 4


def test_rewards_pass_through_escrow_by_proven_eras() -> None:
    """Of what is minted for a host with one proven era, three quarters are withheld."""
    world, _, _ = build_hosted()
    before, withheld = world.balance(ONE), escrow.get_withheld(world.state, ONE)
    events = finish(world)
    hosted, validated = pick(events, HostingRewarded, ONE).amount, pick(events, ValidatorRewarded, ONE).amount
    parts = [(one.amount, one.proven_eras, one.share_ppm) for one in events if isinstance(one, escrow.Paid)]
    assert (hosted, 1, 750_000) in parts and (validated, 1, 750_000) in parts
    assert world.balance(ONE) - before == hosted // 4 + validated // 4
    expected = hosted - hosted // 4 + validated - validated // 4
    assert escrow.get_withheld(world.state, ONE) - withheld == expected


def test_tenure_and_escrow_count_proven_eras() -> None:
    """A host that came later has proven fewer eras: it has no tenure yet, and more is withheld."""
    world, common, _ = build_hosted()
    world.call(staking.calls.bond, STRANGER, staking.Bond(100 * VIDYA))
    world.call(hosting.calls.register_host, STRANGER, hosting.RegisterHost(b"peer", (), 1_000))
    world.call(hosting.calls.register_subset, STRANGER, hosting.RegisterSubset((common,), ()))
    world.go_to_epoch(6)
    events = finish(world, (*HOSTS, STRANGER))
    young = pick([event for event in events if getattr(event, "account", None) == STRANGER], escrow.Paid)
    assert (young.proven_eras, young.share_ppm) == (0, 750_000)
    assert pick(events, HostingRewarded, STRANGER).factors[0].tenure_eras == 0
    assert pick(events, HostingRewarded, TWO).factors[0].tenure_eras == 2


def test_a_missed_epoch_is_not_paid_and_nobody_gains_by_it() -> None:
    """A host that missed gets nothing; its share, by its remaining pay factor, is not minted."""
    world, _, _ = build_hosted(9)
    everybody = pick(finish(world.fork()), HostingRewarded, TWO)
    events = finish(world, (ONE, TWO, THREE))
    missed, other = pick(events, HostingRewarded, FOUR), pick(events, HostingRewarded, TWO)
    assert (missed.is_proven, missed.amount) == (False, 0)
    assert 0 < missed.pay_factor_ppm < PPM and missed.weight > 0
    assert missed.pay_factor_ppm == possession.get_pay_factor(world.state, FOUR)
    assert other.weight_total == everybody.weight_total - everybody.weight + missed.weight
    paid = sum(event.amount for event in events if isinstance(event, HostingRewarded))
    assert paid <= other.pool * (other.weight_total - missed.weight) // other.weight_total


@pytest.mark.parametrize("punish", ["jail", "tombstone"])
def test_who_is_excluded_gets_nothing_of_any_pool(punish: str) -> None:
    """In jail or tombstoned at the end of the epoch: no hosting, no match, no validator's pay."""
    world, common, _ = build_hosted()
    world.settle(world.open(common, VIDYA, VIDYA, VIDYA, VIDYA), FOUR, 3 * MIB)
    world.run(*{"jail": (staking.jail, FOUR, 99), "tombstone": (staking.tombstone, FOUR)}[punish])
    before = world.balance(FOUR) + escrow.get_withheld(world.state, FOUR)
    events = finish(world)
    for kind in (HostingRewarded, UploadRewarded, ValidatorRewarded):
        event = pick(events, kind, FOUR)
        assert event.is_excluded and event.amount == 0
    assert pick(events, HostingRewarded, FOUR).weight == 0
    assert pick(events, UploadRewarded, FOUR).burned > 0
    assert pick(events, HostingRewarded, TWO).factors[0].copies == 3
    assert world.balance(FOUR) + escrow.get_withheld(world.state, FOUR) == before


def test_only_admitted_data_earns() -> None:
    """Hosting a datum that is not admitted pays nothing, and nothing is minted for it."""
    world = Market(listed=replace(CATALOGUE, sponsor_min=VIDYA))
    world.publish(1, SMALL)
    world.go_to_epoch(3)
    events = finish(world)
    assert not [event for event in events if isinstance(event, HostingRewarded)]
    assert pick(events, EpochRewarded).hosting_paid == 0


def test_match_is_nine_tenths_of_what_was_burned() -> None:
    """While the pool suffices, a match is 0.9 x burned, rounded down; the rest of the pool is hosting's."""
    world, common, _ = build_hosted()
    session = world.open(common, VIDYA, VIDYA)
    burned = world.settle(session, ONE, 10 * MIB + 1).burned
    burned_two = world.settle(session, TWO, 2 * MIB).burned
    events = finish(world)
    pools, one = pick(events, EpochRewarded).pools, pick(events, UploadRewarded, ONE)
    assert one.amount == burned * 9 // 10
    assert (one.burned, one.burned_total, one.match_ppm) == (burned, burned + burned_two, 900_000)
    matched = one.amount + pick(events, UploadRewarded, TWO).amount
    assert pick(events, HostingRewarded, ONE).pool == pools.hosting + pools.uploads - matched


def test_match_is_bounded_by_the_pool() -> None:
    """When more was burned than the pool can match, each host gets its share of the pool."""
    world, common, _ = build_hosted()
    session = world.open(common, 100 * VIDYA, 100 * VIDYA)
    burned = [world.settle(session, host, size).burned for host, size in ((ONE, 2**31), (TWO, 2**30))]
    events = finish(world)
    pool = pick(events, EpochRewarded).pools.uploads
    amounts = [pick(events, UploadRewarded, host).amount for host in (ONE, TWO)]
    assert amounts == [pool * part // sum(burned) for part in burned]
    assert amounts[0] < burned[0] * 9 // 10


def test_what_was_burned_is_matched_once() -> None:
    """The match of an epoch is for what was settled in it; the next epoch begins at nothing."""
    world, common, _ = build_hosted()
    world.settle(world.open(common, VIDYA), ONE, 3 * MIB)
    assert sessions.get_burned(world.state, 4) != ()
    world.go_to_epoch(5)
    assert sessions.get_burned(world.state, 4) == ()
    assert not [event for event in finish(world) if isinstance(event, UploadRewarded)]


@given(st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, PPM))
def test_match_never_exceeds_burned_nor_pool(burned: int, others: int, pool: int, match_ppm: int) -> None:
    """A match is below what was burned and the host's share of the pool, and all are within the pool."""
    assume(burned > 0)
    total = burned + others
    amount = rewards.payments.compute_match(match_ppm, burned, pool, total)
    assert amount * PPM <= burned * match_ppm and amount * total <= pool * burned
    rest = rewards.payments.compute_match(match_ppm, others, pool, total)
    assert amount + rest <= pool


def test_validators_are_paid_by_signed_power() -> None:
    """Each gets the pool times the power it signed with over all power due."""
    world, _, _ = build_hosted()
    events = finish(world)
    pool = pick(events, EpochRewarded).pools.validators
    for host in HOSTS:
        event = pick(events, ValidatorRewarded, host)
        assert (event.commits_signed, event.commits_due) == (EPOCH_BLOCKS, EPOCH_BLOCKS)
        assert event.power_due == 4 * event.power_signed
        assert event.amount == pool // 4


def test_leaving_out_a_vote_pays_nobody() -> None:
    """The pay of an absent validator is not minted: the others get exactly what they would get anyway."""
    world, _, _ = build_hosted()
    all_there = finish(world.fork())
    world.signers = [1, 2, 3]
    without = finish(world)
    for host in (ONE, TWO, THREE):
        amount = pick(without, ValidatorRewarded, host).amount
        assert amount == pick(all_there, ValidatorRewarded, host).amount
    absent = pick(without, ValidatorRewarded, FOUR)
    assert absent.commits_signed == 1 and absent.commits_due == EPOCH_BLOCKS
    assert absent.amount == absent.pool // (4 * EPOCH_BLOCKS)


def test_slashed_money_for_validators_is_paid_out_of_the_pot() -> None:
    """The pot is shared like the pool; what it pays is not minted, an absent validator's part stays in it."""
    world, _, _ = build_hosted()
    world.run(balances.transfer, TREASURY, staking.VALIDATOR_POT, 4 * VIDYA)
    world.signers = [1, 2, 3]
    world.prove(HOSTS)
    world.go_to_last_block()
    minted = world.minted()
    events = world.end_block()
    told = pick(events, EpochRewarded)
    one = pick(events, ValidatorRewarded, ONE)
    assert one.pool == told.pools.validators + 4 * VIDYA and one.amount == one.pool // 4
    drawn = 4 * VIDYA - world.balance(staking.VALIDATOR_POT)
    assert drawn == 4 * VIDYA * told.validators_paid // one.pool
    assert told.minted == world.minted() - minted
    paid = told.hosting_paid + told.uploads_paid + told.validators_paid + told.lockers_paid
    assert told.minted == paid - drawn


def test_stake_of_the_last_block_takes_no_part_of_an_eras_pay() -> None:
    """What is delegated or bonded in an era shares nothing of it; it is elected with the next."""
    world, _, _ = build_hosted()
    world.call(staking.calls.bond, ONE, staking.Bond(1_000 * VIDYA))
    world.call(staking.calls.delegate, MEMBER, staking.calls.Delegate(ONE, 1_000 * VIDYA))
    event = pick(finish(world), ValidatorRewarded, ONE)
    assert (event.bond, event.delegated, event.to_delegators) == (1_000 * VIDYA, 0, 0)
    assert staking.get_waiting_delegation(world.state, MEMBER, ONE) == 1_000 * VIDYA
    assert staking.get_delegation(world.state, MEMBER, ONE) == 0
    world.go_to_epoch(6)
    assert staking.get_delegation(world.state, MEMBER, ONE) == 1_000 * VIDYA
    event = pick(finish(world), ValidatorRewarded, ONE)
    assert (event.bond, event.delegated) == (2_000 * VIDYA, 1_000 * VIDYA)


def test_delegators_get_their_part_less_commission() -> None:
    """Half of the stake gets half of the pay less 1 %, added to its pool; the rest goes through escrow."""
    world, _, _ = build_hosted()
    world.call(staking.calls.delegate, MEMBER, staking.calls.Delegate(ONE, 1_000 * VIDYA))
    world.go_to_epoch(6)
    world.call(validators.calls.set_commission, ONE, validators.calls.SetCommission(10_000))
    events = finish(world)
    event = pick(events, ValidatorRewarded, ONE)
    assert (event.bond, event.delegated, event.commission_ppm) == (1_000 * VIDYA, 1_000 * VIDYA, 10_000)
    assert event.to_delegators == event.amount // 2 * 99 // 100
    assert staking.get_delegation(world.state, MEMBER, ONE) == 1_000 * VIDYA + event.to_delegators
    own = [one.amount for one in events if isinstance(one, escrow.Paid) and one.account == ONE]
    assert own[-1] == event.amount - event.to_delegators


@given(st.integers(0, 10**15), st.integers(0, 10**16), st.integers(0, 10**16), st.integers(0, PPM))
def test_delegators_never_get_more_than_their_stake_earned(
    amount: int, bond: int, delegated: int, commission: int
) -> None:
    """Their part is at most pro rata, all of it without commission, none of it with a full one."""
    part = rewards.payments.compute_delegators_part(amount, bond, delegated, commission)
    assert 0 <= part <= amount
    assert part * (bond + delegated) * PPM <= amount * delegated * (PPM - commission)
    if delegated:
        assert rewards.payments.compute_delegators_part(amount, bond, delegated, PPM) == 0


def test_every_reward_explains_itself() -> None:
    """What `explain_host` computes before the epoch ends is, to the unit, what the events then say."""
    world, common, _ = build_hosted()
    for number in range(100, 100 + rewards.types.DATUMS_LISTED_MAX + 2):
        world.publish(number, 100 * number, (ONE,))
    world.go_to_epoch(6)
    session = world.open(common, VIDYA, VIDYA)
    world.settle(session, ONE, 3 * MIB)
    world.prove((ONE, TWO, THREE))
    world.go_to_last_block()
    explained = {
        host: rewards.payments.explain_host(world.state, host, 6, world.context().time_ms)
        for host in (*HOSTS, STRANGER)
    }
    events = world.end_block()
    for host in HOSTS:
        one = explained[host]
        told = pick(events, HostingRewarded, host)
        assert one.hosting is not None and one.hosting.datums == len(one.hosting.factors)
        cut = one.hosting.factors[: rewards.types.DATUMS_LISTED_MAX]
        assert replace(one.hosting, factors=cut) == told
        assert one.validator == pick(events, ValidatorRewarded, host)
    assert explained[ONE].upload == pick(events, UploadRewarded, ONE)
    assert explained[TWO].upload is None
    assert explained[STRANGER] == rewards.types.HostExplanation(None, None, None)
    listed = explained[ONE].hosting
    assert listed is not None and listed.datums == rewards.types.DATUMS_LISTED_MAX + 4
    weights = [part.weight for part in listed.factors]
    assert weights == sorted(weights, reverse=True) and sum(weights) == listed.weight


def test_an_event_can_be_recomputed_from_its_own_factors() -> None:
    """The amount of an event follows from its other fields."""
    world, common, _ = build_hosted()
    world.settle(world.open(common, VIDYA), ONE, 3 * MIB)
    for event in finish(world):
        if isinstance(event, HostingRewarded):
            for part in event.factors:
                product = event.pay_factor_ppm * part.scarcity_ppm * part.tenure_ppm // PPM**2
                assert part.factor_ppm == min(product, REWARDS.weight_ppm_max) // part.sharers
                assert part.weight == part.size_bytes * part.factor_ppm // PPM
            assert event.weight == sum(part.weight for part in event.factors)
            assert event.amount == event.pool * event.weight // event.weight_total
        elif isinstance(event, ValidatorRewarded):
            assert event.amount == event.pool * event.power_signed // event.power_due
        elif isinstance(event, UploadRewarded):
            assert event.amount == min(
                event.burned * event.match_ppm // PPM, event.pool * event.burned // event.burned_total
            )


def test_the_emission_is_minted_in_full() -> None:
    """Over an era with everything in it, all that is not minted is what division rounds down."""
    world, common, _ = build_hosted()
    for epoch in range(4, 8):
        world.settle(world.open(common, 100 * VIDYA, VIDYA), ONE, 2**30)
        told = pick(world.go_to_epoch(epoch + 1), EpochRewarded)
        assert told.pools.emission - 3 * len(HOSTS) < told.minted <= told.pools.emission


def test_what_nobody_hosts_goes_to_lockers() -> None:
    """Without admitted data the pools of hosting and uploads are the lockers' beside their own."""
    world = Market(listed=replace(CATALOGUE, sponsor_min=VIDYA))
    world.publish(1, SMALL)
    world.go_to_epoch(3)
    fund = world.lockers_fund
    told = pick(finish(world), EpochRewarded)
    assert told.lockers_paid == told.pools.lockers + told.pools.hosting + told.pools.uploads
    assert world.lockers_fund - fund == told.lockers_paid


def test_a_tiny_index_earns_the_bound_and_no_more() -> None:
    """A weighted GiB earns a tenth of its download price per era; the rest of the pool goes to lockers."""
    world, _, _ = build_hosted(paid=replace(REWARDS, hosting_price_ppm=100_000))
    events = finish(world)
    told, one = pick(events, EpochRewarded), pick(events, HostingRewarded, ONE)
    bound = PRICE * one.weight_total // (10 * 2**30 * ERA_EPOCHS)
    assert 0 < one.pool == bound < told.pools.hosting
    assert told.hosting_paid <= bound
    assert told.lockers_paid == told.pools.lockers + told.pools.hosting + told.pools.uploads - bound


def test_blocks_made_faster_mint_nothing_more() -> None:
    """An epoch is paid for the chain time that passed; a chain that stood still, for one epoch at most."""
    world, _, _ = build_hosted()
    nominal = rewards.payments.get_pools(world.state, world.epoch_end_ms())
    start = world.epoch_end_ms() - EPOCH_MS
    fast = rewards.payments.get_pools(world.state, start + EPOCH_BLOCKS)
    late = rewards.payments.get_pools(world.state, start + 100 * EPOCH_MS)
    assert (fast.elapsed_ms, late.elapsed_ms) == (EPOCH_BLOCKS, EPOCH_MS)
    assert fast.emission == rewards.payments.compute_emission(80_000, fast.supply, EPOCH_BLOCKS)
    assert late == nominal


@pytest.mark.parametrize(
    "change",
    [
        {"match_ppm": 900_001},
        {"hosting_ppm": 650_001},
        {"tenure": (rewards.types.Tenure(2, PPM), rewards.types.Tenure(1, PPM))},
        {"tenure": (rewards.types.Tenure(1, 1_200_000), rewards.types.Tenure(2, 1_100_000))},
    ],
)
def test_nonsense_parameters_are_refused(change: dict[str, object]) -> None:
    """Pools above the emission, tenure that descends, and a match that pays fakers start no chain."""
    with pytest.raises(InvalidChainSpec, match="rewards"):
        Market(paid=replace(REWARDS, **change))
