"""Nobody whose host is up nine tenths of the time goes to jail: the real history, over a million eras.

Maintenance credits are never earned here. They would only cover misses.
"""

from collections.abc import Callable, Iterator
from math import comb
from random import Random

import pytest

from chain.modules import possession
from chain.modules.possession.history import compute_missed, compute_proven, count_misses
from chain.primitives.codec import replace
from chain.primitives.types import PPM
from node.home.profiles import load_profile

PUBLIC = load_profile("public")
PARAMETERS = replace(PUBLIC.possession.parameters, credit_proven_epochs=10**9)
WINDOW = PARAMETERS.window_epochs
ERA = PUBLIC.system.parameters.era_epochs
DOWN = ERA // 10
"""Epochs of an era in which a host of 90 % is down."""
PART_ERAS, PARTS = 25_000, 20
"""Of each course: 500,000 eras of two courses are a million."""
Course = Callable[[Random], Iterator[bool]]


def draw_single_misses(chance: Random) -> Iterator[bool]:
    """Each epoch is missed with a chance of 10 %, whatever happened before."""
    while True:
        yield chance.randrange(10) > 0


def draw_outages(chance: Random) -> Iterator[bool]:
    """One outage in each era, as long as 90 % allows, at any place: two may touch."""
    while True:
        start = chance.randrange(ERA - DOWN + 1)
        yield from (not start <= epoch < start + DOWN for epoch in range(ERA))


def count_most_misses(course: Iterator[bool], eras: int) -> int:
    """The most misses that ever count for jail, over so many eras of a course."""
    history, most = possession.types.NEW_HISTORY, 0
    for _ in range(eras * ERA):
        if next(course):
            history = compute_proven(PARAMETERS, history)
        else:
            history = compute_missed(PARAMETERS, history)
            most = max(most, count_misses(history))
    return most


def is_jailed(misses: int) -> bool:
    """As `offences` judges a window."""
    return misses * PPM >= PUBLIC.offences.parameters.miss_jail_ppm * WINDOW


@pytest.mark.parametrize("draw", [draw_single_misses, draw_outages])
def test_no_jail_at_ninety_percent(draw: Course) -> None:
    """A share of the million eras, small enough for every run of the tests."""
    assert count_most_misses(draw(Random(0)), 1_000) > 0
    assert not is_jailed(count_most_misses(draw(Random(0)), 1_000))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("draw", [draw_single_misses, draw_outages])
def test_no_jail_in_a_million_eras_at_ninety_percent(draw: Course, part: int) -> None:
    """Every window of a million eras stays below jail."""
    assert not is_jailed(count_most_misses(draw(Random(part)), PART_ERAS))


def test_the_chance_of_jail_in_a_million_eras_is_nothing() -> None:
    """Of a billion runs of a million eras with single misses, fewer than one leads to jail at all."""
    jail = next(misses for misses in range(WINDOW + 1) if is_jailed(misses))
    beyond = sum(comb(WINDOW, count) * 9 ** (WINDOW - count) for count in range(jail, WINDOW + 1))
    assert 10**6 * ERA * beyond * 10**9 < 10**WINDOW


def test_the_worst_course_at_ninety_percent_is_not_jailed() -> None:
    """All misses of two neighbouring eras in a row: a window spans no more eras than two."""
    course = [True] * (ERA - DOWN) + [False] * 2 * DOWN + [True] * (ERA - DOWN)
    assert ERA == WINDOW
    assert count_most_misses(iter(course), 2) == 2 * DOWN
    assert not is_jailed(2 * DOWN)


def test_jail_can_be_reached() -> None:
    """At half uptime the count reaches jail: the tests above can fail."""
    assert is_jailed(count_most_misses(iter([True, False] * ERA), 2))
