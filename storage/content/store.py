"""The content store: verified chunks of many datums, in published folders and in flat files of its own.

Invariants:
- A chunk is held only after it verified against the datum's root; every read verifies again, and a chunk
  that fails is marked missing before the error is raised.
- What was acknowledged by `write_chunk` survives the death of the process. With the power, chunks since the
  last `flush` may be lost; opening the store reads those again and keeps the ones that verify.
- The quota is checked before anything is written: a download takes its whole length when it begins.
- The files of a published folder are only ever read.

Synchronous, and for one thread at a time. Not here: fetching, prices, proofs; folders are not watched.
"""

import errno
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from os import fsencode
from pathlib import Path
from types import TracebackType
from typing import Self

from chain.content import (
    CHUNK_BYTES,
    CHUNK_LEAVES,
    LEAF_BYTES,
    ChunkProof,
    LeafProof,
    Manifest,
    check_manifest,
    compute_chunk_count,
    compute_datum_id,
)
from chain.content.tree import (
    check_chunk_node,
    check_chunk_size,
    compute_chunk_node,
    compute_leaf_hashes,
    compute_levels,
    compute_path,
)
from chain.errors import InvalidProof
from chain.primitives.codec import encode, replace
from chain.primitives.types import Hash
from storage.content.datum import DatumStatus, OpenDatum
from storage.content.errors import (
    ChunkMissing,
    CorruptChunk,
    QuotaExceeded,
    SourceGone,
    SourceRefused,
    UnknownDatum,
)
from storage.content.export import export_files
from storage.content.index import ChunkRecord, ContentIndex, PlaceRecord
from storage.content.selection import PlacedFile, select_files
from storage.content.tree import BuiltDatum, Progress, build_datum, compute_checksum
from storage.errors import DiskFailed, StorageError, disk_errors
from storage.files import FailureLatch
from storage.kv import Entry

UNSYNCED_CHUNKS_MAX = 256
"""64 MiB: the most that a power loss may lose, and that the next start reads again."""
DATUMS_OPEN_MAX = 64
_BATCH_ENTRIES = 1024
_CHUNK_RECORD_BYTES = 160
_SIBLING_BYTES = 34
_NOT_THE_FILE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Read errors that say nothing about the file."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The quota, and how much of it is used (a download counts with its whole length from its beginning)."""

    quota_bytes: int
    used_bytes: int


def compute_index_bytes(manifest: Manifest) -> int:
    """About how many bytes the index takes for a datum: its manifest, and for each chunk a record with its
    path.
    """
    count = compute_chunk_count(manifest.length)
    return len(encode(manifest)) + count * (_CHUNK_RECORD_BYTES + _SIBLING_BYTES * (count - 1).bit_length())


