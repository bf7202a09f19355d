"""The key-value store: ordered byte keys, atomic synced batches, columns.

Invariants: a batch happens as a whole or not at all, and has reached the disk when `write_batch` returns
(unless `sync=False`); every read verifies the checksum of what it read; after a failed write the store
refuses all later ones, since what the disk holds is then unknown. An iterator sees the store as it was when
it was made. It does not interpret values; the stores above do.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import plyvel

from storage.errors import (
    RESYNC,
    CorruptStore,
    DiskFailed,
    DiskFull,
    StorageError,
    StoreInUse,
    disk_errors,
)
from storage.leveldb_log import cut_torn_end, has_unfinished_end
from storage.lock import FileLock, lock_directory

Entry = tuple[bytes, bytes | None]
"""One change of a batch: key and new value; None deletes."""


class Prefix(IntEnum):
    """The first byte of every key: the column. On disk forever, so never reused or renumbered."""

    META = 1
    HEADER = 2
    BLOCK = 3
    CERTIFICATE = 4
    RECEIPTS = 5
    HEIGHT_BY_HASH = 6
    TX_PLACE = 7
    ROSTER = 8
    STATE_VALUE = 16
    STATE_NODE = 17
    STATE_STALE = 18
    STATE_META = 19
    STATE_STAGED = 20
    CONTENT_DATUM = 32
    CONTENT_UNSYNCED = 33
    CONTENT_CHUNK = 34
    CONTENT_PLACE = 35
    VOUCHER = 48
    DELIVERY = 49
    DEBT = 50
    PAYMENT = 51


class KeyValueReader(Protocol):
    """Reads of a whole store or of one column."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def iterate(
        self, prefix: bytes = b"", *, start: bytes = b"", stop: bytes | None = None, is_reversed: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs in key order whose key begins with `prefix` and lies in [start, stop)."""


class KeyValueStore(KeyValueReader, Protocol):
    """A whole store, which can also be written."""

    def write_batch(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        """All entries, in order, or none; on disk when it returns. `sync=False` may lose the latest batches
        in a power loss, never part of one."""

    def snapshot(self) -> KeyValueReader:
        """The store as it is now, for reading in any thread while others write; released with the object."""

    def close(self) -> None:
        """Releases the store; calling again does nothing."""


class KeyColumn:
    """The keys of a store that begin with one prefix byte, seen without it."""

    def __init__(self, store: KeyValueReader, prefix: Prefix) -> None:
        self._store = store
        self._prefix = bytes((prefix,))

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._store.get(self._prefix + key)

    def iterate(
        self, prefix: bytes = b"", *, start: bytes = b"", stop: bytes | None = None, is_reversed: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As KeyValueReader.iterate, within the column."""
        own = self._prefix
        end = None if stop is None else own + stop
        pairs = self._store.iterate(own + prefix, start=own + start, stop=end, is_reversed=is_reversed)
        return ((key[1:], value) for key, value in pairs)

    def entry(self, key: bytes, value: bytes | None) -> Entry:
        """The change of this column's `key`, for a batch of the store."""
        return self._prefix + key, value


