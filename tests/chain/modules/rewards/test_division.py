"""Rewards: the division of the hosting pool keeps its bounds, whatever the weights."""

from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chain.modules.rewards.division import Division, compute_cap, divide
from chain.primitives.fixed_point import div_up, mul_div, mul_ppm
from chain.primitives.types import PPM

SHARE = 50_000
WEIGHTS = st.integers(0, 2**55)
LISTERS = st.lists(WEIGHTS, max_size=40)
SHARES = st.integers(0, PPM)
AVAILABLE = st.integers(0, 2**60)
PRICES = st.none() | st.tuples(st.integers(1, 10**9), st.integers(1, 10**9))
"""The most that so much weight earns, as a fraction; None: no bound by price."""


class Paid(NamedTuple):
    """What a pool pays for data without a bound, and for those of each lister."""

    pool: int
    free: int
    listers: list[int]
    division: Division


def pay(
    available: int, price: tuple[int, int] | None, subtree_ppm: int, free: int, listers: list[int]
) -> Paid:
    """As `payments` does it: one host with everything of each kind."""
    weight = free + sum(listers)
    pool = available if price is None else min(available, mul_div(price[0], weight, price[1]))
    weight_min = 0 if price is None else min(div_up(pool * price[1], price[0]), weight)
    division = divide(subtree_ppm, weight, listers, weight_min)
    weights = [mul_ppm(one, compute_cap(division, one)) for one in listers]
    paid = [mul_div(pool, one, division.weight_total) for one in (free, *weights)]
    return Paid(pool, paid[0], paid[1:], division)


@given(AVAILABLE, PRICES, SHARES, WEIGHTS, LISTERS)
def test_no_more_than_the_pool_is_paid(available, price, subtree_ppm, free, listers) -> None:
    """The sum of all that is paid is at most the pool."""
    paid = pay(available, price, subtree_ppm, free, listers)
    assert paid.free + sum(paid.listers) <= paid.pool <= available


@given(AVAILABLE, PRICES, SHARES, WEIGHTS, LISTERS)
def test_no_lister_gets_more_than_its_share(available, price, subtree_ppm, free, listers) -> None:
    """Each lister's data get at most `subtree_ppm` of the pool."""
    paid = pay(available, price, subtree_ppm, free, listers)
    assert all(one * PPM <= paid.pool * subtree_ppm for one in paid.listers) or subtree_ppm == PPM


@given(AVAILABLE, st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)), SHARES, WEIGHTS, LISTERS)
def test_no_weight_earns_more_than_the_bound_by_price(available, price, subtree_ppm, free, listers) -> None:
    """However much of the pool capped listers leave, a unit of weight earns no more than its price allows."""
    paid = pay(available, price, subtree_ppm, free, listers)
    for weight, amount in zip((free, *listers), (paid.free, *paid.listers), strict=True):
        assert amount * price[1] <= price[0] * weight


@given(AVAILABLE, PRICES, WEIGHTS, LISTERS, st.integers(0, 2**55), st.integers(0, 2**55))
def test_more_junk_lowers_nobody_else(available, price, free, others, less, more) -> None:
    """Once a lister has its bound, more weight of it takes nothing from those without a bound: they get what
    they would if its data were worth exactly the bound.
    """
    less, more = sorted((less, more))
    one = pay(available, price, SHARE, free, [*others, less])
    assume(less > one.division.lister_weight_max)
    two = pay(available, price, SHARE, free, [*others, more])
    assert two.free >= one.free - 1, "the pool rounds down"
    if price is None and free:
        assert two.division == one.division


@given(AVAILABLE, st.integers(2**40, 2**45), st.lists(st.integers(0, 2**45), max_size=40))
def test_nothing_is_left_while_somebody_may_take_it(available, free, listers) -> None:
    """Where data without a bound exist, and no bound by price, all of the pool but roundings is paid."""
    paid = pay(available, None, SHARE, free, listers)
    assert paid.pool - paid.free - sum(paid.listers) <= paid.pool // 1_000 + len(listers) + 1


@pytest.mark.parametrize(
    ("free", "listers", "total", "largest"),
    [
        (1_000, [], 1_000, 50),
        (950, [50], 1_000, 50),  # exactly its share: nothing is cut
        (950, [51], 1_000, 50),
        (950, [10**9], 1_000, 50),  # a million times as much junk: the others get 95 % as before
        (900, [10**9, 10**6], 1_000, 50),
        (0, [500, 500], 1_000, 50),  # nobody may take the rest
        (0, [10] * 100, 1_000, 50),  # a hundred small listers: none reaches its bound
        (0, [0, 0], 1, 0),
    ],
)
def test_known_divisions(free: int, listers: list[int], total: int, largest: int) -> None:
    """What is divided by, and the bound in weight, without a bound by price."""
    assert divide(SHARE, free + sum(listers), listers, 0) == Division(total, largest)
