"""Files that must survive a power loss: the interface to the disk, atomic replacement, a latch for failures.

Invariants: what is written here is readable by its owner only (0600); `atomic_write` leaves either the old
file or the new one, never a mixture; after a failed write or sync nothing more is written by the same object,
because a second sync that succeeds says nothing about the pages the first one lost.
The interface `FileSystem` has exactly the operations whose order decides what survives, so that a simulated
disk can tear, lose or refuse each of them. LevelDB accesses the disk by itself.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from storage.crash_points import CrashPoint, reach
from storage.errors import DiskFailed, disk_errors
from storage.lock import FileLock

_MODE = 0o600


class OpenFile(Protocol):
    """A file open for writing at its end."""

    def append(self, data: bytes) -> None:
        """Writes all of `data`; not on disk before `sync`."""

    def sync(self) -> None:
        """Waits until all that was written is on disk."""

    def close(self) -> None:
        """Releases the file without a sync; calling again does nothing."""


class HeldLock(Protocol):
    """A lock that is held until it is released."""

    def release(self) -> None:
        """Releases the lock; calling again does nothing."""


class FileSystem(Protocol):
    """The disk operations that durable files need. Every operation but `lock` may raise OSError."""

    def read(self, path: Path, bytes_max: int) -> bytes | None:
        """The first `bytes_max` bytes of the file, None if there is none."""

    def open(self, path: Path, *, is_new: bool) -> OpenFile:
        """Opens an existing file, or makes a new, empty one in its place."""

    def rename(self, source: Path, target: Path) -> None:
        """Replaces `target` atomically; on disk after `sync_directory`."""

    def sync_directory(self, directory: Path) -> None:
        """Waits until the names in `directory` are on disk."""

    def lock(self, path: Path) -> HeldLock:
        """Holds `path`; raises StoreInUse."""


class _LocalFile:
    def __init__(self, path: Path, flags: int) -> None:
        self._descriptor = os.open(path, flags | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, _MODE)

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class LocalFileSystem:
    """The disk of this machine."""

    def read(self, path: Path, bytes_max: int) -> bytes | None:
        """As FileSystem.read."""
        try:
            with path.open("rb") as file:
                return file.read(bytes_max)
        except FileNotFoundError:
            return None

    def open(self, path: Path, *, is_new: bool) -> OpenFile:
        """As FileSystem.open."""
        return _LocalFile(path, os.O_CREAT | os.O_TRUNC if is_new else 0)

    def rename(self, source: Path, target: Path) -> None:
        """As FileSystem.rename."""
        source.rename(target)

    def sync_directory(self, directory: Path) -> None:
        """As FileSystem.sync_directory."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> HeldLock:
        """As FileSystem.lock."""
        return FileLock(path)


DISK: FileSystem = LocalFileSystem()


def atomic_write(path: Path, data: bytes, files: FileSystem = DISK) -> None:
    """Replaces the content of `path` by `data`, which is on disk when this returns. After DiskFailed the file
    holds the old content or `data`."""
    temporary = path.with_name(path.name + ".new")
    with disk_errors(path):
        file = files.open(temporary, is_new=True)
        try:
            file.append(data)
            file.sync()
        finally:
            file.close()
        reach(CrashPoint.FILE_WRITTEN)
        files.rename(temporary, path)
        reach(CrashPoint.FILE_RENAMED)
        files.sync_directory(path.parent)


class FailureLatch:
    """Remembers that a write failed, and from then on refuses every further one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failure: DiskFailed | None = None
        """Why every write is refused."""

    def check(self) -> None:
        """Raises DiskFailed if an earlier write failed."""
        if self.failure is not None:
            message = f"{self._path}: refused after an earlier failure ({self.failure})"
            raise type(self.failure)(message) from self.failure

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block of writes: refused after a failure; an OSError or DiskFailed inside is remembered."""
        self.check()
        try:
            with disk_errors(self._path):
                yield
        except DiskFailed as failure:
            self.failure = failure
            raise
