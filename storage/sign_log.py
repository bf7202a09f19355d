"""The log of signatures: everything that a key of this node has signed, kept for later inspection.

The last-sign state prevents a second signature. This log shows afterwards that there was none, or which
process made it. A record goes in after the sign-state has it and before the signature is used, so every
signature that left the node is here, and none is here that the sign-state did not know. A signature that is
given again after a restart is here twice. It is never synced: it survives a killed process, while a power
loss may cost its end. Nothing that the node does depends on what it says.

    file   = frame*
    frame  = mark 4 | length u16 | checksum 16 | canonical SignatureRecord of `length` bytes

Damage and torn ends are left where they are: a reader goes on at the next mark behind them. When a file is
full it becomes `.1`, that one `.2`, and so on; the oldest is deleted.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from blake3 import blake3
from msgspec import Meta

from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Height, PublicKey, Round, Signature
from storage.errors import disk_errors
from storage.files import DISK, FailureLatch, FileSystem, OpenFile
from storage.sign_state import SIGN_BYTES_MAX, SignStep

FILE_BYTES_MAX = 2**24
"""About 20,000 blocks of one validator."""
FILES_MAX = 16

_MARK = b"vsig"
_CHECKSUM_BYTES = 16
_FRAME = struct.Struct(f">{len(_MARK)}sH{_CHECKSUM_BYTES}s")


class SignatureRecord(Record):
    """A signature and what it is of; `sign_bytes` end in the encoded vote or proposal."""

    public_key: PublicKey
    height: Height
    round: Round
    step: Annotated[int, Meta(ge=1, le=3)]
    sign_bytes: Annotated[bytes, Meta(max_length=SIGN_BYTES_MAX)]
    signature: Signature


class Slot(NamedTuple):
    """Where a key may sign one message."""

    public_key: PublicKey
    height: Height
    round: Round
    step: int


class SignLog:
    """An open log; every call after a failed write raises DiskFailed."""

    def __init__(
        self,
        path: Path,
        public_key: PublicKey,
        files: FileSystem = DISK,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        self.path = path
        self._public_key = public_key
        self._files = files
        self._file_bytes_max = file_bytes_max
        self._latch = FailureLatch(path)
        with self._latch.writing():
            known = files.read(path, file_bytes_max)
            self._size = len(known or b"")
            self._file: OpenFile = files.open(path, is_new=known is None)

    def append(
        self, height: Height, round: Round, step: SignStep, sign_bytes: bytes, signature: Signature
    ) -> None:
        """Writes one record; a killed process does not lose it."""
        record = SignatureRecord(self._public_key, height, round, int(step), sign_bytes, signature)
        frame = _encode_frame(record)
        with self._latch.writing():
            if self._size + len(frame) > self._file_bytes_max:
                self._rotate()
            self._file.append(frame)
            self._size += len(frame)

    def _rotate(self) -> None:
        self._file.close()
        for number in reversed(range(FILES_MAX - 1)):
            source = locate(self.path, number)
            if self._files.read(source, 1) is not None:
                self._files.rename(source, locate(self.path, number + 1))
        self._file = self._files.open(self.path, is_new=True)
        self._size = 0

    def close(self) -> None:
        """Releases the file; calling again does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def locate(path: Path, number: int) -> Path:
    """The files of a log: 0 is the one that grows, larger numbers are older."""
    return path.with_name(f"{path.name}.{number}") if number else path


def load_signatures(path: Path, files: FileSystem = DISK) -> Iterator[SignatureRecord]:
    """Every whole record of a log and of its older files, the oldest first; also while a node writes."""
    for number in reversed(range(FILES_MAX)):
        with disk_errors(path):
            data = files.read(locate(path, number), FILE_BYTES_MAX)
        yield from decode_signatures(data or b"")


def decode_signatures(data: bytes) -> Iterator[SignatureRecord]:
    """The whole records in the bytes of a file, in order; what does not verify is passed over."""
    offset = data.find(_MARK)
    while offset >= 0:
        body = _get_body(data, offset)
        try:
            record = decode(SignatureRecord, body) if body is not None else None
        except DecodeError:
            record = None
        if body is not None and record is not None:
            yield record
            offset += _FRAME.size + len(body)
        offset = data.find(_MARK, offset + (record is None))


def find_conflicts(records: Iterable[SignatureRecord]) -> dict[Slot, set[bytes]]:
    """The slots in which different messages were signed, with the bytes of each message; empty if there are
    none.
    """
    signed: dict[Slot, set[bytes]] = {}
    for record in records:
        slot = Slot(record.public_key, record.height, record.round, record.step)
        signed.setdefault(slot, set()).add(record.sign_bytes)
    return {slot: messages for slot, messages in signed.items() if len(messages) > 1}


def _encode_frame(record: SignatureRecord) -> bytes:
    body = encode(record)
    return _FRAME.pack(_MARK, len(body), blake3(body).digest(length=_CHECKSUM_BYTES)) + body


def _get_body(data: bytes, offset: int) -> bytes | None:
    if offset + _FRAME.size > len(data):
        return None
    _, length, checksum = _FRAME.unpack_from(data, offset)
    start = offset + _FRAME.size
    body = data[start : start + length]
    return body if len(body) == length and checksum == blake3(body).digest(length=_CHECKSUM_BYTES) else None
