"""A disk in memory behind the seam `storage.files.FileSystem` that can refuse, lose and tear writes.

Unsynced bytes and unsynced names are kept apart from those on disk. `crash` makes the disk that a machine
finds after a power loss, `restart` the one that a new process finds. `fails_at` makes one operation raise an
OSError, after half of the write reached the file.
"""

from collections.abc import Callable
from pathlib import Path

from storage.errors import StoreInUse
from storage.files import OpenFile


class _Inode:
    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable
        self.unsynced: list[bytes] = []

    @property
    def content(self) -> bytes:
        return self.durable + b"".join(self.unsynced)


class _File:
    def __init__(self, disk: "FaultyDisk", inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def append(self, data: bytes) -> None:
        """Half of the bytes arrive if the disk refuses."""
        self._disk.step("append", lambda: self._inode.unsynced.append(data[: len(data) // 2]))
        self._inode.unsynced.append(data)

    def sync(self) -> None:
        """After a refusal the bytes read well and are not on disk."""
        self._disk.step("sync")
        self._inode.durable, self._inode.unsynced = self._inode.content, []

    def close(self) -> None:
        """Nothing to release."""


class _Held:
    def __init__(self, names: set[Path], path: Path) -> None:
        self._names = names
        self._path = path

    def release(self) -> None:
        """Lets others hold the path."""
        self._names.discard(self._path)


class FaultyDisk:
    """Files by path; `operations` is the log of what was asked for."""

    def __init__(self) -> None:
        self.durable_names: dict[Path, _Inode] = {}
        self.unsynced_names: list[tuple[Path, _Inode]] = []
        self.operations: list[str] = []
        self.fails_at: int | None = None
        self.error_number = 0
        self._held: set[Path] = set()

    def step(self, name: str, on_failure: Callable[[], None] = lambda: None) -> None:
        """Counts an operation, and fails if it is the chosen one."""
        self.operations.append(name)
        if len(self.operations) - 1 == self.fails_at:
            on_failure()
            raise OSError(self.error_number, "injected")

    @property
    def _names(self) -> dict[Path, _Inode]:
        return self.durable_names | dict(self.unsynced_names)

    def read(self, path: Path, bytes_max: int) -> bytes | None:
        """What a reader sees, synced or not."""
        inode = self._names.get(path)
        return None if inode is None else inode.content[:bytes_max]

    def open(self, path: Path, *, is_new: bool) -> OpenFile:
        """A new inode, or the one of that name."""
        self.step("open")
        if is_new:
            self.unsynced_names.append((path, _Inode()))
        elif path not in self._names:
            raise FileNotFoundError(2, "no such file", str(path))
        return _File(self, self._names[path])

    def rename(self, source: Path, target: Path) -> None:
        """The name moves; on disk only after the directory's sync."""
        self.step("rename")
        self.unsynced_names.append((target, self._names[source]))

    def sync_directory(self, directory: Path) -> None:
        """Names reach the disk."""
        self.step("sync_directory")
        self.durable_names, self.unsynced_names = self._names, []

    def lock(self, path: Path) -> _Held:
        """One holder at a time."""
        if path in self._held:
            raise StoreInUse(str(path))
        self._held.add(path)
        return _Held(self._held, path)

    def restart(self) -> "FaultyDisk":
        """What a new process finds: all bytes, no lock, no fault."""
        disk = FaultyDisk()
        disk.durable_names, disk.unsynced_names = self.durable_names, self.unsynced_names
        return disk

    def crash(self, choose: Callable[[int], int]) -> "FaultyDisk":
        """The disk after a power loss; `choose(n)` in [0, n) decides what of the unsynced is kept."""
        disk = FaultyDisk()
        kept = self.unsynced_names[: choose(len(self.unsynced_names) + 1)]
        for path, inode in (self.durable_names | dict(kept)).items():
            tail = b"".join(inode.unsynced)
            disk.durable_names[path] = _Inode(inode.durable + _tear(tail, choose))
        return disk


def _tear(tail: bytes, choose: Callable[[int], int]) -> bytes:
    """A prefix of the unsynced bytes, in which any piece may be zeros: pages reach the disk in any order."""
    tail = tail[: choose(len(tail) + 1)]
    start = choose(len(tail) + 1)
    stop = start + choose(len(tail) - start + 1)
    return tail[:start] + bytes(stop - start) + tail[stop:]
