"""What a node does when its disk refuses: it ends as a whole, waits for the disk, and starts again.

After a failed write or sync nobody knows what the disk holds, so nothing goes on with what is open: the
node's tree ends (signing first: without log and sign-state on disk there is no signature), and the next start
reads and verifies everything again, as after a crash. A start that fails at once, for anything but want of
space, is for the operator; so is a disk that fails too often in an hour.
"""

import errno
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import structlog
import trio

from node.stopping import run_until_stopped
from storage.errors import DiskFailed, DiskFull, StorageError, disk_errors
from storage.files import DISK, FileSystem

_log = structlog.get_logger("recovery")

PROBE_BYTES = 2**24
"""So much must fit: a height's log and what the database keeps back, and some time to live on."""
PROBE_NAME = "probe"
RETRY_SECONDS = (1, 2, 4, 8, 16, 30)
RECOVERIES_PER_HOUR_MAX = 6
HOUR_SECONDS = 3600.0
WATCH_SECONDS = 60.0
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

OnReady = Callable[[], None]
Attempt = Callable[[OnReady], Awaitable[None]]


async def run_with_recovery(attempt: Attempt, directory: Path, files: FileSystem = DISK) -> None:
    """Runs `attempt`, again after each failure of the disk; it calls what it is given when it is up.

    Returns when an attempt does, or when the process is asked to end while it waits. Raises what else ended
    an attempt, and DiskFailed where waiting would not help.
    """
    failures: deque[float] = deque()
    while True:
        is_up = trio.Event()
        try:
            await attempt(is_up.set)
            return
        except (DiskFailed, OSError, BaseExceptionGroup) as error:
            failure = find_disk_failure(error)
            if failure is None:
                raise
        _note(failures, failure)
        if not (is_up.is_set() or isinstance(failure, DiskFull)):
            raise failure
        if not await wait_until_writable(directory, files):
            return


def find_disk_failure(error: BaseException) -> DiskFailed | None:
    """The first failure of the disk that ended a node; None if anything else was in it."""
    found = [_get_disk_failure(leaf) for leaf in _iterate_leaves(error)]
    return None if None in found else found[0]


def _iterate_leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _iterate_leaves(inner)
    else:
        yield error


def _get_disk_failure(error: BaseException) -> DiskFailed | None:
    if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
        kind = DiskFailed if error.errno == errno.EIO else DiskFull
        return kind(f"{error.filename or 'a file'}: {error.strerror}")
    return error if isinstance(error, DiskFailed) else None


def _note(failures: deque[float], failure: DiskFailed) -> None:
    """Raises the failure if there were too many."""
    now = trio.current_time()
    failures.append(now)
    while failures[0] < now - HOUR_SECONDS:
        failures.popleft()
    _log.error("disk_failed", reason=str(failure), failures_in_an_hour=len(failures))
    if len(failures) > RECOVERIES_PER_HOUR_MAX:
        raise failure


async def run_disk_watch(list_failures: Callable[[], Sequence[StorageError | None]]) -> None:
    """Raises the failure of a store that is written for peers and clients, whose tasks alone it has ended.

    Such a store refuses from then on, and only opening it again helps.
    """
    while True:
        await trio.sleep(WATCH_SECONDS)
        for failure in list_failures():
            if failure is not None:
                raise failure


async def wait_until_writable(directory: Path, files: FileSystem) -> bool:
    """Until a probe reaches the disk; False if the process was asked to end before."""
    return await run_until_stopped(_probe_until_written, directory, files) is None


async def _probe_until_written(directory: Path, files: FileSystem) -> bool:
    limiter = trio.CapacityLimiter(1)
    tries = 0
    while True:
        seconds = RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)]
        _log.warning("signing_nothing_until_the_disk_is_writable", next_try_seconds=seconds)
        await trio.sleep(seconds)
        if await trio.to_thread.run_sync(probe, directory, files, limiter=limiter):
            _log.info("disk_is_writable")
            return True
        tries += 1


def probe(directory: Path, files: FileSystem) -> bool:
    """Whether bytes reach the disk; leaves an empty file."""
    path = directory / PROBE_NAME
    try:
        with disk_errors(path):
            _write_probe(path, files)
    except DiskFailed:
        return False
    return True


def _write_probe(path: Path, files: FileSystem) -> None:
    try:
        file = files.open(path, is_new=True)
        try:
            file.append(bytes(PROBE_BYTES))
            file.sync()
        finally:
            file.close()
    finally:
        files.open(path, is_new=True).close()
