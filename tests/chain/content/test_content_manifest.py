"""Manifests: what is refused before anything is written, and what has one id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.content.manifest import (
    FILES_MAX,
    PART_BYTES_MAX,
    PATH_BYTES_MAX,
    PATH_PARTS_MAX,
    FileEntry,
    InvalidManifest,
    Manifest,
    build_manifest,
    check_manifest,
    check_path,
    check_paths,
    compute_datum_id,
    compute_files_hash,
    compute_listed_id,
    decode_manifest,
)
from chain.content.tree import DATUM_BYTES_MAX
from chain.primitives.codec import encode
from chain.primitives.errors import DecodeError

ROOT = bytes(range(32))

REFUSED_PATHS = [
    "/etc/passwd", "//a", "..", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/", "", "/",
    "C:", "c:/a", "C:a", "a:b", "\\a", "a\\b", "\\\\host\\share",
    "a\0b", "a\nb", "\x1b[2J", "a\x7f", "a\x85b", "a\u2028b", "a\u202egpj.exe", "a\u2066b", "a\ud800",
    "a.", "a./b", "a ", " a", "b/ a", "...", "a/. ", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b",
    "con", "CON", "Aux.txt", "x/nul", "com1", "LPT9.tar.gz", "com\u00b9", "conin$", "nul .txt",
    "e\u0301", "\u212b", "a/e\u0301/b",
    "a" * (PART_BYTES_MAX + 1), "\u00e9" * 128, "/".join("a" * (PATH_PARTS_MAX + 1)),
    "/".join(["a" * 200] * 6),
]  # fmt: skip

ACCEPTED_PATHS = [
    "a", "a.b", ".hidden", "a/b", "a b/c d", "\u00e9", "日本/ゲーム.iso", "game (1984) [crack] {x}!.zip",
    "~a", "a..b", "-rf", "..a", "con1", "console", "com", "com10", "a" * PART_BYTES_MAX, "ﬁle", "%2e%2e",
    "$HOME", "/".join("a" * PATH_PARTS_MAX),
]  # fmt: skip

REFUSED_PATH_LISTS = [
    ("b", "a"), ("a", "a"), ("a/X", "a/x"), ("A/b", "a/c"), ("a", "a/b"), ("A", "a/b"), ("a", "a.b", "a/b"),
    ("a/b", "a"), ("A", "a"), ("x/A/1", "x/a/2"), ("STRASSE", "straße"), ("\u00c9", "\u00e9"), ("Ⅷ", "ⅷ"),
    ("Ǆ", "ǅ"), ("ς", "σ"), (),
]  # fmt: skip


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_a_path_that_is_unsafe_somewhere_is_refused(path):
    """No path may leave the folder, deceive, or fail on a common system."""
    with pytest.raises(InvalidManifest):
        check_path(path)


@pytest.mark.parametrize("path", ACCEPTED_PATHS)
def test_a_plain_path_is_accepted(path):
    """The rules do not refuse ordinary names."""
    check_path(path)


@pytest.mark.parametrize("paths", REFUSED_PATH_LISTS)
def test_paths_that_meet_or_are_out_of_order_are_refused(paths):
    """Each file has a place of its own on systems that ignore case, and the order is by code points."""
    with pytest.raises(InvalidManifest):
        check_paths(paths)
    files = tuple(FileEntry(path, 1) for path in paths)
    with pytest.raises((InvalidManifest, DecodeError)):
        decode_manifest(encode(Manifest(files, len(files), ROOT)))


def test_sizes_must_add_up_to_a_length_in_range():
    """A wrong sum, no bytes at all, or more than a datum may have is refused."""
    files = (FileEntry("a", 3), FileEntry("b", 0), FileEntry("c", 4))
    assert build_manifest(files, ROOT).length == 7
    for length in (6, 8):
        with pytest.raises(InvalidManifest):
            check_manifest(Manifest(files, length, ROOT))
    with pytest.raises(DecodeError):
        build_manifest((FileEntry("a", 0),), ROOT)
    with pytest.raises(DecodeError):
        build_manifest((FileEntry("a", DATUM_BYTES_MAX), FileEntry("b", 1)), ROOT)
    with pytest.raises(DecodeError):
        build_manifest((), ROOT)


def test_counts_and_bytes_are_bounded():
    """Too many files are refused, and so are few files with too many bytes of names."""
    with pytest.raises(InvalidManifest):
        check_paths([f"{number:06}" for number in range(FILES_MAX + 1)])
    folder = "/".join(["f" * 250] * 3)
    files = tuple(FileEntry(f"{folder}/{number:06}", 1) for number in range(12_000))
    assert len(files[0].path.encode()) < PATH_BYTES_MAX
    with pytest.raises(InvalidManifest):
        build_manifest(files, ROOT)
    with pytest.raises(DecodeError):
        decode_manifest(encode(Manifest(files, len(files), ROOT)))


@given(st.binary(max_size=200))
def test_bytes_from_outside_raise_only_our_errors(data):
    """Whatever comes, the answer is a manifest or one of two errors."""
    try:
        manifest = decode_manifest(data)
    except (DecodeError, InvalidManifest):
        return
    assert encode(manifest) == data


@given(st.text(max_size=40))
def test_any_text_as_path_is_accepted_or_refused(path):
    """An accepted path, split and joined, is itself, relative and without steps."""
    try:
        check_path(path)
    except InvalidManifest:
        return
    parts = path.split("/")
    assert all(part and part not in (".", "..") for part in parts)


def test_every_mutated_byte_changes_the_id_or_is_refused():
    """Two manifests never share an id."""
    manifest = build_manifest((FileEntry("a/b", 5), FileEntry("c", 6)), ROOT)
    data = encode(manifest)
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            try:
                other = decode_manifest(bytes(changed))
            except (DecodeError, InvalidManifest):
                continue
            assert compute_datum_id(other) != compute_datum_id(manifest)


def test_vector():
    """Bytes and id of a fixed manifest never change; what is listed of it has the same id."""
    manifest = build_manifest((FileEntry("a/b.txt", 1), FileEntry("é", 300)), ROOT)
    head = "939292a7612f622e7478740192a2c3a9cd012ccd012dc420"
    assert encode(manifest) == bytes.fromhex(head) + ROOT
    files_hash = compute_files_hash(manifest)
    assert files_hash.hex() == "280e2b4cd8b983f7c067299e006fa472c2a26c75ff40d15b55dae24949355335"
    datum = "93d3392773824158dd032f7403aeb53dd443bc091a2fd30d803b0053c1ba6369"
    assert compute_datum_id(manifest).hex() == compute_listed_id(files_hash, 301, ROOT).hex() == datum
