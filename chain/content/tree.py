"""The tree of hashes over a datum's bytes, and proofs of its chunks and leaves.

Leaves are 1 KiB (the last may be shorter), hashed under the leaf key. A list of n > 1 hashes splits at the
largest power of two below n (the shape of RFC 6962 section 2.1); pairs are hashed under the node key. So each
aligned run of 256 leaves, a chunk, has one node, and the tree over the chunks' nodes is the rest of the tree
over the leaves. The root is the hash of (top node, length), so a root has one length and one shape.

Invariants: a proof has exactly the siblings that its position needs; a chunk or leaf has exactly the size
that follows from the length. Checks raise InvalidProof. Does not read files or keep trees.
"""

from collections.abc import Sequence
from typing import Annotated

from blake3 import blake3
from msgspec import Meta

from chain.errors import InvalidProof
from chain.primitives.codec import Record
from chain.primitives.fixed_point import div_up
from chain.primitives.hashing import Domain, hash_bytes, hash_key, hash_record
from chain.primitives.types import Hash

LEAF_BYTES = 1024
CHUNK_LEAVES = 256
CHUNK_BYTES = CHUNK_LEAVES * LEAF_BYTES
DATUM_BYTES_MAX = 2**42
"""4 TiB: 2^32 leaves, so that a leaf index has 32 bits and a path at most 32 hashes."""

_CHUNK_LEVELS = 8
_LEAF_PATH_MAX = 32


class ChunkProof(Record):
    """The siblings of a chunk's node, from the bottom up."""

    path: Annotated[tuple[Hash, ...], Meta(max_length=_LEAF_PATH_MAX - _CHUNK_LEVELS)]


class LeafProof(Record):
    """The siblings of a leaf, from the bottom up: those inside its chunk, then those of its chunk."""

    path: Annotated[tuple[Hash, ...], Meta(max_length=_LEAF_PATH_MAX)]


def compute_leaf_count(length: int) -> int:
    """How many leaves a datum of `length` bytes has."""
    return div_up(length, LEAF_BYTES)


def compute_chunk_count(length: int) -> int:
    """How many chunks a datum of `length` bytes has."""
    return div_up(length, CHUNK_BYTES)


def compute_leaf_size(length: int, index: int) -> int:
    """The size of leaf `index`, which must exist, in bytes."""
    assert 0 <= index < compute_leaf_count(length)
    return min(LEAF_BYTES, length - index * LEAF_BYTES)


def compute_chunk_size(length: int, index: int) -> int:
    """The size of chunk `index`, which must exist, in bytes."""
    assert 0 <= index < compute_chunk_count(length)
    return min(CHUNK_BYTES, length - index * CHUNK_BYTES)


def compute_content_root(top: Hash, length: int) -> Hash:
    """The content root that the catalogue lists: the hash of top node and length."""
    return hash_record(Domain.CONTENT_ROOT, (top, length))


def compute_leaf_hashes(chunk: bytes | memoryview) -> list[Hash]:
    """The hashes of a chunk's leaves, in order.

    One hasher is reset for each leaf: making a new one would take as long as the hashing itself.
    """
    hasher = blake3(key=hash_key(Domain.CONTENT_LEAF))
    reset, update, digest = hasher.reset, hasher.update, hasher.digest
    view = memoryview(chunk)
    hashes = []
    for start in range(0, len(view), LEAF_BYTES):
        reset()
        update(view[start : start + LEAF_BYTES])
        hashes.append(digest())
    return hashes


def compute_parents(nodes: Sequence[Hash]) -> list[Hash]:
    """The level above `nodes`: pairs are hashed, an odd last node moves up unchanged."""
    hasher = blake3(key=hash_key(Domain.CONTENT_NODE))
    reset, update, digest = hasher.reset, hasher.update, hasher.digest
    parents = []
    for left in range(0, len(nodes) - 1, 2):
        reset()
        update(nodes[left] + nodes[left + 1])
        parents.append(digest())
    if len(nodes) % 2:
        parents.append(nodes[-1])
    return parents


