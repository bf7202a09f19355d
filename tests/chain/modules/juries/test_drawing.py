"""Juries are drawn by weight, without repetition, and the same everywhere."""

from collections import Counter
from itertools import permutations
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from chain.modules.juries.drawing import draw
from tests.chain.support.worlds import VIDYA, account

WEIGHTED = st.dictionaries(st.integers(0, 200), st.integers(0, 10**18), max_size=60).map(
    lambda bonds: tuple((account(number), bonds[number]) for number in sorted(bonds))
)
SEEDS = st.binary(min_size=32, max_size=32)


@given(seed=SEEDS, case=st.integers(0, 2**40), weighted=WEIGHTED, count=st.integers(0, 20))
def test_a_draw_takes_different_accounts_with_weight(seed, case, weighted, count) -> None:
    """As many as asked, or all that have weight; each once; twice the same draw is the same jury."""
    drawn = draw(seed, case, weighted, count)
    heavy = [who for who, weight in weighted if weight]
    assert len(drawn) == len(frozenset(drawn)) == min(count, len(heavy))
    assert frozenset(drawn) <= frozenset(heavy)
    assert drawn == draw(seed, case, weighted, count)
    assert drawn[: count // 2] == draw(seed, case, weighted, count // 2)


DRAWS = 6_000
BONDS = (100 * VIDYA, 200 * VIDYA, 300 * VIDYA, 400 * VIDYA)


def test_each_order_is_drawn_as_often_as_its_weights_say() -> None:
    """Chi-square over all 24 orders of four accounts: below the 99.99 % quantile for 23 degrees (55.5)."""
    weighted = tuple((account(number), bond) for number, bond in enumerate(BONDS))
    seen = Counter(draw(number.to_bytes(32, "big"), 7, weighted, 4) for number in range(DRAWS))
    chi_square = 0.0
    for order in permutations(range(4)):
        left = [sum(BONDS) - sum(BONDS[one] for one in order[:place]) for place in range(4)]
        expected = DRAWS * prod(BONDS[one] / rest for one, rest in zip(order, left, strict=True))
        found = seen[tuple(account(one) for one in order)]
        chi_square += (found - expected) ** 2 / expected
    assert chi_square < 55.5


def test_no_unit_of_weight_is_more_likely_for_being_first() -> None:
    """Three equal weights that fill three quarters of all words: each a third (chi-square below 18.4)."""
    weighted = tuple((account(number), 2**126) for number in range(3))
    seen = Counter(draw(number.to_bytes(32, "big"), 7, weighted, 1) for number in range(DRAWS))
    third = DRAWS / 3
    assert sum((count - third) ** 2 / third for count in seen.values()) < 18.4


def test_cases_of_one_epoch_have_juries_of_their_own() -> None:
    """The number of the case goes into the draw."""
    weighted = tuple((account(number), VIDYA) for number in range(100))
    juries = {draw(b"s" * 32, case, weighted, 15) for case in range(8)}
    assert len(juries) == 8
