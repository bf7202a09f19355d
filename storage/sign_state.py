"""The last-sign state: the one file that keeps a validator from signing two things in one slot.

A slot is (height, round, step). A signature is given only for a slot above the last one, or once more, as it
was, for the very bytes signed last; the file that says so is on disk before the signature is returned. There
is no exception for messages that differ in a timestamp: our votes carry none. The file belongs to one key, is
locked while open, and is made only when the caller says that the key is new: if the file is missing, it is
unknown what was signed. What it cannot see is an older copy of itself, put back from a backup, or another one
beside it; `node.replica.signing.guard` judges that by log, chain and peers. While the guard watches, and
forever once the key was moved elsewhere, the file says that nothing is signed.

    file = checksum 16 | canonical SignState;  checksum = BLAKE3 of the rest, cut to 16 bytes
"""

from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Self

from blake3 import blake3
from msgspec import Meta

from chain.primitives.codec import Record, decode, encode, replace
from chain.primitives.errors import DecodeError
from chain.primitives.types import Height, PublicKey, Round, Signature, Uint8
from storage.crash_points import CrashPoint, reach
from storage.errors import (
    CorruptSignState,
    DoubleSignRefused,
    ForeignSignState,
    NewerSignState,
    SignStateMissing,
    ValidatorMoved,
    disk_errors,
)
from storage.files import DISK, FailureLatch, FileSystem, atomic_write

SIGN_BYTES_MAX = 1024
_FILE_BYTES_MAX = 4096
_CHECKSUM_BYTES = 16
_VERSION = 1
_ADVICE = (
    "what this key has signed is unknown: put the newest copy back, or let `vidya validator"
    " forget-signatures` make a new file, with which the node watches the chain before it signs"
)

SignSlot = tuple[Height, Round, int]
"""(height, round, step), compared as such."""
UNSIGNED: SignSlot = (0, 0, 0)


class SignStep(IntEnum):
    """The three messages that a validator signs in a round, in their order."""

    PROPOSAL = 1
    PREVOTE = 2
    PRECOMMIT = 3


class Hold(IntEnum):
    """The reason why nothing is signed in any slot."""

    NONE = 0
    WATCHING = 1
    """The key may be in use elsewhere: the node watches the chain first."""
    MOVED = 2
    """The validator was exported: its key is used where it was imported."""


class Signed(Record):
    """What was signed, and the signature."""

    sign_bytes: Annotated[bytes, Meta(max_length=SIGN_BYTES_MAX)]
    signature: Signature


class SignState(Record):
    """The highest slot; `signed` is None where only the slot is known. `step` 0: nothing was signed."""

    version: Uint8
    public_key: PublicKey
    height: Height
    round: Round
    step: Annotated[int, Meta(ge=0, le=3)]
    signed: Signed | None
    hold: Hold = Hold.NONE

    @property
    def slot(self) -> SignSlot:
        """What was signed last."""
        return self.height, self.round, self.step


