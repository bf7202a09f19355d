"""Power laws in integers: `(part / whole) ^ exponent`, rounded down to a billionth.

The exponent is a fraction, so that the result is an integer root of an integer power and exact: the true
value is at least the result and less than the result plus one billionth. Nothing here knows what it weighs.
"""

from chain.primitives.codec import Record
from chain.primitives.types import Uint8

ONE = 10**9
"""The scale of results."""
EXPONENT_MAX = 3
DENOMINATOR_MAX = 4


class Exponent(Record):
    """`numerator / denominator`, above 0 and at most `EXPONENT_MAX`."""

    numerator: Uint8
    denominator: Uint8


def is_usable(exponent: Exponent) -> bool:
    """Whether the exponent is within the bounds that keep powers small."""
    return (
        1 <= exponent.denominator <= DENOMINATOR_MAX
        and 1 <= exponent.numerator <= EXPONENT_MAX * exponent.denominator
    )


def compute_power(part: int, whole: int, exponent: Exponent) -> int:
    """`(part / whole) ^ exponent` in billionths, rounded down; 0 up to `ONE` for 0 <= part <= whole."""
    scaled = part**exponent.numerator * ONE**exponent.denominator // whole**exponent.numerator
    return compute_root(scaled, exponent.denominator)


def compute_root(value: int, degree: int) -> int:
    """The largest integer whose `degree`-th power is at most `value`: Newton's method from above."""
    if value < 2 or degree == 1:
        return value
    root = 1 << -(-value.bit_length() // degree)
    while True:
        better = ((degree - 1) * root + value // root ** (degree - 1)) // degree
        if better >= root:
            return root
        root = better
