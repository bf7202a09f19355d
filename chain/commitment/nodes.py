"""Nodes of the state tree: their bytes, hashes and store keys.

Every node is a branch of up to 16 slots, and a slot is
    empty              no key below,
    leaf, 64 bytes     key hash + value hash: exactly one key below; it has no node of its own,
    branch, 32 bytes   hash of the child branch: two keys or more below.
The hash covers `present` (2 bytes, bit n: slot n is taken) + `leaves` (2 bytes, bit n: slot n is a leaf) +
the taken slots in order. The store has the same bytes and then the version (8 bytes) of each child branch,
under the node key: version + path, one byte per nibble. Versions are not hashed: the root would depend on
history.

ChainError
├── UnknownVersion   the root of this version was never written, or is pruned
└── DamagedTree      a node below a root is missing or not what its parent says: the store is damaged
"""

from struct import Struct
from typing import Protocol

from blake3 import blake3

from chain.errors import ChainError, InvalidProof
from chain.primitives.hashing import Domain, hash_key
from chain.primitives.types import HASH_BYTES, Hash

SLOTS_MAX = 16
PATH_NIBBLES_MAX = 2 * HASH_BYTES
VERSION_BYTES = 8
HEADER_BYTES = 4
LEAF_BYTES = 2 * HASH_BYTES
HASHED_NODE_BYTES_MAX = HEADER_BYTES + SLOTS_MAX * LEAF_BYTES

NO_SLOT = b""
ROOT_PATH = b""

# Bound once: a look-up per hash would take a tenth of the time of an update.
_KEY_KEY = hash_key(Domain.STATE_KEY)
_LEAF_KEY = hash_key(Domain.STATE_LEAF)
_NODE_KEY = hash_key(Domain.STATE_NODE)
_HEADER = Struct(">HH")
_NIBBLE_OF_DIGIT = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))


class UnknownVersion(ChainError):
    """No root of this version is stored."""


class DamagedTree(ChainError):
    """A node is missing or is not the one its parent names."""


class NodeReader(Protocol):
    """Read access to the nodes of stored versions."""

    def get_node(self, node_key: bytes) -> bytes | None:
        """The stored bytes of a node; None if it is not there."""


class NoNodes:
    """The reader of an empty store, for a tree without an earlier version."""

    def get_node(self, node_key: bytes) -> bytes | None:
        """None: there is no node."""
        return None


class Branch:
    """A decoded node. Changing a slot replaces the bytes, so nobody else's node changes."""

    __slots__ = ("leaves", "present", "slots", "versions")

    def __init__(self, present: int = 0, leaves: int = 0, slots: bytes = b"", versions: bytes = b"") -> None:
        self.present = present
        self.leaves = leaves
        self.slots = slots
        self.versions = versions

    def encode_hashed(self) -> bytes:
        """The bytes that the node's hash covers."""
        return _HEADER.pack(self.present, self.leaves) + self.slots

    def get_slot(self, nibble: int) -> bytes:
        """NO_SLOT, a leaf (64 bytes) or the hash of a child branch (32 bytes)."""
        start, stop, _ = self._locate(1 << nibble)
        return self.slots[start:stop]

    def get_version(self, nibble: int) -> bytes:
        """The version under which the child branch at `nibble` is stored."""
        _, _, start = self._locate(1 << nibble)
        return self.versions[start : start + VERSION_BYTES]

    def set_slot(self, nibble: int, slot: bytes, version: bytes = b"") -> None:
        """Replaces a slot; `version` counts only if the new slot is a branch."""
        bit = 1 << nibble
        start, stop, version_start = self._locate(bit)
        self.slots = self.slots[:start] + slot + self.slots[stop:]
        if stop - start == HASH_BYTES:
            self.versions = self.versions[:version_start] + self.versions[version_start + VERSION_BYTES :]
        if len(slot) == HASH_BYTES:
            self.versions = self.versions[:version_start] + version + self.versions[version_start:]
        if len(slot) != stop - start:
            self.present = self.present | bit if slot else self.present & ~bit
            self.leaves = self.leaves | bit if len(slot) == LEAF_BYTES else self.leaves & ~bit

    def _locate(self, bit: int) -> tuple[int, int, int]:
        """Start and stop of this bit's slot in `slots`, and start of its version in `versions`."""
        taken_below = (self.present & (bit - 1)).bit_count()
        leaves_below = (self.leaves & (bit - 1)).bit_count()
        start = HASH_BYTES * (taken_below + leaves_below)
        width = LEAF_BYTES if self.leaves & bit else HASH_BYTES if self.present & bit else 0
        return start, start + width, VERSION_BYTES * (taken_below - leaves_below)

    def get_only_slot(self) -> bytes | None:
        """The slot that replaces this branch in its parent: empty or its only leaf; None if it must stay."""
        return self.slots if not self.present or self._is_single_leaf() else None

    def _is_single_leaf(self) -> bool:
        return self.present == self.leaves and self.present.bit_count() == 1


