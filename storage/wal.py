"""The write-ahead log: the inputs of the consensus core at the current height, in order.

`append` keeps an entry in memory; `sync` writes all entries since the last call as ONE checksummed frame and
waits for the disk. So an unfinished write can spoil only the last frame. A bad last frame is a torn write,
whose entries had no effect outside, and is cut. A bad frame with a valid one behind it is damage, and the log
is refused. Entries that were never synced are lost with the process.

    file    = header, frame*
    header  = "vidyawal" | height u64 | salt 32 | checksum 16
    frame   = length u32 | checksum 16 | mark 8 | payload of `length` bytes
    payload = (length u32 | entry)*

Integers are big-endian. A checksum is BLAKE3 cut to 16 bytes; that of a frame is keyed with the salt, which
is new in each file, and covers the frame's offset, length, height and payload: neither bytes that a peer put
into an entry nor a frame of an older log or of another offset can pass for a frame. The mark is derived from
the salt too: nobody else can place one, so the search for a frame behind a bad one takes one pass, whatever
bytes peers put into the bad one. Not here: the meaning of the entries (`node.replica.journal`), when to sync.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from blake3 import blake3

from storage.crash_points import CrashPoint, reach
from storage.errors import CorruptWal, WalFull, WalMissing, disk_errors
from storage.files import DISK, FailureLatch, FileSystem, OpenFile, atomic_write

ENTRY_BYTES_MAX = 2**20
FRAME_BYTES_MAX = 2**21
"""`append` syncs before the entries in memory exceed this."""
WAL_BYTES_MAX = 2**28
"""Enough for thousands of rounds of the largest validator set."""

_MAGIC = b"vidyawal"
_SALT_BYTES = 32
_CHECKSUM_BYTES = 16
_HEADER = struct.Struct(f">{len(_MAGIC)}sQ{_SALT_BYTES}s")
_HEADER_BYTES = _HEADER.size + _CHECKSUM_BYTES
_MARK_BYTES = 8
_FRAME = struct.Struct(f">I{_CHECKSUM_BYTES}s{_MARK_BYTES}s")
_FRAME_MARK_OFFSET = 4 + _CHECKSUM_BYTES
_LENGTH = struct.Struct(">I")
_ADVICE = "`vidya validator forget-signatures` makes a new one; the last signed height is passed over"


def _compute_checksum(salt: bytes, offset: int, height: int, payload: bytes) -> bytes:
    place = struct.pack(">QIQ", offset, len(payload), height)
    return blake3(place + payload, key=salt).digest(length=_CHECKSUM_BYTES)


def _encode_header(height: int, salt: bytes) -> bytes:
    body = _HEADER.pack(_MAGIC, height, salt)
    return body + blake3(body).digest(length=_CHECKSUM_BYTES)


def _compute_mark(salt: bytes) -> bytes:
    return blake3(b"mark", key=salt).digest(length=_MARK_BYTES)


def _encode_frame(salt: bytes, offset: int, height: int, payload: bytes) -> bytes:
    checksum = _compute_checksum(salt, offset, height, payload)
    return _FRAME.pack(len(payload), checksum, _compute_mark(salt)) + payload


class _Image:
    """The bytes of a log file, split into its valid frames and a torn tail."""

    def __init__(self, path: Path, data: bytes) -> None:
        body, checksum = data[: _HEADER.size], data[_HEADER.size : _HEADER_BYTES]
        if len(data) < _HEADER_BYTES or checksum != blake3(body).digest(length=_CHECKSUM_BYTES):
            raise CorruptWal(f"{path}: the header does not verify; {_ADVICE}")
        magic, self.height, self._salt = _HEADER.unpack(body)
        if magic != _MAGIC:
            raise CorruptWal(f"{path}: not a write-ahead log of this program; {_ADVICE}")
        self._data = data
        self._mark = _compute_mark(self._salt)
        self.payloads: list[bytes] = []
        self.end = _HEADER_BYTES
        while (payload := self._get_payload(self.end)) is not None:
            self.payloads.append(payload)
            self.end += _FRAME.size + len(payload)
        if self._has_frame_behind(self.end):
            raise CorruptWal(f"{path}: damaged at byte {self.end}, with valid entries behind; {_ADVICE}")

    @property
    def valid_bytes(self) -> bytes:
        """The file without its torn tail."""
        return self._data[: self.end]

    @property
    def salt(self) -> bytes:
        """The key of the frames' checksums."""
        return bytes(self._salt)

    def _get_payload(self, offset: int) -> bytes | None:
        if offset + _FRAME.size > len(self._data):
            return None
        length, checksum, mark = _FRAME.unpack_from(self._data, offset)
        start = offset + _FRAME.size
        if not 0 < length <= FRAME_BYTES_MAX or start + length > len(self._data) or mark != self._mark:
            return None
        payload = self._data[start : start + length]
        return payload if checksum == _compute_checksum(self.salt, offset, self.height, payload) else None

    def _has_frame_behind(self, offset: int) -> bool:
        """Whether any frame above `offset` is valid. Only real frames have the mark: one pass finds them."""
        place = self._data.find(self._mark, offset + 1 + _FRAME_MARK_OFFSET)
        while place >= 0:
            if self._get_payload(place - _FRAME_MARK_OFFSET) is not None:
                return True
            place = self._data.find(self._mark, place + 1)
        return False

    def entries(self) -> Iterator[bytes]:
        """The entries of the valid frames, in order."""
        for payload in self.payloads:
            offset = 0
            while offset < len(payload):
                (length,) = _LENGTH.unpack_from(payload, offset)
                offset += _LENGTH.size + length
                yield payload[offset - length : offset]


