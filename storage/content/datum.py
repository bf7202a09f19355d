"""A datum in use: what is read from the index once, and the two places of its bytes.

Not here: verifying chunks and writing the index (`store`).
"""

import os
from dataclasses import dataclass
from pathlib import Path

from chain.content import CHUNK_BYTES, Manifest, compute_chunk_count, compute_chunk_size
from chain.primitives.types import Hash
from storage.content.chunk_file import ChunkFile
from storage.content.index import ContentIndex, PlaceRecord
from storage.content.layout import Layout
from storage.content.source import read_part
from storage.files import FailureLatch


@dataclass(frozen=True, slots=True)
class DatumStatus:
    """What the store has of a datum. `folder` is the published folder, if it is hosted in place."""

    datum: Hash
    length: int
    chunk_count: int
    held_count: int
    own_bytes: int
    folder: Path | None

    @property
    def is_complete(self) -> bool:
        """Whether every chunk is held."""
        return self.held_count == self.chunk_count


class OpenDatum:
    """The manifest, the bitmap of held chunks, and the files of one datum."""

    def __init__(
        self, datum: Hash, manifest: Manifest, place: PlaceRecord, flat: Path, latch: FailureLatch
    ) -> None:
        self.id, self.manifest, self.place = datum, manifest, place
        self.chunk_count = compute_chunk_count(manifest.length)
        self.held_count = 0
        self._bitmap = bytearray((self.chunk_count + 7) // 8)
        self._layout = Layout(manifest.files)
        self._flat, self._latch = flat, latch
        self._file: ChunkFile | None = None

    def load_held(self, index: ContentIndex) -> None:
        """Reads from the index which chunks are held."""
        for chunk in index.iterate_held(self.id):
            self.set_held(chunk, is_held=True)

    @property
    def bitmap(self) -> bytes:
        """Chunk i is held if bit i mod 8 (lowest first) of byte i // 8 is set."""
        return bytes(self._bitmap)

    @property
    def folder(self) -> Path | None:
        """The published folder, if the datum is hosted in place."""
        return Path(os.fsdecode(self.place.folder)) if self.place.folder else None

    def is_held(self, chunk: int) -> bool:
        """Whether a chunk, which must exist, is held."""
        return bool(self._bitmap[chunk >> 3] >> (chunk & 7) & 1)

    def set_held(self, chunk: int, *, is_held: bool) -> None:
        """Keeps bitmap and count in step with the index."""
        if self.is_held(chunk) != is_held:
            self._bitmap[chunk >> 3] ^= 1 << (chunk & 7)
            self.held_count += 1 if is_held else -1

    def size_of(self, chunk: int) -> int:
        """The bytes of a chunk, which must exist."""
        return compute_chunk_size(self.manifest.length, chunk)

    def read(self, chunk: int, *, is_own: bool) -> bytes:
        """The bytes at a chunk's place, not verified; raises OSError or SourceRefused."""
        if is_own:
            return self.file().read(chunk, self.size_of(chunk))
        folder = self.folder
        if folder is None:
            raise FileNotFoundError("no published folder is known")
        return read_part(folder, self._layout, chunk * CHUNK_BYTES, self.size_of(chunk))

    def file(self) -> ChunkFile:
        """The flat file, made if it is not there."""
        if self._file is None:
            self._file = ChunkFile(self._flat, self.manifest.length, self._latch)
        return self._file

    def close(self) -> None:
        """Releases the flat file without a sync."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def status(self) -> DatumStatus:
        """A summary for people."""
        own, count = self.place.own_bytes, self.chunk_count
        return DatumStatus(self.id, self.manifest.length, count, self.held_count, own, self.folder)
