"""No profit and Rule P: buying from oneself never pays, and moves no pool but the one for uploads."""

from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from chain.errors import InvalidChainSpec
from chain.modules import escrow, rewards, sessions
from chain.modules.rewards.types import EpochRewarded, HostingRewarded, UploadRewarded, ValidatorRewarded
from chain.modules.sessions import CloseSession, HostAllotment, OpenSession
from chain.primitives.codec import replace
from chain.primitives.types import PPM, Hash
from tests.chain.support.market_worlds import (
    HOSTS,
    MEMBER,
    MEMBERS,
    OTHER,
    REWARDS,
    SESSIONS,
    VOUCHER_KEY,
    Market,
    build_hosted,
    build_settle,
    finish,
    pick,
)
from tests.chain.support.worlds import VIDYA

ONE, TWO, THREE, FOUR = HOSTS
MIB = 2**20


splits = st.tuples(st.integers(0, PPM), st.integers(0, PPM), st.integers(0, PPM))


@given(splits)
@example((700_000, 100_000, 900_000))
@example((700_000, 100_000, 900_001))
def test_genesis_refuses_splits_by_which_faking_pays(split: tuple[int, int, int]) -> None:
    """A spec is accepted exactly if burned share x (1 - match) is at least 2 % of the price."""
    host, pool, match = split
    assume(host + pool <= PPM)
    loss = (1 - Fraction(host + pool, PPM)) * (1 - Fraction(match, PPM))
    sold = replace(SESSIONS, host_ppm=host, lockers_ppm=pool)
    paid = replace(REWARDS, match_ppm=match)
    if loss >= Fraction(2, 100):
        rewards.hooks.check_no_profit(paid, sold)
    else:
        with pytest.raises(InvalidChainSpec):
            rewards.hooks.check_no_profit(paid, sold)


def wealth(world: Market, coalition: tuple[bytes, ...]) -> int:
    """All that a coalition has or will get, with the whole fund of lockers as its own."""
    keys = sorted({*coalition})
    own = sum(world.balance(who) + escrow.get_withheld(world.state, who) for who in keys)
    return own + world.lockers_fund


@st.composite
def fakes(draw: st.DrawFn) -> tuple[sessions.Parameters, rewards.types.Parameters, tuple, list]:
    """A price, a split that genesis accepts, a coalition of 1-5 keys, and downloads among its keys."""
    burned = draw(st.integers(20_000, PPM))
    host = draw(st.integers(0, PPM - burned))
    match = draw(st.integers(0, PPM - -(-20_000 * PPM // burned)))
    price = draw(st.integers(1, 1_000 * VIDYA))
    sold = replace(
        SESSIONS, price_per_gib=price, host_ppm=host, lockers_ppm=PPM - burned - host, settle_min=0
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
    rewards.hooks.check_no_profit(paid, sold)
    honest, common, _ = build_hosted()
    sessions.types.PARAMETERS.set(honest.state, sold)
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
    (opened,) = world.call(sessions.calls.open_session, payer, call)
    world.call(sessions.calls.settle, payer, build_settle(opened.session, host, size, amount=amount))
    return amount


@given(st.integers(1, 10**16))
def test_the_margin_is_two_percent_and_not_more(amount: int) -> None:
    """With the profile's split and the whole match, a faked download loses 2 %, within 2 base units."""
    parts = sessions.calls.compute_split(SESSIONS, amount)
    match = rewards.payments.compute_match(REWARDS.match_ppm, parts.burned, 10**17, parts.burned)
    loss = amount - parts.income - parts.to_lockers - match
    assert Fraction(amount, 50) <= loss < Fraction(amount, 50) + 2


traffic = st.lists(
    st.tuples(st.sampled_from(MEMBERS), st.integers(0, 3), st.integers(2 * MIB, 2**31)), max_size=5
)


@settings(max_examples=30)
@given(traffic)
def test_rule_p_traffic_moves_no_other_pool(bought: list[tuple[bytes, int, int]]) -> None:
    """Traffic alone changes neither weights nor validators' pay; hosting only by the match that was spent."""
    calm, common, _ = build_hosted()
    busy = calm.fork()
    for payer, number, size in bought:
        session = busy.open(common, *[30 * VIDYA] * 4, payer=payer)
        busy.settle(session, HOSTS[number], size)
        busy.call(sessions.calls.close_session, payer, CloseSession(session))
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
    calm, common, _ = build_hosted()
    busy = calm.fork()
    sold = busy.settle(busy.open(common, VIDYA, VIDYA, payer=OTHER), TWO, 20 * MIB)
    finish(calm)
    after = finish(busy)
    match = pick(after, UploadRewarded, TWO).amount
    assert (sold.income, match) == (sold.amount * 7 // 10, sold.burned * 9 // 10)
    gain = wealth(busy, (TWO,)) - busy.lockers_fund - wealth(calm, (TWO,)) + calm.lockers_fund
    assert sold.income < gain <= sold.income + match
