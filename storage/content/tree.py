"""Building the tree over a datum's bytes, once, in a stream.

Memory grows by about 100 bytes for each 256 KiB read (their node, its ancestors and a checksum), and by
nothing else. The levels inside a chunk are not kept: they are computed again when a leaf is proved.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from chain.content import (
    ChunkProof,
    FileEntry,
    Manifest,
    build_manifest,
    check_paths,
    compute_content_root,
)
from chain.content.tree import compute_chunk_node, compute_levels, compute_path
from chain.primitives.types import Hash
from storage.content.errors import SourceRefused
from storage.content.source import Source, scan_source, stream_chunks

Progress = Callable[[int, int], None]
"""Called with the bytes done and the total; may raise to cancel."""


@dataclass(frozen=True, slots=True)
class ContentTree:
    """The levels of a tree from its chunks' nodes up, and a checksum of each chunk."""

    length: int
    levels: list[list[Hash]]
    checksums: list[Hash]

    @property
    def root(self) -> Hash:
        """What the catalogue lists."""
        return compute_content_root(self.levels[-1][0], self.length)

    def prove_chunk(self, index: int) -> ChunkProof:
        """The proof of chunk `index`, which must exist."""
        return ChunkProof(compute_path(self.levels, index))


@dataclass(frozen=True, slots=True)
class BuiltDatum:
    """A source that was read from end to end, with what follows from its bytes."""

    source: Source
    tree: ContentTree
    manifest: Manifest


def compute_checksum(chunk: bytes | memoryview) -> Hash:
    """A plain BLAKE3 of a whole chunk, ten times as fast as its tree: recognises bytes that were verified
    before.

    It never leaves this node: to others only the tree proves anything.
    """
    return blake3(chunk).digest()


def build_tree(
    chunks: Iterable[bytes | memoryview], on_chunk: Callable[[int], None] | None = None
) -> ContentTree:
    """The tree over chunks: at least one, all but the last full. `on_chunk` gets the bytes so far."""
    length, nodes, checksums = 0, [], []
    for chunk in chunks:
        length += len(chunk)
        nodes.append(compute_chunk_node(chunk))
        checksums.append(compute_checksum(chunk))
        if on_chunk is not None:
            on_chunk(length)
    return ContentTree(length, compute_levels(nodes), checksums)


def build_datum(path: Path, progress: Progress | None = None) -> BuiltDatum:
    """The manifest and tree of the file or folder at `path`; writes nothing.

    Raises SourceRefused, SourceChanged, or InvalidManifest for names that break a rule (before reading any
    byte).
    """
    source = scan_source(path)
    check_paths([file.path for file in source.files])
    total = sum(file.size for file in source.files)
    if not total:
        raise SourceRefused(f"{path} has no bytes; a datum has at least one")
    on_chunk = None if progress is None else lambda done: progress(done, total)
    tree = build_tree(stream_chunks(source), on_chunk)
    source.check_unchanged(path)
    files = tuple(FileEntry(file.path, file.size) for file in source.files)
    return BuiltDatum(source, tree, build_manifest(files, tree.root))
