"""A node's clocks: the wall clock, which may be wrong and jump, and the monotonic one.

Both run at the node's own speed, which may differ from virtual time by some percent.
"""

from random import Random

from tests.sim.world.schedule import Schedule

MILLION = 1_000_000


class SimClock:
    """Of one machine; `start_ms` is the true time at virtual time 0."""

    def __init__(self, schedule: Schedule, start_ms: int, random: Random) -> None:
        self._schedule = schedule
        self._start_ms = start_ms
        self._elapsed_start_ms = random.randrange(10**9)
        self.offset_ms = 0
        self.drift_ppm = 0

    def now_ms(self) -> int:
        """The wall clock."""
        return self._start_ms + self.offset_ms + self._get_passed_ms()

    def elapsed_ms(self) -> int:
        """The monotonic clock, from an arbitrary start."""
        return self._elapsed_start_ms + self._get_passed_ms()

    def _get_passed_ms(self) -> int:
        return self._compute_passed_ms(self._schedule.now_ms)

    def _compute_passed_ms(self, virtual_ms: int) -> int:
        return virtual_ms + virtual_ms * self.drift_ppm // MILLION

    def compute_virtual_ms(self, delay_ms: int) -> int:
        """How much virtual time passes until `elapsed_ms` has grown by so much: no timer is early."""
        due_ms = self._get_passed_ms() + delay_ms
        virtual_ms = due_ms * MILLION // (MILLION + self.drift_ppm) - self._schedule.now_ms
        while self._compute_passed_ms(self._schedule.now_ms + virtual_ms) < due_ms:
            virtual_ms += 1
        return max(0, virtual_ms)

    def set_right(self) -> None:
        """The wall clock shows the true time again; its speed stays what it is until then."""
        self.offset_ms = -self._schedule.now_ms * self.drift_ppm // MILLION
