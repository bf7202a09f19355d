"""Locks and atomic replacement: one holder; the old content or the new one, whatever the disk does."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import DiskFailed, DiskFull, StoreInUse
from storage.files import DISK, FailureLatch, atomic_write
from storage.lock import LOCK_NAME, lock_directory
from tests.storage.faulty_disk import FaultyDisk

PATH = Path("/data/file")


def test_second_node_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    """A locked data directory is refused, naming the owner's process, and is free again after release."""
    directory = tmp_path / "new" / "data"
    with lock_directory(directory) as lock:
        with pytest.raises(StoreInUse, match=str(os.getpid())):
            lock_directory(directory)
        with pytest.raises(StoreInUse):
            lock_directory(directory)
    lock.release()
    lock_directory(directory).release()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The lock goes with its process, though the file with its number stays."""
    program = (
        "import os, pathlib, sys, storage.lock\n"
        "storage.lock.lock_directory(pathlib.Path(sys.argv[1]))\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parents[2], check=False)
    assert int((tmp_path / LOCK_NAME).read_text()) != os.getpid()
    lock_directory(tmp_path).release()


def test_atomic_write_replaces(tmp_path: Path) -> None:
    """The content is the last one written, mode 0600, and no temporary file stays."""
    for content in (b"one", b"", b"three" * 1000):
        atomic_write(tmp_path / "file", content)
        assert DISK.read(tmp_path / "file", 10_000) == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_reading_is_bounded(tmp_path: Path) -> None:
    """No more is read than was allowed, and an absent file is None."""
    (tmp_path / "file").write_bytes(bytes(100))
    assert DISK.read(tmp_path / "file", 10) == bytes(10)
    assert DISK.read(tmp_path / "absent", 10) is None


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    """Writing where nothing can be written raises DiskFailed that names the file."""
    with pytest.raises(DiskFailed, match="absent"):
        atomic_write(tmp_path / "absent" / "file", b"")


@given(
    fails_at=st.none() | st.integers(5, 9),
    number=st.sampled_from([errno.ENOSPC, errno.EIO]),
    choices=st.randoms(use_true_random=False),
)
def test_atomic_write_is_atomic(fails_at: int | None, number: int, choices: Random) -> None:
    """Whatever is refused or lost, the file holds the old content or the new; the new if all went well."""
    disk = FaultyDisk()
    atomic_write(PATH, b"old content", disk)
    disk.fails_at, disk.error_number = fails_at, number
    allowed = [b"new"]
    try:
        atomic_write(PATH, b"new", disk)
    except DiskFull:
        assert number == errno.ENOSPC
        allowed = [b"old content", b"new"]
    except DiskFailed:
        assert number == errno.EIO
        allowed = [b"old content", b"new"]
    assert disk.restart().read(PATH, 100) in allowed
    assert disk.crash(choices.randrange).read(PATH, 100) in allowed


def test_latch_keeps_the_kind_of_failure() -> None:
    """After a failure every further write is refused with the same class; other errors do not latch."""
    latch = FailureLatch(PATH)
    with pytest.raises(KeyError), latch.writing():
        raise KeyError
    latch.check()
    with pytest.raises(DiskFull), latch.writing():
        raise OSError(errno.ENOSPC, "full")
    for _ in range(2):
        with pytest.raises(DiskFull, match="earlier failure"), latch.writing():
            raise AssertionError("written after a failure")
