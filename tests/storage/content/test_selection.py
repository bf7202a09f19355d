"""Some files of a datum, and the chunks that they lie in."""

import pytest

from chain.content import CHUNK_BYTES, FileEntry, Manifest
from storage.content.errors import UnknownFile
from storage.content.selection import compute_bitmap, select_files

FILES = (
    FileEntry("a", CHUNK_BYTES + 1),
    FileEntry("b/c", 0),
    FileEntry("b/d", CHUNK_BYTES),
    FileEntry("bc", 10),
)
MANIFEST = Manifest(FILES, sum(one.size for one in FILES), bytes(32))


@pytest.mark.parametrize(
    ("paths", "chosen", "chunks"),
    [
        ((), ("a", "b/c", "b/d", "bc"), 0b111),
        (("a",), ("a",), 0b011),
        (("b",), ("b/c", "b/d"), 0b110),
        (("b/",), ("b/c", "b/d"), 0b110),
        (("b/c",), ("b/c",), 0),
        (("bc", "a"), ("a", "bc"), 0b111),
    ],
)
def test_files_and_folders_are_found_with_their_chunks(
    paths: tuple[str, ...], chosen: tuple[str, ...], chunks: int
) -> None:
    """By whole path or a folder above, not by the beginning of a name; empty ones have no chunk."""
    found = select_files(MANIFEST, paths)
    assert tuple(one.entry.path for one in found) == chosen and compute_bitmap(found) == chunks


@pytest.mark.parametrize("path", ["x", "b/x", "A", "a/", "b/c/d", ""])
def test_what_is_not_there_is_named(path: str) -> None:
    """With the paths that there are."""
    if path == "a/":
        assert len(select_files(MANIFEST, (path,))) == 1
        return
    with pytest.raises(UnknownFile, match="it has a, b/c"):
        select_files(MANIFEST, (path,))
