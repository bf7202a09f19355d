"""The tree over content: shape, proofs, and that nothing else is accepted."""

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.content.tree import (
    CHUNK_BYTES,
    CHUNK_LEAVES,
    DATUM_BYTES_MAX,
    LEAF_BYTES,
    ChunkProof,
    LeafProof,
    check_chunk,
    check_leaf,
    compute_chunk_count,
    compute_chunk_node,
    compute_chunk_size,
    compute_content_root,
    compute_leaf_count,
    compute_leaf_hashes,
    compute_leaf_size,
    compute_levels,
    compute_path,
    compute_path_length,
    compute_top,
)
from chain.errors import InvalidProof
from chain.primitives.codec import decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.hashing import Domain, hash_bytes

BOUNDARIES = (
    1,
    1023,
    1024,
    1025,
    2048,
    3000,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    5 * CHUNK_BYTES + 7,
)


def make_bytes(length):
    return blake3(length.to_bytes(8, "big")).digest(length)


def compute_top_by_definition(leaves):
    """RFC 6962 section 2.1, written from its text."""
    if len(leaves) == 1:
        return hash_bytes(Domain.CONTENT_LEAF, leaves[0])
    cut = 1
    while cut * 2 < len(leaves):
        cut *= 2
    left, right = compute_top_by_definition(leaves[:cut]), compute_top_by_definition(leaves[cut:])
    return hash_bytes(Domain.CONTENT_NODE, left + right)


def split(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


class Tree:
    """A whole tree in memory, with the proofs of its parts."""

    def __init__(self, data):
        self.data, self.length = data, len(data)
        self.leaves, self.chunks = split(data, LEAF_BYTES), split(data, CHUNK_BYTES)
        self.levels = compute_levels([compute_chunk_node(chunk) for chunk in self.chunks])
        self.root = compute_content_root(self.levels[-1][0], self.length)

    def chunk_proof(self, index):
        return ChunkProof(compute_path(self.levels, index))

    def leaf_proof(self, index):
        chunk, place = divmod(index, CHUNK_LEAVES)
        inside = compute_levels(compute_leaf_hashes(self.chunks[chunk]))
        return LeafProof(compute_path(inside, place) + compute_path(self.levels, chunk))


@pytest.mark.parametrize("length", BOUNDARIES)
def test_tree_is_the_one_of_the_definition(length):
    """The tree built by chunks is the tree that RFC 6962 defines over all leaves."""
    tree = Tree(make_bytes(length))
    assert tree.levels[-1][0] == compute_top_by_definition(tree.leaves)


@pytest.mark.parametrize("length", BOUNDARIES)
def test_every_chunk_and_the_outer_leaves_verify(length):
    """Each chunk verifies alone, and so do the first, second, middle and last leaves."""
    tree = Tree(make_bytes(length))
    for index, chunk in enumerate(tree.chunks):
        check_chunk(tree.root, length, index, chunk, tree.chunk_proof(index))
    count = len(tree.leaves)
    for index in {0, min(1, count - 1), count // 2, count - 1}:
        check_leaf(tree.root, length, index, tree.leaves[index], tree.leaf_proof(index))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3 * CHUNK_BYTES), st.randoms(use_true_random=False))
def test_any_length_round_trips(length, random):
    """For any length, a random leaf and its chunk verify, and their sizes are as computed."""
    tree = Tree(make_bytes(length))
    leaf = random.randrange(compute_leaf_count(length))
    chunk = leaf // CHUNK_LEAVES
    assert len(tree.leaves[leaf]) == compute_leaf_size(length, leaf)
    assert len(tree.chunks[chunk]) == compute_chunk_size(length, chunk)
    check_leaf(tree.root, length, leaf, tree.leaves[leaf], tree.leaf_proof(leaf))
    check_chunk(tree.root, length, chunk, tree.chunks[chunk], tree.chunk_proof(chunk))


@given(st.integers(1, 2**24), st.data())
def test_path_length_follows_from_the_position(count, data):
    """A path has one sibling on each level but those where the node is an odd last one."""
    index = data.draw(st.integers(0, count - 1))
    expected, place, last = 0, index, count - 1
    while last:
        expected += place % 2 == 1 or place < last
        place, last = place // 2, last // 2
    assert compute_path_length(index, count) == expected


def test_vectors():
    """The roots of fixed bytes never change: byte i is i mod 251."""
    known = {
        1: "78a22dbae2b57454d1dd4e8f0182c61c192d5133ee1809aed7ada0eff57ddc9d",
        1024: "72fa78ad3f5eb39c79bacb9f6a217297d91cd8dd3f7aa8af4a4cb92206289b67",
        1025: "6aeb65ac3edcad85607379af8c3ed360455b9ac671e216be883a68940d52800e",
        262144: "5c43e0d1550d3aee44c6bd5de0dea8e165cc733821557d5f9f1808ce54db31ea",
        262145: "a369f59f0fa19c0ac335667e9c1c8d401dede69924a0e64e2bcf52f9d47e4223",
        700000: "01967e0e12f2110a255381447886c7987037f2a46483b5d62c3bc4e3053dd1c1",
    }
    for length, root in known.items():
        assert Tree(bytes(i % 251 for i in range(length))).root.hex() == root


