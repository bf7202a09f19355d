"""Bytes per second over the last few seconds."""

from collections import deque

import trio

WINDOW_SECONDS = 5.0
STEP_SECONDS = 0.25


class RateMeter:
    """Samples a count every STEP_SECONDS and keeps the samples of WINDOW_SECONDS."""

    def __init__(self, count: int) -> None:
        self._samples = deque([(trio.current_time(), count)])
        self._latest = count

    def count(self, count: int) -> None:
        """Notes the current count."""
        now = trio.current_time()
        self._latest = count
        if now - self._samples[-1][0] >= STEP_SECONDS:
            self._samples.append((now, count))
        while len(self._samples) > 1 and now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def bytes_per_second(self) -> int:
        """The mean over the window; 0 at the beginning."""
        begun, count = self._samples[0]
        seconds = trio.current_time() - begun
        return int((self._latest - count) / seconds) if seconds > 0 else 0
