"""Where the bytes of a datum lie in its files.

The byte stream is the files in order, one after another. No input or output here.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from chain.content import FileEntry


@dataclass(frozen=True, slots=True)
class Segment:
    """`size` bytes of one file."""

    path: str
    offset: int
    size: int


class Layout:
    """The files of a datum, searchable by position in its byte stream."""

    def __init__(self, files: Sequence[FileEntry]) -> None:
        self._files = files
        self._ends = list(accumulate(entry.size for entry in files))

    def segments(self, start: int, size: int) -> Iterator[Segment]:
        """The pieces of files that hold bytes [start, start + size), in order; these bytes must exist."""
        assert 0 <= start <= start + size <= self._ends[-1]
        index = bisect_right(self._ends, start)
        while size:
            entry = self._files[index]
            offset = start - (self._ends[index] - entry.size)
            taken = min(size, entry.size - offset)
            if taken:
                yield Segment(entry.path, offset, taken)
            start, size, index = start + taken, size - taken, index + 1
