"""The journal of a height: the inputs of the consensus core, and the blocks that this node signs for.

It fills the write-ahead log. Notes are collected in memory; `take` hands them, in order, to the job that
makes a signature, and `write` puts them on disk before the signature is made. A note that was never written
had no effect outside. A block is noted when this node proposes or votes for it: even if all validators crash
at once, those that locked a block still have its body. A block may be longer than a log entry, so it is cut
in pieces.

Call `note`, `note_block` and `take` in the loop; `write`, `read` and `start` block and belong in the lane.
"""

import struct
from collections.abc import Iterable, Iterator

import structlog

from chain.block import Block
from chain.primitives.codec import decode, encode
from chain.primitives.types import Hash, Height
from consensus.types import Input, decode_input
from storage.wal import Wal

_log = structlog.get_logger("consensus")

PIECE_BYTES = 2**19
BODIES_BYTES_MAX = 2**27
"""Half of what a log may hold. Beyond it a height goes on, but keeps no further bodies."""
_INPUT, _FIRST_PIECE, _PIECE = b"\x01", b"\x02", b"\x03"
_LENGTH = struct.Struct(">I")

Note = Input | Block


class Journal:
    """The notes of one height at a time."""

    def __init__(self, wal: Wal) -> None:
        self._wal = wal
        self._pending: list[bytes] = []
        self._noted: set[Hash] = set()
        self._body_bytes = 0

    @property
    def height(self) -> Height:
        """The height of the log."""
        return self._wal.height

    def note(self, received: Input) -> None:
        """An input that the core has handled."""
        self._pending.append(_INPUT + encode(received))

    def note_block(self, block_hash: Hash, block: Block) -> None:
        """A block that this node is about to sign for; noted once."""
        if block_hash in self._noted:
            return
        data = encode(block)
        if self._body_bytes + len(data) > BODIES_BYTES_MAX:
            _log.warning("block_not_kept", height=self.height, size_bytes=len(data))
            return
        self._mark(block_hash, len(data))
        self._pending.append(_FIRST_PIECE + _LENGTH.pack(len(data)) + data[:PIECE_BYTES])
        starts = range(PIECE_BYTES, len(data), PIECE_BYTES)
        self._pending += [_PIECE + data[start : start + PIECE_BYTES] for start in starts]

    def _mark(self, block_hash: Hash, size_bytes: int) -> None:
        self._noted.add(block_hash)
        self._body_bytes += size_bytes

    def take(self) -> list[bytes]:
        """The notes since the last call, as entries for `write`."""
        entries, self._pending = self._pending, []
        return entries

    def write(self, entries: Iterable[bytes]) -> None:
        """These entries and all before them are on disk when this returns; raises DiskFailed or WalFull."""
        for entry in entries:
            self._wal.append(self._wal.height, entry)
        self._wal.sync()

    def start(self, height: Height) -> None:
        """Forget everything and begin another height."""
        self._pending.clear()
        self._noted.clear()
        self._body_bytes = 0
        self._wal.reset(height)

    def read(self) -> list[Note]:
        """The notes in the log, in order."""
        return list(_decode_notes(self._wal.replay()))

    def on_restored(self, block_hash: Hash, block: Block) -> None:
        """The block came out of the log, so `note_block` need not write it."""
        self._mark(block_hash, len(encode(block)))


def _decode_notes(entries: Iterable[bytes]) -> Iterator[Note]:
    """Notes of the entries; a block whose last piece is missing was never synced and is left out."""
    body, length = bytearray(), 0
    for entry in entries:
        tag, rest = entry[:1], entry[1:]
        if tag == _INPUT:
            yield decode_input(rest)
            continue
        if tag == _FIRST_PIECE:
            (length,) = _LENGTH.unpack_from(rest)
            body, rest = bytearray(), rest[_LENGTH.size :]
        body += rest
        if len(body) == length:
            yield decode(Block, bytes(body))
