"""LevelDB's own log after a power loss and after damage: a torn end is cut, everything else is refused."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random

import plyvel
import pytest

from storage import leveldb_log
from storage.errors import CorruptStore
from storage.kv import LevelDbStore
from storage.leveldb_log import compute_masked_checksum, cut_torn_end, has_unfinished_end

Pairs = dict[bytes, bytes]
BLOCK_BYTES = 32_768
HEADER_BYTES = 7


def _write(directory: Path, sizes: list[int]) -> tuple[Path, list[int], list[Pairs]]:
    """A store with a batch of one value for each size: its log, the log's size and content after each."""
    ends, contents = [0], [Pairs()]
    with closing(LevelDbStore(directory)) as store:
        [log] = directory.glob("*.log")
        for number, size in enumerate(sizes):
            store.write_batch([(b"%02d" % number, Random(number).randbytes(size))])
            ends.append(log.stat().st_size)
            contents.append(dict(store.iterate()))
    return log, ends, contents


def _read(directory: Path) -> Pairs:
    with closing(LevelDbStore(directory)) as store:
        return dict(store.iterate())


def _copy(directory: Path, log: Path, data: bytes) -> Path:
    """The directory with another log, in place of the copy before."""
    copy = directory.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy)
    (copy / log.name).write_bytes(data)
    return copy


