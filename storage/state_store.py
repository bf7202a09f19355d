"""The state on disk: flat values for reading, and the versioned tree that commits to them.

A version is a block height. A new one is computed (`compute_update`), staged as entries for the block's own
batch (`stage`), and taken for the head once that batch is on disk (`on_written`): values, tree, head and
pruning happen with the block or not at all. Only the latest values are kept; of the tree the last
`versions_kept` versions, so that recent roots stay provable. Version v keeps a record of the nodes it
replaced; they go when no version below v is kept any more, so pruning costs what the block cost and never
walks the tree.

Reads of values and proofs may happen in any thread; the rest belongs to the thread that writes.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from chain.commitment import (
    DamagedTree,
    NodeReader,
    Proof,
    TreeUpdate,
    UnknownVersion,
    check_tree,
    compute_summary,
    get_root,
    prove,
    read_slots,
    update,
)
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Hash, Height
from storage.errors import RESYNC, CorruptStore
from storage.kv import Entry, KeyColumn, KeyValueReader, Prefix

VERSIONS_KEPT = 256
NODES_CACHED_MAX = 65_536
"""About 40 MB when full: the whole tree of 10^5 keys, or of 10^6 keys all that many keys share."""
PRUNED_VERSIONS_MAX = 16
"""Versions dropped with one block: more than one only after `versions_kept` was lowered."""

_HEAD_KEY = b"head"
_VERSION_BYTES = 8

Changes = Mapping[bytes, bytes | None]
Pairs = Iterable[tuple[bytes, bytes]]


class StateHead(Record):
    """The latest version and its root."""

    version: Height
    root: Hash


class _NodeColumn:
    """The tree's nodes on disk."""

    def __init__(self, column: KeyColumn) -> None:
        self._column = column

    def get_node(self, node_key: bytes) -> bytes | None:
        return self._column.get(node_key)


class _NodeCache:
    """The nodes of the head that were used last; the upper levels of the tree are always among them."""

    def __init__(self, below: NodeReader, nodes_max: int) -> None:
        self._below = below
        self._nodes_max = nodes_max
        self._nodes: OrderedDict[bytes, bytes] = OrderedDict()

    def get_node(self, node_key: bytes) -> bytes | None:
        stored = self._nodes.get(node_key)
        if stored is not None:
            self._nodes.move_to_end(node_key)
            return stored
        stored = self._below.get_node(node_key)
        if stored is not None:
            self._add(node_key, stored)
        return stored

    def take_over(self, tree: TreeUpdate) -> None:
        for node_key in tree.stale:
            self._nodes.pop(node_key, None)
        for node_key, stored in tree.nodes:
            self._add(node_key, stored)

    def _add(self, node_key: bytes, stored: bytes) -> None:
        self._nodes[node_key] = stored
        if len(self._nodes) > self._nodes_max:
            self._nodes.popitem(last=False)


