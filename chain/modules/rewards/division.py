"""Rewards: how the hosting pool is divided, with a bound on the data of each lister. Pure arithmetic.

A lister's data take at most `subtree_ppm` of the pool. What exceeds that is divided among the rest by weight
(max-min fairness, by water-filling), so that junk does not dilute what others get. A unit of weight takes at
most what the bound by price gives it. What nobody may take is not for hosts.

A host gets pool x (weight that is paid) / `weight_total`. Of a lister's data at most `lister_weight_max` is
paid, which is `subtree_ppm` of `weight_total`. So the rule is one number: the smallest `weight_total` which
the weights that are paid do not exceed.
"""

from collections.abc import Iterable
from typing import NamedTuple

from chain.primitives.fixed_point import div_up, mul_div, mul_ppm
from chain.primitives.types import PPM, Ppm, Uint


class Division(NamedTuple):
    """What an epoch's hosting pool is divided by."""

    weight_total: Uint
    """The pool is paid for so much weight; at least 1."""
    lister_weight_max: Uint
    """Most weight that is paid of the data of one lister that share a bound."""


def divide(subtree_ppm: Ppm, weight: Uint, lister_weights: Iterable[Uint], weight_min: Uint) -> Division:
    """The division of a pool among `weight`, of which `lister_weights` have a bound each.

    `weight_min`: with a smaller total, a unit of weight would earn more than the bound by price. The loop
    ends after 1 / `subtree_ppm` listers: more cannot reach their bound together.
    """
    rest, capped = weight, 0
    for one in sorted(lister_weights, reverse=True):
        if one * (PPM - capped * subtree_ppm) <= subtree_ppm * rest:
            break
        rest, capped = rest - one, capped + 1
    level = div_up(rest * PPM, PPM - capped * subtree_ppm)
    # If all data are bounded and no price bounds them, no level is too high: each lister gets its bound.
    total = max(level, weight_min, 1) if rest or weight_min else max(weight, 1)
    return Division(total, mul_ppm(total, subtree_ppm))


def compute_cap(division: Division, lister_weight: Uint) -> Ppm:
    """The part of a lister's weight that is paid, rounded down."""
    if lister_weight <= division.lister_weight_max:
        return PPM
    return mul_div(PPM, division.lister_weight_max, lister_weight)
