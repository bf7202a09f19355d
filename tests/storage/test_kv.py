"""The key-value store: order, ranges, atomic batches, refusal of damage and of a second opener."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import plyvel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import CorruptStore, DiskFailed, StoreInUse
from storage.kv import KeyColumn, KeyValueStore, LevelDbStore, MemoryStore, Prefix, compute_prefix_end

_KEYS = st.binary(max_size=3)
_BATCHES = st.lists(st.lists(st.tuples(_KEYS, st.none() | st.binary(max_size=3)), max_size=6), max_size=6)


@pytest.fixture(params=["memory", "leveldb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValueStore]:
    """Each kind of store in turn."""
    opened: KeyValueStore = MemoryStore() if request.param == "memory" else LevelDbStore(tmp_path / "db")
    yield opened
    opened.close()


def _fill(directory: Path, count: int) -> None:
    store = LevelDbStore(directory)
    # Values that do not compress: damage to compressed ones is found without any checksum.
    store.write_batch((b"%04d" % number, Random(number).randbytes(500)) for number in range(count))
    store.close()


def _flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def test_batch_applies_in_order_and_deletes(store: KeyValueStore) -> None:
    """The last entry for a key wins, and None removes a key or does nothing."""
    store.write_batch([(b"a", b"1"), (b"b", b"2"), (b"a", None), (b"b", b"3"), (b"c", None)])
    assert store.get(b"a") is None
    assert list(store.iterate()) == [(b"b", b"3")]


def test_failed_batch_leaves_no_trace(store: KeyValueStore) -> None:
    """Entries that cannot be produced to the end change nothing, and the store stays usable."""

    def produce() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"1"
        raise ValueError

    with pytest.raises(ValueError):
        store.write_batch(produce())
    assert list(store.iterate()) == []
    store.write_batch([(b"b", b"2")])
    assert store.get(b"b") == b"2"


def test_iterator_sees_the_store_as_it_was(store: KeyValueStore) -> None:
    """Writing while iterating does not change what the iterator yields."""
    store.write_batch([(b"a", b"1"), (b"b", b"2")])
    pairs = store.iterate()
    store.write_batch([(b"a", None), (b"c", b"3")])
    assert list(pairs) == [(b"a", b"1"), (b"b", b"2")]


def test_ranges(store: KeyValueStore) -> None:
    """Prefix, start and stop cut the range together; stop is excluded; reversing only turns the order."""
    keys = [b"", b"a", b"a\xff", b"a\xff\xff", b"b", b"b1", b"\xff", b"\xff\xff"]
    store.write_batch([(key, b"") for key in keys])

    def found(*arguments: bytes, **keywords: object) -> list[bytes]:
        return [key for key, _ in store.iterate(*arguments, **keywords)]  # type: ignore[arg-type]

    assert found() == keys
    assert found(b"a") == [b"a", b"a\xff", b"a\xff\xff"]
    assert found(b"\xff") == [b"\xff", b"\xff\xff"]
    assert found(b"a", start=b"a\xff", stop=b"b1") == [b"a\xff", b"a\xff\xff"]
    assert found(start=b"b", stop=b"b") == []
    assert found(start=b"c", stop=b"a") == []
    assert found(b"b", is_reversed=True) == [b"b1", b"b"]


def test_columns_do_not_see_each_other(store: KeyValueStore) -> None:
    """Equal keys of two columns are two keys, and iteration stays within the column."""
    blocks, headers = KeyColumn(store, Prefix.BLOCK), KeyColumn(store, Prefix.HEADER)
    store.write_batch([blocks.entry(b"k", b"block"), headers.entry(b"k", b"header")])
    store.write_batch([headers.entry(b"", b"x")])
    assert (blocks.get(b"k"), headers.get(b"k")) == (b"block", b"header")
    assert list(headers.iterate()) == [(b"", b"x"), (b"k", b"header")]
    assert list(headers.iterate(start=b"k")) == list(headers.iterate(b"k"))
    assert list(headers.iterate(stop=b"k")) == [(b"", b"x")]


@given(batches=_BATCHES, prefix=_KEYS, start=_KEYS, stop=st.none() | _KEYS)
def test_memory_store_equals_a_sorted_mapping(
    batches: list[list[tuple[bytes, bytes | None]]], prefix: bytes, start: bytes, stop: bytes | None
) -> None:
    """The store in memory answers as a plain mapping that is sorted and filtered."""
    store, model = MemoryStore(), dict[bytes, bytes | None]()
    for batch in batches:
        store.write_batch(batch)
        model.update(batch)
    expected = [
        (key, value)
        for key, value in sorted(model.items())
        if value is not None and key.startswith(prefix) and key >= start and (stop is None or key < stop)
    ]
    assert list(store.iterate(prefix, start=start, stop=stop)) == expected
    assert list(store.iterate(prefix, start=start, stop=stop, is_reversed=True)) == expected[::-1]


def test_prefix_end() -> None:
    """The end of a prefix is the next prefix of no more bytes, and there is none after all-ones."""
    assert compute_prefix_end(b"a") == b"b"
    assert compute_prefix_end(b"a\xff") == b"b"
    assert compute_prefix_end(b"\xff\xff") is None
    assert compute_prefix_end(b"") is None


def test_reopening_finds_what_was_written(tmp_path: Path) -> None:
    """Batches survive closing, and closing twice does nothing."""
    _fill(tmp_path / "db", 3)
    store = LevelDbStore(tmp_path / "db")
    assert [key for key, _ in store.iterate()] == [b"0000", b"0001", b"0002"]
    store.close()
    store.close()


def test_synced_batches_survive_a_kill(tmp_path: Path) -> None:
    """A process that dies without closing loses nothing that was written."""
    program = (
        "import os, pathlib, sys\nfrom storage.kv import LevelDbStore\n"
        "store = LevelDbStore(pathlib.Path(sys.argv[1]))\n"
        "store.write_batch([(b'k', b'v')])\nos._exit(9)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "db")], cwd=root, check=False)
    assert done.returncode == 9
    store = LevelDbStore(tmp_path / "db")
    assert store.get(b"k") == b"v"
    store.close()


def test_second_opener_is_refused(tmp_path: Path) -> None:
    """An open directory is refused to this process and to another, twice, with the owner's number."""
    store = LevelDbStore(tmp_path / "db")
    program = "import pathlib, sys, storage.kv\nstorage.kv.LevelDbStore(pathlib.Path(sys.argv[1]))\n"
    root = Path(__file__).parents[2]
    for _ in range(2):
        with pytest.raises(StoreInUse, match="process"):
            LevelDbStore(tmp_path / "db")
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "db")], cwd=root, check=False, capture_output=True
        )
        assert b"StoreInUse" in done.stderr
    store.close()
    LevelDbStore(tmp_path / "db").close()


