"""Crash points: a process or a machine that dies at any of them has lost nothing that left it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from chain.primitives.keys import KeyPair
from cli.errors import UsageFault
from cli.nodes.crash import parse_place
from storage.crash_points import CrashPoint, arm
from storage.errors import SignStateMissing, WalMissing
from storage.files import DISK, FileSystem
from storage.sign_state import LastSignState, SignStep
from storage.wal import Wal
from tests.storage.faulty_disk import FaultyDisk

KEYS = KeyPair(bytes(range(32)))
FOLDER = Path("/data")
OF_STORAGE = (
    CrashPoint.LOG_WRITE,
    CrashPoint.LOG_WRITTEN,
    CrashPoint.LOG_SYNCED,
    CrashPoint.SIGN_STATE_WRITE,
    CrashPoint.SIGN_STATE_SAVED,
    CrashPoint.FILE_WRITTEN,
    CrashPoint.FILE_RENAMED,
    CrashPoint.LOG_RESET,
)
HEIGHTS = (1, 2, 3)
REACHES = 4
POWER_LOSSES = 25


class Crash(Exception):
    """The end of a run."""


Say = Callable[[int, bytes], None]


def run_heights(folder: Path, files: FileSystem, say: Say) -> None:
    """Three heights as a node passes them; `say` hears each signature that would leave, with its height."""
    wal = Wal.create(folder / "wal", HEIGHTS[0], files)
    state = LastSignState.load(folder / "sign-state", KEYS.public_key, create=True, files=files)
    for height in HEIGHTS:
        if wal.height != height:
            wal.reset(height)
        for step in (SignStep.PREVOTE, SignStep.PRECOMMIT):
            wal.append(height, b"why %d" % step)
            wal.sync()
            signed = b"%d %d" % (height, step)
            say(height, state.check_and_record(height, 0, step, signed, KEYS.sign))


def check(folder: Path, files: FileSystem, said: list[tuple[int, bytes]]) -> None:
    """What is on disk stands behind every signature that left, and refuses another in its slot."""
    try:
        wal = Wal.load(folder / "wal", files)
        state = LastSignState.load(folder / "sign-state", KEYS.public_key, files=files)
    except (WalMissing, SignStateMissing):
        assert said == []
        return
    for height, signature in said:
        steps = [step for step in SignStep if KEYS.sign(b"%d %d" % (height, step)) == signature]
        assert state.state.slot >= (height, 0, steps[0])
        assert wal.height > height or b"why %d" % steps[0] in list(wal.replay())


def crash_at(point: CrashPoint, count: int) -> tuple[FaultyDisk, list[tuple[int, bytes]]]:
    """The disk and what left, when the node died there for the n-th time."""
    disk, said, reached = FaultyDisk(), list[tuple[int, bytes]](), list[CrashPoint]()

    def hook(here: CrashPoint) -> None:
        reached.append(here)
        if here is point and reached.count(here) == count:
            raise Crash

    disarm = arm(hook)
    try:
        with pytest.raises(Crash):
            run_heights(FOLDER, disk, lambda height, signature: said.append((height, signature)))
    finally:
        disarm()
    return disk, said


def test_one_height_passes_the_points_in_their_order() -> None:
    """Log written, then synced, then signed, then the sign-state on disk; the next log replaces the last."""
    reached: list[CrashPoint] = []
    disarm = arm(reached.append)
    run_heights(FOLDER, FaultyDisk(), lambda height, signature: None)
    disarm()
    renamed = [CrashPoint.FILE_WRITTEN, CrashPoint.FILE_RENAMED]
    logged = [CrashPoint.LOG_WRITE, CrashPoint.LOG_WRITTEN, CrashPoint.LOG_SYNCED]
    signed = [*logged, CrashPoint.SIGN_STATE_WRITE, *renamed, CrashPoint.SIGN_STATE_SAVED]
    height = [*signed, *signed, CrashPoint.LOG_RESET, *renamed]
    assert reached == [*renamed, *renamed, *height, *height, *signed, *signed]
    assert {*reached} == {*OF_STORAGE}


@pytest.mark.parametrize("point", OF_STORAGE)
def test_power_loss_at_a_point(point: CrashPoint) -> None:
    """Whatever of the unsynced is lost, torn or zeroed: each signature that left has its log and its slot."""
    counts = range(1, 3 if point is CrashPoint.LOG_RESET else REACHES + 1)
    for count in counts:
        disk, said = crash_at(point, count)
        check(FOLDER, disk.restart(), said)
        for seed in range(POWER_LOSSES):
            check(FOLDER, disk.crash(Random(seed).randrange), said)


PROGRAM = """
import sys
from pathlib import Path
from cli.nodes.crash import arm_crash
from storage.files import DISK
from tests.storage.test_crash_points import run_heights
arm_crash()
say = lambda height, signature: print(height, signature.hex(), flush=True)
run_heights(Path(sys.argv[1]), DISK, say)
"""


@pytest.mark.parametrize("point", OF_STORAGE)
def test_process_is_killed_at_a_point(point: CrashPoint, tmp_path: Path) -> None:
    """`VIDYA_CRASH_AT` ends the process as `kill -9` does, there and not before; files open afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "VIDYA_CRASH_AT": f"{point}:2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    said = [line.split() for line in done.stdout.splitlines()]
    found = [(int(height), bytes.fromhex(signature)) for height, signature in said]
    assert found == crash_at(point, 2)[1]
    check(tmp_path, DISK, found)


@pytest.mark.parametrize(
    "text", ["nowhere:1", "sign", "sign:", "sign:0", "sign:-1", "sign:1:2", "SIGN:1", ":"]
)
def test_places_without_a_name_are_refused(text: str) -> None:
    """An unknown crash point is refused, with the list of the known ones."""
    with pytest.raises(UsageFault, match="POINT:COUNT") as refused:
        parse_place(text)
    assert all(point in refused.value.hint for point in CrashPoint)
