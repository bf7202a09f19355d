"""A new version of the state tree out of an old one and a change set.

The shape is canonical: a branch other than the root has two keys or more below, so a deletion folds
branches back into their parents. Cost: each branch above a changed key is read, hashed and written once.
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
    """A new version: what to write, and what no version from this one on uses any more."""

    version: int
    root: Hash
    nodes: tuple[tuple[bytes, bytes], ...]
    stale: tuple[bytes, ...]


def update(
    reader: NodeReader, previous: int | None, version: int, changes: Mapping[bytes, bytes | None]
) -> TreeUpdate:
    """The tree of `previous` (None: an empty one) with the changes made; the value None deletes if it can."""
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
        """As `update`."""
        branch = Branch()
        if previous is not None:
            branch = load_root(self._reader, previous)
            self._stale.append(compute_node_key(previous, ROOT_PATH))
        self._merge(branch, ROOT_PATH, sorted(map(_compute_change, changes.items())))
        root = self.store(branch, ROOT_PATH)
        return TreeUpdate(self._version, root, tuple(self.nodes), tuple(self._stale))

    def _merge(self, branch: Branch, path: bytes, changes: list[Change]) -> bool:
        """Makes the sorted changes, all below `path`, in the branch; whether anything differs from before."""
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
        """The slot of a stored branch after the changes: itself if they change nothing."""
        branch = load_branch(self._reader, node_key)
        if not self._merge(branch, path, changes):
            return old
        self._stale.append(node_key)
        return self.seal(branch, path)

    def grow(self, path: bytes, changes: list[Change]) -> bytes:
        """The slot for a place that had no branch: nothing, a leaf, or a new branch."""
        branch = Branch()
        self._merge(branch, path, [change for change in changes if change[1]])
        return self.seal(branch, path)

    def seal(self, branch: Branch, path: bytes) -> bytes:
        """What stands in the parent: a branch with fewer than two keys below gives way to what it holds."""
        only = branch.get_only_slot()
        return self.store(branch, path) if only is None else only

    def store(self, branch: Branch, path: bytes) -> Hash:
        """The hash of a branch that is there whatever it holds."""
        hashed = branch.encode_hashed()
        self.nodes.append((self._version_bytes + path, hashed + branch.versions))
        return compute_node_hash(hashed)


def _group(changes: list[Change], depth: int) -> list[tuple[int, list[Change]]]:
    """The sorted changes by their nibble at `depth`."""
    if len(changes) == 1:  # most groups, low in a large tree
        return [(changes[0][0][depth], changes)]
    return [(nibble, list(group)) for nibble, group in groupby(changes, key=lambda change: change[0][depth])]


def _compute_change(item: tuple[bytes, bytes | None]) -> Change:
    key, value = item
    if value is None:
        return compute_path(key), NO_SLOT
    leaf = compute_leaf(key, value)
    return compute_nibbles(leaf[:HASH_BYTES]), leaf


def _add_leaf(changes: list[Change], leaf: bytes) -> list[Change]:
    """The sorted changes and, unless they decide about the same key, the leaf that was there before."""
    if not leaf:
        return changes
    path = compute_nibbles(leaf[:HASH_BYTES])
    index = bisect_left(changes, path, key=itemgetter(0))
    if index < len(changes) and changes[index][0] == path:
        return changes
    return [*changes[:index], (path, leaf), *changes[index:]]
