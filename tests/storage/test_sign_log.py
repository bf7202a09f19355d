"""The log of signatures: keeps all of them through kills and damage, and shows two messages of one slot."""

import errno
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from chain.primitives.keys import KeyPair
from storage.errors import DiskFull
from storage.sign_log import (
    FILES_MAX,
    SignatureRecord,
    SignLog,
    Slot,
    decode_signatures,
    find_conflicts,
    load_signatures,
    locate,
)
from storage.sign_state import SignStep
from tests.storage.faulty_disk import FaultyDisk

KEYS = KeyPair(bytes(range(32)))
PATH = Path("/data/signatures.log")
COUNT = 12


def _write(disk: FaultyDisk, heights: range, file_bytes_max: int = 2**24) -> None:
    with SignLog(PATH, KEYS.public_key, disk, file_bytes_max) as log:
        for height in heights:
            log.append(height, 0, SignStep.PREVOTE, b"block %d" % height, KEYS.sign(b"block %d" % height))


def _get_heights(records: Iterator[SignatureRecord]) -> list[int]:
    return [record.height for record in records]


def test_signatures_come_back_as_they_were_over_restarts() -> None:
    """What a process wrote, synced or not, is read back in order, also behind what the next one adds."""
    disk = FaultyDisk()
    _write(disk, range(3))
    _write(restarted := disk.restart(), range(3, 5))
    records = list(load_signatures(PATH, restarted))
    assert [record.height for record in records] == [0, 1, 2, 3, 4]
    assert records[4].signature == KEYS.sign(b"block 4") and records[4].sign_bytes == b"block 4"
    assert "sync" not in disk.operations


def test_torn_end_costs_the_last_record_only() -> None:
    """Cut anywhere in its last record, the log gives all others, and what a later process appends."""
    disk = FaultyDisk()
    _write(disk, range(3))
    whole = disk.read(PATH, 2**24)
    assert whole is not None
    record_bytes = len(whole) // 3
    for cut in range(1, record_bytes + 1):
        torn = FaultyDisk()
        torn.open(PATH, is_new=True).append(whole[:-cut])
        _write(torn, range(7, 8))
        assert _get_heights(load_signatures(PATH, torn)) == [0, 1, 7]


def test_flipped_bytes_never_make_a_record() -> None:
    """Of 500 files with a flipped byte each gives all records but the one that holds it."""
    disk, random = FaultyDisk(), Random(7)
    _write(disk, range(COUNT))
    whole = disk.read(PATH, 2**24)
    assert whole is not None
    expected = list(decode_signatures(whole))
    record_bytes = len(whole) // COUNT
    for _ in range(500):
        place = random.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[place] ^= random.randrange(1, 256)
        found = list(decode_signatures(bytes(flipped)))
        assert found == expected[: place // record_bytes] + expected[place // record_bytes + 1 :]


def test_log_is_bounded_by_leaving_the_oldest() -> None:
    """Full files move on and the oldest goes; what is left is the newest, in order and without a gap."""
    disk = FaultyDisk()
    _write(disk, range(100), file_bytes_max=600)
    heights = _get_heights(load_signatures(PATH, disk))
    assert heights == list(range(100 - len(heights), 100))
    files = [disk.read(locate(PATH, number), 2**24) for number in range(FILES_MAX + 1)]
    assert all(one is not None and len(one) <= 600 for one in files[:FILES_MAX]) and files[FILES_MAX] is None


def test_two_messages_of_one_slot_are_found() -> None:
    """The audit names the slot that was signed twice; the same message twice is no conflict."""
    disk = FaultyDisk()
    with SignLog(PATH, KEYS.public_key, disk) as log:
        for sign_bytes in (b"one", b"one"):
            log.append(5, 1, SignStep.PRECOMMIT, sign_bytes, KEYS.sign(sign_bytes))
        assert find_conflicts(load_signatures(PATH, disk)) == {}
        log.append(5, 1, SignStep.PREVOTE, b"two", KEYS.sign(b"two"))
        log.append(5, 1, SignStep.PRECOMMIT, b"two", KEYS.sign(b"two"))
    conflicts = find_conflicts(load_signatures(PATH, disk))
    assert conflicts == {Slot(KEYS.public_key, 5, 1, 3): {b"one", b"two"}}


def test_failed_write_is_told_and_remembered() -> None:
    """A full disk is an error of this append and of all that follow."""
    disk = FaultyDisk()
    with SignLog(PATH, KEYS.public_key, disk) as log:
        disk.fails_at, disk.error_number = len(disk.operations), errno.ENOSPC
        for _ in range(2):
            with pytest.raises(DiskFull):
                log.append(1, 0, SignStep.PREVOTE, b"x", KEYS.sign(b"x"))
