"""The tree cut at one depth: its slots there, a subtree from its pairs, the top from the slots.

A cut at depth d has 16^d places, in the order of their paths of d nibbles. The slot of a place represents
the keys below it: empty, the leaf of the only key, or the hash of the branch of two keys or more. The shape
of the tree depends on the map alone, so the slots determine the root, and each slot can be compared with the
pairs below its place without the others.

A version built here is whole: every node of it is stored under that version.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chain.commitment.nodes import (
    LEAF_BYTES,
    NO_SLOT,
    ROOT_PATH,
    SLOTS_MAX,
    VERSION_BYTES,
    Branch,
    NodeReader,
    NoNodes,
    compute_leaf,
    compute_nibbles,
    load_branch,
    load_root,
)
from chain.commitment.updates import TreeUpdate, TreeWriter
from chain.primitives.types import HASH_BYTES

Pair = tuple[bytes, bytes]


class Subtree(NamedTuple):
    """The slot of a place, and the nodes below it."""

    slot: bytes
    nodes: tuple[Pair, ...]


def compute_place_path(place: int, depth: int) -> bytes:
    """The path of a place, one byte per nibble."""
    return bytes(place >> 4 * (depth - 1 - level) & 0xF for level in range(depth))


def read_slots(reader: NodeReader, version: int, depth: int) -> tuple[bytes, ...]:
    """The slots of all places of a stored version; raises UnknownVersion, DamagedTree."""
    branch = load_root(reader, version)
    slots = [(branch.get_slot(nibble), branch.get_version(nibble)) for nibble in range(SLOTS_MAX)]
    for level in range(1, depth):
        slots = [
            below
            for place, (slot, node_version) in enumerate(slots)
            for below in _expand(reader, slot, node_version, compute_place_path(place, level))
        ]
    return tuple(slot for slot, _ in slots)


def _expand(reader: NodeReader, slot: bytes, version: bytes, path: bytes) -> list[Pair]:
    """The 16 slots below a place, each with the version of its branch."""
    if len(slot) == HASH_BYTES:
        branch = load_branch(reader, version + path)
        return [(branch.get_slot(nibble), branch.get_version(nibble)) for nibble in range(SLOTS_MAX)]
    below = [(NO_SLOT, b"")] * SLOTS_MAX
    if slot:
        below[compute_nibbles(slot[:HASH_BYTES])[len(path)]] = (slot, b"")
    return below


def is_at_home(slot: bytes, path: bytes) -> bool:
    """Whether a slot is possible at the path: a leaf must be below its own path."""
    return len(slot) != LEAF_BYTES or compute_nibbles(slot[:HASH_BYTES]).startswith(path)


def build_subtree(version: int, path: bytes, pairs: Iterable[Pair]) -> Subtree:
    """The subtree of pairs whose keys are all below `path`."""
    leaves = [compute_leaf(key, value) for key, value in pairs]
    changes = sorted((compute_nibbles(leaf[:HASH_BYTES]), leaf) for leaf in leaves)
    assert all(nibbles.startswith(path) for nibbles, _ in changes)
    writer = TreeWriter(NoNodes(), version)
    return Subtree(writer.grow(path, changes), tuple(writer.nodes))


def build_top(version: int, depth: int, slots: Sequence[bytes]) -> TreeUpdate:
    """The root that the slots lead to, and the nodes above them."""
    assert depth > 0 and len(slots) == SLOTS_MAX**depth
    writer = TreeWriter(NoNodes(), version)
    for level in range(depth - 1, 0, -1):
        groups = [slots[start : start + SLOTS_MAX] for start in range(0, len(slots), SLOTS_MAX)]
        slots = [
            writer.seal(_join(group, version), compute_place_path(place, level))
            for place, group in enumerate(groups)
        ]
    root = writer.store(_join(slots, version), ROOT_PATH)
    return TreeUpdate(version, root, tuple(writer.nodes), ())


def _join(slots: Sequence[bytes], version: int) -> Branch:
    branch = Branch()
    for nibble, slot in enumerate(slots):
        branch.set_slot(nibble, slot, version.to_bytes(VERSION_BYTES, "big"))
    return branch
