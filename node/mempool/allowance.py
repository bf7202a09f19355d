"""What a peer may cost the pool: work on transactions that are refused, and bytes of those that it wants.

Checking a transaction costs a tenth of a millisecond, sending one costs its bytes; without a bound either is
free for the peer. Two kinds of refusals are told apart:

- what an honest peer would not have passed on (its sender has no money, its duty is not open): a peer has a
  few, since its head may differ from ours by a block, and more are a fault;
- what is only late (its nonce was used, it expired, the fee rose): under load an honest peer sends many, so a
  peer above the rate is read more slowly.
"""

import trio

from p2p.switch.rate_limiter import RateLimiter
from p2p.switch.token_bucket import NS_PER_SECOND, TokenBucket

HOPELESS_CODES = frozenset(("insufficient_balance", "duty_refused", "too_heavy", "lifetime_too_long"))
HOPELESS_PER_SECOND, HOPELESS_BURST = 4, 128
LATE_PER_SECOND, LATE_BURST = 1_000, 4_096
WANTED_BYTES_PER_SECOND, WANTED_BYTES_BURST = 4 * 2**20, 16 * 2**20
PEERS_MAX = 1_024
"""Whose allowance is remembered; a peer that was forgotten has a full one again."""


class Allowance:
    """Of one peer."""

    def __init__(self) -> None:
        now_ns = _get_now_ns()
        self._hopeless = TokenBucket(HOPELESS_PER_SECOND, HOPELESS_BURST, now_ns)
        self._wanted = TokenBucket(WANTED_BYTES_PER_SECOND, WANTED_BYTES_BURST, now_ns)
        self._late = RateLimiter(LATE_PER_SECOND, LATE_BURST)

    def try_hopeless(self) -> bool:
        """Whether the peer may have sent one more transaction that could never be taken."""
        return self._hopeless.try_spend(1, _get_now_ns())

    def try_wanted(self, size_bytes: int) -> bool:
        """Whether so many bytes may be sent to the peer now."""
        return self._wanted.try_spend(size_bytes, _get_now_ns())

    async def pay_late(self, count: int) -> None:
        """Waits if too many transactions of the peer were late."""
        await self._late.take(count)


def _get_now_ns() -> int:
    return int(trio.current_time() * NS_PER_SECOND)
