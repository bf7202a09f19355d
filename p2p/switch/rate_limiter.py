"""A rate limiter that waits: a peer above its rate is read more slowly, and not punished.

Its bucket holds the tokens of one second, or of one largest item if that is more, so that every allowed item
passes in the end.
"""

import trio

from p2p.switch.token_bucket import NS_PER_SECOND, TokenBucket


class RateLimiter:
    """A token bucket with the clock of the loop."""

    __slots__ = ("_bucket",)

    def __init__(self, rate: int, largest: int = 1) -> None:
        self._bucket = TokenBucket(rate, max(rate, largest), _get_now_ns())

    async def take(self, count: int) -> None:
        """Takes the tokens at once and waits as long as they were missing."""
        now_ns = _get_now_ns()
        wait_ns = self._bucket.compute_wait_ns(count, now_ns)
        self._bucket.spend(count, now_ns)
        if wait_ns:
            await trio.sleep(wait_ns / NS_PER_SECOND)

    def give_back(self, count: int) -> None:
        """Returns tokens that were taken and not needed."""
        self._bucket.spend(-count, _get_now_ns())


def _get_now_ns() -> int:
    return int(trio.current_time() * NS_PER_SECOND)
