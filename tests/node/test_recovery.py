"""Recovery: after a failure of the disk everything is opened again, when it can be written and not before."""

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from node.recovery import (
    HOUR_SECONDS,
    PROBE_BYTES,
    PROBE_NAME,
    RECOVERIES_PER_HOUR_MAX,
    WATCH_SECONDS,
    OnReady,
    find_disk_failure,
    run_disk_watch,
    run_with_recovery,
)
from storage.errors import CorruptStore, DiskFailed, DiskFull
from storage.files import FailureLatch, LocalFileSystem, OpenFile

FULL, BROKEN = DiskFull("data: no space"), DiskFailed("data: i/o error")


class BusyDisk(LocalFileSystem):
    """This machine's disk, with no room in it for the first so many files."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def open(self, path: Path, *, is_new: bool) -> OpenFile:
        """Refused while there is no room."""
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "no space")
        return super().open(path, is_new=is_new)


class Attempts:
    """A node whose starts end as the test says."""

    def __init__(self, *ends: BaseException | None, is_up: bool = True) -> None:
        self.ends = list(ends)
        self.is_up = is_up
        self.started: list[float] = []

    async def __call__(self, on_ready: OnReady) -> None:
        """Runs one start."""
        self.started.append(trio.current_time())
        if self.is_up:
            on_ready()
        end = self.ends.pop(0)
        if end is not None:
            raise end


async def test_a_node_starts_anew_when_the_disk_can_be_written(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Not while a probe is refused; the probe takes the room that a node needs, and gives it back."""
    disk = BusyDisk(refusals=9)
    attempts = Attempts(FULL, BaseExceptionGroup("tree", [FULL, BaseExceptionGroup("", [BROKEN])]), None)
    await run_with_recovery(attempts, tmp_path, disk)
    assert len(attempts.started) == 3 and disk.refusals == 0
    assert (tmp_path / PROBE_NAME).stat().st_size == 0
    waited = [later - earlier for earlier, later in zip(attempts.started, attempts.started[1:], strict=False)]
    assert waited[0] > waited[1] > 0


@pytest.mark.parametrize("limit", [0, PROBE_BYTES // 2])
async def test_a_probe_needs_room(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of what a node needs is not enough: nothing starts before all of the probe is written."""
    real_write, left = os.write, [limit, 2**30]

    def write(descriptor: int, data: memoryview) -> int:
        if left[0] == 0:
            left.pop(0)
            raise OSError(errno.ENOSPC, "no space")
        written = real_write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr("storage.files.os.write", write)
    attempts = Attempts(FULL, None)
    await run_with_recovery(attempts, tmp_path)
    assert left == [2**30 - PROBE_BYTES] and len(attempts.started) == 2


@pytest.mark.parametrize(
    "end",
    [
        CorruptStore("store"),
        BaseExceptionGroup("tree", [FULL, CorruptStore("store")]),
        BaseExceptionGroup("tree", [FULL, KeyError("a bug")]),
        OSError(errno.EADDRINUSE, "in use"),
    ],
)
async def test_what_is_not_the_disk_ends_the_node(tmp_path: Path, end: BaseException) -> None:
    """A bug or damage ends the node even if a disk failure came with it."""
    with pytest.raises(type(end)) as raised:
        await run_with_recovery(Attempts(end), tmp_path)
    assert raised.value is end


async def test_a_start_that_fails_is_for_the_operator(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A disk that cannot be written at all ends the command; one that is full is waited for."""
    with pytest.raises(DiskFailed):
        await run_with_recovery(Attempts(BROKEN, None, is_up=False), tmp_path)
    attempts = Attempts(FULL, None, is_up=False)
    await run_with_recovery(attempts, tmp_path)
    assert len(attempts.started) == 2


async def test_a_disk_that_fails_all_the_time_ends_the_node(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Too many failures in an hour end the node; spread over hours they do not."""
    attempts = Attempts(*[BROKEN] * (RECOVERIES_PER_HOUR_MAX + 2))
    with pytest.raises(DiskFailed):
        await run_with_recovery(attempts, tmp_path)
    assert len(attempts.started) == RECOVERIES_PER_HOUR_MAX + 1
    rare = Attempts(*[BROKEN] * (3 * RECOVERIES_PER_HOUR_MAX), None)

    async def attempt(on_ready: OnReady) -> None:
        await trio.sleep(HOUR_SECONDS / RECOVERIES_PER_HOUR_MAX)
        await rare(on_ready)

    await run_with_recovery(attempt, tmp_path)
    assert rare.ends == []


async def test_a_waiting_node_can_be_stopped(tmp_path: Path) -> None:
    """SIGTERM ends the wait, and nothing is started any more."""
    attempts = Attempts(FULL, None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_with_recovery, attempts, tmp_path, BusyDisk(10**6))
        with trio.fail_after(20):
            while not _handles(signal.SIGTERM):
                await trio.testing.wait_all_tasks_blocked(0.001)
            os.kill(os.getpid(), signal.SIGTERM)
    assert len(attempts.started) == 1


def _handles(number: signal.Signals) -> bool:
    return isinstance(signal.getsignal(number), Callable)  # type: ignore[arg-type]


async def test_a_store_that_refuses_is_found(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    """What refused a voucher or a chunk ended only a peer's task; the watch ends the node, to start again."""
    latch = FailureLatch(tmp_path)
    with pytest.raises(BaseExceptionGroup) as raised:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_disk_watch, lambda: [None, latch.failure])
            await trio.sleep(10 * WATCH_SECONDS)
            with suppress(DiskFull), latch.writing():
                raise OSError(errno.ENOSPC, "no space")
            await trio.sleep_forever()
    assert find_disk_failure(raised.value) is latch.failure is not None


def test_operating_system_errors_of_the_disk_are_known() -> None:
    """Also where a file is written that no store is in."""
    found = find_disk_failure(OSError(errno.ENOSPC, "no space", "pid"))
    assert isinstance(found, DiskFull) and "pid" in str(found)
    found = find_disk_failure(BaseExceptionGroup("", [OSError(errno.EIO, "i/o")]))
    assert type(found) is DiskFailed
    assert find_disk_failure(OSError(errno.EPIPE, "gone")) is None
