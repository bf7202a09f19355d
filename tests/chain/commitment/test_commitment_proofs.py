"""Proofs of the state tree: what they show, and that nothing else passes for one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.commitment import EMPTY_ROOT, PROOF_BYTES_MAX, Proof, check_proof, prove, update
from chain.errors import ChainError, InvalidProof
from chain.primitives.codec import decode, encode

VALUES = {b"key %d" % number: b"value %d" % number for number in range(700)}


class MemoryNodes:
    """A tree in a dict."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        tree = update(self, None, 0, values)
        self.nodes = dict(tree.nodes)
        self.root = tree.root

    def get_node(self, node_key: bytes) -> bytes | None:
        return self.nodes.get(node_key)


TREE = MemoryNodes(VALUES)


def is_accepted(key: bytes, value: bytes | None, data: bytes) -> bool:
    """Whether the bytes of a proof pass; any error but ours fails the test."""
    try:
        check_proof(TREE.root, key, value, decode(Proof, data, PROOF_BYTES_MAX))
    except ChainError:
        return False
    return True


def find_absent(*, is_beside_a_leaf: bool) -> bytes:
    """A key that is absent because its slot is empty, or because another key's leaf stands there."""
    candidates = (b"absent %d" % number for number in range(10_000))
    return next(key for key in candidates if (prove(TREE, 0, key).other_leaf is not None) == is_beside_a_leaf)


BESIDE = find_absent(is_beside_a_leaf=True)
EMPTY = find_absent(is_beside_a_leaf=False)


@settings(deadline=None)
@given(st.dictionaries(st.binary(max_size=2), st.binary(max_size=2), max_size=30), st.binary(max_size=2))
def test_every_key_is_proven(values: dict[bytes, bytes], absent: bytes) -> None:
    """For any map, what is there is provable, what is not there is provably absent, and no more."""
    tree = MemoryNodes(values)
    for key in [*values, absent]:
        proof = prove(tree, 0, key)
        assert decode(Proof, encode(proof), PROOF_BYTES_MAX) == proof
        check_proof(tree.root, key, values.get(key), proof)
        for other in {None, b"", b"x", b"long"} - {values.get(key)}:
            with pytest.raises(InvalidProof):
                check_proof(tree.root, key, other, proof)


def test_empty_map() -> None:
    """In the empty map every key is absent."""
    check_proof(EMPTY_ROOT, b"key", None, prove(MemoryNodes({}), 0, b"key"))


@pytest.mark.parametrize("key", [b"key 5", BESIDE, EMPTY])
def test_every_mutated_bit_is_refused(key: bytes) -> None:
    """A proof with any one bit changed, or cut short anywhere, or longer, does not pass."""
    data, value = encode(prove(TREE, 0, key)), VALUES.get(key)
    assert is_accepted(key, value, data)
    for index in range(8 * len(data)):
        mutated = bytearray(data)
        mutated[index // 8] ^= 1 << index % 8
        assert not is_accepted(key, value, bytes(mutated))
    for stop in range(len(data)):
        assert not is_accepted(key, value, data[:stop])
    assert not is_accepted(key, value, data + b"\0")


@pytest.mark.parametrize("key", [b"key 5", BESIDE, EMPTY])
def test_proof_of_one_key_shows_nothing_of_another(key: bytes) -> None:
    """Under the proof of one key no other key passes, present or absent, with its own value or without."""
    data = encode(prove(TREE, 0, key))
    for other in [b"key 6", b"key 7", b"absent", BESIDE, EMPTY]:
        if other != key and encode(prove(TREE, 0, other)) != data:
            assert not is_accepted(other, VALUES.get(other), data)
        assert other == key or not is_accepted(other, VALUES.get(key, b"x"), data)
    assert not is_accepted(b"key 6", None, data)


@pytest.mark.parametrize("key", [b"key 5", BESIDE, EMPTY])
def test_changed_path_is_refused(key: bytes) -> None:
    """Branches left out, repeated, swapped or added do not pass, nor does a leaf added or left out."""
    proof, value = prove(TREE, 0, key), VALUES.get(key)
    branches, leaf = proof.branches, proof.other_leaf
    paths = [
        branches[1:],
        branches[:-1],
        branches[::-1],
        (*branches, branches[-1]),
        (b"\0" * 4, *branches),
        (),
    ]
    for path in paths:
        with pytest.raises(InvalidProof):
            check_proof(TREE.root, key, value, Proof(path, leaf))
    for other_leaf in {None, b"\0" * 64, prove(TREE, 0, BESIDE).other_leaf} - {leaf}:
        with pytest.raises(InvalidProof):
            check_proof(TREE.root, key, value, Proof(branches, other_leaf))


def test_present_key_is_not_shown_absent_by_its_own_leaf() -> None:
    """The leaf of the key itself is no proof of its absence."""
    key = b"key 5"
    proof = prove(TREE, 0, key)
    other_leaf = update(MemoryNodes({}), None, 0, {key: VALUES[key]}).nodes[0][1][4:]
    for value in (None, VALUES[key]):
        with pytest.raises(InvalidProof):
            check_proof(TREE.root, key, value, Proof(proof.branches, other_leaf))


def test_other_root_is_refused() -> None:
    """A proof holds under its own root only."""
    with pytest.raises(InvalidProof):
        check_proof(EMPTY_ROOT, b"key 5", VALUES[b"key 5"], prove(TREE, 0, b"key 5"))


@pytest.mark.parametrize("branch", [b"\0\0\0\1" + bytes(32), b"\0\1\0\0", b"\0\0\0\0" + bytes(32), b"\0" * 3])
def test_malformed_branch_is_refused(branch: bytes) -> None:
    """A branch whose header and length disagree, or that is no branch, is refused by decoder or check."""
    assert not is_accepted(b"key 5", VALUES[b"key 5"], encode(Proof((branch,), None)))


def test_proof_is_small() -> None:
    """Proofs of this tree of 700 keys stay below 2 kB; the count of branches is bounded by the record."""
    assert max(len(encode(prove(TREE, 0, key))) for key in VALUES) < 2000
    with pytest.raises(ChainError):
        decode(Proof, encode(Proof((b"\0" * 4,) * 65, None)), PROOF_BYTES_MAX)
