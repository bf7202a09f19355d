"""A token bucket (as in RFC 2697, with one rate): bounds work per second and in one burst.

Pure: the caller gives the time, in nanoseconds of any clock that does not go back. Whole numbers only, so
that a simulated run is the same everywhere.
"""

NS_PER_SECOND = 10**9
NS_PER_MS = 10**6


class TokenBucket:
    """Refills at `rate` tokens a second up to `capacity`; starts full."""

    __slots__ = ("_capacity", "_level", "_rate", "_refilled_ns")

    def __init__(self, rate: int, capacity: int, now_ns: int) -> None:
        if rate <= 0:
            raise ValueError(f"a rate of {rate}: the bucket would never refill")
        self._rate = rate
        self._capacity = self._level = capacity * NS_PER_SECOND
        self._refilled_ns = now_ns

    def compute_wait_ns(self, count: int, now_ns: int) -> int:
        """Nanoseconds until `count` tokens are available. A count above the capacity needs a full bucket."""
        self._refill(now_ns)
        missing = min(count * NS_PER_SECOND, self._capacity) - self._level
        return max(0, -(-missing // self._rate))

    def spend(self, count: int, now_ns: int) -> None:
        """Takes the tokens, below zero if they are missing: so tasks that wait at the same time get
        them in turn.
        """
        self._refill(now_ns)
        self._level -= count * NS_PER_SECOND

    def try_spend(self, count: int, now_ns: int) -> bool:
        """Takes the tokens if they are available; returns whether they were."""
        if self.compute_wait_ns(count, now_ns):
            return False
        self.spend(count, now_ns)
        return True

    def _refill(self, now_ns: int) -> None:
        self._level = min(self._capacity, self._level + (now_ns - self._refilled_ns) * self._rate)
        self._refilled_ns = now_ns