@pytest.mark.parametrize("length", [1, 1025, 4097])
def test_every_flipped_byte_of_a_leaf_or_its_proof_is_refused(length):
    """No byte of a leaf, of its path or of the root can change."""
    tree = Tree(make_bytes(length))
    index = len(tree.leaves) - 1
    leaf, proof = tree.leaves[index], tree.leaf_proof(index)
    for changed in flips(leaf):
        refuse_leaf(tree.root, length, index, changed, proof)
    for changed in flips(tree.root):
        refuse_leaf(changed, length, index, leaf, proof)
    for place, sibling in enumerate(proof.path):
        for changed in flips(sibling):
            path = (*proof.path[:place], changed, *proof.path[place + 1 :])
            refuse_leaf(tree.root, length, index, leaf, LeafProof(path))


def flips(data):
    return [data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :] for place in range(len(data))]


def refuse_leaf(*arguments):
    with pytest.raises(InvalidProof):
        check_leaf(*arguments)


def refuse_chunk(*arguments):
    with pytest.raises(InvalidProof):
        check_chunk(*arguments)


def test_a_flipped_byte_anywhere_in_a_chunk_is_refused():
    """A change in the first, last or any sampled byte of a chunk is found."""
    tree = Tree(make_bytes(CHUNK_BYTES + 5000))
    for place in (0, 1023, 1024, 77_777, CHUNK_BYTES - 1):
        chunk = bytearray(tree.chunks[0])
        chunk[place] ^= 128
        refuse_chunk(tree.root, tree.length, 0, bytes(chunk), tree.chunk_proof(0))


def test_positions_lengths_and_sizes_are_exact():
    """Another index, another length, a short, long or empty part, or a longer or shorter path is refused."""
    tree = Tree(make_bytes(3 * CHUNK_BYTES + 100))
    leaf, proof = tree.leaves[5], tree.leaf_proof(5)
    for index in (4, 6, -1, len(tree.leaves), 2**40):
        refuse_leaf(tree.root, tree.length, index, leaf, proof)
    for length in (tree.length - 1, tree.length + 1, 0, -1, 2**62):
        refuse_leaf(tree.root, length, 5, leaf, proof)
        refuse_chunk(tree.root, length, 0, tree.chunks[0], tree.chunk_proof(0))
    for part in (leaf[:-1], leaf + b"\0", b""):
        refuse_leaf(tree.root, tree.length, 5, part, proof)
    for path in (proof.path[:-1], (*proof.path, bytes(32)), ()):
        refuse_leaf(tree.root, tree.length, 5, leaf, LeafProof(path))
    for index in (1, -1, 4, 2**40):
        refuse_chunk(tree.root, tree.length, index, tree.chunks[0], tree.chunk_proof(0))
    for part in (tree.chunks[0][:-1], tree.chunks[0] + b"\0", b""):
        refuse_chunk(tree.root, tree.length, 0, part, tree.chunk_proof(0))


def test_a_node_does_not_pass_for_a_leaf():
    """The 64 bytes below a node are not accepted as a leaf: leaves and nodes have keys of their own."""
    tree = Tree(make_bytes(2048))
    pair = b"".join(hash_bytes(Domain.CONTENT_LEAF, leaf) for leaf in tree.leaves)
    assert compute_top_by_definition([pair]) != tree.levels[-1][0]
    forged = compute_content_root(tree.levels[-1][0], 64)
    refuse_leaf(forged, 64, 0, pair, LeafProof(()))


@pytest.mark.parametrize("size", [1, 1023, 1025, 5000])
def test_a_tree_over_leaves_of_other_sizes_proves_nothing(size):
    """A root over leaves that are not 1 KiB cannot be proven: leaves are bytes of the datum."""
    leaf, other = make_bytes(size), hash_bytes(Domain.CONTENT_LEAF, make_bytes(LEAF_BYTES))
    top = hash_bytes(Domain.CONTENT_NODE, hash_bytes(Domain.CONTENT_LEAF, leaf) + other)
    root = compute_content_root(top, 2 * LEAF_BYTES)
    refuse_leaf(root, 2 * LEAF_BYTES, 0, leaf, LeafProof((other,)))


def test_proofs_of_the_largest_datum_fit_their_records():
    """The bounds of the records are the longest paths there are."""
    leaves, chunks = compute_leaf_count(DATUM_BYTES_MAX), compute_chunk_count(DATUM_BYTES_MAX)
    path = (bytes(32),) * compute_path_length(0, leaves)
    assert decode(LeafProof, encode(LeafProof(path))) == LeafProof(path)
    with pytest.raises(DecodeError):
        decode(LeafProof, encode(LeafProof((*path, bytes(32)))))
    path = (bytes(32),) * compute_path_length(0, chunks)
    assert decode(ChunkProof, encode(ChunkProof(path))) == ChunkProof(path)
    with pytest.raises(DecodeError):
        decode(ChunkProof, encode(ChunkProof((*path, bytes(32)))))


def test_a_leaf_proof_is_the_path_inside_the_chunk_then_the_chunk_proof():
    """What a store keeps of a chunk, with the chunk's bytes, gives every leaf proof."""
    tree = Tree(make_bytes(2 * CHUNK_BYTES + 1))
    proof = tree.leaf_proof(CHUNK_LEAVES + 9)
    assert proof.path[8:] == tree.chunk_proof(1).path
    node = compute_top(
        hash_bytes(Domain.CONTENT_LEAF, tree.leaves[CHUNK_LEAVES + 9]), 9, CHUNK_LEAVES, proof.path[:8]
    )
    assert node == compute_chunk_node(tree.chunks[1])
