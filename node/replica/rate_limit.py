"""A rate limit: how many bytes a peer may have us send, by a clock that the caller reads.

The rule of `p2p.switch.rates.TokenBucket` in whole numbers and without waiting: what exceeds it is refused.
"""


class Allowance:
    """Refills at `per_second` up to `burst`; starts full."""

    def __init__(self, per_second: int, burst: int, now_ms: int) -> None:
        self._per_second = per_second
        self._full = burst * 1_000
        self._thousandths = self._full
        self._refilled_ms = now_ms

    def take(self, count: int, now_ms: int) -> bool:
        """Whether that much was there, and is now taken; what is above the burst needs a full one."""
        self._thousandths = min(
            self._full, self._thousandths + (now_ms - self._refilled_ms) * self._per_second
        )
        self._refilled_ms = now_ms
        if self._thousandths < min(count * 1_000, self._full):
            return False
        self._thousandths -= count * 1_000
        return True
