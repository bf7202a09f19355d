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
_FULL_REGISTER = 0xFFFFFFFF
"""CRC-32C begins with it, and ends with an exclusive or of it."""
_MASK = 0xA282EAD8


def _build_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (_POLYNOMIAL if value & 1 else 0) for value in table]
    return table


_TABLE = _build_table()


def compute_masked_checksum(data: bytes) -> int:
    """CRC-32C (RFC 3720 B.4), rotated and offset as LevelDB stores it."""
    register = _FULL_REGISTER
    for byte in data:
        register = register >> 8 ^ _TABLE[(register ^ byte) & 0xFF]
    return _mask(register)


def _mask(register: int) -> int:
    checksum = register ^ _FULL_REGISTER
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


class _Checksums:
    """Masked checksums of any run of bytes behind `start`, after one pass over all of them.

    The register of a CRC is linear: n bytes later a register is what the bytes make of zero, plus the old one
    times x^8n modulo the polynomial (as in zlib's crc32_combine). So one product gives the checksum of a run,
    however long, and forged heads of records in a torn write cost no pass each.
    """

    def __init__(self, data: bytes, start: int) -> None:
        self._start = start
        self._registers = [0]
        for byte in memoryview(data)[start:]:
            last = self._registers[-1]
            self._registers.append(last >> 8 ^ _TABLE[(last ^ byte) & 0xFF])
        self._powers = [1 << 31]
        """x^8n for n below a block; bit 31 stands for x^0."""
        for _ in range(_BLOCK_BYTES):
            last = self._powers[-1]
            self._powers.append(last >> 8 ^ _TABLE[last & 0xFF])

    def compute(self, start: int, end: int) -> int:
        """The masked checksum of the bytes from `start` to `end`, at most a block."""
        before = self._registers[start - self._start] ^ _FULL_REGISTER
        shifted = _multiply(before, self._powers[end - start])
        return _mask(shifted ^ self._registers[end - self._start])


def _multiply(left: int, right: int) -> int:
    """The product of two polynomials modulo that of CRC-32C, in its bit order."""
    product = 0
    for bit in range(31, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (_POLYNOMIAL if right & 1 else 0)
    return product


class _Record(NamedTuple):
    offset: int
    type: int
    end: int
    payload: bytes

    @property
    def start(self) -> int:
        """Where the bytes under the checksum begin: with the type."""
        return self.offset + _HEADER.size - 1

    def get_checksum(self, data: bytes) -> int:
        """The checksum that the header names."""
        return int(_HEADER.unpack_from(data, self.offset)[0])

    def verifies(self, data: bytes) -> bool:
        """Whether its bytes have that checksum."""
        return self.get_checksum(data) == compute_masked_checksum(data[self.start : self.end])


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
    type_offset, checksums = _HEADER.size - 1, _Checksums(data, sound.end)
    for match in _MAY_BE_TYPE.finditer(data, sound.end + 1 + type_offset):
        record = _read_record(data, match.start() - type_offset)
        if record is None:
            continue
        sequence = _get_sequence(record.payload, 0)
        is_next = sound.sequence < sequence <= sound.sequence + _SEQUENCE_AHEAD_MAX
        if is_next and record.get_checksum(data) == checksums.compute(record.start, record.end):
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
