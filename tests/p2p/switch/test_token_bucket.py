"""The token bucket, by a clock that the test sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.switch.token_bucket import NS_PER_SECOND, TokenBucket


def test_a_bucket_gives_its_capacity_and_then_its_rate() -> None:
    """A full bucket gives the burst at once; what was spent is back after count / rate seconds."""
    bucket = TokenBucket(10, 20, 0)
    assert bucket.try_spend(20, 0)
    assert not bucket.try_spend(1, NS_PER_SECOND // 10 - 1)
    assert bucket.try_spend(1, NS_PER_SECOND // 10)
    assert bucket.compute_wait_ns(5, NS_PER_SECOND // 10) == NS_PER_SECOND // 2


def test_what_is_above_the_capacity_needs_a_full_bucket() -> None:
    """An item larger than the bucket passes when it is full, and its tokens are missing afterwards."""
    bucket = TokenBucket(10, 20, 0)
    assert bucket.try_spend(50, 0)
    assert not bucket.try_spend(50, 5 * NS_PER_SECOND - 1)
    assert bucket.try_spend(50, 5 * NS_PER_SECOND)


@given(
    st.integers(1, 10**9),
    st.integers(1, 10**9),
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(1, 10**9)), max_size=50),
)
def test_no_window_lets_through_more_than_burst_and_rate(
    rate: int, capacity: int, steps: list[tuple[int, int]]
) -> None:
    """From the start to any moment, items within the capacity add up to at most capacity + rate x time."""
    bucket, now, taken = TokenBucket(rate, capacity, 0), 0, 0
    for passed, count in steps:
        now += passed
        if bucket.try_spend(min(count, capacity), now):
            taken += min(count, capacity)
        assert taken * NS_PER_SECOND <= capacity * NS_PER_SECOND + rate * now


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_wait_is_exact(rate: int, capacity: int, count: int) -> None:
    """After the computed wait the tokens are there, and not a nanosecond before."""
    bucket = TokenBucket(rate, capacity, 0)
    bucket.spend(capacity, 0)
    wait = bucket.compute_wait_ns(count, 0)
    assert bucket.compute_wait_ns(count, wait - 1) == 1
    assert bucket.compute_wait_ns(count, wait) == 0


def test_a_bucket_that_never_refills_is_refused() -> None:
    """It would block its user forever."""
    with pytest.raises(ValueError, match="rate of 0"):
        TokenBucket(0, 1, 0)
