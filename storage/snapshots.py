"""Snapshots on disk, for peers that join; and the store that a joining node fills out of one.

    snapshots/<height>/manifest, part-00000 ...     whole ones; the newest are kept
    snapshots/<height>.new/                         one that is being written; removed at start

A directory gets its name when all of its files are on disk. Each file begins with a checksum over its place
and its content, so that this node notices damage and peers do not blame it for it: a damaged file counts as
missing. A snapshot holds nothing that the store does not, so a lost one is no loss.

`Staging` is an ordinary store whose state comes in parts, in any order. The plan and the numbers
of the parts are in the same batches as the parts, so it continues after any crash. The last batch writes head
and chain and removes the plan: before it the store has no head, after it nothing is missing.
"""

import shutil
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from blake3 import blake3

from chain.commitment import TreeUpdate
from chain.primitives.types import Height
from storage.chain_store import ChainStore
from storage.errors import disk_errors
from storage.files import DISK, FileSystem
from storage.kv import Entry, KeyColumn, KeyValueStore, Prefix
from storage.state_store import Pairs, StateStore

SNAPSHOTS_KEPT = 2
CLEARED_MAX = 10_000
"""Keys removed by one batch."""
FILE_BYTES_MAX = 8 * 2**20
_CHECKSUM_BYTES = 16
_UNFINISHED = ".new"
_MANIFEST = "manifest"
_PLAN_KEY = b"plan"
_PART_BYTES = 4


class SnapshotFiles:
    """The snapshots in a directory. One thread writes; any may read."""

    def __init__(self, directory: Path, files: FileSystem = DISK) -> None:
        self._directory = directory
        self._files = files
        with disk_errors(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for unfinished in directory.glob(f"*{_UNFINISHED}"):
                shutil.rmtree(unfinished)

    def list_heights(self) -> list[Height]:
        """The heights of whole snapshots, the newest first."""
        names = [entry.name for entry in self._directory.iterdir()]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def get_manifest(self, height: Height) -> bytes | None:
        """The encoded manifest; None if there is no such snapshot, or it is damaged."""
        return self._read(self._get_path(height) / _MANIFEST)

    def get_part(self, height: Height, part: int) -> bytes | None:
        """The encoded part; None if there is no such part, or it is damaged."""
        return self._read(self._get_path(height) / _name_part(part))

    def begin(self, height: Height) -> None:
        """Makes the directory of a new snapshot."""
        path = self._get_path(height, _UNFINISHED)
        with disk_errors(path):
            self.drop_unfinished(height)
            path.mkdir(mode=0o700)

    def add_part(self, height: Height, part: int, data: bytes) -> None:
        """Writes a part of the snapshot that was begun."""
        self._write(self._get_path(height, _UNFINISHED) / _name_part(part), data)

    def finish(self, height: Height, manifest: bytes) -> None:
        """Marks the snapshot as whole; deletes the oldest ones."""
        path = self._get_path(height, _UNFINISHED)
        self._write(path / _MANIFEST, manifest)
        with disk_errors(path):
            self._files.sync_directory(path)
            self._files.rename(path, self._get_path(height))
            self._files.sync_directory(self._directory)
            for old in self.list_heights()[SNAPSHOTS_KEPT:]:
                shutil.rmtree(self._get_path(old))

    def drop_unfinished(self, height: Height) -> None:
        """Deletes the snapshot that was begun."""
        shutil.rmtree(self._get_path(height, _UNFINISHED), ignore_errors=True)

    def _get_path(self, height: Height, suffix: str = "") -> Path:
        return self._directory / f"{height}{suffix}"

    def _write(self, path: Path, data: bytes) -> None:
        with disk_errors(path):
            file = self._files.open(path, is_new=True)
            try:
                file.append(_compute_checksum(path, data) + data)
                file.sync()
            finally:
                file.close()

    def _read(self, path: Path) -> bytes | None:
        sealed = self._files.read(path, FILE_BYTES_MAX + _CHECKSUM_BYTES) or b""
        data = sealed[_CHECKSUM_BYTES:]
        return data if sealed[:_CHECKSUM_BYTES] == _compute_checksum(path, data) else None


def _name_part(part: int) -> str:
    return f"part-{part:05}"


def _compute_checksum(path: Path, data: bytes) -> bytes:
    place = f"{path.parent.name.removesuffix(_UNFINISHED)}/{path.name}\n"
    return blake3(place.encode() + data).digest(length=_CHECKSUM_BYTES)


class Staging:
    """A store that is being filled for a node. `plan` is the caller's own record of its content."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._column = KeyColumn(store, Prefix.STATE_STAGED)
        self.chain = ChainStore(store)
        self.state = StateStore(store)

    @property
    def is_whole(self) -> bool:
        """Whether a node can open the store."""
        return self.state.head is not None

    def get_plan(self) -> bytes | None:
        """The plan; None before `begin` and after `finish`."""
        return self._column.get(_PLAN_KEY)

    def begin(self, plan: bytes) -> None:
        """Sets the plan; parts of an earlier plan are deleted."""
        assert not self.is_whole
        # The old plan goes first: without a plan, parts that a crash leaves behind count for nothing.
        self.give_up()
        self._clear()
        self._store.write_batch([self._column.entry(_PLAN_KEY, plan)])

    def give_up(self) -> None:
        """Deletes the plan."""
        self._store.write_batch(self._stage_end())

    def _clear(self) -> None:
        while keys := [key for key, _ in islice(self._store.iterate(), CLEARED_MAX)]:
            self._store.write_batch([(key, None) for key in keys])

    def list_missing(self, part_count: int) -> list[int]:
        """The numbers of the parts that are still missing."""
        return [part for part in range(part_count) if self._column.get(_encode_part(part)) is None]

    def add_part(self, part: int, pairs: Pairs, nodes: Pairs) -> None:
        """Adds a part, which the caller has verified."""
        mark = self._column.entry(_encode_part(part), b"")
        self._store.write_batch([*self.state.stage_part(pairs, nodes), mark])

    def finish(
        self,
        top: TreeUpdate,
        genesis_header: bytes,
        header: bytes,
        certificate: bytes,
        rosters: Sequence[bytes],
    ) -> None:
        """Called with all parts added: writes head and chain, as if the store had executed up to the header's
        height.
        """
        base = self.chain.stage_base(genesis_header, header, certificate, rosters)
        self._store.write_batch([*self.state.stage_top(top), *base, *self._stage_end()])
        self.state.on_written(top)

    def _stage_end(self) -> Iterable[Entry]:
        return [self._column.entry(key, None) for key, _ in self._column.iterate()]


def _encode_part(part: int) -> bytes:
    return part.to_bytes(_PART_BYTES, "big")
