"""State as a sorted map from keys to bytes, and the layers that execution writes to.

A key is module number, item number, then fixed-width big-endian parts, so that `scan` walks an item in a
defined order. Reads go through the layers down to a `StateReader`; writes stay in the topmost `Overlay`
until its owner applies them. `StorageMap` and `StorageValue` give
types to the items of a module; nothing else here knows what a value means.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import islice, takewhile
from typing import Generic, Protocol, TypeVar

from chain.primitives.codec import decode_trusted, encode

INSERTED_MAX = 64
"""If more new keys than this are waiting, they are sorted in together, not one by one."""

KeyPart = bytes | int
Changes = Mapping[bytes, bytes | None]
T = TypeVar("T")


class StateReader(Protocol):
    """The reads that execution needs of the state below it."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`; None if there is none."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All pairs whose key starts with `prefix`, in the order of their keys."""
        ...


class MemoryState:
    """A state in a dict, for genesis and tests."""

    def __init__(self, values: Mapping[bytes, bytes] | None = None) -> None:
        self.values = dict(values or {})

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        return self.values.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Sorted pairs under `prefix`."""
        yield from sorted(pair for pair in self.values.items() if pair[0].startswith(prefix))

    def apply(self, changes: Changes) -> None:
        """Write a change set."""
        for key, value in changes.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value


class Overlay:
    """Writes on top of a reader; dropped or applied as a whole.

    A written key stays in `changes`, also when it is deleted. So new keys are always at its end, and the
    index for scans reads only those: the cost of a scan does not grow with the block.
    """

    __slots__ = ("_index", "base", "changes")

    def __init__(self, base: StateReader) -> None:
        self.base = base
        self.changes: dict[bytes, bytes | None] = {}
        self._index: list[bytes] = []
        """The keys of `changes` as of the last scan, sorted."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key` as this layer sees it."""
        if key in self.changes:
            return self.changes[key]
        return self.base.get(key)

    def set(self, key: bytes, value: bytes) -> None:
        """Write `value` in this layer."""
        self.changes[key] = value

    def delete(self, key: bytes) -> None:
        """Delete `key` in this layer."""
        self.changes[key] = None

    def apply(self, changes: Changes) -> None:
        """Apply the writes of a layer above."""
        self.changes.update(changes)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Sorted pairs under `prefix`, this layer's in place of older ones. Writes during a scan are safe."""
        own = {key: self.changes[key] for key in self._find_own(prefix)}
        below = ((key, value) for key, value in self.base.scan(prefix) if key not in own)
        written = ((key, value) for key, value in own.items() if value is not None)
        yield from merge(below, written)

    def _find_own(self, prefix: bytes) -> Iterator[bytes]:
        """This layer's keys under `prefix`, sorted."""
        fresh = list(islice(reversed(self.changes), len(self.changes) - len(self._index)))
        if len(fresh) > INSERTED_MAX:
            self._index = sorted(self.changes)
        else:
            for key in fresh:
                insort(self._index, key)
        index, start = self._index, bisect_left(self._index, prefix)
        following = (index[place] for place in range(start, len(index)))
        return takewhile(lambda key: key.startswith(prefix), following)


def encode_key(parts: tuple[KeyPart, ...]) -> bytes:
    """The parts of a key in order: integers as 8 bytes big-endian, bytes unchanged."""
    return b"".join(part.to_bytes(8, "big") if isinstance(part, int) else part for part in parts)


class StorageValue(Generic[T]):
    """One typed item of a module."""

    def __init__(self, module: int, item: int, kind: type[T]) -> None:
        self.key = bytes((module, item))
        self.kind = kind

    def get(self, state: StateReader) -> T | None:
        """The item; None if it is not set."""
        data = state.get(self.key)
        return None if data is None else decode_trusted(self.kind, data)

    def require(self, state: StateReader) -> T:
        """The item, which genesis has set."""
        value = self.get(state)
        assert value is not None, f"state item {self.key.hex()} is not set"
        return value

    def set(self, state: Overlay, value: T) -> None:
        """Write the item."""
        state.set(self.key, encode(value))

    def delete(self, state: Overlay) -> None:
        """Delete the item."""
        state.delete(self.key)


class StorageMap(Generic[T]):
    """A typed map of a module; its key parts have a fixed width, so that key order is the order of parts."""

    def __init__(self, module: int, item: int, kind: type[T]) -> None:
        self.prefix = bytes((module, item))
        self.kind = kind

    def key(self, *parts: KeyPart) -> bytes:
        """The state key of an entry, for proofs."""
        return self.prefix + encode_key(parts)

    def get(self, state: StateReader, *parts: KeyPart) -> T | None:
        """The entry; None if there is none."""
        data = state.get(self.prefix + encode_key(parts))
        return None if data is None else decode_trusted(self.kind, data)

    def has(self, state: StateReader, *parts: KeyPart) -> bool:
        """Whether the entry exists."""
        return state.get(self.prefix + encode_key(parts)) is not None

    def set(self, state: Overlay, value: T, *parts: KeyPart) -> None:
        """Write the entry."""
        state.set(self.prefix + encode_key(parts), encode(value))

    def delete(self, state: Overlay, *parts: KeyPart) -> None:
        """Delete the entry."""
        state.delete(self.prefix + encode_key(parts))

    def items(self, state: StateReader, *parts: KeyPart) -> Iterator[tuple[bytes, T]]:
        """Entries whose key starts with `parts`, in order, each with the rest of its key."""
        prefix = self.prefix + encode_key(parts)
        for key, data in state.scan(prefix):
            yield key[len(prefix) :], decode_trusted(self.kind, data)
