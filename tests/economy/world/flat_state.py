"""The state of an arena: an overlay over nothing, whose scans read one sorted list."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice

from chain.state import INSERTED_MAX, MemoryState, Overlay

AFTER = b"\xff" * 64
"""No key of the state that begins with a prefix lies behind the prefix and this."""


class FlatState(Overlay):
    """Reads as an overlay over an empty state does, in less time."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MemoryState())

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Sorted pairs under `prefix`, as they are now: writes during a scan are safe."""
        self._sort()
        index, changes = self._index, self.changes
        keys = index[bisect_left(index, prefix) : bisect_left(index, prefix + AFTER)]
        pairs = [(key, changes[key]) for key in keys]
        return iter([(key, value) for key, value in pairs if value is not None])

    def _sort(self) -> None:
        fresh = list(islice(reversed(self.changes), len(self.changes) - len(self._index)))
        if len(fresh) > INSERTED_MAX:
            self._index = sorted(self.changes)
            return
        for key in fresh:
            insort(self._index, key)

    def copy(self) -> "FlatState":
        """The same state without what was deleted."""
        fresh = FlatState()
        fresh.changes = {key: value for key, value in self.changes.items() if value is not None}
        return fresh
