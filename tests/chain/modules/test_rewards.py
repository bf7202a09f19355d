"""Rewards: what an epoch mints, and that no traffic with oneself pays."""

from fractions import Fraction
from functools import cache

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from chain.errors import InvalidChainSpec
from chain.modules import balances, escrow, possession, rewards, sessions, staking, validators
from chain.modules.rewards import (
    EpochRewarded,
    HostingRewarded,
    UploadRewarded,
    ValidatorRewarded,
)
from chain.modules.sessions import CloseSession, HostAllotment, OpenSession
from chain.primitives.codec import Record, replace
from chain.primitives.types import PPM, Hash
from tests.chain.market_worlds import (
    HOSTS,
    MEMBER,
    MEMBERS,
    OTHER,
    REWARDS,
    SESSIONS,
    STRANGER,
    SUPPLY,
    TREASURY,
    VOUCHER_KEY,
    Market,
    build_settle,
)
from tests.chain.worlds import BLOCK_MS, EPOCH_BLOCKS, VIDYA

ONE, TWO, THREE, FOUR = HOSTS
MIB = 2**20
SMALL, LARGE = 3_000, 50_000
EPOCH_MS = BLOCK_MS * EPOCH_BLOCKS
YEAR_MS = 365 * 86_400_000


@cache
def _build(epoch: int) -> tuple[Market, Hash, Hash]:
    if epoch > 4:
        world, common, rare = build(epoch - 1)
    else:
        world = Market()
        common, rare = world.publish(1, SMALL), world.publish(2, LARGE, (ONE,))
    world.go_to_epoch(epoch)
    return world, common, rare


def build(epoch: int = 4) -> tuple[Market, Hash, Hash]:
    """A world in the first block of an epoch: all hosts hold a small datum, ONE a large one too."""
    world, common, rare = _build(epoch)
    return world.fork(), common, rare


def finish(world: Market, provers=HOSTS) -> list[Record]:
    """Prove, run to the end of the epoch, and end it; returns what was paid."""
    world.prove(provers)
    world.go_to_last_block()
    return world.end_block()


def pick(events: list[Record], kind: type, who: bytes | None = None):
    """The one event of a kind (and account)."""
    named = ("host", "validator")
    chosen = [
        event
        for event in events
        if isinstance(event, kind) and (who is None or who in [getattr(event, name, None) for name in named])
    ]
    (one,) = chosen
    return one


