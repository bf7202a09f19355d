"""A crash on demand, for tests: this process ends itself at a named place, as `kill -9` would end it.

`VIDYA_CRASH_AT=log-synced:3 vidya node start` dies when the log is synced for the third time: no cleanup, no
last word. The places are those of `storage.crash_points`.
"""

import os
import re
import signal

from cli.errors import UsageFault
from storage.crash_points import CrashPoint, Hook, arm

VARIABLE = "VIDYA_CRASH_AT"


def arm_crash() -> None:
    """Does as the variable says, if it is there; raises UsageFault for a place that has no name."""
    text = os.environ.get(VARIABLE)
    if text:
        arm(build_killer(*parse_place(text)))


def parse_place(text: str) -> tuple[CrashPoint, int]:
    """`log-synced:3` -> the place, and how often it is reached."""
    name, _, count = text.partition(":")
    names = [point.value for point in CrashPoint]
    if name not in names or not re.fullmatch("[1-9][0-9]{0,8}", count):
        raise UsageFault(f"{VARIABLE}={text}: not POINT:COUNT", f"points: {', '.join(names)}; counts from 1")
    return CrashPoint(name), int(count)


def build_killer(chosen: CrashPoint, count: int) -> Hook:
    """What ends this process when it is at a place for so many times."""
    left = count

    def kill(point: CrashPoint) -> None:
        nonlocal left
        left -= point is chosen
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
