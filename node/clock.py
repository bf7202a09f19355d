"""The wall clock: for proposer-based time, for expiries and for logs. Nothing else reads one."""

import time
from typing import Protocol

from chain.primitives.types import TimeMs


class Clock(Protocol):
    """A source of the time in milliseconds since 1970."""

    def now_ms(self) -> TimeMs:
        """The current time, in milliseconds since 1970."""


class WallClock:
    """The machine's clock."""

    def now_ms(self) -> TimeMs:
        """The current time, in milliseconds since 1970."""
        return time.time_ns() // 1_000_000
