"""Integer arithmetic of the economy: division rounds down, against the receiver.

Rates are parts per million (`PPM`). Nothing here knows what the numbers mean.
"""

from chain.primitives.types import PPM


def mul_div(value: int, numerator: int, denominator: int) -> int:
    """`value * numerator / denominator`, rounded down; the product may exceed 64 bits."""
    return value * numerator // denominator


def mul_ppm(value: int, ppm: int) -> int:
    """`ppm` parts per million of `value`, rounded down."""
    return value * ppm // PPM


def div_up(value: int, denominator: int) -> int:
    """`value / denominator`, rounded up."""
    return -(-value // denominator)
