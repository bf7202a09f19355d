"""A simulated disk: files behind `storage.files.FileSystem`, and a key-value store, both of one machine.

What a program reads is what it wrote; what a power loss leaves is what was synced, and of the rest any pages
in any state. Names reach the disk with their directory's sync, before it in order. A sync that failed has
lost its pages for good, though they read well and a later sync succeeds: that is what Linux does. A batch of
the store happens as a whole or not at all; one whose write failed may have happened.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from storage.errors import CorruptStore, DiskFailed, DiskFull, StorageError, StoreInUse
from storage.files import OpenFile
from storage.kv import Entry, KeyValueReader, MemoryStore

PAGE_BYTES = 512
REFUSALS = {errno.ENOSPC: "no space left", errno.EIO: "input/output error"}


class _Inode:
    """A file's bytes as programs see them, and as they are on disk."""

    def __init__(self, data: bytes = b"") -> None:
        self.seen = bytearray(data)
        self.durable = bytearray(data)
        self.dirty: list[tuple[int, int]] = []

    def write(self, data: bytes) -> None:
        start = len(self.seen)
        self.seen += data
        self.dirty.append((start, len(self.seen)))

    def sync(self) -> None:
        for start, stop in self.dirty:
            self._keep(start, stop)
        self.dirty.clear()

    def lose(self) -> None:
        """A sync has failed: the system takes the pages for written, but they are not on disk."""
        self.dirty.clear()

    def _keep(self, start: int, stop: int) -> None:
        if len(self.durable) < start:
            self.durable += bytes(start - len(self.durable))
        self.durable[start:stop] = self.seen[start:stop]

    def crash(self, random: Random, how: str) -> None:
        """Of the dirty pages none, all or any reach the disk; the last of those may be torn."""
        for start, stop in self.dirty if how != "nothing" else ():
            for page in range(start, stop, PAGE_BYTES):
                end = min(page + PAGE_BYTES, stop)
                if how == "everything" or random.random() < 0.5:
                    self._keep(page, end if how == "everything" else random.randint(page, end))
        self.dirty.clear()
        self.seen = bytearray(self.durable)


