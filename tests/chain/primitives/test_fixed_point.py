"""Integer arithmetic against exact fractions."""

from fractions import Fraction
from math import ceil, floor

from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.fixed_point import div_up, mul_div, mul_ppm
from chain.primitives.types import INTEGER_MAX, PPM

amounts = st.integers(0, INTEGER_MAX)
divisors = st.integers(1, INTEGER_MAX)


@given(amounts, amounts, divisors)
def test_mul_div_rounds_the_exact_product_down(value: int, numerator: int, denominator: int) -> None:
    """No precision is lost before the one division, also where the product passes 64 bits."""
    assert mul_div(value, numerator, denominator) == floor(Fraction(value) * numerator / denominator)


@given(amounts, st.integers(0, 4 * PPM))
def test_mul_ppm_rounds_down(value: int, ppm: int) -> None:
    """A rate of one million is the whole."""
    assert mul_ppm(value, ppm) == floor(Fraction(value * ppm, PPM))
    assert mul_ppm(value, PPM) == value


@given(amounts, st.integers(0, PPM))
def test_what_is_split_by_rates_never_exceeds_the_whole(value: int, ppm: int) -> None:
    """A share and its complement lose at most one base unit, and make none."""
    assert 0 <= value - mul_ppm(value, ppm) - mul_ppm(value, PPM - ppm) <= 1


@given(amounts, divisors)
def test_div_up_rounds_up(value: int, denominator: int) -> None:
    """The least whole number that is no less than the quotient."""
    assert div_up(value, denominator) == ceil(Fraction(value, denominator))
