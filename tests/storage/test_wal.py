"""The write-ahead log: what was synced comes back, torn tails are cut, damage is refused, failures latch."""

import errno
from pathlib import Path
from random import Random

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from storage import wal as wal_module
from storage.errors import CorruptWal, DiskFailed, DiskFull, StorageError, WalFull, WalMissing
from storage.files import DISK
from storage.wal import FRAME_BYTES_MAX, Wal
from tests.storage.faulty_disk import FaultyDisk

HEIGHT = 7
_FRAME_HEAD_BYTES = 28
_ENTRY_HEAD_BYTES = 4
PATH = Path("/data/wal")


def _write(path: Path, groups: list[list[bytes]], disk: FaultyDisk | None = None) -> list[int]:
    """A log with one synced frame per group; the file's size after each sync, the empty log's first."""
    files = disk or DISK
    wal = Wal.create(path, HEIGHT, files)
    sizes = [len(files.read(path, 2**30) or b"")]
    for group in groups:
        for entry in group:
            wal.append(HEIGHT, entry)
        wal.sync()
        sizes.append(len(files.read(path, 2**30) or b""))
    wal.close()
    return sizes


def _load(path: Path) -> list[bytes]:
    wal = Wal.load(path)
    wal.close()
    return list(wal.replay())


def test_synced_entries_come_back_in_order(tmp_path: Path) -> None:
    """Entries of all sizes, the empty one too, are replayed as appended, with the height of the log."""
    groups = [[b"", b"one"], [bytes(1000)], [b"two", b"", b"three"]]
    _write(tmp_path / "wal", groups)
    wal = Wal.load(tmp_path / "wal")
    assert wal.height == HEIGHT
    assert list(wal.replay()) == [entry for group in groups for entry in group]
    wal.append(HEIGHT, b"four")
    wal.sync()
    wal.close()
    assert _load(tmp_path / "wal")[-2:] == [b"three", b"four"]


def test_bytes_are_those_of_the_specification(tmp_path: Path) -> None:
    """Header and frame are as the specification draws them, read here without the code under test."""
    _write(tmp_path / "wal", [[b"one", b"three"]])
    data = (tmp_path / "wal").read_bytes()
    height, salt, frame = HEIGHT.to_bytes(8, "big"), data[16:48], data[64:]
    mark = blake3(b"mark", key=salt).digest(length=8)
    assert data[:16] == b"vidyawal" + height
    assert data[48:64] == blake3(data[:48]).digest(length=16)
    payload = b"\0\0\0\x03one\0\0\0\x05three"
    length = len(payload).to_bytes(4, "big")
    covered = (64).to_bytes(8, "big") + length + height + payload
    assert frame == length + blake3(covered, key=salt).digest(length=16) + mark + payload


def test_unsynced_entries_are_not_replayed(tmp_path: Path) -> None:
    """Nothing is claimed before `sync`, and a sync without entries writes nothing."""
    path = tmp_path / "wal"
    wal = Wal.create(path, HEIGHT)
    size = path.stat().st_size
    wal.append(HEIGHT, b"entry")
    assert list(wal.replay()) == []
    wal.close()
    wal = Wal.load(path)
    wal.sync()
    wal.close()
    assert path.stat().st_size == size


def test_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """The log is created with mode 0600."""
    _write(tmp_path / "wal", [])
    assert (tmp_path / "wal").stat().st_mode & 0o777 == 0o600


