"""The wall clock, the only one of the program: proposer-based time, expiry of what people asked for, logs."""

import time
from typing import Protocol

from chain.primitives.types import TimeMs


class Clock(Protocol):
    """Milliseconds since 1970, as this machine believes."""

    def now_ms(self) -> TimeMs:
        """The time now."""


class WallClock:
    """The machine's clock."""

    def now_ms(self) -> TimeMs:
        """The time now."""
        return time.time_ns() // 1_000_000
