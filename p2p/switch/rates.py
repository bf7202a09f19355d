"""Token buckets: how much a peer may make us do per second.

A bucket holds one second's allowance, or one largest item when that is more, so that every allowed item
passes some time. Taking more than is there waits: the peer is slowed down by not being read, not punished.
"""

import trio


class TokenBucket:
    """Refills at `rate` tokens a second up to `capacity`."""

    __slots__ = ("_capacity", "_rate", "_refilled", "_tokens")

    def __init__(self, rate: int, capacity: int) -> None:
        assert rate > 0, "a bucket that never refills would stop its taker for ever"
        self._rate = rate
        self._capacity = max(rate, capacity)
        self._tokens = float(self._capacity)
        self._refilled = trio.current_time()

    def compute_wait(self, count: int) -> float:
        """Seconds until `count` tokens are there; 0 if they are."""
        self._refill()
        return max(0.0, (min(count, self._capacity) - self._tokens) / self._rate)

    def spend(self, count: int) -> None:
        """Takes the tokens, into debt if need be, so that takers who waited together cannot all win."""
        self._refill()
        self._tokens -= count

    async def take(self, count: int) -> None:
        """Waits for the tokens and takes them."""
        wait = self.compute_wait(count)
        self.spend(count)
        if wait:
            await trio.sleep(wait)

    def _refill(self) -> None:
        now = trio.current_time()
        self._tokens = min(self._capacity, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