def compute_levels(nodes: list[Hash]) -> list[list[Hash]]:
    """Every level of the tree over `nodes`, from the bottom to the single top."""
    assert nodes
    levels = [nodes]
    while len(levels[-1]) > 1:
        levels.append(compute_parents(levels[-1]))
    return levels


def compute_chunk_node(chunk: bytes | memoryview) -> Hash:
    """The node over a chunk's leaves."""
    return compute_levels(compute_leaf_hashes(chunk))[-1][0]


def compute_path(levels: Sequence[Sequence[Hash]], index: int) -> tuple[Hash, ...]:
    """The siblings of bottom node `index` in a tree made by `compute_levels`."""
    assert 0 <= index < len(levels[0])
    path = []
    for level in levels:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index >>= 1
    return tuple(path)


def compute_path_length(index: int, count: int) -> int:
    """How many siblings bottom node `index` of `count` has.

    Below the level where its path joins that of the last node it has one sibling per level. From there on it
    has one where the last node is a right child (its index is odd); elsewhere it moves up without one.
    """
    last = count - 1
    apart = (index ^ last).bit_length()
    return apart + (last >> apart).bit_count()


def compute_top(node: Hash, index: int, count: int, path: Sequence[Hash]) -> Hash:
    """The top node that `path` leads to from bottom node `index` of `count`; raises InvalidProof if it is too
    long or too short."""
    expected = compute_path_length(index, count)
    if len(path) != expected:
        raise InvalidProof(f"{len(path)} siblings, {expected} expected")
    hasher = blake3(key=hash_key(Domain.CONTENT_NODE))
    last, siblings = count - 1, iter(path)
    while last:
        if index & 1 or index < last:
            sibling = next(siblings)
            hasher.reset()
            hasher.update(sibling + node if index & 1 else node + sibling)
            node = hasher.digest()
        index >>= 1
        last >>= 1
    return node


def check_chunk_size(length: int, index: int, size: int) -> None:
    """Raises InvalidProof unless a datum of `length` bytes has a chunk `index`, of `size` bytes."""
    _check_position(length, index, compute_chunk_count(length))
    _check_size(size, compute_chunk_size(length, index))


def check_chunk_node(root: Hash, length: int, index: int, node: Hash, proof: ChunkProof) -> None:
    """Raises InvalidProof unless `node` is over chunk `index` of the datum with `root` and `length`."""
    _check_position(length, index, compute_chunk_count(length))
    top = compute_top(node, index, compute_chunk_count(length), proof.path)
    _check_root(root, length, top)


def check_chunk(root: Hash, length: int, index: int, chunk: bytes | memoryview, proof: ChunkProof) -> None:
    """Raises InvalidProof unless `chunk` is chunk `index` of the datum with `root` and `length`."""
    check_chunk_size(length, index, len(chunk))
    check_chunk_node(root, length, index, compute_chunk_node(chunk), proof)


def check_leaf(root: Hash, length: int, index: int, leaf: bytes, proof: LeafProof) -> None:
    """Raises InvalidProof unless `leaf` is leaf `index` of the datum with `root` and `length`."""
    count = compute_leaf_count(length)
    _check_position(length, index, count)
    _check_size(len(leaf), compute_leaf_size(length, index))
    top = compute_top(hash_bytes(Domain.CONTENT_LEAF, leaf), index, count, proof.path)
    _check_root(root, length, top)


def _check_position(length: int, index: int, count: int) -> None:
    if not 1 <= length <= DATUM_BYTES_MAX:
        raise InvalidProof(f"no datum has {length} bytes")
    if not 0 <= index < count:
        raise InvalidProof(f"position {index} is outside a datum of {count}")


def _check_size(size: int, expected: int) -> None:
    if size != expected:
        raise InvalidProof(f"{size} bytes, {expected} expected")


def _check_root(root: Hash, length: int, top: Hash) -> None:
    if compute_content_root(top, length) != root:
        raise InvalidProof("does not lead to the root")