def test_foreign_opener_is_refused(tmp_path: Path) -> None:
    """LevelDB's own lock, held by a program that knows nothing of ours, is reported the same way."""
    foreign = plyvel.DB(str(tmp_path), create_if_missing=True)
    with pytest.raises(StoreInUse):
        LevelDbStore(tmp_path)
    foreign.close()


def test_flipped_byte_of_the_log_is_refused_at_opening(tmp_path: Path) -> None:
    """Damage in LevelDB's log with a good batch behind raises CorruptStore that names the directory."""
    with closing(LevelDbStore(tmp_path)) as store:
        for number in range(20):
            store.write_batch([(b"%d" % number, Random(number).randbytes(500))])
    [log] = tmp_path.glob("*.log")
    _flip(log, log.stat().st_size // 2)
    with pytest.raises(CorruptStore, match=str(tmp_path)):
        LevelDbStore(tmp_path)


def test_flipped_byte_of_a_table_is_found_on_reading(tmp_path: Path) -> None:
    """Damage in a table raises CorruptStore by `get` and by `iterate`, and no value is returned changed."""
    _fill(tmp_path, 200)
    LevelDbStore(tmp_path).close()
    [table] = tmp_path.glob("*.ldb")
    original = dict(plyvel.DB(str(tmp_path)))
    _flip(table, table.stat().st_size // 2)
    store = LevelDbStore(tmp_path)
    with pytest.raises(CorruptStore):
        list(store.iterate())
    refused = 0
    for key, value in original.items():
        try:
            assert store.get(key) == value
        except CorruptStore:
            refused += 1
    assert refused > 0
    store.close()


def test_missing_table_is_refused(tmp_path: Path) -> None:
    """A table that the manifest names and that is gone raises CorruptStore."""
    _fill(tmp_path, 200)
    LevelDbStore(tmp_path).close()
    [table] = tmp_path.glob("*.ldb")
    table.unlink()
    with pytest.raises(CorruptStore):
        LevelDbStore(tmp_path)


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A path below a plain file is a failure of the disk, not a bug."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskFailed):
        LevelDbStore(tmp_path / "file" / "db")


def test_failed_write_latches_and_loses_nothing_confirmed(tmp_path: Path) -> None:
    """A write that the system refuses raises, so does every later one, and a restart finds the rest."""
    program = (
        "import pathlib, resource, sys\n"
        "from storage.errors import DiskFailed\nfrom storage.kv import LevelDbStore\n"
        "store = LevelDbStore(pathlib.Path(sys.argv[1]))\n"
        "store.write_batch([(b'first', b'1')])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        "for raised in (False, True):\n"
        "    if raised: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)\n"
        "    try: store.write_batch([(b'second', bytes(200_000) if not raised else b'2')])\n"
        "    except DiskFailed: sys.stdout.write('refused ')\n"
        "sys.stdout.write(repr(store.get(b'first')))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "db")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    assert done.stdout == b"refused refused b'1'"
    store = LevelDbStore(tmp_path / "db")
    assert list(store.iterate()) == [(b"first", b"1")]
    store.close()


def test_torn_tail_of_the_log_is_a_batch_that_never_was(tmp_path: Path) -> None:
    """LevelDB's log, cut within the last batch, opens with all batches before it and none of the last."""
    store = LevelDbStore(tmp_path / "db")
    values = [(b"%02d" % n, Random(n).randbytes(700)) for n in range(60)]
    first, second = ([(prefix + key, value) for key, value in values] for prefix in (b"a", b"b"))
    [log] = (tmp_path / "db").glob("*.log")
    store.write_batch(first)
    start = log.stat().st_size
    store.write_batch(second)
    store.close()
    data = log.read_bytes()
    for size in [*range(start, len(data), 5_000), len(data) - 1]:
        copy = tmp_path / str(size)
        shutil.copytree(tmp_path / "db", copy)
        (copy / log.name).write_bytes(data[:size])
        store = LevelDbStore(copy)
        assert list(store.iterate()) == first
        store.close()


@pytest.mark.parametrize("step", [16, 64, 100])
def test_table_damaged_all_over_is_corrupt_and_nothing_else(tmp_path: Path, step: int) -> None:
    """Also where its index is damaged, so that LevelDB reads at places that a file cannot have."""
    _fill(tmp_path, 200)
    LevelDbStore(tmp_path).close()
    [table] = tmp_path.glob("*.ldb")
    for offset in range(step // 2, table.stat().st_size, step):
        _flip(table, offset)
    with pytest.raises(CorruptStore, match="sync again from peers"), closing(LevelDbStore(tmp_path)) as store:
        store.get(b"0100")
    with pytest.raises(CorruptStore), closing(LevelDbStore(tmp_path)) as store:
        list(store.iterate(start=b"0100"))
