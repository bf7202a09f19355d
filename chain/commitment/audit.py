"""The audit of a stored version: hashes every node again, and makes a summary to compare with the values."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from blake3 import blake3

from chain.commitment.nodes import (
    LEAF_BYTES,
    ROOT_PATH,
    SLOTS_MAX,
    Branch,
    DamagedTree,
    NodeReader,
    compute_leaf,
    compute_node_hash,
    load_branch,
    load_root,
)
from chain.primitives.types import HASH_BYTES, Hash

LEAF_SUM_MODULUS = 2 ** (8 * HASH_BYTES)


class TreeSummary(NamedTuple):
    """The summary of a map, for comparing a tree with the flat values: equal maps have equal summaries."""

    key_count: int
    leaf_sum: int


def check_tree(reader: NodeReader, version: int, root: Hash) -> TreeSummary:
    """Reads and re-hashes the whole tree of a version; raises DamagedTree. Compare with `compute_summary`."""
    branch = load_root(reader, version)
    if compute_node_hash(branch.encode_hashed()) != root:
        raise DamagedTree(f"the root of version {version} is not {root.hex()}")
    return _summarize(_iterate_leaves(reader, branch, ROOT_PATH))


def compute_summary(items: Iterable[tuple[bytes, bytes]]) -> TreeSummary:
    """The summary of a map given as its items, in any order."""
    return _summarize(compute_leaf(key, value) for key, value in items)


def _iterate_leaves(reader: NodeReader, branch: Branch, path: bytes) -> Iterator[bytes]:
    """Every leaf below, in the order of key hashes; each node is checked against its parent."""
    for nibble in range(SLOTS_MAX):
        slot = branch.get_slot(nibble)
        if len(slot) == LEAF_BYTES:
            yield slot
        elif slot:
            child_path = path + bytes((nibble,))
            child = load_branch(reader, branch.get_version(nibble) + child_path)
            if compute_node_hash(child.encode_hashed()) != slot:
                raise DamagedTree(f"the node at {child_path.hex()} is not the one its parent names")
            yield from _iterate_leaves(reader, child, child_path)


def _summarize(leaves: Iterable[bytes]) -> TreeSummary:
    # A sum does not depend on the order, so neither side must be sorted or held in memory. It finds faults,
    # not forgeries: the tree's own side is bound to the root already.
    key_count = leaf_sum = 0
    for leaf in leaves:
        key_count += 1
        leaf_sum += int.from_bytes(blake3(leaf).digest(), "big")
    return TreeSummary(key_count, leaf_sum % LEAF_SUM_MODULUS)