class LastSignState:
    """The open file of one key; `load` makes one. Every call after a failed write raises DiskFailed."""

    def __init__(self, path: Path, public_key: PublicKey, *, create: bool, files: FileSystem) -> None:
        self.path = path
        self._files = files
        self._latch = FailureLatch(path)
        self._lock = files.lock(path.with_name(path.name + ".lock"))
        try:
            self._state = _load_state(path, public_key, create=create, files=files)
            # Written again although it verifies: after a failed sync the page cache may hold what the disk
            # does not.
            self._save(self._state)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def load(
        cls, path: Path, public_key: PublicKey, *, create: bool = False, files: FileSystem = DISK
    ) -> Self:
        """The state of `public_key`; `create` is the operator's word that an absent file means a new key.

        Raises SignStateMissing, ForeignSignState, CorruptSignState, StoreInUse.
        """
        return cls(path, public_key, create=create, files=files)

    @property
    def state(self) -> SignState:
        """What was signed last."""
        return self._state

    def check_and_record(
        self,
        height: Height,
        round: Round,
        step: SignStep,
        sign_bytes: bytes,
        sign: Callable[[bytes], Signature],
    ) -> Signature:
        """The signature of `sign_bytes`, recorded on disk; raises DoubleSignRefused."""
        self._latch.check()
        assert len(sign_bytes) <= SIGN_BYTES_MAX, len(sign_bytes)
        last, slot = self._state, (height, round, step)
        if last.hold is not Hold.NONE:
            raise DoubleSignRefused(f"{self.path}: the key may be in use elsewhere; the node watches first")
        if slot == last.slot and last.signed is not None and last.signed.sign_bytes == sign_bytes:
            return last.signed.signature
        if slot <= last.slot:
            raise DoubleSignRefused(f"{self.path}: asked to sign at {slot}, signed at {last.slot} already")
        signature = sign(sign_bytes)
        reach(CrashPoint.SIGN_STATE_WRITE)
        self._save(_build_state(last.public_key, slot, Signed(sign_bytes, signature)))
        reach(CrashPoint.SIGN_STATE_SAVED)
        return signature

    def raise_to(self, height: Height, round: Round, step: SignStep) -> None:
        """Forbids signatures at or below this slot; a slot below the current one changes nothing."""
        self._latch.check()
        slot = (height, round, step)
        if slot > self._state.slot:
            raised = _build_state(self._state.public_key, slot, None)
            self._save(replace(raised, hold=self._state.hold))

    def begin_watch(self, slot: SignSlot) -> None:
        """Nothing is signed until `end_watch`, also by later processes; nothing at or below `slot` ever."""
        self._latch.check()
        last = self._state
        raised = last if slot <= last.slot else _build_state(last.public_key, slot, None)
        self._save(replace(raised, hold=Hold.WATCHING))

    def end_watch(self) -> None:
        """The key is in use nowhere else."""
        self._latch.check()
        self._save(replace(self._state, hold=Hold.NONE))

    def check_here(self) -> None:
        """Raises ValidatorMoved if the key was exported from here."""
        if self._state.hold is Hold.MOVED:
            raise ValidatorMoved(
                f"{self.path}: this validator was exported, to be used elsewhere; `vidya validator import`"
                ' brings it back, account = "" in config.toml makes this an observer'
            )

    def mark_moved(self) -> None:
        """Nothing is signed here until `adopt` brings the key back."""
        self._latch.check()
        self._save(replace(self._state, hold=Hold.MOVED))

    def adopt(self, moved: SignState) -> None:
        """Takes over the state of another file of this key, and watches first; raises NewerSignState."""
        self._latch.check()
        assert moved.public_key == self._state.public_key
        if moved.slot < self._state.slot:
            raise NewerSignState(
                f"{self.path} knows of signatures up to {self._state.slot}, not {moved.slot}"
            )
        self._save(replace(moved, hold=Hold.WATCHING))

    def _save(self, state: SignState) -> None:
        with self._latch.writing():
            atomic_write(self.path, _encode_state(state), self._files)
        self._state = state

    def close(self) -> None:
        """Releases the lock; calling again does nothing."""
        self._lock.release()


def _build_state(public_key: PublicKey, slot: SignSlot, signed: Signed | None) -> SignState:
    height, round, step = slot
    return SignState(_VERSION, public_key, height, round, int(step), signed)


def _encode_state(state: SignState) -> bytes:
    body = encode(state)
    return blake3(body).digest(length=_CHECKSUM_BYTES) + body


def _decode_state(path: Path, data: bytes) -> SignState:
    checksum, body = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    if checksum != blake3(body).digest(length=_CHECKSUM_BYTES):
        raise CorruptSignState(f"{path} does not verify; {_ADVICE}")
    try:
        state = decode(SignState, body)
    except DecodeError as error:
        raise CorruptSignState(f"{path} is no record of this program ({error}); {_ADVICE}") from error
    if state.version != _VERSION:
        raise CorruptSignState(f"{path} has version {state.version}, this program knows {_VERSION}")
    return state


def _load_state(path: Path, public_key: PublicKey, *, create: bool, files: FileSystem) -> SignState:
    with disk_errors(path):
        data = files.read(path, _FILE_BYTES_MAX)
    if data is None and not create:
        raise SignStateMissing(f"{path} is missing; {_ADVICE}")
    if data is None:
        return _build_state(public_key, UNSIGNED, None)
    state = _decode_state(path, data)
    if state.public_key != public_key:
        owner = state.public_key.hex()[:16]
        raise ForeignSignState(f"{path} belongs to key {owner}, not to {public_key.hex()[:16]}")
    return state


def is_sign_state(data: bytes) -> bool:
    """Whether these bytes are a sign-state file, whosever it is."""
    checksum, body = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    return bool(body) and checksum == blake3(body).digest(length=_CHECKSUM_BYTES)
