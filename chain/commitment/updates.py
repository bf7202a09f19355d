"""A new version of the state tree from an old one and a change set.

The shape is canonical: a branch other than the root has two keys or more below it, so a deletion can replace
branches by their last leaf. Cost: each branch above a changed key is read, hashed and written once.
"""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from chain.commitment.nodes import (
    NO_SLOT,
    ROOT_PATH,
    VERSION_BYTES,
    Branch,
    NodeReader,
    compute_leaf,
    compute_nibbles,
    compute_node_hash,
    compute_node_key,
    compute_path,
    load_branch,
    load_root,
)
from chain.primitives.types import HASH_BYTES, Hash

Change = tuple[bytes, bytes]
"""(nibbles of the key hash, the leaf to put there or NO_SLOT to delete)"""


class TreeUpdate(NamedTuple):
    """A new version: the nodes to write, and the keys of nodes that this and later versions do not use."""

    version: int
    root: Hash
    nodes: tuple[tuple[bytes, bytes], ...]
    stale: tuple[bytes, ...]


def update(
    reader: NodeReader, previous: int | None, version: int, changes: Mapping[bytes, bytes | None]
) -> TreeUpdate:
    """The tree of `previous` (None: empty) with the changes; value None deletes a key, if it is there."""
    assert previous is None or previous < version
    return TreeWriter(reader, version).run(previous, changes)


class TreeWriter:
    """Makes one version: collects its nodes and the node keys it makes stale."""

    def __init__(self, reader: NodeReader, version: int) -> None:
        self._reader = reader
        self._version = version
        self._version_bytes = version.to_bytes(VERSION_BYTES, "big")
        self.nodes: list[tuple[bytes, bytes]] = []
        self._stale: list[bytes] = []

    def run(self, previous: int | None, changes: Mapping[bytes, bytes | None]) -> TreeUpdate:
        """Apply the changes to `previous`; see `update`."""
        branch = Branch()
        if previous is not None:
            branch = load_root(self._reader, previous)
            self._stale.append(compute_node_key(previous, ROOT_PATH))
        self._merge(branch, ROOT_PATH, sorted(map(_compute_change, changes.items())))
        root = self.store(branch, ROOT_PATH)
        return TreeUpdate(self._version, root, tuple(self.nodes), tuple(self._stale))

    def _merge(self, branch: Branch, path: bytes, changes: list[Change]) -> bool:
        """Apply the sorted changes, all below `path`, to the branch; returns whether it changed."""
        depth = len(path)
        has_changed = False
        for nibble, group in _group(changes, depth):
            old = branch.get_slot(nibble)
            new = self._replace_slot(branch, nibble, old, path, group)
            if new != old:
                branch.set_slot(nibble, new, self._version_bytes)
                has_changed = True
        return has_changed

    def _replace_slot(
        self, parent: Branch, nibble: int, old: bytes, path: bytes, changes: list[Change]
    ) -> bytes:
        """The slot after the changes."""
        child_path = changes[0][0][: len(path) + 1]
        if len(old) == HASH_BYTES:
            return self._update_branch(parent.get_version(nibble) + child_path, old, child_path, changes)
        if len(changes) == 1 and old[:HASH_BYTES] in (NO_SLOT, changes[0][1][:HASH_BYTES]):
            return changes[0][1]
        return self.grow(child_path, _add_leaf(changes, old))

    def _update_branch(self, node_key: bytes, old: bytes, path: bytes, changes: list[Change]) -> bytes:
        """The slot of a stored branch after the changes; `old` if they change nothing."""
        branch = load_branch(self._reader, node_key)
        if not self._merge(branch, path, changes):
            return old
        self._stale.append(node_key)
        return self.seal(branch, path)

    def grow(self, path: bytes, changes: list[Change]) -> bytes:
        """The slot at a path without a branch: empty, a leaf, or a new branch."""
        branch = Branch()
        self._merge(branch, path, [change for change in changes if change[1]])
        return self.seal(branch, path)

    def seal(self, branch: Branch, path: bytes) -> bytes:
        """The slot of a branch in its parent; a branch with fewer than two keys is replaced by its leaf."""
        only = branch.get_only_slot()
        return self.store(branch, path) if only is None else only

    def store(self, branch: Branch, path: bytes) -> Hash:
        """Add the node of a branch to the version; returns its hash."""
        hashed = branch.encode_hashed()
        self.nodes.append((self._version_bytes + path, hashed + branch.versions))
        return compute_node_hash(hashed)


def _group(changes: list[Change], depth: int) -> list[tuple[int, list[Change]]]:
    """The sorted changes, grouped by their nibble at `depth`."""
    if len(changes) == 1:  # the usual case deep in a large tree
        return [(changes[0][0][depth], changes)]
    return [(nibble, list(group)) for nibble, group in groupby(changes, key=lambda change: change[0][depth])]


def _compute_change(item: tuple[bytes, bytes | None]) -> Change:
    key, value = item
    if value is None:
        return compute_path(key), NO_SLOT
    leaf = compute_leaf(key, value)
    return compute_nibbles(leaf[:HASH_BYTES]), leaf


def _add_leaf(changes: list[Change], leaf: bytes) -> list[Change]:
    """The sorted changes with the leaf that was there before, unless they change the same key."""
    if not leaf:
        return changes
    path = compute_nibbles(leaf[:HASH_BYTES])
    index = bisect_left(changes, path, key=itemgetter(0))
    if index < len(changes) and changes[index][0] == path:
        return changes
    return [*changes[:index], (path, leaf), *changes[index:]]