def test_large_buffers_are_synced_unasked(tmp_path: Path) -> None:
    """Entries beyond one frame reach the disk by themselves, so that memory stays bounded."""
    wal = Wal.create(tmp_path / "wal", HEIGHT)
    entry = bytes(FRAME_BYTES_MAX // 3)
    for _ in range(3):
        wal.append(HEIGHT, entry)
    assert list(wal.replay()) == [entry, entry]
    wal.close()


def test_reset_starts_a_new_height(tmp_path: Path) -> None:
    """After a reset nothing of the old height is replayed, and the new height is logged."""
    wal = Wal.create(tmp_path / "wal", HEIGHT)
    wal.append(HEIGHT, b"synced")
    wal.sync()
    wal.append(HEIGHT, b"unsynced")
    wal.reset(HEIGHT + 1)
    assert list(wal.replay()) == []
    wal.append(HEIGHT + 1, b"new")
    wal.sync()
    wal.close()
    assert _load(tmp_path / "wal") == [b"new"]
    with pytest.raises(AssertionError):
        wal.append(HEIGHT, b"old")


def test_torn_tail_is_cut_at_every_offset(tmp_path: Path) -> None:
    """A file cut anywhere in its last three frames opens with exactly the whole frames, and can go on."""
    path = tmp_path / "wal"
    groups = [[b"first"], [b"second", b"more"], [b"third"], [b"fourth", bytes(30)]]
    sizes = _write(path, groups)
    data = path.read_bytes()
    for size in range(sizes[1], sizes[4]):
        ends = zip(groups, sizes[1:], strict=True)
        whole = [entry for group, end in ends if end <= size for entry in group]
        path.write_bytes(data[:size])
        assert _load(path) == whole
        wal = Wal.load(path)
        wal.append(HEIGHT, b"after")
        wal.sync()
        wal.close()
        assert _load(path) == [*whole, b"after"]


def test_garbage_and_zero_tails_are_cut(tmp_path: Path) -> None:
    """Bytes behind the last frame that are no frame are dropped, even an old frame of this very file."""
    path = tmp_path / "wal"
    sizes = _write(path, [[b"first"], [b"second"]])
    data = path.read_bytes()
    for tail in (bytes(100), b"\xff" * 100, HEIGHT.to_bytes(8, "big") * 20, data, data[sizes[0] : sizes[1]]):
        path.write_bytes(data + tail)
        assert _load(path) == [b"first", b"second"]
        assert path.read_bytes() == data


def test_flipped_byte_is_cut_or_refused_everywhere(tmp_path: Path) -> None:
    """Any flipped bit of the last frame is cut, any before it is refused; no entry is ever changed."""
    path = tmp_path / "wal"
    sizes = _write(path, [[b"first"], [b"second", b"more"], [b"third"]])
    data = path.read_bytes()
    for offset in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[offset] ^= 1 << bit
            path.write_bytes(damaged)
            if offset >= sizes[2]:
                assert _load(path) == [b"first", b"second", b"more"]
            else:
                with pytest.raises(CorruptWal, match=str(path)):
                    Wal.load(path)


def test_frame_inside_an_entry_does_not_count(tmp_path: Path) -> None:
    """An entry that holds frames of another log, at their offsets, does not turn a torn tail into damage."""
    other, path = tmp_path / "other", tmp_path / "wal"
    sizes = _write(other, [[b"first"], [bytes(50)], [b"planted"], [b"planted"]])
    entry_start = sizes[1] + _FRAME_HEAD_BYTES + _ENTRY_HEAD_BYTES
    _write(path, [[b"first"], [other.read_bytes()[entry_start:] + b"end"]])
    data = path.read_bytes()
    assert data[sizes[2] : sizes[4]] == other.read_bytes()[sizes[2] :]
    path.write_bytes(data[:-1])
    assert _load(path) == [b"first"]


def test_a_torn_frame_full_of_forged_frames_costs_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer's bytes in a torn frame look like heads of long frames: opening hashes each byte once."""
    path = tmp_path / "wal"
    size = 2**18
    entries = [
        b"".join((size - at).to_bytes(4, "big") + bytes(16) + field for at in range(0, size, 28))
        for field in (HEIGHT.to_bytes(8, "big"), bytes(8))
    ]
    _write(path, [[b"first"], entries])
    path.write_bytes(path.read_bytes()[:-1])
    hashed: list[int] = []

    def count(data: bytes, **options: bytes) -> blake3:
        hashed.append(len(data))
        return blake3(data, **options)

    monkeypatch.setattr(wal_module, "blake3", count)
    assert _load(path) == [b"first"]
    assert sum(hashed) < 4 * len(entries) * size


@pytest.mark.parametrize("data", [b"", b"vidyawal", bytes(64), bytes(500)])
def test_file_without_our_header_is_refused(tmp_path: Path, data: bytes) -> None:
    """An empty, short or foreign file is refused, since a header is written whole or not at all."""
    (tmp_path / "wal").write_bytes(data)
    with pytest.raises(CorruptWal):
        Wal.load(tmp_path / "wal")


def test_missing_log_is_refused(tmp_path: Path) -> None:
    """An absent file is not taken for an empty log."""
    with pytest.raises(WalMissing):
        Wal.load(tmp_path / "wal")


def test_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A height that logs more than a log may hold is refused, and what was synced stays."""
    monkeypatch.setattr(wal_module, "WAL_BYTES_MAX", 200)
    wal = Wal.create(tmp_path / "wal", HEIGHT)
    wal.append(HEIGHT, b"fits")
    wal.sync()
    wal.append(HEIGHT, bytes(100))
    for _ in range(2):
        with pytest.raises(WalFull):
            wal.sync()
    wal.close()
    assert _load(tmp_path / "wal") == [b"fits"]


def _run_session(disk: FaultyDisk) -> dict[int, list[bytes]]:
    """Two heights of two synced entries each; what was confirmed, by height begun."""
    confirmed: dict[int, list[bytes]] = {}
    try:
        wal = Wal.create(PATH, HEIGHT, disk)
        for height, entries in ((HEIGHT, (b"a", b"b")), (HEIGHT + 1, (b"c", b"d"))):
            if height != wal.height:
                wal.reset(height)
            confirmed[height] = []
            for entry in entries:
                wal.append(height, entry)
                wal.sync()
                confirmed[height].append(entry)
    except DiskFailed:
        assert disk.fails_at is not None
    return confirmed


_OPERATIONS = 20


def test_session_length() -> None:
    """The session has as many disk operations as the next test injects faults into."""
    disk = FaultyDisk()
    assert _run_session(disk) == {HEIGHT: [b"a", b"b"], HEIGHT + 1: [b"c", b"d"]}
    assert len(disk.operations) == _OPERATIONS


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("fails_at", range(_OPERATIONS))
def test_restart_after_a_refused_operation_finds_all_confirmed(fails_at: int, number: int) -> None:
    """Whichever operation is refused, the log opens afterwards and holds all that was confirmed."""
    disk = FaultyDisk()
    disk.fails_at, disk.error_number = fails_at, number
    confirmed = _run_session(disk)
    try:
        wal = Wal.load(PATH, disk.restart())
    except WalMissing:
        assert confirmed == {}
        return
    newest = max(confirmed, default=HEIGHT)
    assert wal.height in (newest, newest + 1)
    expected = confirmed.get(wal.height, [])
    assert list(wal.replay())[: len(expected)] == expected


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFull), (errno.EIO, DiskFailed)])
@pytest.mark.parametrize("operation", ["append", "sync"])
def test_every_call_after_a_failure_is_refused(operation: str, number: int, kind: type[DiskFailed]) -> None:
    """A failed write or sync is never tried again: append, sync, reset and replay all raise."""
    disk = FaultyDisk()
    wal = Wal.create(PATH, HEIGHT, disk)
    wal.append(HEIGHT, b"entry")
    disk.fails_at = len(disk.operations) + ("append", "sync").index(operation)
    disk.error_number = number
    with pytest.raises(kind):
        wal.sync()
    calls = (lambda: wal.append(HEIGHT, b""), wal.sync, lambda: wal.reset(HEIGHT + 1), wal.replay)
    for call in calls:
        with pytest.raises(kind, match="earlier failure"):
            call()


def test_bytes_of_a_failed_sync_are_not_trusted_after_a_restart() -> None:
    """A frame that only memory holds is written again by `load`, and so survives a later power loss."""
    disk = FaultyDisk()
    wal = Wal.create(PATH, HEIGHT, disk)
    wal.append(HEIGHT, b"entry")
    disk.fails_at, disk.error_number = len(disk.operations) + 1, errno.EIO
    with pytest.raises(DiskFailed):
        wal.sync()
    disk = disk.restart()
    assert list(Wal.load(PATH, disk).replay()) == [b"entry"]
    disk = disk.crash(lambda _: 0)
    assert list(Wal.load(PATH, disk).replay()) == [b"entry"]


@given(
    script=st.lists(st.sampled_from(["append", "sync", "reset"]), max_size=20),
    fails_at=st.none() | st.integers(0, 40),
    choices=st.randoms(use_true_random=False),
)
def test_power_loss_keeps_what_was_confirmed(
    script: list[str], fails_at: int | None, choices: Random
) -> None:
    """After losing, tearing or zeroing unsynced bytes, the log opens and holds all confirmed entries."""
    disk = FaultyDisk()
    wal = Wal.create(PATH, HEIGHT, disk)
    disk.fails_at, disk.error_number = fails_at, errno.EIO
    appended: list[bytes] = []
    confirmed, height, reset_to = 0, HEIGHT, HEIGHT
    try:
        for number, action in enumerate(script):
            if action == "append":
                wal.append(height, entry := b"%d" % number)
                appended.append(entry)
            elif action == "sync":
                wal.sync()
                confirmed = len(appended)
            else:
                reset_to = height + 1
                wal.reset(reset_to)
                height, appended, confirmed = reset_to, [], 0
    except StorageError:
        assert fails_at is not None
    found = Wal.load(PATH, disk.crash(choices.randrange))
    replayed = list(found.replay())
    if found.height == height:
        assert replayed[:confirmed] == appended[:confirmed]
        assert replayed == appended[: len(replayed)]
    else:
        assert (found.height, replayed) == (reset_to, [])
