"""Writes the files of a datum below a folder of the user.

Invariants: nothing is written outside the folder, since each part of a path is opened from the one before,
and none that is a symbolic link; a file appears under its name only when all its bytes were written; what
was there before stays. Files are not synced one by one: the store keeps the datum until it is removed, and
an export can be repeated.
"""

import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from chain.content import FileEntry, check_paths
from storage.content.errors import ExportConflict
from storage.errors import disk_errors

_TEMPORARY = ".vidya-export"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def export_files(files: Sequence[FileEntry], chunks: Iterable[bytes], folder: Path) -> None:
    """Writes each file with its share of the chunks' bytes; raises ExportConflict, DiskFull, DiskFailed."""
    check_paths([entry.path for entry in files])
    stream, temporary = _Stream(iter(chunks)), _pick_temporary(files)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for entry in files:
            *parents, name = entry.path.split("/")
            with _open_below(folder, parents) as parent:
                _write_file(parent, name, temporary, stream.take(entry.size))


class _Stream:
    """A stream of chunks, read in other sizes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def take(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes in pieces; the caller takes them all."""
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks))
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece


@contextmanager
def _open_below(folder: Path, parents: Sequence[str]) -> Iterator[int]:
    """A descriptor of the last of `parents`, each made where missing; follows no link below `folder`."""
    descriptor = os.open(folder, _FOLDER)
    try:
        for part in parents:
            below = _open_folder(descriptor, part)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _open_folder(parent: int, name: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise ExportConflict(f"{name} is no folder; move it away, or export to another folder") from error


def _pick_temporary(files: Sequence[FileEntry]) -> str:
    """A name that no file of the datum has; always the same, so that a rerun overwrites a remnant."""
    taken = {part.casefold() for entry in files for part in entry.path.split("/")}
    name = _TEMPORARY
    while name in taken:
        name += "-"
    return name


def _write_file(parent: int, name: str, temporary: str, pieces: Iterable[memoryview]) -> None:
    """Makes the file, or finds that it is there already, byte for byte."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        _create_file(parent, name, temporary, pieces)
    else:
        _compare_file(parent, name, pieces)


def _create_file(parent: int, name: str, temporary: str, pieces: Iterable[memoryview]) -> None:
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666, dir_fd=parent)
    try:
        with io.FileIO(descriptor, "wb") as file:
            for piece in pieces:
                _write_all(file, piece)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)


def _write_all(file: io.FileIO, piece: memoryview) -> None:
    while piece:
        piece = piece[file.write(piece) :]


def _compare_file(parent: int, name: str, pieces: Iterable[memoryview]) -> None:
    """Raises ExportConflict unless `name` is a regular file of exactly these bytes."""
    conflict = ExportConflict(f"{name} is there and differs; move it away, or export to another folder")
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except OSError as error:
        raise conflict from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise conflict
        offset = 0
        for piece in pieces:
            if os.pread(descriptor, len(piece), offset) != piece:
                raise conflict
            offset += len(piece)
        if os.fstat(descriptor).st_size != offset:
            raise conflict
    finally:
        os.close(descriptor)