class StateStore:
    """The state in four columns of a store; raises CorruptStore if head and tree do not agree."""

    def __init__(
        self,
        store: KeyValueReader,
        *,
        versions_kept: int = VERSIONS_KEPT,
        nodes_cached_max: int = NODES_CACHED_MAX,
    ) -> None:
        assert versions_kept >= 2, "the version a block replaces is dropped with the next one at the earliest"
        self._values = KeyColumn(store, Prefix.STATE_VALUE)
        self._nodes = KeyColumn(store, Prefix.STATE_NODE)
        self._stale = KeyColumn(store, Prefix.STATE_STALE)
        self._meta = KeyColumn(store, Prefix.STATE_META)
        self._versions_kept = versions_kept
        self._reader = _NodeColumn(self._nodes)
        self._cache = _NodeCache(self._reader, nodes_cached_max)
        self.head = self._load_head()

    def get(self, key: bytes) -> bytes | None:
        """The value at `key` in the head's state."""
        return self._values.get(key)

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The pairs of the head's state whose key begins with `prefix`, in key order, from `start` on."""
        return self._values.iterate(prefix, start=start)

    def compute_update(self, version: int, changes: Changes) -> TreeUpdate:
        """The tree after the changes, as a new version on top of the head; writes nothing."""
        return update(self._cache, self.head.version if self.head else None, version, changes)

    def stage(self, tree: TreeUpdate, changes: Changes) -> list[Entry]:
        """Batch entries that make `tree` the head's state."""
        assert self.head is None or tree.version > self.head.version
        entries = [self._values.entry(key, value) for key, value in changes.items()]
        entries += [self._nodes.entry(node_key, stored) for node_key, stored in tree.nodes]
        entries += self._stage_pruning(tree)
        entries.append(self._meta.entry(_HEAD_KEY, encode(StateHead(tree.version, tree.root))))
        return entries

    def on_written(self, tree: TreeUpdate) -> None:
        """The staged entries are on disk: `tree` is the head."""
        self._cache.take_over(tree)
        self.head = StateHead(tree.version, tree.root)

    def stage_part(self, pairs: Pairs, nodes: Pairs) -> list[Entry]:
        """Batch entries for a part of a state; readers see nothing of it before `stage_top`."""
        assert self.head is None
        entries = [self._values.entry(key, value) for key, value in pairs]
        return entries + [self._nodes.entry(node_key, stored) for node_key, stored in nodes]

    def stage_top(self, tree: TreeUpdate) -> list[Entry]:
        """Batch entries for the nodes above the parts and for the head, which make the state readable."""
        assert self.head is None
        entries = [self._nodes.entry(node_key, stored) for node_key, stored in tree.nodes]
        return [*entries, self._meta.entry(_HEAD_KEY, encode(StateHead(tree.version, tree.root)))]

    def list_slots(self, depth: int) -> tuple[bytes, ...]:
        """The slots of the head's tree, cut at this depth."""
        assert self.head is not None
        return read_slots(self._reader, self.head.version, depth)

    def prove(self, key: bytes, version: int) -> Proof:
        """The proof of the key's value, or its absence, at a kept version; raises UnknownVersion."""
        if self.head is None or not self._compute_oldest(self.head.version) <= version <= self.head.version:
            raise UnknownVersion(f"version {version} is not kept")
        return prove(self._reader, version, key)

    def check_integrity(self) -> None:
        """Re-hashes the head's whole tree and all values; raises CorruptStore. Seconds per 10^6 keys."""
        if self.head is None:
            return
        try:
            summary = check_tree(self._reader, self.head.version, self.head.root)
        except (DamagedTree, UnknownVersion) as error:
            raise CorruptStore(f"state tree: {error}; {RESYNC}") from error
        if summary != compute_summary(self.scan(b"")):
            raise CorruptStore(f"the state's values are not those of version {self.head.version}; {RESYNC}")

    def _load_head(self) -> StateHead | None:
        data = self._meta.get(_HEAD_KEY)
        if data is None:
            return None
        try:
            head = decode(StateHead, data)
            is_consistent = get_root(self._reader, head.version) == head.root
        except (DecodeError, DamagedTree, UnknownVersion) as error:
            raise CorruptStore(f"state head: {error}; {RESYNC}") from error
        if not is_consistent:
            raise CorruptStore(f"the root of version {head.version} is not that of the state head; {RESYNC}")
        return head

    def _compute_oldest(self, version: int) -> int:
        """The oldest version that is kept when `version` is the head."""
        return max(0, version - self._versions_kept + 1)

    def _stage_pruning(self, tree: TreeUpdate) -> list[Entry]:
        """Batch entries that record the nodes `tree` replaces, and delete those that only dropped versions
        used.
        """
        entries = [self._stale.entry(_encode_version(tree.version), encode(tree.stale))]
        stop = _encode_version(self._compute_oldest(tree.version) + 1)
        for version_key, data in islice(self._stale.iterate(stop=stop), PRUNED_VERSIONS_MAX):
            entries += [self._nodes.entry(node_key, None) for node_key in _decode_stale(data)]
            entries.append(self._stale.entry(version_key, None))
        return entries


def _decode_stale(data: bytes) -> tuple[bytes, ...]:
    try:
        return decode(tuple[bytes, ...], data)
    except DecodeError as error:
        raise CorruptStore(f"record of replaced nodes: {error}; {RESYNC}") from error


def _encode_version(version: int) -> bytes:
    return version.to_bytes(_VERSION_BYTES, "big")