def compute_node_hash(hashed: bytes) -> Hash:
    """The hash of a branch, from the bytes that its hash covers."""
    return blake3(hashed, key=_NODE_KEY).digest()


def compute_key_hash(key: bytes) -> Hash:
    """The hash of a key, whose nibbles are its path in the tree."""
    return blake3(key, key=_KEY_KEY).digest()


def compute_leaf(key: bytes, value: bytes) -> bytes:
    """The leaf of a key: the hashes of key and value."""
    return compute_key_hash(key) + blake3(value, key=_LEAF_KEY).digest()


def compute_node_key(version: int, path: bytes) -> bytes:
    """The store key of a node. Keys sort by version."""
    return version.to_bytes(VERSION_BYTES, "big") + path


EMPTY_ROOT: Hash = compute_node_hash(Branch().encode_hashed())


def get_root(reader: NodeReader, version: int) -> Hash:
    """The root of a version; raises UnknownVersion."""
    return compute_node_hash(load_root(reader, version).encode_hashed())


def compute_path(key: bytes) -> bytes:
    """The path of a key, one byte per nibble."""
    return compute_nibbles(compute_key_hash(key))


def compute_nibbles(key_hash: bytes) -> bytes:
    """The nibbles of a key hash, one byte each."""
    return key_hash.hex().encode().translate(_NIBBLE_OF_DIGIT)


def decode_hashed(hashed: bytes) -> Branch:
    """A branch of a proof, without versions; raises InvalidProof."""
    present, leaves = _HEADER.unpack_from(hashed)
    unit_count = present.bit_count() + leaves.bit_count()
    if leaves & ~present or len(hashed) != HEADER_BYTES + HASH_BYTES * unit_count:
        raise InvalidProof("malformed node")
    return Branch(present, leaves, hashed[HEADER_BYTES:])


def decode_stored(stored: bytes) -> Branch:
    """A branch of the store; raises DamagedTree if its length is wrong."""
    if len(stored) < HEADER_BYTES:
        raise DamagedTree("a node is shorter than its header")
    present, leaves = _HEADER.unpack_from(stored)
    slots_stop = HEADER_BYTES + HASH_BYTES * (present.bit_count() + leaves.bit_count())
    if len(stored) != slots_stop + VERSION_BYTES * (present & ~leaves).bit_count():
        raise DamagedTree("a node has the wrong length")
    return Branch(present, leaves, stored[HEADER_BYTES:slots_stop], stored[slots_stop:])


def load_root(reader: NodeReader, version: int) -> Branch:
    """The root node of a version; raises UnknownVersion."""
    stored = reader.get_node(compute_node_key(version, ROOT_PATH))
    if stored is None:
        raise UnknownVersion(f"no root of version {version}")
    return decode_stored(stored)


def load_branch(reader: NodeReader, node_key: bytes) -> Branch:
    """A node that its parent names; raises DamagedTree if it is missing."""
    stored = reader.get_node(node_key)
    if stored is None:
        raise DamagedTree(f"node {node_key.hex()} is missing")
    return decode_stored(stored)
