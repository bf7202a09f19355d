"""Power laws in integers are exact to a billionth, and monotone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.power_law import ONE, Exponent, compute_power, compute_root, is_usable

EXPONENTS = st.builds(Exponent, st.integers(1, 12), st.integers(1, 4)).filter(is_usable)


@given(st.integers(0, 10**40), st.integers(1, 4))
def test_a_root_is_the_largest_that_fits(value: int, degree: int) -> None:
    """Its power is at most the value, and that of the next integer is more."""
    root = compute_root(value, degree)
    assert root**degree <= value < (root + 1) ** degree


@given(st.integers(0, 520), st.integers(1, 520), EXPONENTS)
def test_the_error_is_below_a_billionth(part: int, whole: int, exponent: Exponent) -> None:
    """(part/whole)^(p/q) lies in [result, result + 1 billionth), shown without a float."""
    result, p, q = compute_power(part, whole, exponent), exponent.numerator, exponent.denominator
    scaled = part**p * ONE**q
    assert result**q * whole**p <= scaled < (result + 1) ** q * whole**p


@given(st.integers(1, 520), EXPONENTS)
def test_more_of_the_whole_is_never_less(whole: int, exponent: Exponent) -> None:
    """The curve rises from 0 to one."""
    curve = [compute_power(part, whole, exponent) for part in range(whole + 1)]
    assert curve == sorted(curve)
    assert (curve[0], curve[-1]) == (0, ONE)


@pytest.mark.parametrize("exponent", [Exponent(0, 1), Exponent(1, 0), Exponent(13, 4), Exponent(1, 5)])
def test_exponents_out_of_bounds_are_named(exponent: Exponent) -> None:
    """Above 0, at most 3, with a denominator of at most 4."""
    assert not is_usable(exponent)
