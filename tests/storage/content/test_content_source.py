"""Reading what is to be published: only plain files at rest, in path order, in a stream."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.content import CHUNK_BYTES, FileEntry, InvalidManifest
from storage.content import source as source_module
from storage.content.errors import SourceChanged, SourceRefused
from storage.content.layout import Layout
from storage.content.source import read_part, scan_source, stream_chunks
from storage.content.store import ContentStore
from storage.content.tree import build_datum, build_tree
from tests.storage.content.rigs import make_bytes, write_files


def test_files_come_in_the_order_of_whole_paths(tmp_path):
    """The order is that of the paths as text, not of folders one by one."""
    write_files(tmp_path, {"b/a": 1, "b-c": 1, "b.d": 1, "a": 1, "B": 1, "é": 1, "b/é/x": 1})
    paths = [file.path for file in scan_source(tmp_path).files]
    assert paths == ["B", "a", "b-c", "b.d", "b/a", "b/é/x", "é"]


def test_a_single_file_is_a_folder_of_one(tmp_path):
    """A file and a folder with only that file are the same datum."""
    write_files(tmp_path, {"one/game.iso": 5000})
    assert build_datum(tmp_path / "one/game.iso").manifest == build_datum(tmp_path / "one").manifest


def test_the_stream_is_the_files_one_after_another(tmp_path):
    """Chunks are full but the last, and joined they are the files joined."""
    write_files(tmp_path, {"a": 10, "b": 0, "c": 2 * CHUNK_BYTES, "d": CHUNK_BYTES - 10, "e": 7})
    chunks = [bytes(chunk) for chunk in stream_chunks(scan_source(tmp_path))]
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES] * 3 + [7]
    assert b"".join(chunks) == b"".join((tmp_path / name).read_bytes() for name in "abcde")


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any), st.data())
def test_segments_cover_any_range_once(sizes, data):
    """The segments of a range are the bytes of the range, in order, with no empty one."""
    whole = [(number, offset) for number, size in enumerate(sizes) for offset in range(size)]
    start = data.draw(st.integers(0, len(whole)))
    size = data.draw(st.integers(0, len(whole) - start))
    segments = list(Layout([FileEntry(str(n), size) for n, size in enumerate(sizes)]).segments(start, size))
    found = [(int(part.path), part.offset + at) for part in segments for at in range(part.size)]
    assert found == whole[start : start + size]
    assert all(part.size for part in segments)


def test_parts_are_read_across_files(tmp_path):
    """A range over many small files is read as it was streamed."""
    write_files(tmp_path, {f"{number:03}": number for number in range(200)})
    source = scan_source(tmp_path)
    whole = b"".join(bytes(chunk) for chunk in stream_chunks(source))
    layout = Layout([FileEntry(file.path, file.size) for file in source.files])
    for start, size in [(0, len(whole)), (1, 5000), (19_000, 900), (7, 0)]:
        assert read_part(tmp_path, layout, start, size) == whole[start : start + size]


@pytest.mark.parametrize("kind", ["link to file", "link to folder", "dangling link", "pipe", "socket"])
def test_links_and_special_files_are_refused(tmp_path, kind):
    """Nothing outside the folder is reached, and nothing that is no plain file is opened."""
    outside = write_files(tmp_path / "outside", {"secret": 10})
    folder = write_files(tmp_path / "folder", {"a": 10, "sub/b": 10})
    odd = folder / "sub" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(odd))
    else:
        targets = {
            "link to file": outside / "secret",
            "link to folder": outside,
            "dangling link": tmp_path / "no",
        }
        odd.symlink_to(targets[kind])
    with pytest.raises(SourceRefused, match="odd"):
        build_datum(folder)


def test_what_has_no_bytes_or_is_not_there_is_refused(tmp_path):
    """A datum has at least one byte."""
    write_files(tmp_path, {"empty/a": 0})
    (tmp_path / "nothing").mkdir()
    with pytest.raises(SourceRefused):
        build_datum(tmp_path / "empty")
    with pytest.raises(SourceRefused, match="nothing holds no file"):
        build_datum(tmp_path / "nothing")
    with pytest.raises(SourceRefused):
        build_datum(tmp_path / "away")


@pytest.mark.parametrize("name", ["con", "a:b", "tab\t", "e\u0301", b"not utf-8 \xff"])
def test_a_name_that_breaks_a_rule_is_refused_before_reading(tmp_path, name):
    """The names are judged first; no progress is reported."""
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    with pytest.raises(InvalidManifest):
        build_datum(tmp_path, lambda done, total: pytest.fail("bytes were read"))


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    """The listing stops at the bound."""
    monkeypatch.setattr(source_module, "FILES_MAX", 5)
    write_files(tmp_path, {str(number): 1 for number in range(6)})
    with pytest.raises(SourceRefused, match="more than 5"):
        scan_source(tmp_path)


@pytest.mark.parametrize("change", ["rewritten", "grown", "cut", "added", "removed", "replaced"])
def test_a_change_while_publishing_is_noticed(tmp_path, change):
    """Whatever happens to a file between the listing and the end refuses the publication."""
    folder = write_files(tmp_path / "folder", {"a": 2 * CHUNK_BYTES, "b": 100})
    target = folder / "a"

    def interfere(done, total):
        if done != CHUNK_BYTES:
            return
        if change == "rewritten":
            target.write_bytes(make_bytes(2 * CHUNK_BYTES, 9))
        if change == "grown":
            with target.open("ab") as file:
                file.write(b"x")
        if change == "cut":
            os.truncate(target, CHUNK_BYTES)
        if change == "added":
            (folder / "c").write_bytes(b"")
        if change == "removed":
            (folder / "b").unlink()
        if change == "replaced":
            write_files(tmp_path, {"new": 2 * CHUNK_BYTES})
            (tmp_path / "new").rename(target)

    with pytest.raises((SourceChanged, SourceRefused)):
        build_datum(folder, interfere)


def test_a_folder_that_holds_the_store_is_refused(tmp_path):
    """A store does not publish itself, nor the keys that lie beside it."""
    write_files(tmp_path, {"home/a": 10})
    with ContentStore(tmp_path / "home" / "content", 2**20) as store:
        for path in (tmp_path / "home", tmp_path, tmp_path / "home" / "content"):
            with pytest.raises(SourceRefused):
                store.publish(path)


def test_a_link_to_the_folder_itself_is_the_users_choice(tmp_path):
    """The path that a person names may be a link; only links inside are refused."""
    folder = write_files(tmp_path / "folder", {"a": 10})
    (tmp_path / "link").symlink_to(folder)
    assert build_datum(tmp_path / "link").manifest == build_datum(folder).manifest


def test_the_tree_of_one_short_chunk(tmp_path):
    """A datum below one chunk has a tree of one node, and a proof without siblings."""
    tree = build_tree([b"x"])
    assert (tree.length, len(tree.levels), tree.prove_chunk(0).path) == (1, 1, ())
