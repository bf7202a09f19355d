"""The content store: publishing in place, downloading, and never trusting what did not verify."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.content import (
    CHUNK_BYTES,
    ChunkProof,
    InvalidManifest,
    LeafProof,
    check_chunk,
    check_leaf,
    compute_datum_id,
    compute_leaf_count,
)
from chain.errors import InvalidProof
from chain.primitives.codec import replace
from storage.content import store as store_module
from storage.content.errors import ChunkMissing, CorruptChunk, QuotaExceeded, SourceGone, UnknownDatum
from storage.content.store import ContentStore, compute_index_bytes
from storage.errors import StoreInUse
from tests.storage.content.rigs import (
    QUOTA,
    copy_chunks,
    flat_file,
    flip,
    list_missing,
    read_files,
    write_files,
)


def test_published_then_fetched_then_exported_is_the_same(tmp_path, source, seeder, leecher):
    """A folder comes out of a second store byte for byte, empty files and odd names included."""
    manifest = seeder.publish(source)
    datum = leecher.begin(manifest)
    assert list_missing(leecher, datum) == [0, 1, 2, 3]
    copy_chunks(datum, seeder, leecher, (2, 0, 3, 1))
    assert leecher.get_status(datum).is_complete
    leecher.export(datum, tmp_path / "out")
    assert read_files(tmp_path / "out") == read_files(source)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.sampled_from((0, 1, 1023, 1024, 1025, 70_000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1)),
        min_size=1,
        max_size=6,
    ).filter(any)
)
def test_any_sizes_round_trip(tmp_path_factory, sizes):
    """Whatever the sizes of the files, what is exported is what was published."""
    home = tmp_path_factory.mktemp("round")
    source = write_files(home / "source", {f"{number}": size for number, size in enumerate(sizes)})
    with ContentStore(home / "one", QUOTA) as one, ContentStore(home / "two", QUOTA) as two:
        datum = two.begin(one.publish(source))
        copy_chunks(datum, one, two, list_missing(two, datum))
        two.export(datum, home / "out")
    assert read_files(home / "out") == read_files(source)


def test_every_chunk_and_leaf_is_served_with_a_proof_that_verifies(source, seeder):
    """What the store hands out convinces the chain and a downloader."""
    manifest = seeder.publish(source)
    datum, length, root = compute_datum_id(manifest), manifest.length, manifest.root
    for index in range(4):
        check_chunk(root, length, index, *seeder.read_chunk(datum, index))
    count = compute_leaf_count(length)
    for index in (0, 1, 255, 256, 700, count - 1):
        leaf, proof = seeder.read_leaf(datum, index)
        assert isinstance(proof, LeafProof)
        check_leaf(root, length, index, leaf, proof)
    for index in (-1, count, 2**40):
        with pytest.raises(ChunkMissing):
            seeder.read_leaf(datum, index)
    for index in (-1, 4, 2**40):
        with pytest.raises(ChunkMissing):
            seeder.read_chunk(datum, index)


def test_a_folder_is_hosted_without_a_second_copy(tmp_path, source, seeder):
    """Publishing stores no data, and takes only the index of the quota."""
    manifest = seeder.publish(source)
    assert list((tmp_path / "seeder" / "data").iterdir()) == []
    assert seeder.usage().used_bytes == compute_index_bytes(manifest) < 10_000
    status = seeder.get_status(compute_datum_id(manifest))
    assert (status.folder, status.own_bytes, status.is_complete) == (source.resolve(), 0, True)


def test_publishing_reports_progress_and_can_be_given_up(source, seeder):
    """Progress rises to the total; raising in it leaves the store as it was."""
    seen = []
    manifest = seeder.publish(source, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (manifest.length, manifest.length)
    assert seen == sorted(seen)
    (source / "a.txt").write_bytes(b"other bytes")

    def give_up(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seeder.publish(source, give_up)
    assert seeder.datums() == [compute_datum_id(manifest)]


def test_publishing_again_changes_nothing_and_a_moved_folder_is_found(tmp_path, source, seeder):
    """The same content has the same id wherever it lies, and is counted once."""
    manifest = seeder.publish(source)
    used = seeder.usage()
    assert seeder.publish(source) == manifest
    source.rename(tmp_path / "moved")
    datum = compute_datum_id(manifest)
    with pytest.raises(SourceGone):
        seeder.read_chunk(datum, 0)
    assert seeder.get_status(datum).is_complete
    assert seeder.publish(tmp_path / "moved") == manifest
    assert seeder.usage() == used
    assert seeder.scrub(datum) == ()


def test_publishing_completes_a_download(source, seeder, leecher):
    """A datum that is half fetched and then found in a folder is complete; both parts serve."""
    manifest = seeder.publish(source)
    datum = leecher.begin(manifest)
    copy_chunks(datum, seeder, leecher, (1,))
    leecher.publish(source)
    assert list_missing(leecher, datum) == []
    assert leecher.scrub(datum) == ()


def test_thousands_of_small_files(tmp_path, seeder, leecher):
    """Many files in one chunk, and one leaf across several of them, are read and written rightly."""
    source = write_files(tmp_path / "many", {f"{n % 17}/{n:04}.txt": n % 300 for n in range(3000)})
    datum = leecher.begin(seeder.publish(source))
    copy_chunks(datum, seeder, leecher, list_missing(leecher, datum))
    leecher.export(datum, tmp_path / "out")
    assert read_files(tmp_path / "out") == read_files(source)


@pytest.mark.parametrize("place", [0, 1024, CHUNK_BYTES // 2, CHUNK_BYTES - 1])
def test_a_changed_byte_of_a_chunk_from_outside_is_refused(source, seeder, leecher, place):
    """A chunk that does not verify is not written, and does not count as held."""
    datum = leecher.begin(seeder.publish(source))
    chunk, proof = seeder.read_chunk(datum, 1)
    forged = bytearray(chunk)
    forged[place] ^= 1
    with pytest.raises(InvalidProof):
        leecher.write_chunk(datum, 1, bytes(forged), proof)
    assert list_missing(leecher, datum) == [0, 1, 2, 3]


def test_other_forms_of_wrong_chunks_are_refused(source, seeder, leecher):
    """Short, long, empty, misplaced, with a wrong proof, or of an unknown datum: refused."""
    datum = leecher.begin(seeder.publish(source))
    chunk, proof = seeder.read_chunk(datum, 1)
    wrong_path = ChunkProof((bytes(32), *proof.path[1:]))
    for index, data, offered in [
        (1, chunk[:-1], proof), (1, chunk + b"\0", proof), (1, b"", proof), (2, chunk, proof),
        (-1, chunk, proof), (4, chunk, proof), (2**40, chunk, proof),
        (1, chunk, wrong_path), (1, chunk, ChunkProof(())),
    ]:  # fmt: skip
        with pytest.raises(InvalidProof):
            leecher.write_chunk(datum, index, data, offered)
    with pytest.raises(UnknownDatum):
        leecher.write_chunk(bytes(32), 1, chunk, proof)
    assert leecher.get_status(datum).held_count == 0


def test_writing_a_held_chunk_again_does_nothing(source, seeder, leecher):
    """A chunk that arrives twice is taken once."""
    datum = leecher.begin(seeder.publish(source))
    part = seeder.read_chunk(datum, 0)
    assert leecher.write_chunk(datum, 0, *part)
    assert not leecher.write_chunk(datum, 0, *part)
    assert leecher.get_bitmap(datum) == b"\x01"


def test_a_manifest_that_breaks_a_rule_is_not_begun(source, seeder, leecher):
    """An unsafe name is refused before anything is written."""
    manifest = seeder.publish(source)
    entry = replace(manifest.files[0], path="../a.txt")
    with pytest.raises(InvalidManifest):
        leecher.begin(replace(manifest, files=(entry, *manifest.files[1:])))
    assert leecher.datums() == []


def test_bit_rot_in_an_own_file_is_found_reported_and_repaired(tmp_path, source, seeder, leecher):
    """A flipped byte on the disk is never served; the chunk counts as missing until it is fetched again."""
    datum = leecher.begin(seeder.publish(source))
    copy_chunks(datum, seeder, leecher, range(4))
    flip(flat_file(tmp_path / "leecher", datum), 2 * CHUNK_BYTES + 99)
    assert leecher.scrub(datum) == (2,)
    assert list_missing(leecher, datum) == [2]
    with pytest.raises(ChunkMissing):
        leecher.read_leaf(datum, 512)
    copy_chunks(datum, seeder, leecher, (2,))
    assert leecher.scrub(datum) == ()


def test_a_changed_source_is_found_and_repaired_without_touching_it(source, seeder, leecher):
    """The file of the user stays as it is; the chunk fetched again lies in the store's own file."""
    datum = leecher.begin(seeder.publish(source))
    copy_chunks(datum, seeder, leecher, range(4))
    flip(source / "b/large.bin", CHUNK_BYTES)
    changed = read_files(source)
    with pytest.raises(CorruptChunk) as caught:
        seeder.read_chunk(datum, 1)
    assert caught.value.index == 1
    assert list_missing(seeder, datum) == [1]
    before = seeder.usage().used_bytes
    copy_chunks(datum, leecher, seeder, (1,))
    assert seeder.usage().used_bytes == before + CHUNK_BYTES
    assert seeder.scrub(datum) == ()
    assert read_files(source) == changed


