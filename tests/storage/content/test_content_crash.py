"""The content store after a kill, a power loss or a failing disk: it believes only what verifies."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chain.content import (
    CHUNK_BYTES,
    ChunkProof,
    compute_datum_id,
)
from chain.primitives.codec import replace
from storage.content import store as store_module
from storage.content.errors import CorruptChunk
from storage.content.store import ContentStore
from storage.errors import DiskFailed, DiskFull
from tests.storage.content.rigs import (
    QUOTA,
    copy_chunks,
    flat_file,
    flip,
    list_missing,
    lose_power,
    refuse_with,
    write_files,
)


def test_reopening_keeps_everything(tmp_path, source, seeder):
    """Manifest, chunks, bitmap and usage are the same after a clean stop."""
    manifest = seeder.publish(source)
    with ContentStore(tmp_path / "again", QUOTA) as store:
        datum = store.begin(manifest)
        copy_chunks(datum, seeder, store, (0, 3))
        status, usage = store.get_status(datum), store.usage()
    with ContentStore(tmp_path / "again", QUOTA) as store:
        assert (store.get_status(datum), store.usage()) == (status, usage)
        assert store.get_manifest(datum) == manifest
        assert list_missing(store, datum) == [1, 2]
        assert store.scrub(datum) == ()


KILLED = """
import os, signal, sys
from pathlib import Path
from storage.content.store import ContentStore
source, home, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
seeder, leecher = ContentStore(home / "killed-seeder", 2**30), ContentStore(home / "killed", 2**30)
datum = leecher.begin(seeder.publish(source))
for index in range(count):
    leecher.write_chunk(datum, index, *seeder.read_chunk(datum, index))
print(datum.hex(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_no_acknowledged_chunk(tmp_path, source):
    """After kill -9 every chunk that write_chunk took is there and verifies."""
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path), "3"]
    root = Path(__file__).parents[3]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr
    datum = bytes.fromhex(ended.stdout.strip())
    with ContentStore(tmp_path / "killed", QUOTA) as store:
        assert list_missing(store, datum) == [3]
        assert store.scrub(datum) == ()


@pytest.mark.parametrize("lost", [(), (0,), (1, 2), (0, 1, 2)])
def test_unsynced_bytes_lost_with_the_power_are_found_at_the_next_start(tmp_path, source, seeder, lost):
    """Of the chunks since the last flush, those whose bytes did not reach the disk are missing."""
    manifest = seeder.publish(source)
    store = ContentStore(tmp_path / "power", QUOTA)
    datum = store.begin(manifest)
    copy_chunks(datum, seeder, store, range(3))
    lose_power(store)
    with flat_file(tmp_path / "power", datum).open("r+b") as file:
        for index in lost:
            file.seek(index * CHUNK_BYTES + CHUNK_BYTES // 2)
            file.write(bytes(4096))
    with ContentStore(tmp_path / "power", QUOTA) as store:
        assert list_missing(store, datum) == [*lost, 3]
        assert store.scrub(datum) == ()


def test_flushed_chunks_are_not_read_again_at_start(tmp_path, source, seeder):
    """After a flush no chunk is marked as unsynced, so that a start does not read the whole store."""
    manifest = seeder.publish(source)
    with ContentStore(tmp_path / "flushed", QUOTA) as store:
        datum = store.begin(manifest)
        copy_chunks(datum, seeder, store, range(3))
        assert len(list(store._index.iterate_unsynced())) == 3
        store.flush()
        assert list(store._index.iterate_unsynced()) == []


def test_a_flush_comes_by_itself(tmp_path, source, seeder, monkeypatch):
    """No more chunks than the bound are ever at risk, and none of a complete datum."""
    monkeypatch.setattr(store_module, "UNSYNCED_CHUNKS_MAX", 2)
    manifest = seeder.publish(source)
    with ContentStore(tmp_path / "auto", QUOTA) as store:
        datum = store.begin(manifest)
        marks = []
        for index in (0, 1, 2, 3):
            copy_chunks(datum, seeder, store, (index,))
            marks.append(len(list(store._index.iterate_unsynced())))
    assert marks == [1, 0, 1, 0]


def test_flat_files_that_no_datum_claims_are_deleted(tmp_path, source, seeder):
    """Files that an interrupted removal leaves behind are deleted at the next start."""
    with ContentStore(tmp_path / "left", QUOTA) as store:
        datum = store.begin(seeder.publish(source))
        copy_chunks(datum, seeder, store, (0,))
    stray = tmp_path / "left" / "data" / ("00" * 32)
    stray.write_bytes(b"remnant")
    with ContentStore(tmp_path / "left", QUOTA) as store:
        assert not stray.exists()
        assert store.scrub(datum) == ()
        assert store.get_status(datum).held_count == 1


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, DiskFull), (errno.EIO, DiskFailed)])
def test_a_write_that_the_disk_refuses_leaves_the_chunk_missing(
    source, seeder, leecher, monkeypatch, code, kind
):
    """A full disk refuses the chunk; when there is room again it is taken."""
    datum = leecher.begin(seeder.publish(source))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse_with(code))
        with pytest.raises(kind):
            copy_chunks(datum, seeder, leecher, (0,))
    assert list_missing(leecher, datum) == [0, 1, 2, 3]
    copy_chunks(datum, seeder, leecher, (0,))
    assert leecher.scrub(datum) == ()


