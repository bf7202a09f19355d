"""Hosting: the leaves of a subset in one row, so that a leaf is found by its position."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
from struct import unpack
from typing import NamedTuple

from chain.primitives.codec import Record
from chain.primitives.types import HASH_BYTES, Hash

_END_BYTES = 8


class LeafRow(Record):
    """The leaves of a subset in one row: its datums in order, each with the position after its last leaf."""

    datums: bytes
    """Ids, 32 bytes each."""
    ends: bytes
    """8 bytes each, big-endian, ascending."""


class DatumLeaf(NamedTuple):
    """A leaf of a datum."""

    datum: Hash
    leaf_index: int


EMPTY_ROW = LeafRow(b"", b"")


def build_leaf_row(leaves: list[tuple[Hash, int]]) -> LeafRow:
    """The row of (datum, number of leaves), sorted by datum."""
    ends = accumulate(count for _, count in leaves)
    datums = b"".join(datum_id for datum_id, _ in leaves)
    return LeafRow(datums, b"".join(end.to_bytes(_END_BYTES, "big") for end in ends))


def list_leaves(row: LeafRow) -> Iterator[tuple[Hash, int]]:
    """(datum, number of leaves) of a row, in order."""
    ends = (0, *unpack(f">{len(row.ends) // _END_BYTES}Q", row.ends))
    for index, (start, end) in enumerate(pairwise(ends)):
        yield _get_datum(row, index), end - start


def compute_leaf_at(row: LeafRow, position: int) -> DatumLeaf:
    """The leaf at a position, which must be below the row's number of leaves."""
    count = len(row.ends) // _END_BYTES
    index = bisect_right(range(count), position, key=lambda at: _get_end(row, at))
    start = _get_end(row, index - 1) if index else 0
    return DatumLeaf(_get_datum(row, index), position - start)


def _get_end(row: LeafRow, index: int) -> int:
    return int.from_bytes(row.ends[index * _END_BYTES : (index + 1) * _END_BYTES], "big")


def _get_datum(row: LeafRow, index: int) -> Hash:
    return row.datums[index * HASH_BYTES : (index + 1) * HASH_BYTES]
