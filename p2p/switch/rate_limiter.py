"""Rate limits that wait: how much a peer may make us do per second.

A limiter holds one second's allowance, or one largest item when that is more, so that every allowed item
passes some time. Taking more than is there waits: the peer is slowed down by not being read, not punished.
"""

import trio

from p2p.switch.token_bucket import NS_PER_SECOND, TokenBucket


class RateLimiter:
    """A token bucket on the loop's clock."""

    __slots__ = ("_bucket",)

    def __init__(self, rate: int, largest: int = 1) -> None:
        self._bucket = TokenBucket(rate, max(rate, largest), _get_now_ns())

    async def take(self, count: int) -> None:
        """Takes the tokens, and waits until they were there."""
        now_ns = _get_now_ns()
        wait_ns = self._bucket.compute_wait_ns(count, now_ns)
        self._bucket.spend(count, now_ns)
        if wait_ns:
            await trio.sleep(wait_ns / NS_PER_SECOND)


def _get_now_ns() -> int:
    return int(trio.current_time() * NS_PER_SECOND)
