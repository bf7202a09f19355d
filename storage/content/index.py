"""The index of the content store: typed columns of one LevelDB.

Columns: the manifest of each datum; where its bytes are; one record for each chunk held; and the chunks
whose bytes may not be on disk yet. A chunk is held exactly when its record exists, and the record is the
proof it was verified with, so that no bitmap can disagree with it. Not here: the bytes of the chunks.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta

from chain.content import MANIFEST_BYTES_MAX, Manifest, compute_datum_id
from chain.content.tree import ChunkProof
from chain.errors import DecodeError
from chain.primitives.codec import Record, decode, encode
from chain.primitives.types import Hash, Uint
from storage.errors import CorruptStore, StorageError
from storage.kv import Entry, KeyColumn, LevelDbStore, Prefix

_INDEX_BYTES = 4
_ADVICE = "move it away, with the chunks that it is of; what was in it is published or fetched again"

T = TypeVar("T")


class PlaceRecord(Record):
    """Where a datum's bytes are: a published folder if any (file system bytes of its path), and what of the
    quota it takes."""

    folder: Annotated[bytes, Meta(max_length=4096)]
    own_bytes: Uint
    index_bytes: Uint


class ChunkRecord(Record):
    """A chunk that was verified: its checksum, its node and proof, and in which of the two places it lies."""

    is_own: bool
    checksum: Hash
    node: Hash
    proof: ChunkProof


class ContentIndex:
    """Reads records and builds batch entries; `commit` writes them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store = LevelDbStore(directory, _ADVICE)
        self._manifests = KeyColumn(self._store, Prefix.CONTENT_DATUM)
        self._places = KeyColumn(self._store, Prefix.CONTENT_PLACE)
        self._chunks = KeyColumn(self._store, Prefix.CONTENT_CHUNK)
        self._unsynced = KeyColumn(self._store, Prefix.CONTENT_UNSYNCED)

    @property
    def failure(self) -> StorageError | None:
        """Why every write is refused."""
        return self._store.failure

    def close(self) -> None:
        """Releases the database."""
        self._store.close()

    def commit(self, entries: Iterable[Entry], *, sync: bool) -> None:
        """Writes all entries or none; without `sync` a power loss may lose the latest batches."""
        self._store.write_batch(entries, sync=sync)

    def get_manifest(self, datum: Hash) -> Manifest | None:
        """The manifest, compared with its id; its rules were checked before it was written."""
        data = self._manifests.get(datum)
        if data is None:
            return None
        manifest = self._decode(Manifest, data, MANIFEST_BYTES_MAX)
        if compute_datum_id(manifest) != datum:
            raise CorruptStore(
                f"{self._directory}: the manifest of {datum.hex()} is damaged; remove the datum"
            )
        return manifest

    def get_place(self, datum: Hash) -> PlaceRecord | None:
        """Where the datum's bytes are."""
        data = self._places.get(datum)
        return None if data is None else self._decode(PlaceRecord, data, 2**13)

    def get_chunk(self, datum: Hash, index: int) -> ChunkRecord | None:
        """The record of a chunk that is held."""
        data = self._chunks.get(_chunk_key(datum, index))
        return None if data is None else self._decode(ChunkRecord, data, 2**12)

    def iterate_places(self) -> Iterator[tuple[Hash, PlaceRecord]]:
        """All datums, by id."""
        for datum, data in self._places.iterate():
            yield datum, self._decode(PlaceRecord, data, 2**13)

    def iterate_held(self, datum: Hash) -> Iterator[int]:
        """The numbers of the chunks held of a datum, ascending."""
        return (int.from_bytes(key[len(datum) :], "big") for key, _ in self._chunks.iterate(datum))

    def iterate_unsynced(self) -> Iterator[tuple[Hash, int]]:
        """The chunks whose bytes may not be on disk yet."""
        for key, _ in self._unsynced.iterate():
            yield key[:-_INDEX_BYTES], int.from_bytes(key[-_INDEX_BYTES:], "big")

    def manifest_entry(self, datum: Hash, manifest: Manifest | None) -> Entry:
        """The batch entry of a manifest; None deletes it. The same holds below."""
        return self._manifests.entry(datum, None if manifest is None else encode(manifest))

    def place_entry(self, datum: Hash, place: PlaceRecord | None) -> Entry:
        """The batch entry of a place."""
        return self._places.entry(datum, None if place is None else encode(place))

    def chunk_entry(self, datum: Hash, index: int, record: ChunkRecord | None) -> Entry:
        """The batch entry of a chunk's record."""
        return self._chunks.entry(_chunk_key(datum, index), None if record is None else encode(record))

    def unsynced_entry(self, datum: Hash, index: int, *, is_unsynced: bool) -> Entry:
        """The batch entry of a chunk's mark as unsynced."""
        return self._unsynced.entry(_chunk_key(datum, index), b"" if is_unsynced else None)

    def _decode(self, kind: type[T], data: bytes, bytes_max: int) -> T:
        try:
            return decode(kind, data, bytes_max)
        except DecodeError as error:
            raise CorruptStore(f"{self._directory}: {kind.__name__}: {error}; {_ADVICE}") from error


def _chunk_key(datum: Hash, index: int) -> bytes:
    return datum + index.to_bytes(_INDEX_BYTES, "big")
