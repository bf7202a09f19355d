"""Hosts that took pay and did not deliver, as this buyer remembers them.

Such a host is asked after all others and is paid one chunk at a time, until it has delivered FALL_RATIO bytes
for each byte that it owes. The memory is one small file. It only orders hosts, so a damaged file counts as
empty.
"""

from pathlib import Path

import structlog

from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Address, Uint
from node.content.debts import FALL_RATIO
from storage.errors import StorageError
from storage.files import DISK, FileSystem, atomic_write

LOSSES_MAX = 256
"""Beyond this the smallest loss is forgotten."""
_FILE_BYTES_MAX = 2**16

_log = structlog.get_logger("content")


class _Losses(Record):
    losses: tuple[tuple[Address, Uint], ...]


class LossBook:
    """Bytes that each host was paid for and did not deliver; in memory alone if `path` is None."""

    def __init__(self, path: Path | None = None, files: FileSystem = DISK) -> None:
        self._path, self._files = path, files
        self._lost = {} if path is None else _load(path, files)

    def get(self, host: Address) -> int:
        """Bytes that the host owes."""
        return self._lost.get(host, 0)

    def note(self, host: Address, lost_bytes: int, delivered_bytes: int) -> None:
        """Notes a download: bytes lost to the host (negative if it made up for some) and delivered by it."""
        owed = self.get(host) + lost_bytes
        if lost_bytes <= 0:
            owed -= delivered_bytes // FALL_RATIO
        self._lost.pop(host, None)
        if owed > 0:
            self._lost[host] = owed
        if len(self._lost) > LOSSES_MAX:
            others = (one for one in self._lost if one != host)
            del self._lost[min(others, key=self._lost.__getitem__)]

    def save(self) -> None:
        """Writes the file. Blocks; a failure is only logged, since nothing but an order of hosts is lost."""
        if self._path is None:
            return
        try:
            atomic_write(self._path, encode(_Losses(tuple(sorted(self._lost.items())))), self._files)
        except StorageError as error:
            _log.warning("losses_not_saved", reason=str(error))


def _load(path: Path, files: FileSystem) -> dict[Address, int]:
    try:
        data = files.read(path, _FILE_BYTES_MAX)
        return {} if data is None else dict(decode(_Losses, data).losses)
    except (OSError, DecodeError) as error:
        _log.warning("losses_unreadable", path=str(path), reason=str(error))
        return {}