def _list_tears(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Logs whose last record lost its bytes from any offset on: short, zeros, garbage, and holes."""
    noise = Random(start).randbytes(end - start)
    for offset in range(start, end):
        yield offset, data[:offset]
        yield offset, data[:offset] + bytes(end - offset)
        yield offset, data[:offset] + noise[offset - start :]
        yield offset, data[:start] + bytes(offset - start) + data[offset:]


def test_checksum_is_that_of_the_rfc() -> None:
    """RFC 3720 B.4: 32 zeros give 8a9136aa, 32 ones 62a8ab43; LevelDB turns it by 15 and adds a constant."""
    for data, checksum in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        turned = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
        assert compute_masked_checksum(data) == (turned + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("before", [300, BLOCK_BYTES - 60])
def test_torn_end_of_any_shape_is_cut_at_every_offset(tmp_path: Path, before: int) -> None:
    """Whatever of the last batch is missing, within a block or over two, what was before it is all there."""
    log, ends, contents = _write(tmp_path / "db", [100, before, 200])
    data = log.read_bytes()
    for offset, torn in _list_tears(data, ends[2], ends[3]):
        (tmp_path / "log").write_bytes(torn)
        is_whole = torn == data
        assert cut_torn_end(tmp_path / "log") == (0 if is_whole else len(torn) - ends[2]), offset
        assert (tmp_path / "log").read_bytes() == data[: ends[3] if is_whole else ends[2]]
    for offset in range(ends[2], ends[3], 37):
        copy = _copy(tmp_path / "db", log, data[:offset] + bytes(ends[3] - offset))
        assert _read(copy) == contents[2]
        assert _read(copy) == contents[2]


def test_damage_before_the_last_record_is_refused_at_every_offset(tmp_path: Path) -> None:
    """One flipped byte anywhere in front of a good batch: never taken for a torn end, never opened."""
    log, ends, _ = _write(tmp_path / "db", [60, 60, 60])
    data = log.read_bytes()
    for offset in range(ends[2]):
        damaged = bytearray(data)
        damaged[offset] ^= 1 + offset % 255
        copy = _copy(tmp_path / "db", log, bytes(damaged))
        with pytest.raises(CorruptStore, match="sync again from peers"):
            LevelDbStore(copy)
        assert (copy / log.name).read_bytes() == damaged


def test_length_that_reaches_out_of_the_file_hides_no_batch(tmp_path: Path) -> None:
    """LevelDB alone takes such a record and all behind it for a torn end, and opens without them."""
    log, ends, contents = _write(tmp_path / "db", [60, 60, 60])
    damaged = bytearray(log.read_bytes())
    damaged[ends[1] + 5] ^= 0x40
    copy = _copy(tmp_path / "db", log, bytes(damaged))
    with closing(plyvel.DB(str(copy), paranoid_checks=True)) as database:
        assert dict(database) == contents[1]
    copy = _copy(tmp_path / "db", log, bytes(damaged))
    with pytest.raises(CorruptStore, match=f"damaged at byte {ends[1]}"):
        LevelDbStore(copy)


def test_log_damaged_all_over_is_refused(tmp_path: Path) -> None:
    """A log damaged all over is refused although no whole batch is left: more than one write fails."""
    log, ends, _ = _write(tmp_path / "db", [500] * 6)
    data = bytearray(log.read_bytes())
    for start, end in pairwise(ends[1:]):
        data[(start + end) // 2] ^= 1
    with pytest.raises(CorruptStore, match=f"damaged at byte {ends[1]}"):
        LevelDbStore(_copy(tmp_path / "db", log, bytes(data)))


def test_record_inside_a_value_is_no_batch_behind(tmp_path: Path) -> None:
    """A record of another log inside a value does not turn a torn end into damage."""
    other, _, _ = _write(tmp_path / "other", [50] * 9)
    with closing(LevelDbStore(tmp_path / "db")) as store:
        for number in range(9):
            store.write_batch([(b"%d" % number, b"x")])
        [log] = (tmp_path / "db").glob("*.log")
        start = log.stat().st_size
        store.write_batch([(b"planted", other.read_bytes())])
    data = log.read_bytes()
    torn = data[:start] + bytes(HEADER_BYTES) + data[start + HEADER_BYTES :]
    assert len(_read(_copy(tmp_path / "db", log, torn))) == 9


class CountingTable(list[int]):
    """A table that counts its look-ups, of which a checksum takes one per byte."""

    count = 0

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        self.count += 1
        return super().__getitem__(index)


def test_a_torn_end_full_of_forged_records_costs_few_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer's bytes in a torn batch look like heads of long records: their checksums cost no pass each."""
    _write(tmp_path / "db", [100])
    head = (20_000).to_bytes(2, "little") + b"\x01" + (50).to_bytes(8, "little")
    forged = (bytes(4) + head) * 2_000
    with closing(LevelDbStore(tmp_path / "db")) as store:
        store.write_batch([(b"forged", forged)])
    [log] = (tmp_path / "db").glob("*.log")
    data = log.read_bytes()[:-1]
    (tmp_path / "log").write_bytes(data)
    table = CountingTable(leveldb_log._TABLE)
    monkeypatch.setattr(leveldb_log, "_TABLE", table)
    cut_torn_end(tmp_path / "log")
    assert table.count < 4 * len(data) + 2 * BLOCK_BYTES


def test_whole_logs_of_all_shapes_are_left_alone(tmp_path: Path) -> None:
    """Records that end at, or within a header of, the end of a block are neither torn nor cut."""
    for left in range(HEADER_BYTES + 3):
        # 22 bytes: header, sequence and count, and what describes key and value.
        log, _, contents = _write(tmp_path / f"{left}", [BLOCK_BYTES - HEADER_BYTES - 19 - left, 10, 70_000])
        assert not has_unfinished_end(log) and cut_torn_end(log) == 0
        assert _read(tmp_path / f"{left}") == contents[-1]


def test_missing_current_is_refused(tmp_path: Path) -> None:
    """LevelDB alone would begin an empty database and delete the old one."""
    _write(tmp_path / "db", [10])
    (tmp_path / "db" / "CURRENT").unlink()
    with pytest.raises(CorruptStore, match="CURRENT is missing"):
        LevelDbStore(tmp_path / "db")


def test_manifest_cut_short_is_refused(tmp_path: Path) -> None:
    """LevelDB alone would forget the tables that its last records name."""
    _write(tmp_path / "db", [10])
    LevelDbStore(tmp_path / "db").close()
    [manifest] = (tmp_path / "db").glob("MANIFEST-*")
    data = manifest.read_bytes()
    for size in range(1, len(data)):
        manifest.write_bytes(data[:size])
        if has_unfinished_end(manifest):
            with pytest.raises(CorruptStore):
                LevelDbStore(tmp_path / "db")


def test_checksums_of_runs_are_those_of_their_bytes() -> None:
    """The checksum out of two registers is that of a pass over the run, wherever it begins and ends."""
    data = Random(5).randbytes(600)
    checksums = leveldb_log._Checksums(data, 100)
    for start in range(100, 600, 7):
        for end in range(start, 601, 13):
            assert checksums.compute(start, end) == compute_masked_checksum(data[start:end])
