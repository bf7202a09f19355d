"""Some files of a datum, and where they lie in its byte stream."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from chain.content import CHUNK_BYTES, FileEntry, Manifest
from storage.content.errors import UnknownFile

PATHS_SHOWN = 5


class PlacedFile(NamedTuple):
    """A file, and the position of its first byte in the datum's byte stream."""

    entry: FileEntry
    offset: int

    @property
    def chunks(self) -> range:
        """The chunks that have bytes of it; none if it is empty."""
        if not self.entry.size:
            return range(0)
        last = self.offset + self.entry.size - 1
        return range(self.offset // CHUNK_BYTES, last // CHUNK_BYTES + 1)


def select_files(manifest: Manifest, paths: Collection[str]) -> tuple[PlacedFile, ...]:
    """The files with these paths or below these folders, in path order; all if no path is named.

    Raises UnknownFile for a path that is neither.
    """
    placed = tuple(_place(manifest))
    for path in paths:
        if not any(_is_at(one.entry.path, path) for one in placed):
            shown = ", ".join(one.entry.path for one in placed[:PATHS_SHOWN])
            more = ", ..." if len(placed) > PATHS_SHOWN else ""
            raise UnknownFile(f"the datum has no file or folder {path}; it has {shown}{more}")
    return tuple(one for one in placed if not paths or any(_is_at(one.entry.path, path) for path in paths))


def compute_bitmap(files: Collection[PlacedFile]) -> int:
    """The chunks with bytes of these files, one bit each."""
    wanted = 0
    for one in files:
        wanted |= ((1 << len(one.chunks)) - 1) << one.chunks.start
    return wanted


def _place(manifest: Manifest) -> Iterator[PlacedFile]:
    offset = 0
    for entry in manifest.files:
        yield PlacedFile(entry, offset)
        offset += entry.size


def _is_at(path: str, wanted: str) -> bool:
    wanted = wanted.rstrip("/")
    return path == wanted or path.startswith(f"{wanted}/")