def compute_prefix_end(prefix: bytes) -> bytes | None:
    """The smallest key above all keys that begin with `prefix`; None if there is no such key."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes((head[-1] + 1,)) if head else None


def _compute_range(prefix: bytes, start: bytes, stop: bytes | None) -> tuple[bytes, bytes | None]:
    ends = [end for end in (stop, compute_prefix_end(prefix)) if end is not None]
    return max(prefix, start), min(ends, default=None)


class MemoryStore:
    """A store in memory, for tests and for a node that keeps nothing (`--dev`)."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._values.get(key)

    def iterate(
        self, prefix: bytes = b"", *, start: bytes = b"", stop: bytes | None = None, is_reversed: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As KeyValueReader.iterate."""
        low, high = _compute_range(prefix, start, stop)
        end = len(self._keys) if high is None else bisect_left(self._keys, high)
        pairs = [(key, self._values[key]) for key in self._keys[bisect_left(self._keys, low) : end]]
        return iter(pairs[::-1] if is_reversed else pairs)

    def write_batch(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        """As KeyValueStore.write_batch; there is no disk."""
        for key, value in list(entries):
            if value is not None:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = value
            elif self._values.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def snapshot(self) -> KeyValueReader:
        """As KeyValueStore.snapshot: a copy."""
        copy = MemoryStore()
        copy._values, copy._keys = dict(self._values), list(self._keys)
        return copy

    def close(self) -> None:
        """Nothing to release: what was written stays readable."""


_CACHE_BYTES = 32 * 2**20
_BUFFER_BYTES = 8 * 2**20
_FILES_OPEN_MAX = 256
_BLOOM_BITS = 10


class _LevelDbReader:
    """Reads of a database or of a snapshot of it; every read verifies checksums."""

    def __init__(self, source: Any, translate: Callable[[Exception], StorageError]) -> None:
        self._source = source
        self._translate_error = translate

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        try:
            value: bytes | None = self._source.get(key, verify_checksums=True)
        except plyvel.Error as error:
            raise self._translate_error(error) from error
        return value

    def iterate(
        self, prefix: bytes = b"", *, start: bytes = b"", stop: bytes | None = None, is_reversed: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """As KeyValueReader.iterate."""
        low, high = _compute_range(prefix, start, stop)
        try:
            # Making the iterator seeks, so it may already fail.
            pairs = self._source.iterator(start=low, stop=high, reverse=is_reversed, verify_checksums=True)
        except plyvel.Error as error:
            raise self._translate_error(error) from error
        return self._translated(pairs)

    def _translated(self, pairs: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from pairs
        except plyvel.Error as error:
            raise self._translate_error(error) from error


class LevelDbStore(_LevelDbReader):
    """A LevelDB directory, opened with paranoid checks; raises StoreInUse, CorruptStore or DiskFailed.

    Paranoid checks alone verify the log and the manifest but no table block that is read (tried with
    LevelDB 1.22), so each read asks for verification as well. They also take any short end of a file for
    a torn write, and any other for damage. `storage.leveldb_log` finds out which it is.
    """

    def __init__(self, directory: Path, advice: str = RESYNC) -> None:
        """`advice` is what an operator is told when the directory is damaged."""
        self.directory = directory
        self._advice = advice
        self.torn_bytes = 0
        """What was cut off the log: a batch that no write had confirmed."""
        self.failure: StorageError | None = None
        """Why every write is refused."""
        self._lock: FileLock = lock_directory(directory)
        try:
            self._check_names()
            self._cut_torn_ends(is_suspect=has_unfinished_end)
            self._database = self._open()
        except BaseException:
            self._lock.release()
            raise
        super().__init__(self._database, self._translate)

    def _check_names(self) -> None:
        """Raises CorruptStore where LevelDB would start an empty store beside old files, or drop the newest
        of them.
        """
        with disk_errors(self.directory):
            manifests = {path.name.encode(): path for path in self.directory.glob("MANIFEST-*")}
            current = self.directory / "CURRENT"
            named = current.read_bytes().rstrip(b"\n") if current.exists() else None
        if named is None and manifests:
            raise CorruptStore(f"{current} is missing; {self._advice}")
        if named in manifests and has_unfinished_end(manifests[named]):
            raise CorruptStore(f"{manifests[named]} is damaged at its end; {self._advice}")

    def _cut_torn_ends(self, is_suspect: Callable[[Path], bool]) -> int:
        """Cuts torn ends off the logs; returns how many bytes were cut."""
        try:
            cut = sum(cut_torn_end(path) for path in sorted(self.directory.glob("*.log")) if is_suspect(path))
        except CorruptStore as error:
            raise CorruptStore(f"{error}; {self._advice}") from error
        self.torn_bytes += cut
        return cut

    def _open(self) -> plyvel.DB:
        try:
            return self._try_open()
        except plyvel.CorruptionError as error:
            if not self._cut_torn_ends(is_suspect=Path.is_file):
                raise self._translate(error) from error
            return self._open()
        except plyvel.Error as error:
            raise self._translate(error) from error

    def _try_open(self) -> plyvel.DB:
        return plyvel.DB(
            str(self.directory),
            create_if_missing=True,
            paranoid_checks=True,
            lru_cache_size=_CACHE_BYTES,
            write_buffer_size=_BUFFER_BYTES,
            max_open_files=_FILES_OPEN_MAX,
            bloom_filter_bits=_BLOOM_BITS,
        )

    def _translate(self, error: Exception) -> StorageError:
        """The StorageError for a LevelDB error, which can only be classified by its text."""
        said = error.args[0] if error.args else error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        if isinstance(error, plyvel.IOError) and "/LOCK" in text:
            return StoreInUse(f"{self.directory} is open in another program: {text}")
        if isinstance(error, plyvel.IOError) and ("No space left" in text or "quota" in text):
            return DiskFull(f"{self.directory}: {text}; nothing is signed until there is room")
        # A missing file, or a damaged table that points beyond a file, is damage: the disk itself works.
        is_damage = "No such file" in text or "Invalid argument" in text
        if isinstance(error, plyvel.IOError) and not is_damage:
            return DiskFailed(f"{self.directory}: {text}; nothing is signed until the disk can be written")
        return CorruptStore(f"{self.directory}: {text}; {self._advice}")

    def write_batch(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        """As KeyValueStore.write_batch."""
        if self.failure is not None:
            raise self.failure
        try:
            with self._database.write_batch(transaction=True, sync=sync) as batch:
                for key, value in entries:
                    if value is None:
                        batch.delete(key)
                    else:
                        batch.put(key, value)
        except plyvel.Error as error:
            self.failure = self._translate(error)
            raise self.failure from error

    def snapshot(self) -> KeyValueReader:
        """As KeyValueStore.snapshot; LevelDB releases it with the object."""
        return _LevelDbReader(self._database.snapshot(), self._translate)

    def close(self) -> None:
        """Releases the database and its lock; calling again does nothing."""
        self._database.close()
        self._lock.release()
