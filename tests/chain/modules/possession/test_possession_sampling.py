"""Possession: sampling is uniform, and finds who hides data as often as it should; on the real state machine.

Everything is derived from fixed seeds, so a test that passes once passes always; the bounds are those that a
fair draw would break once in a thousand runs.
"""

from fractions import Fraction
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.content import LEAF_BYTES
from chain.modules import beacon, hosting, possession
from chain.modules.hosting import DatumLeaf, RegisterSubset
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import Address, Hash
from tests.chain.support.content_worlds import Content, ContentWorld, build_hosts
from tests.chain.support.worlds import POSSESSION

BUCKETS = 20
CHI_SQUARE_BOUND = 43.82
"""0.999 quantile of the chi-square distribution with BUCKETS - 1 = 19 degrees of freedom."""


class Histogram:
    """Draws from rows of changing length, in equal shares of the row."""

    def __init__(self) -> None:
        self.seen = [0] * BUCKETS
        self.expected = [Fraction(0)] * BUCKETS

    def add(self, position: int, total: int) -> None:
        self.seen[position * BUCKETS // total] += 1
        for bucket in range(BUCKETS):
            first = -(-bucket * total // BUCKETS)
            after = -(-(bucket + 1) * total // BUCKETS)
            self.expected[bucket] += Fraction(after - first, total)

    def compute_chi_square(self) -> float:
        pairs = zip(self.seen, self.expected, strict=True)
        return float(sum((seen - expected) ** 2 / expected for seen, expected in pairs if expected))


def find_position(world: ContentWorld, who: Address, place: DatumLeaf) -> int:
    """Where a leaf stands in the host's row, found by counting and not by the search that is tested."""
    before = 0
    for held in hosting.get_subset(world.state, who, world.epoch):
        if held.datum == place.datum:
            return before + place.leaf_index
        before += -(-held.size_bytes // LEAF_BYTES)
    raise AssertionError("a leaf of a datum that is not held")


def change_subset(world: ContentWorld, chance: Random, who: Address, datums: list[Hash]) -> None:
    """Drop one datum at random, add one that is free."""
    held = [one.datum for one in hosting.get_subset(world.state, who, world.epoch + 2)]
    free = [datum for datum in datums if hosting.get_holding(world.state, who, datum) is None]
    drop = (chance.choice(held),) if len(held) > 2 else ()
    add = (chance.choice(free),) if free else ()
    if add or drop:
        world.call(hosting.calls.register_subset, who, RegisterSubset(add, drop))


def build_changing_world(chance: Random, hosts: list[Address]) -> tuple[ContentWorld, list[Hash]]:
    """Hosts with half of twelve datums of 1 leaf to 4 MiB each, in effect."""
    world = ContentWorld(hosts)
    sizes = [chance.randrange(1, 2 ** chance.randrange(1, 23)) for _ in range(12)]
    contents = [Content(number, size, has_bytes=False) for number, size in enumerate(sizes)]
    datums = [world.list_content(content) for content in contents]
    for who in hosts:
        world.host(who, *chance.sample(datums, 6))
    world.go_to_epoch(2)
    return world, datums


def test_leaves_are_drawn_uniformly_over_all_bytes_under_adds_and_drops() -> None:
    """Chi-square over the row of leaves, of 12 hosts that change their subsets for 40 epochs."""
    chance, hosts, histogram = Random(1), build_hosts(12), Histogram()
    world, datums = build_changing_world(chance, hosts)
    world.checks = ()
    for epoch in range(2, 42):
        world.go_to_epoch(epoch)
        for who in hosts:
            total = hosting.get_subset_totals(world.state, who).leaves
            for place in possession.get_challenges(world.state, who, epoch):
                histogram.add(find_position(world, who, place), total)
            change_subset(world, chance, who, datums)
    assert sum(histogram.seen) == 12 * 40 * 4
    assert histogram.compute_chi_square() < CHI_SQUARE_BOUND


@pytest.mark.parametrize("total", [1, 2, 3, 20, 1000, 2**20 + 7])
def test_a_row_of_any_length_is_drawn_uniformly(total: int) -> None:
    """Chi-square over 4000 draws of one row; short rows too, where whole buckets stay empty."""
    histogram = Histogram()
    for epoch in range(250):
        for position in possession.compute_positions(b"s" * 32, epoch, b"h" * 32, None, 16, total):
            histogram.add(position, total)
    assert histogram.compute_chi_square() < CHI_SQUARE_BOUND


def test_the_statistic_sees_a_draw_that_favours_small_datums() -> None:
    """A draw that first picks a datum and then a leaf fails the bound by far: the test above can fail."""
    chance, histogram = Random(2), Histogram()
    sizes = [1, 10, 100, 1000]
    for _ in range(1920):
        datum = chance.randrange(4)
        histogram.add(sum(sizes[:datum]) + chance.randrange(sizes[datum]), sum(sizes))
    assert histogram.compute_chi_square() > 10 * CHI_SQUARE_BOUND


@given(st.binary(min_size=32, max_size=32), st.integers(1, 2**45), st.integers(1, 16))
def test_positions_lie_in_the_row(seed: Hash, total: int, count: int) -> None:
    """As many as asked for, all of them leaves that exist."""
    positions = possession.compute_positions(seed, 7, b"h" * 32, None, count, total)
    assert len(positions) == count
    assert all(0 <= position < total for position in positions)


def test_an_epoch_is_sampled_by_a_seed_that_came_after_its_subsets() -> None:
    """What takes effect in epoch 5 is final with epoch 3; the seed is sealed with epoch 4."""
    (who,) = build_hosts(1)
    world = ContentWorld([who])
    world.host(who, world.list_content(Content(1, 2**30, has_bytes=False)))
    world.go_to_epoch(5)
    drawn = tuple(place.leaf_index for place in possession.get_challenges(world.state, who, 5))
    seed = beacon.get_seed(world.state, 5)
    assert drawn == possession.compute_positions(seed, 5, who, None, 4, 2**20)


def test_words_that_would_favour_a_position_are_passed_over() -> None:
    """With a row of 3/4 of all words, a quarter of them is of no use; the others are taken as they come."""
    total = 3 * 2**62
    words = [
        int.from_bytes(hash_record(Domain.SAMPLE, (b"s" * 32, 5, b"h" * 32, None, counter))[:8], "big")
        for counter in range(64)
    ]
    usable = [word for word in words if word < total]
    assert 40 < len(usable) < 60 and max(usable[:16]) > 2**63
    assert possession.compute_positions(b"s" * 32, 5, b"h" * 32, None, 16, total) == tuple(usable[:16])


def test_every_input_of_the_draw_matters() -> None:
    """Another seed, epoch, host or demand gives other positions."""
    draws = {
        possession.compute_positions(seed, epoch, host, demanded, 4, 2**40)
        for seed in (b"s" * 32, b"t" * 32)
        for epoch in (1, 2)
        for host in (b"h" * 32, b"i" * 32)
        for demanded in (None, bytes(32), b"d" * 32)
    }
    assert len(draws) == 24


@pytest.mark.parametrize("hidden_percent", [1, 5, 10, 30])
def test_partial_storers_are_found_as_often_as_predicted(hidden_percent: int) -> None:
    """40 hosts over 50 epochs miss 1 - (1 - h)^4 of them, within three standard deviations."""
    content = Content(9, 200 * LEAF_BYTES)
    hosts = build_hosts(40)
    world = ContentWorld(hosts, mass_miss_ppm=1_000_000)
    datum = world.list_content(content)
    for who in hosts:
        world.host(who, datum)
    world.go_to_epoch(2)
    world.checks = ()
    hidden = set(Random(hidden_percent).sample(range(200), 2 * hidden_percent))
    missed = sum(run_epoch(world, hosts, hidden) for _ in range(50))
    trials, share = 40 * 50, 1 - (1 - hidden_percent / 100) ** 4
    deviation = (trials * share * (1 - share)) ** 0.5
    assert abs(missed - trials * share) < 3 * deviation


def run_epoch(world: ContentWorld, hosts: list[Address], hidden: set[int]) -> int:
    """Every host proves if it can; returns how many were judged to have missed."""
    for who in hosts:
        places = possession.get_challenges(world.state, who, world.epoch)
        if not hidden.intersection(place.leaf_index for place in places):
            world.prove(who)
    world.go_to_deadline()
    judgement = possession.get_judgement(world.state)
    assert judgement is not None and judgement.epoch == world.epoch
    world.go_to_epoch(world.epoch + 1)
    return len(judgement.missed)


@pytest.mark.parametrize("hidden_permille", [1, 5, 10, 50, 100, 300, 500])
def test_hiding_data_never_pays(hidden_permille: int) -> None:
    """The expected pay of a partial storer falls faster than the bytes it saves.

    Exact over the binomial course of a window: pay is the share of proven epochs times the pay factor.
    """
    hidden = Fraction(hidden_permille, 1000)
    proven = (1 - hidden) ** 4
    factor = Fraction(0)
    for count in range(97):
        history = possession.types.History(b"p" * count + b"m" * (96 - count))
        chance = comb(96, count) * proven**count * (1 - proven) ** (96 - count)
        factor += chance * possession.history.compute_pay_factor(POSSESSION, history)
    assert proven * factor / 1_000_000 < 1 - hidden
