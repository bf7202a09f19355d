"""Exporting: inside the folder only, whole files only, and nothing of the user's overwritten."""

import errno
import io
import os

import pytest

from chain.content import FileEntry, InvalidManifest
from storage.content.errors import ChunkMissing, CorruptChunk, ExportConflict
from storage.content.export import export_files
from storage.content.store import ContentStore
from storage.errors import DiskFull
from tests.storage.content.rigs import read_files

FILES = (FileEntry("a", 3), FileEntry("empty", 0), FileEntry("sub/c", 2), FileEntry("sub/deep/b", 5))
CHUNKS = (b"aaac", b"cbbbb", b"b")
WANTED = {"a": b"aaa", "empty": b"", "sub/deep/b": b"bbbbb", "sub/c": b"cc"}


def test_files_are_written_across_chunk_borders(tmp_path):
    """Each file has its share of the stream, in folders that are made as needed."""
    export_files(FILES, CHUNKS, tmp_path / "new" / "out")
    assert read_files(tmp_path / "new" / "out") == WANTED


def test_an_export_can_be_repeated_and_taken_up(tmp_path):
    """Equal files stay, missing ones are written, and a remnant of an export cut short does no harm."""
    export_files(FILES, CHUNKS, tmp_path)
    (tmp_path / "sub/c").unlink()
    (tmp_path / "sub/.vidya-export").write_bytes(b"half a fi")
    kept = (tmp_path / "a").stat().st_ino
    export_files(FILES, CHUNKS, tmp_path)
    assert read_files(tmp_path) == WANTED
    assert (tmp_path / "a").stat().st_ino == kept


@pytest.mark.parametrize("content", [b"", b"aa", b"aab", b"aaaa"])
def test_a_file_that_differs_is_left_alone(tmp_path, content):
    """What is there and is not the same is never overwritten."""
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ExportConflict):
        export_files(FILES, CHUNKS, tmp_path)
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize("place", ["a", "sub", "sub/deep", "sub/deep/b"])
def test_a_link_in_the_way_is_not_followed(tmp_path, place):
    """A symbolic link, to a file or a folder, leads no byte out of the folder."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    (outside / "victim").write_bytes(b"aaa")
    (folder / place).parent.mkdir(parents=True)
    target = outside if place in ("sub", "sub/deep") else outside / "victim"
    (folder / place).symlink_to(target)
    with pytest.raises(ExportConflict):
        export_files(FILES, CHUNKS, folder)
    assert read_files(outside) == {"victim": b"aaa"}


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_folder_or_pipe_in_the_way_is_a_conflict(tmp_path, make):
    """Only a plain file can be the file."""
    make(tmp_path / "a")
    with pytest.raises(ExportConflict):
        export_files(FILES, CHUNKS, tmp_path)


def test_a_file_where_a_folder_belongs_is_a_conflict(tmp_path):
    """A file named like a folder of the datum stays."""
    (tmp_path / "sub").write_bytes(b"mine")
    with pytest.raises(ExportConflict):
        export_files(FILES, CHUNKS, tmp_path)
    assert (tmp_path / "sub").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["../a", "/tmp/a", "x/../../a", "a\\b"])
def test_unsafe_paths_are_refused_here_too(tmp_path, path):
    """Names are checked again where they are written."""
    with pytest.raises(InvalidManifest):
        export_files((FileEntry(path, 1),), (b"x",), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_datum_may_use_the_temporary_name(tmp_path):
    """A file that is called like our temporary one is exported like any other."""
    files = (FileEntry(".Vidya-export-", 1), FileEntry(".vidya-export", 1), FileEntry("z", 1))
    export_files(files, (b"123",), tmp_path)
    assert read_files(tmp_path) == {".Vidya-export-": b"1", ".vidya-export": b"2", "z": b"3"}


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    """A write that fails half way leaves neither the file nor the temporary one."""

    class FullDisk(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(io, "FileIO", FullDisk)
    with pytest.raises(DiskFull):
        export_files(FILES, CHUNKS, tmp_path)
    assert read_files(tmp_path) == {}


def test_a_datum_that_is_not_whole_is_not_exported(tmp_path):
    """Missing or corrupt chunks stop an export before, or at, the file they belong to."""
    (tmp_path / "source").write_bytes(bytes(700_000))
    with ContentStore(tmp_path / "one", 2**30) as one, ContentStore(tmp_path / "two", 2**30) as two:
        datum = two.begin(one.publish(tmp_path / "source"))
        two.write_chunk(datum, 0, *one.read_chunk(datum, 0))
        with pytest.raises(ChunkMissing):
            two.export(datum, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        (tmp_path / "source").write_bytes(bytes(600_000) + b"x" * 100_000)
        with pytest.raises(CorruptChunk):
            one.export(datum, tmp_path / "out")
    assert read_files(tmp_path / "out") == {}