class _File:
    def __init__(self, disk: "SimDisk", inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def append(self, data: bytes) -> None:
        """Half of it arrives if the disk refuses or the machine stops here."""
        self._disk.step("append", on_failure=lambda: self._inode.write(data[: len(data) // 2]))
        self._inode.write(data)

    def sync(self) -> None:
        """On disk when it returns; lost if it fails."""
        self._disk.step("sync", on_failure=self._inode.lose)
        self._inode.sync()

    def close(self) -> None:
        """Nothing to release."""


class _Held:
    def __init__(self, names: dict[Path, None], path: Path) -> None:
        self._names = names
        self._path = path

    def release(self) -> None:
        self._names.pop(self._path, None)


class Backup(NamedTuple):
    """A copy of a disk, to be put back later."""

    files: dict[Path, bytes]
    values: list[tuple[bytes, bytes]]


class SimDisk:
    """The disk of one machine; `on_step` sees each operation before it happens, and may stop the machine."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.values = MemoryStore()
        self.staged = MemoryStore()
        """A store that is being filled by state sync."""
        self.is_damaged = False
        """A value of the store was damaged: the next read raises CorruptStore."""
        self.is_flipped = False
        """A bit of a file was changed, which a program may take for damage from then on."""
        self.is_full = False
        self.slow_ms = 0
        """What an operation takes at worst."""
        self.sync_fails_in = 0
        """How many syncs are left until one fails; 0: none fails."""
        self.on_step: Callable[[str], None] = lambda name: None
        self._seen: dict[Path, _Inode] = {}
        self._durable: dict[Path, _Inode] = {}
        self._pending: list[tuple[Path, _Inode | None]] = []
        self._held: dict[Path, None] = {}

    # What happens to the machine.

    def restart(self) -> None:
        """The process ended; the machine did not."""
        self._held.clear()

    def lose_power(self) -> None:
        """Only what was synced is certain to be there."""
        self._held.clear()
        how = self.random.choice(("nothing", "everything", "any"))
        kept = {"nothing": 0, "everything": len(self._pending)}.get(how)
        kept = self.random.randint(0, len(self._pending)) if kept is None else kept
        for path, inode in self._pending[:kept]:
            self._name(self._durable, path, inode)
        self._pending.clear()
        self._seen = dict(self._durable)
        for inode in self._seen.values():
            inode.crash(self.random, how)

    def flip(self, path: Path) -> bool:
        """One bit of a file changes, if there is such a file."""
        inode = self._seen.get(path)
        if inode is None or not inode.durable:
            return False
        self.is_flipped = True
        place, bit = self.random.randrange(len(inode.durable)), 1 << self.random.randrange(8)
        inode.durable[place] ^= bit
        if place < len(inode.seen):
            inode.seen[place] ^= bit
        return True

    def read_durable(self, path: Path) -> bytes | None:
        """What a power loss in this instant leaves of a file, if it takes all that was not synced."""
        inode = self._durable.get(path)
        return None if inode is None else bytes(inode.durable)

    def back_up(self) -> Backup:
        """A copy of everything, as programs see it."""
        files = {path: bytes(inode.seen) for path, inode in self._seen.items()}
        return Backup(files, list(self.values.iterate()))

    def restore(self, backup: Backup) -> None:
        """Puts the files and values of the backup back, as synced."""
        self._held.clear()
        self._pending.clear()
        self._seen = {path: _Inode(data) for path, data in backup.files.items()}
        self._durable = dict(self._seen)
        self.values, self.is_damaged = MemoryStore(), False
        self.values.write_batch(backup.values)

    def adopt_staged(self) -> None:
        """The filled store becomes the node's, by one rename."""
        self.values, self.staged = self.staged, MemoryStore()

    def list_paths(self) -> list[Path]:
        """The files that a program sees."""
        return list(self._seen)

    def remove_store(self) -> None:
        """The operator moves the damaged store away."""
        self.values, self.is_damaged = MemoryStore(), False

    # Operations.

    def step(self, name: str, on_failure: Callable[[], None] = lambda: None) -> None:
        """One operation begins; raises OSError if the disk refuses it."""
        try:
            self.on_step(name)
        except BaseException:
            on_failure()
            raise
        number = 0
        if self.is_full and name in ("append", "open", "batch"):
            number = errno.ENOSPC
        elif self.sync_fails_in and name in ("sync", "sync_directory", "batch"):
            self.sync_fails_in -= 1
            number = 0 if self.sync_fails_in else errno.EIO
        if number:
            on_failure()
            raise OSError(number, REFUSALS[number])

    @staticmethod
    def _name(names: dict[Path, _Inode], path: Path, inode: _Inode | None) -> None:
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode

    def _rename(self, path: Path, inode: _Inode | None) -> None:
        self._name(self._seen, path, inode)
        self._pending.append((path, inode))

    def read(self, path: Path, bytes_max: int) -> bytes | None:
        """As FileSystem.read."""
        inode = self._seen.get(path)
        return None if inode is None else bytes(inode.seen[:bytes_max])

    def open(self, path: Path, *, is_new: bool) -> OpenFile:
        """As FileSystem.open."""
        self.step("open")
        if is_new:
            self._rename(path, _Inode())
        elif path not in self._seen:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return _File(self, self._seen[path])

    def rename(self, source: Path, target: Path) -> None:
        """As FileSystem.rename."""
        self.step("rename")
        inode = self._seen[source]
        self._rename(target, inode)
        self._rename(source, None)

    def sync_directory(self, directory: Path) -> None:
        """As FileSystem.sync_directory; there is one directory."""
        self.step("sync_directory")
        for path, inode in self._pending:
            self._name(self._durable, path, inode)
        self._pending.clear()

    def lock(self, path: Path) -> _Held:
        """As FileSystem.lock."""
        if path in self._held:
            raise StoreInUse(str(path))
        self._held[path] = None
        return _Held(self._held, path)

    def has(self, path: Path) -> bool:
        """Whether a program sees such a file."""
        return path in self._seen


class SimStore:
    """The store as one process has it open; refuses everything after a failed write, as LevelDbStore does."""

    def __init__(self, disk: SimDisk, values: MemoryStore | None = None) -> None:
        self._disk = disk
        self._values = disk.values if values is None else values
        self._failure: StorageError | None = None

    def _check(self) -> None:
        if self._disk.is_damaged:
            raise CorruptStore("store: checksum mismatch; move the directory away and sync again from peers")

    def get(self, key: bytes) -> bytes | None:
        """As KeyValueReader.get."""
        self._check()
        return self._values.get(key)

    def iterate(
        self, prefix: bytes = b"", *, start: bytes = b"", stop: bytes | None = None, is_reversed: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As KeyValueReader.iterate."""
        self._check()
        return self._values.iterate(prefix, start=start, stop=stop, is_reversed=is_reversed)

    def write_batch(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        """As KeyValueStore.write_batch. Unsynced batches would need an undo, and the product has none."""
        assert sync, "the simulated store has no unsynced batches"
        if self._failure is not None:
            raise self._failure
        entries = list(entries)

        def maybe() -> None:
            if self._disk.random.random() < 0.5:
                self._values.write_batch(entries)

        try:
            self._disk.step("batch", on_failure=maybe)
        except OSError as error:
            kind = DiskFull if error.errno == errno.ENOSPC else DiskFailed
            self._failure = kind(f"store: {error.strerror}; make the disk writable, then start again")
            raise self._failure from error
        self._values.write_batch(entries)

    def snapshot(self) -> KeyValueReader:
        """As KeyValueStore.snapshot."""
        return self._values.snapshot()

    def close(self) -> None:
        """Nothing to release."""
