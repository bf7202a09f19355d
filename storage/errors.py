"""Errors of storage: failures that a disk, an operator or a second process may cause.

StorageError
├── DiskFailed             a write, sync or rename failed; the object that met it refuses every later write
│   └── DiskFull           the same, for want of space or quota
├── StoreInUse             another process, or another object of this one, holds the lock
├── OtherDataFormat        the data directory was written by another version of the program
├── CorruptStore           a database or a stored block does not verify
├── CorruptWal             the write-ahead log is damaged before its tail, or is not ours
├── WalMissing             no write-ahead log where there must be one
├── WalFull                one height has logged more than a log may hold
├── CorruptSignState       the last-sign state does not verify
├── SignStateMissing       no last-sign state where there must be one
├── ForeignSignState       the last-sign state belongs to another key
├── NewerSignState         the last-sign state has later signatures than its replacement
├── ValidatorMoved         the key was exported, to be used elsewhere
└── DoubleSignRefused      a signature was asked for at or below what is already signed

Every message names the file and the operator's next step. Any other exception is a bug.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESYNC = "`vidya node resync` sets the store aside, to sync again from peers"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class StorageError(Exception):
    """A failure that is expected in operation: caused by the disk or the operator, not by the program."""


class DiskFailed(StorageError):
    """A write, sync or rename failed; everything written since the last sync may be lost."""


class DiskFull(DiskFailed):
    """No space, or a quota is used up."""


class StoreInUse(StorageError):
    """The lock is held by another process, or by another object of this one."""


class OtherDataFormat(StorageError):
    """The data directory was written by another version of the program."""


class CorruptStore(StorageError):
    """A database or a stored block does not verify."""


class CorruptWal(StorageError):
    """The write-ahead log is damaged before its tail, or is no log of this program."""


class WalMissing(StorageError):
    """No write-ahead log, and leave to create one was not given."""


class WalFull(StorageError):
    """One height has logged more than a log may hold."""


class CorruptSignState(StorageError):
    """The last-sign state does not verify."""


class SignStateMissing(StorageError):
    """No last-sign state, and leave to create one was not given."""


class ForeignSignState(StorageError):
    """The last-sign state belongs to another key."""


class NewerSignState(StorageError):
    """The replacement is older than the current last-sign state."""


class ValidatorMoved(StorageError):
    """The validator was exported from here: only where it was imported may its key be used."""


class DoubleSignRefused(StorageError):
    """Signing this could contradict an earlier signature."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError inside the block into DiskFull or DiskFailed naming `path`."""
    try:
        yield
    except OSError as error:
        kind = DiskFull if error.errno in _NO_SPACE else DiskFailed
        raise kind(f"{path}: {error.strerror or error}; the disk must be writable") from error