def test_emission_is_the_yearly_share_spread_over_time() -> None:
    """An epoch mints its part of 8 % a year of the era's supply, rounded down, and so do its pools."""
    world, _, _ = build()
    pools = rewards.get_pools(world.state)
    exact = Fraction(pools.supply * 8 * EPOCH_MS, 100 * YEAR_MS)
    assert pools.emission == exact.__floor__()
    assert (pools.hosting, pools.uploads) == (pools.emission * 40 // 100, pools.emission * 20 // 100)
    assert pools.validators == pools.emission * 15 // 100


def test_emission_follows_the_supply_of_the_era() -> None:
    """Burning and minting change the emission of the next era, not of this one."""
    world, _, _ = build()
    before = rewards.get_pools(world.state)
    world.run(balances.burn, TREASURY, SUPPLY // 2)
    world.go_to_epoch(5)
    assert rewards.get_pools(world.state).emission == before.emission
    world.go_to_epoch(6)
    after = rewards.get_pools(world.state)
    assert after.supply == balances.get_total_supply(world.state)
    assert after.emission == rewards.compute_emission(80_000, after.supply, EPOCH_MS) < before.emission


@pytest.mark.parametrize(
    ("hosts", "scarcity"),
    [(1, 1_250_000), (2, 1_250_000), (3, PPM), (7, PPM), (8, 875_000), (14, 500_000), (9, 777_777)],
)
def test_scarcity(hosts: int, scarcity: int) -> None:
    """v(n) is 1.25 below 3 hosts, 1 up to 7, then 7/n."""
    assert rewards.compute_scarcity(REWARDS, hosts) == scarcity


def test_scarcity_never_pays_a_replica_more_than_it_takes() -> None:
    """A datum with more hosts costs the pool no less in all, and its single host earns no more."""
    shares = [rewards.compute_scarcity(REWARDS, hosts) for hosts in range(1, 60)]
    assert shares == sorted(shares, reverse=True)
    assert all(share * hosts <= 7 * PPM for hosts, share in enumerate(shares, 1))


@pytest.mark.parametrize(
    ("eras", "factor"), [(0, PPM), (1, 1_100_000), (2, 1_100_000), (3, 1_200_000), (99, 1_200_000)]
)
def test_tenure(eras: int, factor: int) -> None:
    """t is the factor of the last step reached, 1 before the first."""
    assert rewards.compute_tenure(REWARDS, eras) == factor


def test_factors_multiply_up_to_the_bound() -> None:
    """The product is rounded down once and never above 2."""
    assert rewards.compute_factor(REWARDS, 333_333, 777_777, 1_100_000) == 333_333 * 777_777 * 11 // 10**7
    assert rewards.compute_factor(REWARDS, PPM, 1_500_000, 1_500_000) == 2_000_000


def test_hosting_is_paid_by_size_and_factors() -> None:
    """The pool is shared by size x scarcity x tenure, each part rounded down; the events carry all of it."""
    world, common, rare = build()
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
    assert [(part.datum, part.hosts, part.scarcity_ppm, part.tenure_ppm) for part in one.factors] == [
        (rare, 1, 1_250_000, 1_100_000),
        (common, 4, PPM, 1_100_000),
    ]


def test_rewards_pass_through_escrow_by_age() -> None:
    """What is minted for a host of two eras is withheld by half."""
    world, _, _ = build()
    before, withheld = world.balance(ONE), escrow.get_withheld(world.state, ONE)
    events = finish(world)
    hosted, validated = pick(events, HostingRewarded, ONE).amount, pick(events, ValidatorRewarded, ONE).amount
    parts = [(one.amount, one.age_eras, one.share_ppm) for one in events if isinstance(one, escrow.Paid)]
    assert (hosted, 2, 500_000) in parts and (validated, 2, 500_000) in parts
    assert world.balance(ONE) - before == hosted // 2 + validated // 2
    expected = hosted - hosted // 2 + validated - validated // 2
    assert escrow.get_withheld(world.state, ONE) - withheld == expected


def test_a_missed_epoch_is_not_paid_and_nobody_gains_by_it() -> None:
    """Who missed gets nothing; his share, by the pay factor that is left, is minted for nobody."""
    world, _, _ = build(9)
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
    world, common, _ = build()
    world.settle(world.open(common, VIDYA, VIDYA, VIDYA, VIDYA), FOUR, 3 * MIB)
    world.run(*{"jail": (staking.jail, FOUR, 99), "tombstone": (staking.tombstone, FOUR)}[punish])
    before = world.balance(FOUR) + escrow.get_withheld(world.state, FOUR)
    events = finish(world)
    for kind in (HostingRewarded, UploadRewarded, ValidatorRewarded):
        event = pick(events, kind, FOUR)
        assert event.is_excluded and event.amount == 0
    assert pick(events, HostingRewarded, FOUR).weight == 0
    assert pick(events, UploadRewarded, FOUR).burned > 0
    assert pick(events, HostingRewarded, TWO).factors[0].hosts == 3
    assert world.balance(FOUR) + escrow.get_withheld(world.state, FOUR) == before


def test_only_admitted_data_earns() -> None:
    """Hosting what nobody has asked for yet pays nothing, and nothing is minted for it."""
    world = Market(admission_members=1)
    world.publish(1, SMALL)
    world.go_to_epoch(3)
    events = finish(world)
    assert not [event for event in events if isinstance(event, HostingRewarded)]
    assert pick(events, EpochRewarded).hosting_paid == 0


def test_match_is_nine_tenths_of_what_was_burned() -> None:
    """While the pool suffices, a match is 0.9 x burned, rounded down; the rest of the pool is hosting's."""
    world, common, _ = build()
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
    world, common, _ = build()
    session = world.open(common, 100 * VIDYA, 100 * VIDYA)
    burned = [world.settle(session, host, size).burned for host, size in ((ONE, 2**31), (TWO, 2**30))]
    events = finish(world)
    pool = pick(events, EpochRewarded).pools.uploads
    amounts = [pick(events, UploadRewarded, host).amount for host in (ONE, TWO)]
    assert amounts == [pool * part // sum(burned) for part in burned]
    assert amounts[0] < burned[0] * 9 // 10


def test_what_was_burned_is_matched_once() -> None:
    """The match of an epoch is for what was settled in it; the next epoch begins at nothing."""
    world, common, _ = build()
    world.settle(world.open(common, VIDYA), ONE, 3 * MIB)
    world.go_to_epoch(5)
    assert not [event for event in finish(world) if isinstance(event, UploadRewarded)]


@given(st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, PPM))
def test_match_never_exceeds_burned_nor_pool(burned: int, others: int, pool: int, match_ppm: int) -> None:
    """A match is below what was burned and the host's share of the pool, and all are within the pool."""
    assume(burned > 0)
    total = burned + others
    amount = rewards.compute_match(match_ppm, burned, pool, total)
    assert amount * PPM <= burned * match_ppm and amount * total <= pool * burned
    rest = rewards.compute_match(match_ppm, others, pool, total)
    assert amount + rest <= pool


def test_validators_are_paid_by_signed_power() -> None:
    """Each gets the pool times the power it signed with over all power due."""
    world, _, _ = build()
    events = finish(world)
    pool = pick(events, EpochRewarded).pools.validators
    for host in HOSTS:
        event = pick(events, ValidatorRewarded, host)
        assert (event.commits_signed, event.commits_due) == (EPOCH_BLOCKS, EPOCH_BLOCKS)
        assert event.power_due == 4 * event.power_signed
        assert event.amount == pool // 4


def test_leaving_out_a_vote_pays_nobody() -> None:
    """The pay of an absent validator is not minted: the others get exactly what they would get anyway."""
    world, _, _ = build()
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
    """The pot is shared like the pool; what it gives is not minted, an absent one's part stays in it."""
    world, _, _ = build()
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
    assert told.minted == told.hosting_paid + told.uploads_paid + told.validators_paid - drawn


def test_delegators_get_their_part_less_commission() -> None:
    """Half of the stake gets half of the pay less 1 %, added to its pool; the rest goes through escrow."""
    world, _, _ = build()
    world.call(staking.delegate, MEMBER, staking.Delegate(ONE, 1_000 * VIDYA))
    world.call(validators.set_commission, ONE, validators.SetCommission(10_000))
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
    part = rewards.compute_delegators_part(amount, bond, delegated, commission)
    assert 0 <= part <= amount
    assert part * (bond + delegated) * PPM <= amount * delegated * (PPM - commission)
    if delegated:
        assert rewards.compute_delegators_part(amount, bond, delegated, PPM) == 0


def test_every_reward_explains_itself() -> None:
    """What `explain_host` computes before the epoch ends is, to the unit, what the events then say."""
    world, common, _ = build()
    for number in range(100, 100 + rewards.DATUMS_LISTED_MAX + 2):
        world.publish(number, 100 * number, (ONE,))
    world.go_to_epoch(6)
    session = world.open(common, VIDYA, VIDYA)
    world.settle(session, ONE, 3 * MIB)
    world.prove((ONE, TWO, THREE))
    world.go_to_last_block()
    explained = {host: rewards.explain_host(world.state, host, 6) for host in (*HOSTS, STRANGER)}
    events = world.end_block()
    for host in HOSTS:
        one = explained[host]
        told = pick(events, HostingRewarded, host)
        assert one.hosting is not None and one.hosting.datums == len(one.hosting.factors)
        cut = one.hosting.factors[: rewards.DATUMS_LISTED_MAX]
        assert replace(one.hosting, factors=cut) == told
        assert one.validator == pick(events, ValidatorRewarded, host)
    assert explained[ONE].upload == pick(events, UploadRewarded, ONE)
    assert explained[TWO].upload is None
    assert explained[STRANGER] == rewards.HostExplanation(None, None, None)
    listed = explained[ONE].hosting
    assert listed is not None and listed.datums == rewards.DATUMS_LISTED_MAX + 4
    weights = [part.weight for part in listed.factors]
    assert weights == sorted(weights, reverse=True) and sum(weights) == listed.weight


def test_an_event_can_be_recomputed_from_its_own_factors() -> None:
    """Nothing but what an event says is needed to arrive at its amount."""
    world, common, _ = build()
    world.settle(world.open(common, VIDYA), ONE, 3 * MIB)
    for event in finish(world):
        if isinstance(event, HostingRewarded):
            for part in event.factors:
                product = event.pay_factor_ppm * part.scarcity_ppm * part.tenure_ppm // PPM**2
                assert part.factor_ppm == min(product, REWARDS.weight_ppm_max)
                assert part.weight == part.size_bytes * part.factor_ppm // PPM
            assert event.weight == sum(part.weight for part in event.factors)
            assert event.amount == event.pool * event.weight // event.weight_total
        elif isinstance(event, ValidatorRewarded):
            assert event.amount == event.pool * event.power_signed // event.power_due
        elif isinstance(event, UploadRewarded):
            assert event.amount == min(
                event.burned * event.match_ppm // PPM, event.pool * event.burned // event.burned_total
            )


def test_an_epoch_never_mints_more_than_its_pools() -> None:
    """Over an era with everything in it, all that is minted is within the three pools of each epoch."""
    world, common, _ = build()
    for epoch in range(4, 8):
        world.settle(world.open(common, 100 * VIDYA, VIDYA), ONE, 2**30)
        told = pick(world.go_to_epoch(epoch + 1), EpochRewarded)
        pools = told.pools
        assert told.minted <= pools.hosting + pools.uploads + pools.validators < pools.emission
        assert told.hosting_paid + told.uploads_paid >= pools.hosting + pools.uploads - len(HOSTS) - 1


splits = st.tuples(st.integers(0, PPM), st.integers(0, PPM), st.integers(0, PPM))


@given(splits)
@example((700_000, 100_000, 900_000))
@example((700_000, 100_000, 900_001))
def test_genesis_refuses_splits_by_which_faking_pays(split: tuple[int, int, int]) -> None:
    """A spec is accepted exactly if burned share x (1 - match) is at least 2 % of the price."""
    host, pool, match = split
    assume(host + pool <= PPM)
    loss = (1 - Fraction(host + pool, PPM)) * (1 - Fraction(match, PPM))
    sold = replace(SESSIONS, host_ppm=host, fee_pool_ppm=pool)
    paid = replace(REWARDS, match_ppm=match)
    if loss >= Fraction(2, 100):
        rewards.check_no_profit(paid, sold)
    else:
        with pytest.raises(InvalidChainSpec):
            rewards.check_no_profit(paid, sold)


@pytest.mark.parametrize(
    "change",
    [
        {"match_ppm": 900_001},
        {"hosting_ppm": 650_001},
        {"tenure": (rewards.Tenure(2, PPM), rewards.Tenure(1, PPM))},
        {"tenure": (rewards.Tenure(1, 1_200_000), rewards.Tenure(2, 1_100_000))},
    ],
)
def test_nonsense_parameters_are_refused(change: dict[str, object]) -> None:
    """Pools above the emission, tenure that descends, and a match that pays fakers start no chain."""
    with pytest.raises(InvalidChainSpec, match="rewards"):
        Market(paid=replace(REWARDS, **change))


def wealth(world: Market, coalition: tuple[bytes, ...]) -> int:
    """All that a coalition has or will get, with the whole fee pool as its own."""
    keys = sorted({*coalition})
    own = sum(world.balance(who) + escrow.get_withheld(world.state, who) for who in keys)
    return own + world.fee_pool


@st.composite
def fakes(draw: st.DrawFn) -> tuple[sessions.Parameters, rewards.Parameters, tuple, list]:
    """A price, a split that genesis accepts, a coalition of 1-5 keys, and downloads among its keys."""
    burned = draw(st.integers(20_000, PPM))
    host = draw(st.integers(0, PPM - burned))
    match = draw(st.integers(0, PPM - -(-20_000 * PPM // burned)))
    price = draw(st.integers(1, 1_000 * VIDYA))
    sold = replace(
        SESSIONS, price_per_gib=price, host_ppm=host, fee_pool_ppm=PPM - burned - host, settle_min=0
    )
    payers = draw(st.lists(st.sampled_from((*MEMBERS, ONE, TWO)), min_size=1, max_size=2, unique=True))
    hosts = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True))
    pairs = st.tuples(st.sampled_from(payers), st.sampled_from(hosts), st.integers(1, 2**34))
    downloads = draw(st.lists(pairs, min_size=1, max_size=4))
    return sold, replace(REWARDS, match_ppm=match), (*payers, *hosts), downloads


PROFILE = (SESSIONS, REWARDS, (ONE,), [(ONE, ONE, 2**26)])


@settings(max_examples=60)
@given(fakes())
@example(PROFILE)
@example(
    (
        replace(SESSIONS, price_per_gib=VIDYA // 3, settle_min=0),
        REWARDS,
        (ONE, MEMBER),
        [(MEMBER, ONE, 2**30)],
    )
)
def test_no_coalition_profits_from_paying_itself(fake) -> None:
    """Against the same world without the fake, a coalition with the fee pool loses 2 % of the price."""
    sold, paid, coalition, downloads = fake
    rewards.check_no_profit(paid, sold)
    honest, common, _ = build()
    sessions.PARAMETERS.set(honest.state, sold)
    rewards.hooks.PARAMETERS.set(honest.state, paid)
    faking = honest.fork()
    spent = sum(fake_download(faking, common, sold.price_per_gib, *download) for download in downloads)
    finish(honest)
    finish(faking)
    gain = wealth(faking, coalition) - wealth(honest, coalition)
    assert gain * 50 <= -spent
    assert spent > 0


def fake_download(world: Market, datum: Hash, price: int, payer: bytes, host: bytes, size: int) -> int:
    """Pay a host for bytes that nobody needs; returns the price. As much as the payer can pay."""
    size = min(size, world.balance(payer) * 2**30 // price)
    amount = sessions.compute_price(size, price)
    if amount == 0:
        return 0
    part = (HostAllotment(host, amount),)
    call = OpenSession(datum, VOUCHER_KEY.public_key, price, world.height + 40, part)
    (opened,) = world.call(sessions.open_session, payer, call)
    world.call(sessions.settle, payer, build_settle(opened.session, host, size, amount=amount))
    return amount


@given(st.integers(1, 10**16))
def test_the_margin_is_two_percent_and_not_more(amount: int) -> None:
    """With the profile's split and the whole match, a faked download loses 2 % of its price, to 2 base units."""
    parts = sessions.compute_split(SESSIONS, amount)
    match = rewards.compute_match(REWARDS.match_ppm, parts.burned, 10**17, parts.burned)
    loss = amount - parts.income - parts.fee_pool - match
    assert Fraction(amount, 50) <= loss < Fraction(amount, 50) + 2


traffic = st.lists(
    st.tuples(st.sampled_from(MEMBERS), st.integers(0, 3), st.integers(2 * MIB, 2**31)), max_size=5
)


@settings(max_examples=30)
@given(traffic)
def test_rule_p_traffic_moves_no_other_pool(bought: list[tuple[bytes, int, int]]) -> None:
    """Traffic alone changes neither weights nor validators' pay; hosting only by the match that was spent."""
    calm, common, _ = build()
    busy = calm.fork()
    for payer, number, size in bought:
        session = busy.open(common, *[30 * VIDYA] * 4, payer=payer)
        busy.settle(session, HOSTS[number], size)
        busy.call(sessions.close_session, payer, CloseSession(session))
    before, after = finish(calm), finish(busy)
    told, told_busy = pick(before, EpochRewarded), pick(after, EpochRewarded)
    assert told.pools == told_busy.pools
    for host in HOSTS:
        quiet, loud = pick(before, HostingRewarded, host), pick(after, HostingRewarded, host)
        spent = told_busy.uploads_paid
        amount = (quiet.pool - spent) * quiet.weight // quiet.weight_total
        assert loud == replace(quiet, pool=quiet.pool - spent, amount=amount)
        assert pick(before, ValidatorRewarded, host) == pick(after, ValidatorRewarded, host)
    burned = sum(event.burned for event in after if isinstance(event, UploadRewarded))
    assert told_busy.uploads_paid * 10 <= burned * 9


def test_strangers_traffic_is_an_income_after_all() -> None:
    """The rules that starve fakers pay a host that somebody else pays: 70 % at once and 18 % minted."""
    calm, common, _ = build()
    busy = calm.fork()
    sold = busy.settle(busy.open(common, VIDYA, VIDYA, payer=OTHER), TWO, 20 * MIB)
    finish(calm)
    after = finish(busy)
    match = pick(after, UploadRewarded, TWO).amount
    assert (sold.income, match) == (sold.amount * 7 // 10, sold.burned * 9 // 10)
    gain = wealth(busy, (TWO,)) - busy.fee_pool - wealth(calm, (TWO,)) + calm.fee_pool
    assert sold.income < gain <= sold.income + match
