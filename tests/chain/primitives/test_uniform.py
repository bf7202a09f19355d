"""Uniform choice out of hash words."""

import pytest

from chain.primitives.uniform import reduce_word


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 255, 256])
def test_each_value_has_as_many_words(count: int) -> None:
    """Of all words of one byte, each value below `count` gets equally many; the rest is discarded."""
    values = [reduce_word(bytes((word,)), count) for word in range(256)]
    kept = [value for value in values if value is not None]
    assert [kept.count(value) for value in range(count)] == [256 // count] * count
    assert len(kept) == 256 - 256 % count