@pytest.mark.parametrize("harm", ["shorter", "away", "link", "pipe", "folder"])
def test_a_source_file_that_is_no_longer_itself_is_missing(tmp_path, source, seeder, harm):
    """A file cut, deleted, or replaced by a link, pipe or folder costs its chunks and nothing else."""
    datum = compute_datum_id(seeder.publish(source))
    victim = source / "c d/é"
    if harm == "shorter":
        victim.write_bytes(victim.read_bytes()[:-1])
    else:
        victim.rename(tmp_path / "elsewhere")
    if harm == "link":
        victim.symlink_to(tmp_path / "elsewhere")
    if harm == "pipe":
        os.mkfifo(victim)
    if harm == "folder":
        victim.mkdir()
    assert seeder.scrub(datum) == (3,)
    assert seeder.scrub(datum) == ()


def test_a_scrub_keeps_to_its_range(source, seeder):
    """A caller decides how much is read at once."""
    datum = compute_datum_id(seeder.publish(source))
    flip(source / "b/large.bin", 0)
    flip(source / "b/large.bin", 2 * CHUNK_BYTES)
    assert seeder.scrub(datum, 1, 2) == (2,)
    assert seeder.scrub(datum, 0, 1) == (0,)


def test_the_quota_is_enforced_before_anything_is_written(tmp_path, source, seeder):
    """A datum that does not fit is refused whole, and removing one makes room."""
    manifest = seeder.publish(source)
    need = manifest.length + compute_index_bytes(manifest)
    with ContentStore(tmp_path / "tight", need - 1) as store:
        with pytest.raises(QuotaExceeded):
            store.begin(manifest)
        assert (store.datums(), store.usage().used_bytes) == ([], 0)
    other = seeder.publish(write_files(tmp_path / "other", {"x": 10}))
    with ContentStore(tmp_path / "tight", need) as store:
        datum = store.begin(manifest)
        with pytest.raises(QuotaExceeded):
            store.begin(other)
        store.remove(datum)
        assert store.usage().used_bytes == 0
        store.begin(other)


