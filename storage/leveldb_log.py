"""The log files of LevelDB: cuts a tail that a power loss tore, and refuses a damaged log.

LevelDB 1.22 gets two cases wrong. It silently drops a tail that is too short. That is right after a power
loss, but a flipped length makes whole records look like such a tail, and they are dropped too. It refuses a
tail that has its length but not its bytes, and with it the good records before. The rule here is that of our
own log (`storage.wal`): a bad record with a good one behind it is damage; without one it is a write that was
never confirmed, and is cut.

    file   = block of 32,768 bytes*            the last one may be shorter; below 7 bytes left are padding
    block  = (checksum u32 | length u16 | type u8 | bytes)*    little-endian; masked CRC-32C of type and bytes
    batch  = one record of type full, or of types first, middle*, last;  begins with sequence u64 | count u32

A good batch counts only if its sequence number continues the file's, so that bytes which a peer chose do not
count. Several bad records in a row with consistent headers are damage too: a torn write is one batch.
"""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from storage.errors import CorruptStore, disk_errors

_BLOCK_BYTES = 32_768
_HEADER = struct.Struct("<IHB")
_BATCH_HEAD = struct.Struct("<QI")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_STARTS, _ENDS = (_FULL, _FIRST), (_FULL, _LAST)
_MAY_BE_TYPE = re.compile(b"[\x01\x02]")
_SEQUENCE_AHEAD_MAX = 2**32
_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8


def _build_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (_POLYNOMIAL if value & 1 else 0) for value in table]
    return table


_TABLE = _build_table()


def compute_masked_checksum(data: bytes) -> int:
    """CRC-32C (RFC 3720 B.4), rotated and offset as LevelDB stores it."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = checksum >> 8 ^ _TABLE[(checksum ^ byte) & 0xFF]
    checksum ^= 0xFFFFFFFF
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


class _Record(NamedTuple):
    offset: int
    type: int
    end: int
    payload: bytes

    def verifies(self, data: bytes) -> bool:
        stored: int = _HEADER.unpack_from(data, self.offset)[0]
        return stored == compute_masked_checksum(bytes((self.type,)) + self.payload)


def _read_record(data: bytes, offset: int) -> _Record | None:
    """The record at an offset, if its header and length fit there; its checksum is not checked."""
    start, block_end = offset + _HEADER.size, offset - offset % _BLOCK_BYTES + _BLOCK_BYTES
    if start > min(block_end, len(data)):
        return None
    _, length, kind = _HEADER.unpack_from(data, offset)
    if not _FULL <= kind <= _LAST or start + length > min(block_end, len(data)):
        return None
    return _Record(offset, kind, start + length, data[start : start + length])


def _iterate_records(data: bytes, offset: int = 0) -> Iterator[_Record | None]:
    """The records to the end of the file; ends with None where there is no whole record."""
    while offset < len(data):
        left = -offset % _BLOCK_BYTES
        if 0 < left < _HEADER.size:
            offset += left
            continue
        record = _read_record(data, offset)
        yield record
        if record is None:
            return
        offset = record.end


class _Sound(NamedTuple):
    """The good beginning of a log: its end, the last batch's sequence, and whether it is the whole log."""

    end: int
    sequence: int
    is_all: bool


def _find_sound(data: bytes, *, with_checksums: bool) -> _Sound:
    end, sequence, begun = 0, 0, None
    for record in _iterate_records(data):
        is_expected = record is not None and (record.type in _STARTS) == (begun is None)
        if record is None or not is_expected or (with_checksums and not record.verifies(data)):
            return _Sound(end, sequence, is_all=False)
        begun = record if begun is None else begun
        if record.type in _ENDS:
            end, sequence, begun = record.end, _get_sequence(begun.payload, sequence), None
    return _Sound(end, sequence, is_all=begun is None)


def _get_sequence(payload: bytes, default: int) -> int:
    """The sequence number of a batch; `default` if its first record is too short to hold one."""
    return int(_BATCH_HEAD.unpack_from(payload)[0]) if len(payload) >= _BATCH_HEAD.size else default


def _has_several_batches(data: bytes, offset: int) -> bool:
    """Whether the headers of the records from `offset` on begin more than one batch."""
    starts = [one for one in _iterate_records(data, offset) if one is not None and one.type in _STARTS]
    return len(starts) > 1


def _has_batch_behind(data: bytes, sound: _Sound) -> bool:
    type_offset = _HEADER.size - 1
    for match in _MAY_BE_TYPE.finditer(data, sound.end + 1 + type_offset):
        record = _read_record(data, match.start() - type_offset)
        if record is None:
            continue
        sequence = _get_sequence(record.payload, 0)
        is_next = sound.sequence < sequence <= sound.sequence + _SEQUENCE_AHEAD_MAX
        if is_next and record.verifies(data):
            return True
    return False


def has_unfinished_end(path: Path) -> bool:
    """Whether the file ends in an unfinished record, which LevelDB would silently drop."""
    with disk_errors(path):
        return not _find_sound(path.read_bytes(), with_checksums=False).is_all


def cut_torn_end(path: Path) -> int:
    """Cuts a torn end off a log and returns its size in bytes; raises CorruptStore for damage."""
    with disk_errors(path):
        data = path.read_bytes()
    sound = _find_sound(data, with_checksums=True)
    if sound.is_all:
        return 0
    if _has_several_batches(data, sound.end) or _has_batch_behind(data, sound):
        raise CorruptStore(f"{path}: damaged at byte {sound.end}, with more records behind")
    with disk_errors(path), path.open("r+b") as file:
        file.truncate(sound.end)
        os.fsync(file.fileno())
    return len(data) - sound.end
