"""The last-sign state: one signature per slot, on disk before it leaves, and refusals when in doubt."""

import errno
import subprocess
import sys
from pathlib import Path
from random import Random

import msgpack
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.keys import KeyPair
from storage.errors import (
    CorruptSignState,
    DiskFailed,
    DoubleSignRefused,
    ForeignSignState,
    SignStateMissing,
    StorageError,
    StoreInUse,
)
from storage.sign_state import LastSignState, SignStep
from tests.storage.faulty_disk import FaultyDisk

KEYS = KeyPair(bytes(range(32)))
OTHER = KeyPair(bytes(32))
PATH = Path("/data/sign_state")
PREVOTE, PRECOMMIT = SignStep.PREVOTE, SignStep.PRECOMMIT


def _open(path: Path) -> LastSignState:
    return LastSignState.load(path / "sign_state", KEYS.public_key, create=True)


def _refuse_to_sign(message: bytes) -> bytes:
    raise AssertionError(f"asked to sign {message!r}")


@pytest.mark.parametrize(
    "slot", [(5, 1, SignStep.PROPOSAL), (5, 0, PRECOMMIT), (4, 9, PRECOMMIT), (5, 1, PREVOTE)]
)
def test_slot_not_above_the_last_is_refused(tmp_path: Path, slot: tuple[int, int, SignStep]) -> None:
    """Below the last slot, and at it with other bytes, nothing is signed; also not after a restart."""
    state = _open(tmp_path)
    state.check_and_record(5, 1, PREVOTE, b"first", KEYS.sign)
    for _ in range(2):
        with pytest.raises(DoubleSignRefused, match="sign_state"):
            state.check_and_record(*slot, b"other", _refuse_to_sign)
        state.close()
        state = LastSignState.load(tmp_path / "sign_state", KEYS.public_key)
    state.close()


@pytest.mark.parametrize("slot", [(5, 1, PRECOMMIT), (5, 2, SignStep.PROPOSAL), (6, 0, SignStep.PROPOSAL)])
def test_slot_above_the_last_is_signed(tmp_path: Path, slot: tuple[int, int, SignStep]) -> None:
    """A later step, round or height is signed and becomes the last."""
    state = _open(tmp_path)
    state.check_and_record(5, 1, PREVOTE, b"first", KEYS.sign)
    assert state.check_and_record(*slot, b"next", KEYS.sign) == KEYS.sign(b"next")
    assert state.state.slot == slot
    state.close()


def test_same_bytes_give_the_stored_signature(tmp_path: Path) -> None:
    """Asked again for what it signed last, it returns the stored signature and signs nothing."""
    state = _open(tmp_path)
    signature = state.check_and_record(5, 1, PREVOTE, b"first", KEYS.sign)
    for _ in range(2):
        assert state.check_and_record(5, 1, PREVOTE, b"first", _refuse_to_sign) == signature
        state.close()
        state = LastSignState.load(tmp_path / "sign_state", KEYS.public_key)
    state.close()


def test_raised_slot_is_refused_for_any_bytes(tmp_path: Path) -> None:
    """After `raise_to` the slot itself is refused, as its bytes are unknown; lower slots never lower it."""
    state = _open(tmp_path)
    state.check_and_record(5, 1, PREVOTE, b"first", KEYS.sign)
    state.raise_to(5, 1, PREVOTE)
    state.raise_to(4, 7, PRECOMMIT)
    assert state.check_and_record(5, 1, PREVOTE, b"first", _refuse_to_sign) == KEYS.sign(b"first")
    state.raise_to(9, 0, PRECOMMIT)
    for message in (b"first", b"other"):
        with pytest.raises(DoubleSignRefused):
            state.check_and_record(9, 0, PRECOMMIT, message, _refuse_to_sign)
    state.close()
    state = LastSignState.load(tmp_path / "sign_state", KEYS.public_key)
    assert state.state.slot == (9, 0, PRECOMMIT)
    state.close()