class Wal:
    """An open log; `load` or `create` make one. Every call after a failed write raises DiskFailed."""

    def __init__(self, path: Path, height: int, salt: bytes, size: int, files: FileSystem) -> None:
        self.path = path
        self.height = height
        self._salt = salt
        self._size = size
        self._files = files
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._latch = FailureLatch(path)
        with self._latch.writing():
            self._file: OpenFile = files.open(path, is_new=False)

    @classmethod
    def create(cls, path: Path, height: int, files: FileSystem = DISK) -> Self:
        """An empty log for `height`, on disk; replaces what was there."""
        salt = os.urandom(_SALT_BYTES)
        atomic_write(path, _encode_header(height, salt), files)
        return cls(path, height, salt, _HEADER_BYTES, files)

    @classmethod
    def load(cls, path: Path, files: FileSystem = DISK) -> Self:
        """Opens the log and cuts a torn tail; raises WalMissing or CorruptWal."""
        image = _load_image(path, files)
        # Written again even when whole: after a failed sync the page cache may hold what the disk does not.
        atomic_write(path, image.valid_bytes, files)
        return cls(path, image.height, image.salt, image.end, files)

    def append(self, height: int, entry: bytes) -> None:
        """Adds an entry, which is on disk after the next `sync`; `height` must be that of the log."""
        self._latch.check()
        assert height == self.height, f"entry of height {height} in the log of height {self.height}"
        assert len(entry) <= ENTRY_BYTES_MAX, len(entry)
        if self._buffer_bytes + _LENGTH.size + len(entry) > FRAME_BYTES_MAX:
            self.sync()
        self._buffer += (_LENGTH.pack(len(entry)), entry)
        self._buffer_bytes += _LENGTH.size + len(entry)

    def sync(self) -> None:
        """All entries so far are on disk when this returns; raises DiskFailed or WalFull."""
        with self._latch.writing():
            if not self._buffer:
                return
            frame = _encode_frame(self._salt, self._size, self.height, b"".join(self._buffer))
            if self._size + len(frame) > WAL_BYTES_MAX:
                raise WalFull(f"{self.path}: more than {WAL_BYTES_MAX} bytes at height {self.height}")
            reach(CrashPoint.LOG_WRITE)
            self._file.append(frame)
            reach(CrashPoint.LOG_WRITTEN)
            self._file.sync()
        reach(CrashPoint.LOG_SYNCED)
        self._size += len(frame)
        self._clear_buffer()

    def _clear_buffer(self) -> None:
        self._buffer.clear()
        self._buffer_bytes = 0

    def reset(self, height: int) -> None:
        """Replaces the log with an empty one for a new height."""
        reach(CrashPoint.LOG_RESET)
        with self._latch.writing():
            self._salt = os.urandom(_SALT_BYTES)
            atomic_write(self.path, _encode_header(height, self._salt), self._files)
            self._file.close()
            self._file = self._files.open(self.path, is_new=False)
        self.height = height
        self._size = _HEADER_BYTES
        self._clear_buffer()

    def replay(self) -> Iterator[bytes]:
        """The synced entries in order, read and verified again."""
        self._latch.check()
        return _load_image(self.path, self._files).entries()

    def close(self) -> None:
        """Releases the file; entries not synced are lost. Calling again does nothing."""
        self._file.close()


def _load_image(path: Path, files: FileSystem) -> _Image:
    with disk_errors(path):
        data = files.read(path, WAL_BYTES_MAX + 1)
    if data is None:
        raise WalMissing(f"{path} is missing; {_ADVICE}")
    if len(data) > WAL_BYTES_MAX:
        raise CorruptWal(f"{path}: longer than a log can be; {_ADVICE}")
    return _Image(path, data)
