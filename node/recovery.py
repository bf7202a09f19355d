"""Recovery from disk failures: the node ends as a whole, waits for the disk, and starts again.

After a failed write or sync it is unknown what the disk holds, so no open store is used any further. The
node's tree ends (nothing is signed without log and sign-state on disk), and the next start reads and verifies
everything again, as after a crash. The operator has to act where a first start fails for anything but a full
disk, and where the disk fails too often in an hour.
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
"""Room for the log of a height, for the database's buffers, and for running some time."""
PROBE_NAME = "probe"
RETRY_SECONDS = (1, 2, 4, 8, 16, 30)
RECOVERIES_PER_HOUR_MAX = 6
HOUR_SECONDS = 3600.0
WATCH_SECONDS = 60.0
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

OnReady = Callable[[], None]
Attempt = Callable[[OnReady], Awaitable[None]]


async def run_with_recovery(attempt: Attempt, directory: Path, files: FileSystem = DISK) -> None:
    """Runs `attempt`, again after each disk failure. `attempt` calls its argument when the node is up.

    Returns when an attempt returns, or when a signal arrives while it waits. Raises any other failure of an
    attempt, and DiskFailed where waiting would not help.
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
    """The first disk failure in an error that ended a node; None if the error holds anything else."""
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
    """Records a failure; raises it if there were too many in an hour."""
    now = trio.current_time()
    failures.append(now)
    while failures[0] < now - HOUR_SECONDS:
        failures.popleft()
    _log.error("disk_failed", reason=str(failure), failures_in_an_hour=len(failures))
    if len(failures) > RECOVERIES_PER_HOUR_MAX:
        raise failure


async def run_disk_watch(list_failures: Callable[[], Sequence[StorageError | None]]) -> None:
    """Raises the failure of a store whose writes come from peers and clients.

    Such a failure has ended only the task of the peer or client.

    The store refuses all later writes, and only opening it again helps.
    """
    while True:
        await trio.sleep(WATCH_SECONDS)
        for failure in list_failures():
            if failure is not None:
                raise failure


async def wait_until_writable(directory: Path, files: FileSystem) -> bool:
    """Waits until a probe reaches the disk; False if a signal arrives first."""
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