def test_a_repair_of_a_published_folder_counts_too(tmp_path, source):
    """Own bytes beside a published folder are taken from the quota, before they are written."""
    with ContentStore(tmp_path / "full", QUOTA) as full:
        manifest = full.publish(source)
        datum = compute_datum_id(manifest)
        part = full.read_chunk(datum, 1)
    with ContentStore(tmp_path / "tight", compute_index_bytes(manifest) + CHUNK_BYTES - 1) as tight:
        tight.publish(source)
        flip(source / "b/large.bin", CHUNK_BYTES)
        assert tight.scrub(datum) == (1,)
        with pytest.raises(QuotaExceeded):
            tight.write_chunk(datum, 1, *part)
        assert list_missing(tight, datum) == [1]


def test_removing_deletes_own_bytes_and_leaves_a_published_folder(tmp_path, source, seeder, leecher):
    """After removal nothing is known or taken; the user's folder is untouched."""
    before = read_files(source)
    datum = leecher.begin(seeder.publish(source))
    copy_chunks(datum, seeder, leecher, range(4))
    for store in (seeder, leecher):
        store.remove(datum)
        assert (store.datums(), store.usage().used_bytes) == ([], 0)
        with pytest.raises(UnknownDatum):
            store.read_chunk(datum, 0)
        with pytest.raises(UnknownDatum):
            store.remove(datum)
    assert list((tmp_path / "leecher" / "data").iterdir()) == []
    assert read_files(source) == before
    leecher.begin(seeder.publish(source))
    assert leecher.get_status(datum).held_count == 0


def test_more_datums_than_are_kept_open(tmp_path, seeder, leecher, monkeypatch):
    """Datums give way to each other without losing chunks that are not on disk yet."""
    monkeypatch.setattr(store_module, "DATUMS_OPEN_MAX", 2)
    datums = []
    for number in range(5):
        sizes = {f"{number}": CHUNK_BYTES + 1 + number}
        datums.append(leecher.begin(seeder.publish(write_files(tmp_path / f"s{number}", sizes))))
    for index in (1, 0):
        for datum in datums:
            copy_chunks(datum, seeder, leecher, (index,))
    assert [leecher.scrub(datum) for datum in datums] == [()] * 5
    assert all(leecher.get_status(datum).is_complete for datum in datums)


def test_a_second_opening_of_one_directory_is_refused(tmp_path, seeder):
    """One store has one owner."""
    with pytest.raises(StoreInUse):
        ContentStore(tmp_path / "seeder", QUOTA)


def test_unknown_datums_are_named_as_such(seeder):
    """Asking for what is not here raises, or answers None where the name says get."""
    for ask in (seeder.get_bitmap, seeder.get_chunk_count, seeder.scrub):
        with pytest.raises(UnknownDatum):
            ask(bytes(32))
    assert seeder.get_manifest(bytes(32)) is None
    assert seeder.get_status(bytes(32)) is None