def test_a_short_write_is_carried_on(source, seeder, leecher, monkeypatch):
    """A disk that takes bytes in small pieces gets them all."""
    datum = leecher.begin(seeder.publish(source))
    whole = os.pwrite
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda file, data, offset: whole(file, data[:100_000], offset))
        copy_chunks(datum, seeder, leecher, (0,))
    assert leecher.scrub(datum) == ()


def test_after_a_failed_sync_nothing_is_written_or_believed(tmp_path, source, seeder, monkeypatch):
    """A sync that failed is not tried again as if clean; the next start reads chunks before it believes."""
    manifest = seeder.publish(source)
    store = ContentStore(tmp_path / "poisoned", QUOTA)
    datum = store.begin(manifest)
    copy_chunks(datum, seeder, store, (0, 1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse_with(errno.EIO))
        with pytest.raises(DiskFailed):
            store.flush()
    with pytest.raises(DiskFailed):
        copy_chunks(datum, seeder, store, (2,))
    with pytest.raises(DiskFailed):
        store.close()
    flip(flat_file(tmp_path / "poisoned", datum), 5)
    with ContentStore(tmp_path / "poisoned", QUOTA) as store:
        assert list_missing(store, datum) == [0, 2, 3]


def test_a_start_that_fails_leaves_the_marks_of_unsynced_chunks(tmp_path, source, seeder, monkeypatch):
    """Chunks are believed only after they were read, however many starts it takes."""
    manifest = seeder.publish(source)
    store = ContentStore(tmp_path / "twice", QUOTA)
    datum = store.begin(manifest)
    copy_chunks(datum, seeder, store, (0, 1))
    lose_power(store)
    flip(flat_file(tmp_path / "twice", datum), CHUNK_BYTES)
    whole, refuse = os.pread, refuse_with(errno.ENOMEM)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda *place: (refuse if place[2] else whole)(*place))
        with pytest.raises(DiskFailed):
            ContentStore(tmp_path / "twice", QUOTA)
    with ContentStore(tmp_path / "twice", QUOTA) as store:
        assert list_missing(store, datum) == [1, 2, 3]


def test_a_start_cut_short_among_many_datums_leaves_the_marks_of_the_rest(tmp_path, seeder, monkeypatch):
    """With more datums than may be open, a chunk stays marked until it was read again."""
    store, datums = ContentStore(tmp_path / "many", QUOTA), []
    for number in range(4):
        source = write_files(tmp_path / f"source{number}", {f"file{number}": 2 * CHUNK_BYTES})
        datums.append(store.begin(seeder.publish(source)))
        copy_chunks(datums[-1], seeder, store, (0,))
    lose_power(store)
    monkeypatch.setattr(store_module, "DATUMS_OPEN_MAX", 2)
    last = max(datums)
    flip(flat_file(tmp_path / "many", last), 5)
    reads, whole = iter(range(4)), os.pread

    def read_three(*place):
        if next(reads) == 3:
            raise OSError(errno.ENOMEM, "killed here")
        return whole(*place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", read_three)
        with pytest.raises(DiskFailed):
            ContentStore(tmp_path / "many", QUOTA)
    with ContentStore(tmp_path / "many", QUOTA) as store:
        assert list_missing(store, last) == [0, 1]
        assert [list_missing(store, datum) for datum in sorted(datums)[:3]] == [[1]] * 3


@pytest.mark.parametrize("part", ["checksum", "node", "proof"])
def test_a_damaged_record_of_a_chunk_is_found(source, seeder, part):
    """A record that no longer leads to the root, or no longer fits the bytes, is never served."""
    datum = compute_datum_id(seeder.publish(source))
    record = seeder._index.get_chunk(datum, 1)
    wrong = ChunkProof((bytes(32), *record.proof.path[1:])) if part == "proof" else bytes(32)
    damaged = replace(record, **{part: wrong})
    seeder._index.commit([seeder._index.chunk_entry(datum, 1, damaged)], sync=False)
    with pytest.raises(CorruptChunk):
        seeder.read_chunk(datum, 1)
    assert list_missing(seeder, datum) == [1]


def test_running_out_of_descriptors_marks_nothing(source, seeder, monkeypatch):
    """A failure that says nothing about the file does not cost the chunk."""
    datum = compute_datum_id(seeder.publish(source))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse_with(errno.EMFILE))
        with pytest.raises(DiskFailed):
            seeder.read_chunk(datum, 0)
    assert seeder.get_status(datum).is_complete