def test_older_backup_is_made_good_by_the_chain(tmp_path: Path) -> None:
    """A file put back from yesterday refuses the slots that chain and log show as signed."""
    state = _open(tmp_path)
    state.check_and_record(5, 0, PREVOTE, b"yesterday", KEYS.sign)
    backup = (tmp_path / "sign_state").read_bytes()
    state.check_and_record(8, 0, PREVOTE, b"today", KEYS.sign)
    state.close()
    (tmp_path / "sign_state").write_bytes(backup)
    state = LastSignState.load(tmp_path / "sign_state", KEYS.public_key)
    state.raise_to(8, 0, PREVOTE)
    with pytest.raises(DoubleSignRefused):
        state.check_and_record(8, 0, PREVOTE, b"another", _refuse_to_sign)
    state.close()


def test_watch_signs_nothing_until_it_is_over(tmp_path: Path) -> None:
    """Begun, a watch refuses every slot, also after a restart; over, only slots above it are signed."""
    state = _open(tmp_path)
    state.check_and_record(5, 1, PREVOTE, b"mine", KEYS.sign)
    state.begin_watch((7, 0, 2))
    for _ in range(2):
        with pytest.raises(DoubleSignRefused, match="elsewhere"):
            state.check_and_record(9, 0, PREVOTE, b"later", _refuse_to_sign)
        state.close()
        state = LastSignState.load(tmp_path / "sign_state", KEYS.public_key)
    state.end_watch()
    with pytest.raises(DoubleSignRefused):
        state.check_and_record(7, 0, PREVOTE, b"mine", _refuse_to_sign)
    assert state.check_and_record(7, 0, PRECOMMIT, b"next", KEYS.sign) == KEYS.sign(b"next")
    state.close()


def test_watch_at_a_lower_slot_keeps_the_last(tmp_path: Path) -> None:
    """A watch that begins at what was seen long ago forgets nothing of what was signed since."""
    state = _open(tmp_path)
    signature = state.check_and_record(5, 1, PREVOTE, b"mine", KEYS.sign)
    state.begin_watch((4, 0, 2))
    state.end_watch()
    assert state.check_and_record(5, 1, PREVOTE, b"mine", _refuse_to_sign) == signature
    state.close()


def test_bytes_are_those_of_the_specification(tmp_path: Path) -> None:
    """The file is a checksum and a msgpack array, as another program would write it."""
    state = _open(tmp_path)
    signature = state.check_and_record(5, 1, PREVOTE, b"bytes", KEYS.sign)
    state.close()
    body = msgpack.packb([1, KEYS.public_key, 5, 1, 2, [b"bytes", signature], 0])
    assert (tmp_path / "sign_state").read_bytes() == blake3(body).digest(length=16) + body


def test_missing_file_is_refused_without_leave(tmp_path: Path) -> None:
    """No file and no leave: refused with advice, and nothing is created; the lock is free again."""
    with pytest.raises(SignStateMissing, match="unknown"):
        LastSignState.load(tmp_path / "sign_state", KEYS.public_key)
    assert not (tmp_path / "sign_state").exists()
    _open(tmp_path).close()


def test_leave_to_create_does_not_replace_a_file(tmp_path: Path) -> None:
    """`create=True` with a file present keeps what it says."""
    state = _open(tmp_path)
    state.check_and_record(5, 1, PREVOTE, b"first", KEYS.sign)
    state.close()
    state = _open(tmp_path)
    assert state.state.slot == (5, 1, PREVOTE)
    state.close()


def test_file_of_another_key_is_refused(tmp_path: Path) -> None:
    """A wrong key's file is refused, even with leave to create."""
    _open(tmp_path).close()
    with pytest.raises(ForeignSignState):
        LastSignState.load(tmp_path / "sign_state", OTHER.public_key, create=True)


def test_every_damaged_file_is_refused(tmp_path: Path) -> None:
    """Any flipped bit, any shorter or longer file raises CorruptSignState, even with leave to create."""
    state = _open(tmp_path)
    state.check_and_record(5, 1, PREVOTE, b"first", KEYS.sign)
    state.close()
    path = tmp_path / "sign_state"
    data = path.read_bytes()
    flipped = [
        data[:offset] + bytes((data[offset] ^ 1 << bit,)) + data[offset + 1 :]
        for offset in range(len(data))
        for bit in range(8)
    ]
    for damaged in [*flipped, *(data[:size] for size in range(len(data))), data + b"\0", data * 50]:
        path.write_bytes(damaged)
        with pytest.raises(CorruptSignState):
            LastSignState.load(path, KEYS.public_key, create=True)


