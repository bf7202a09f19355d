"""A lock file held for the life of its object: one node per data directory, one signer per key.

The lock is `flock`, so the system releases it when the process dies; the file stays and means nothing.
It is never removed, since removing would let two processes lock two files of one name.
`flock` belongs to the open file and so excludes a second object of the same process too, which LevelDB's own
lock does not: its failed second attempt even releases the first (POSIX `fcntl` locks go with any close).
It does not work across machines: the operator must not run one key on two machines.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.errors import StoreInUse, disk_errors

LOCK_NAME = "node.lock"
_OWNER_BYTES_MAX = 20


class FileLock:
    """Holds `path` from construction to `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._acquire()
            except BaseException:
                os.close(self._descriptor)
                raise

    def _acquire(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._descriptor, _OWNER_BYTES_MAX, 0).decode("ascii", "replace").strip()
            message = f"{self.path} is held by process {owner or 'unknown'}; stop it or use another"
            raise StoreInUse(message) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Releases the lock; calling again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_directory(directory: Path) -> FileLock:
    """Creates `directory` if it is missing and locks it; raises StoreInUse."""
    with disk_errors(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FileLock(directory / LOCK_NAME)
