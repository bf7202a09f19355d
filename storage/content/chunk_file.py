"""The store's own bytes of one datum: a flat, sparse file with each chunk at its offset.

A chunk that was written may be lost with the power until `sync` returns. After a failed sync nothing more is
written through the same store (its latch). Not here: which chunks are held (`index`).
"""

import os
from pathlib import Path

from chain.content import CHUNK_BYTES
from storage.errors import disk_errors
from storage.files import DISK, FailureLatch


class ChunkFile:
    """An open flat file; made at its full length on first use, taking space only as chunks come."""

    def __init__(self, path: Path, length: int, latch: FailureLatch) -> None:
        self._path, self._latch = path, latch
        with disk_errors(path):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if os.fstat(self._descriptor).st_size != length:
                os.ftruncate(self._descriptor, length)
                DISK.sync_directory(path.parent)

    def read(self, index: int, size: int) -> bytes:
        """Up to `size` bytes of a chunk; raises OSError."""
        return os.pread(self._descriptor, size, index * CHUNK_BYTES)

    def write(self, index: int, chunk: bytes) -> None:
        """Writes a chunk at its offset; after DiskFull or DiskFailed the chunk is not held."""
        self._latch.check()
        view, offset = memoryview(chunk), index * CHUNK_BYTES
        with disk_errors(self._path):
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written

    def sync(self) -> None:
        """Waits until all that was written is on disk."""
        with self._latch.writing():
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Releases the file without a sync."""
        os.close(self._descriptor)