def test_second_holder_is_refused(tmp_path: Path) -> None:
    """The same key's file cannot be open twice: not in this process, not in another."""
    state = _open(tmp_path)
    with pytest.raises(StoreInUse, match="process"):
        _open(tmp_path)
    program = (
        "import pathlib, sys, storage.sign_state\n"
        "storage.sign_state.LastSignState.load(pathlib.Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "sign_state"), KEYS.public_key.hex()]
    root = Path(__file__).parents[2]
    assert b"StoreInUse" in subprocess.run(command, cwd=root, check=False, capture_output=True).stderr
    state.close()
    assert subprocess.run(command, cwd=root, check=False, capture_output=True).returncode == 0


def test_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """The file is created with mode 0600."""
    _open(tmp_path).close()
    assert (tmp_path / "sign_state").stat().st_mode & 0o777 == 0o600


def test_signer_that_fails_leaves_the_slot_free(tmp_path: Path) -> None:
    """If signing raises, nothing is recorded and the slot can be signed later."""
    state = _open(tmp_path)
    with pytest.raises(AssertionError):
        state.check_and_record(5, 1, PREVOTE, b"first", _refuse_to_sign)
    assert state.check_and_record(5, 1, PREVOTE, b"second", KEYS.sign) == KEYS.sign(b"second")
    state.close()


_OPERATIONS_PER_SIGNATURE = 5


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("fails_at", range(_OPERATIONS_PER_SIGNATURE))
def test_no_signature_leaves_when_the_disk_refuses(fails_at: int, number: int) -> None:
    """A refused operation raises instead of returning the signature, and so does every later call."""
    disk = FaultyDisk()
    state = LastSignState.load(PATH, KEYS.public_key, create=True, files=disk)
    disk.fails_at, disk.error_number = len(disk.operations) + fails_at, number
    for message in (b"first", b"first", b"second"):
        with pytest.raises(DiskFailed):
            state.check_and_record(5, 1, PREVOTE, message, KEYS.sign)
    with pytest.raises(DiskFailed):
        state.raise_to(6, 0, PREVOTE)


def test_operations_per_signature() -> None:
    """A signature takes as many disk operations as the test above refuses."""
    disk = FaultyDisk()
    state = LastSignState.load(PATH, KEYS.public_key, create=True, files=disk)
    before = len(disk.operations)
    state.check_and_record(5, 1, PREVOTE, b"first", KEYS.sign)
    assert disk.operations[before:] == ["open", "append", "sync", "rename", "sync_directory"]
    assert len(disk.operations) - before == _OPERATIONS_PER_SIGNATURE


@given(
    rounds=st.lists(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=1)), max_size=5), max_size=4),
    fails_at=st.none() | st.integers(0, 60),
    choices=st.randoms(use_true_random=False),
)
def test_no_power_loss_makes_a_second_signature(
    rounds: list[list[tuple[int, bytes]]], fails_at: int | None, choices: Random
) -> None:
    """Over crashes, restarts and refused operations, no slot ever gets signatures of two messages."""
    disk, left = FaultyDisk(), dict[int, bytes]()
    LastSignState.load(PATH, KEYS.public_key, create=True, files=disk).close()
    for requests in rounds:
        disk = disk.crash(choices.randrange) if choices.randrange(2) else disk.restart()
        disk.fails_at, disk.error_number = fails_at, errno.EIO
        try:
            state = LastSignState.load(PATH, KEYS.public_key, files=disk)
            for round_number, message in requests:
                assert state.check_and_record(1, round_number, PREVOTE, message, KEYS.sign)
                assert left.setdefault(round_number, message) == message
        except (DoubleSignRefused, DiskFailed):
            pass
    state = LastSignState.load(PATH, KEYS.public_key, files=disk.crash(choices.randrange))
    for round_number, message in left.items():
        try:
            signature = state.check_and_record(1, round_number, PREVOTE, message + b"!", KEYS.sign)
        except StorageError:
            continue
        raise AssertionError(f"second signature {signature.hex()} in round {round_number}")
