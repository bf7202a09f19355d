"""Reading a published file or folder: listing it, streaming it once, and reading parts of it later.

Invariants: nothing but regular files is read, and no symbolic link inside a folder is followed while it is
listed or opened; a file that changes while it is streamed is noticed. Later reads do not
notice changes: the caller checks the hash. Not here: the rules for names (`chain.content`).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chain.content import CHUNK_BYTES, FILES_MAX
from storage.content.errors import SourceChanged, SourceRefused
from storage.content.layout import Layout

Stamp = tuple[int, int, int, int]
"""Device, inode, mtime and ctime: a file with an equal stamp has not changed."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file below a source's folder, as it was when it was listed."""

    path: str
    size: int
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Source:
    """A folder to publish, and the files below it in path order."""

    folder: Path
    files: tuple[SourceFile, ...]

    def check_unchanged(self, path: Path) -> None:
        """Raises SourceChanged unless listing `path` again gives the same."""
        if scan_source(path) != self:
            raise SourceChanged(f"{path} changed while it was being read; publish it when it is at rest")


def scan_source(path: Path) -> Source:
    """The file, or the files below the folder, at `path`; raises SourceRefused."""
    try:
        place = path.resolve(strict=True)
        if place.is_dir():
            files = sorted(_walk(place), key=lambda file: file.path)
            if not files:
                raise SourceRefused(f"{place} holds no file")
            return Source(place, tuple(files))
        return Source(place.parent, (_describe(place.name, place, place.lstat()),))
    except OSError as error:
        raise SourceRefused(f"{path} cannot be read: {error.strerror or error}") from error


def _walk(folder: Path) -> Iterator[SourceFile]:
    waiting, count = [""], 0
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                path, state = below + entry.name, entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(state.st_mode):
                    waiting.append(path + "/")
                    continue
                count += 1
                if count > FILES_MAX:
                    raise SourceRefused(f"{folder} has more than {FILES_MAX} files; publish it in parts")
                yield _describe(path, folder / path, state)


def _describe(path: str, place: Path, state: os.stat_result) -> SourceFile:
    if not stat.S_ISREG(state.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(state.st_mode) else "no regular file"
        raise SourceRefused(f"{place} is {kind}; take it out, or put a plain file in its place")
    return SourceFile(path, state.st_size, (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_ctime_ns))


@contextmanager
def open_regular(place: Path) -> Iterator[int]:
    """A descriptor of a regular file, for reading; raises OSError or SourceRefused.

    Opening a pipe that took the file's place would wait forever without O_NONBLOCK.
    """
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SourceRefused(f"{place} is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)


def stream_chunks(source: Source) -> Iterator[memoryview]:
    """The bytes of a source in chunks; each memoryview is valid until the next chunk is read."""
    buffer, filled = memoryview(bytearray(CHUNK_BYTES)), 0
    for file in source.files:
        with _open_listed(source, file) as descriptor:
            left = file.size
            while left:
                got = os.readv(descriptor, [buffer[filled : filled + left]])
                if not got:
                    raise SourceChanged(f"{source.folder / file.path} became shorter while it was being read")
                filled, left = filled + got, left - got
                if filled == CHUNK_BYTES:
                    yield buffer
                    filled = 0
    if filled:
        yield buffer[:filled]


@contextmanager
def _open_listed(source: Source, file: SourceFile) -> Iterator[int]:
    place = source.folder / file.path
    try:
        with open_regular(place) as descriptor:
            yield descriptor
    except OSError as error:
        raise SourceRefused(f"{place} cannot be read: {error.strerror or error}") from error


def read_part(folder: Path, layout: Layout, start: int, size: int) -> bytes:
    """Up to `size` bytes of a datum from `start`; raises OSError or SourceRefused if a file is away.

    Returns fewer bytes if a file has become shorter; the caller verifies what is returned.
    """
    parts = []
    for segment in layout.segments(start, size):
        with open_regular(folder / segment.path) as descriptor:
            parts.append(os.pread(descriptor, segment.size, segment.offset))
    return b"".join(parts)