class ContentStore:
    """Everything under `directory`; raises StoreInUse if another object has it open."""

    def __init__(self, directory: Path, quota_bytes: int) -> None:
        self._directory, self._quota_bytes = directory, quota_bytes
        self._flat = directory / "data"
        with disk_errors(self._flat):
            self._flat.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._index = ContentIndex(directory / "index")
        self._latch = FailureLatch(self._flat)
        self._open: OrderedDict[Hash, OpenDatum] = OrderedDict()
        self._unsynced: dict[Hash, list[int]] = {}
        """The chunks written since the last flush, by datum."""
        self._used_bytes = 0
        with ExitStack() as undo:
            undo.callback(self._release)  # and no flush: marks of chunks that were not read again must stay
            self._recover()
            undo.pop_all()

    @property
    def failure(self) -> StorageError | None:
        """Why every write is refused, if it is."""
        return self._latch.failure or self._index.failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- Datums

    def datums(self) -> list[Hash]:
        """The ids of all datums, begun or complete."""
        return [datum for datum, _ in self._index.iterate_places()]

    def get_manifest(self, datum: Hash) -> Manifest | None:
        """The manifest of a datum of this store."""
        return self._index.get_manifest(datum)

    def get_status(self, datum: Hash) -> DatumStatus | None:
        """How much of a datum is here, and where."""
        return None if self._index.get_place(datum) is None else self._load(datum).status()

    def get_bitmap(self, datum: Hash) -> bytes:
        """Which chunks are held: bit i mod 8 (lowest first) of byte i // 8. Raises UnknownDatum."""
        return self._load(datum).bitmap

    def get_chunk_count(self, datum: Hash) -> int:
        """How many chunks a datum has, held or not. Raises UnknownDatum."""
        return self._load(datum).chunk_count

    def usage(self) -> Usage:
        """The quota and how much of it is used."""
        return Usage(self._quota_bytes, self._used_bytes)

    def publish(self, path: Path, progress: Progress | None = None) -> Manifest:
        """Hosts the file or folder at `path` where it lies, and returns its manifest.

        Only its index counts against the quota. If the datum is known already, `path` becomes its source and
        completes it. Raises SourceRefused, SourceChanged, InvalidManifest, QuotaExceeded.
        """
        if self._directory.resolve().is_relative_to(path.resolve()):
            raise SourceRefused(f"{path} holds the store itself; publish a folder that does not change")
        built = build_datum(path, progress)
        datum = compute_datum_id(built.manifest)
        folder, known = fsencode(built.source.folder), self._index.get_place(datum)
        fresh = PlaceRecord(folder, 0, compute_index_bytes(built.manifest))
        if known is None:
            self._check_quota(fresh.index_bytes)
        self._forget(datum)
        self._write_place(
            datum, built.manifest, fresh if known is None else replace(known, folder=folder), known
        )
        self._adopt(self._load(datum), built)
        return built.manifest

    def _adopt(self, opened: OpenDatum, built: BuiltDatum) -> None:
        """Records each chunk that is not held as lying in the source that was just read."""
        missing = (chunk for chunk in range(opened.chunk_count) if not opened.is_held(chunk))
        while batch := list(islice(missing, _BATCH_ENTRIES)):
            entries = []
            for chunk in batch:
                node, proof = built.tree.levels[0][chunk], built.tree.prove_chunk(chunk)
                record = ChunkRecord(False, built.tree.checksums[chunk], node, proof)
                entries.append(self._index.chunk_entry(opened.id, chunk, record))
            self._index.commit(entries, sync=True)
            for chunk in batch:
                opened.set_held(chunk, is_held=True)

    def begin(self, manifest: Manifest) -> Hash:
        """Reserves room for a datum to be fetched; does nothing if it is known.

        Raises InvalidManifest, and QuotaExceeded before anything is written.
        """
        check_manifest(manifest)
        datum = compute_datum_id(manifest)
        if self._index.get_place(datum) is None:
            place = PlaceRecord(b"", manifest.length, compute_index_bytes(manifest))
            self._check_quota(place.own_bytes + place.index_bytes)
            self._write_place(datum, manifest, place, None)
        return datum

    def remove(self, datum: Hash) -> None:
        """Forgets a datum and deletes the store's own bytes of it; a published folder stays as it is.

        Chunks are removed first: if the process dies in between, the datum is there and chunks are missing.
        """
        place = self._index.get_place(datum)
        if place is None:
            raise UnknownDatum(f"no datum {datum.hex()} here")
        self._forget(datum)
        chunks = self._index.iterate_held(datum)
        while batch := list(islice(chunks, _BATCH_ENTRIES)):
            self._index.commit([entry for chunk in batch for entry in self._drop(datum, chunk)], sync=False)
        entries = (self._index.manifest_entry(datum, None), self._index.place_entry(datum, None))
        self._index.commit(entries, sync=True)
        self._used_bytes -= place.own_bytes + place.index_bytes
        with disk_errors(self._flat):
            self._flat_path(datum).unlink(missing_ok=True)

    def export(self, datum: Hash, folder: Path, paths: Collection[str] = ()) -> None:
        """Writes the files of a datum below `folder`, which is made if it is not there: all, or those with
        these paths or in these folders.

        Every byte is verified on its way. A file that is there and equal stays; anything else in the way is
        ExportConflict. Raises UnknownDatum, UnknownFile, ChunkMissing, CorruptChunk.
        """
        opened = self._load(datum)
        chosen = select_files(opened.manifest, paths)
        for chunk in (chunk for one in chosen for chunk in one.chunks):
            if not opened.is_held(chunk):
                raise ChunkMissing(chunk)
        if not paths:
            chunks = (self.read_chunk(datum, chunk)[0] for chunk in range(opened.chunk_count))
            export_files(opened.manifest.files, chunks, folder)
        for one in chosen if paths else ():
            export_files([one.entry], self._read_from(datum, one), folder)

    def _read_from(self, datum: Hash, file: PlacedFile) -> Iterator[bytes]:
        """The chunks of a file, the first one from the file's first byte on."""
        skipped = file.offset % CHUNK_BYTES
        for chunk in file.chunks:
            yield self.read_chunk(datum, chunk)[0][skipped:]
            skipped = 0

    # -- Chunks

    def write_chunk(
        self, datum: Hash, index: int, chunk: bytes, proof: ChunkProof, node: Hash | None = None
    ) -> bool:
        """Keeps a chunk that verifies; False if it was held before. `node` is the chunk's, if the caller has
        just computed it.

        It survives the death of the process from here on, and a power loss from the next `flush` on, which
        comes by itself every UNSYNCED_CHUNKS_MAX chunks and with the last one. Raises UnknownDatum,
        InvalidProof, QuotaExceeded (a repair of a published folder), DiskFull, DiskFailed.
        """
        opened = self._load(datum)
        manifest = opened.manifest
        check_chunk_size(manifest.length, index, len(chunk))
        if opened.is_held(index):
            return False
        node = compute_chunk_node(chunk) if node is None else node
        check_chunk_node(manifest.root, manifest.length, index, node, proof)
        place = self._grow_place(opened, len(chunk))
        opened.file().write(index, chunk)
        self._record_written(opened, index, ChunkRecord(True, compute_checksum(chunk), node, proof), place)
        return True

    def read_chunk(self, datum: Hash, index: int) -> tuple[bytes, ChunkProof]:
        """A chunk, verified now, with proof. Raises UnknownDatum, ChunkMissing, CorruptChunk, SourceGone."""
        chunk, record = self._read(self._load(datum), index)
        return chunk, record.proof

    def read_leaf(self, datum: Hash, index: int) -> tuple[bytes, LeafProof]:
        """A leaf and its proof; the tree inside its chunk is computed again. Raises as `read_chunk`."""
        opened = self._load(datum)
        place, leaf = divmod(index, CHUNK_LEAVES)
        chunk, record = self._read(opened, place)
        if leaf * LEAF_BYTES >= len(chunk):
            raise ChunkMissing(place)
        levels = compute_levels(compute_leaf_hashes(chunk))
        proof = LeafProof(compute_path(levels, leaf) + record.proof.path)
        return chunk[leaf * LEAF_BYTES : (leaf + 1) * LEAF_BYTES], proof

    def scrub(self, datum: Hash, first: int = 0, count: int | None = None) -> tuple[int, ...]:
        """Reads the held chunks of [first, first + count); returns those that fail, which are then marked
        missing.

        Raises UnknownDatum, SourceGone, DiskFailed. With a range the caller sets the pace.
        """
        opened, corrupt = self._load(datum), []
        stop = opened.chunk_count if count is None else min(opened.chunk_count, first + count)
        for chunk in range(first, stop):
            if opened.is_held(chunk):
                try:
                    self._read(opened, chunk)
                except CorruptChunk:
                    corrupt.append(chunk)
        return tuple(corrupt)

    def flush(self) -> None:
        """Syncs all chunks written so far."""
        for datum in sorted(self._unsynced):
            self._open[datum].file().sync()
        self._clear_marks(self._unsynced)
        self._unsynced.clear()

    def _clear_marks(self, chunks: Mapping[Hash, Iterable[int]]) -> None:
        """Clears the unsynced marks of chunks that this object has synced, or has found missing, itself."""
        marks = [
            self._index.unsynced_entry(datum, chunk, is_unsynced=False)
            for datum in chunks
            for chunk in chunks[datum]
        ]
        if marks:
            self._index.commit(marks, sync=True)

    def close(self) -> None:
        """Flushes, unless the disk failed before, and releases everything."""
        try:
            self.flush()
        finally:
            self._release()

    def _release(self) -> None:
        for opened in self._open.values():
            opened.close()
        self._open.clear()
        self._unsynced.clear()
        self._index.close()

    # -- Inside

    def _recover(self) -> None:
        """Counts the quota, deletes files that no datum claims, and reads again what may have been lost."""
        known = dict(self._index.iterate_places())
        self._used_bytes = sum(place.own_bytes + place.index_bytes for place in known.values())
        names = {self._flat_path(datum).name for datum in known}
        with disk_errors(self._flat):
            for path in self._flat.iterdir():
                if path.name not in names:
                    path.unlink()
        for datum, marks in groupby(list(self._index.iterate_unsynced()), key=itemgetter(0)):
            self._recover_datum(datum, [chunk for _, chunk in marks])

    def _recover_datum(self, datum: Hash, chunks: list[int]) -> None:
        """Reads these chunks again and syncs what verifies; their marks go last, so that a start that is cut
        short is repeated.
        """
        is_any_good = False
        for chunk in chunks:
            with suppress(UnknownDatum, ChunkMissing, CorruptChunk):
                self.read_chunk(datum, chunk)
                is_any_good = True
        if is_any_good:
            self._load(datum).file().sync()
        self._clear_marks({datum: chunks})

    def _flat_path(self, datum: Hash) -> Path:
        return self._flat / datum.hex()

    def _load(self, datum: Hash) -> OpenDatum:
        """The open datum. At most DATUMS_OPEN_MAX are open; the least recently used one is closed."""
        opened = self._open.get(datum)
        if opened is None:
            manifest, place = self._index.get_manifest(datum), self._index.get_place(datum)
            if manifest is None or place is None:
                raise UnknownDatum(f"no datum {datum.hex()} here")
            while len(self._open) >= DATUMS_OPEN_MAX:
                self._forget(next(iter(self._open)))
            opened = OpenDatum(datum, manifest, place, self._flat_path(datum), self._latch)
            opened.load_held(self._index)
            self._open[datum] = opened
        self._open.move_to_end(datum)
        return opened

    def _forget(self, datum: Hash) -> None:
        if datum in self._unsynced:
            self.flush()
        opened = self._open.pop(datum, None)
        if opened is not None:
            opened.close()

    def _check_quota(self, extra_bytes: int) -> None:
        left = self._quota_bytes - self._used_bytes
        if extra_bytes > left:
            raise QuotaExceeded(
                f"{extra_bytes} bytes are needed, {max(left, 0)} of {self._quota_bytes} are left; "
                "raise the quota or remove a datum"
            )

    def _write_place(
        self, datum: Hash, manifest: Manifest, place: PlaceRecord, known: PlaceRecord | None
    ) -> None:
        entries = (self._index.manifest_entry(datum, manifest), self._index.place_entry(datum, place))
        self._index.commit(entries, sync=True)
        if known is None:
            self._used_bytes += place.own_bytes + place.index_bytes

    def _grow_place(self, opened: OpenDatum, size: int) -> PlaceRecord:
        """The place record with room for a repaired chunk of a published folder; a download has its room
        already.
        """
        place = opened.place
        own_bytes = min(opened.manifest.length, place.own_bytes + size)
        self._check_quota(own_bytes - place.own_bytes)
        return replace(place, own_bytes=own_bytes)

    def _record_written(self, opened: OpenDatum, index: int, record: ChunkRecord, place: PlaceRecord) -> None:
        entries = [
            self._index.chunk_entry(opened.id, index, record),
            self._index.unsynced_entry(opened.id, index, is_unsynced=True),
        ]
        if place != opened.place:
            entries.append(self._index.place_entry(opened.id, place))
        self._index.commit(entries, sync=False)
        self._used_bytes += place.own_bytes - opened.place.own_bytes
        opened.place = place
        opened.set_held(index, is_held=True)
        self._unsynced.setdefault(opened.id, []).append(index)
        count = sum(map(len, self._unsynced.values()))
        if count >= UNSYNCED_CHUNKS_MAX or opened.held_count == opened.chunk_count:
            self.flush()

    def _read(self, opened: OpenDatum, index: int) -> tuple[bytes, ChunkRecord]:
        """A held chunk that verifies; marks one that does not as missing."""
        held = 0 <= index < opened.chunk_count
        record = self._index.get_chunk(opened.id, index) if held else None
        if record is None:
            raise ChunkMissing(index)
        try:
            chunk = opened.read(index, is_own=record.is_own)
            fault = _find_fault(opened.manifest, index, chunk, opened.size_of(index), record)
        except (OSError, SourceRefused) as error:
            fault = self._judge_failure(opened, record, error)
        if fault is not None:
            self._mark_missing(opened, index)
            raise CorruptChunk(index, fault)
        return chunk, record

    def _judge_failure(self, opened: OpenDatum, record: ChunkRecord, error: Exception) -> str:
        """Why a chunk could not be read; raises if the fault is the disk's or the source's as a whole."""
        if isinstance(error, OSError) and error.errno in _NOT_THE_FILE:
            raise DiskFailed(f"{self._directory}: {error.strerror}") from error
        folder = opened.folder
        if not record.is_own and folder is not None and not folder.is_dir():
            raise SourceGone(f"{folder} is away; bring it back, or remove the datum") from error
        return str(error)

    def _mark_missing(self, opened: OpenDatum, index: int) -> None:
        self._index.commit(self._drop(opened.id, index), sync=False)
        opened.set_held(index, is_held=False)

    def _drop(self, datum: Hash, index: int) -> tuple[Entry, Entry]:
        unsynced = self._index.unsynced_entry(datum, index, is_unsynced=False)
        return self._index.chunk_entry(datum, index, None), unsynced


def _find_fault(manifest: Manifest, index: int, chunk: bytes, size: int, record: ChunkRecord) -> str | None:
    """Why a chunk that was read fails; None if it verifies.

    The checksum ties the bytes to what was verified once, the node and proof tie the record to the root.
    """
    if len(chunk) != size:
        return f"{len(chunk)} of {size} bytes are left"
    if compute_checksum(chunk) != record.checksum:
        return "its bytes changed"
    try:
        check_chunk_node(manifest.root, manifest.length, index, record.node, record.proof)
    except InvalidProof:
        return "its index record is damaged"
    return None
