"""The tree over a list: every entry has a proof, and no proof shows anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidProof
from chain.list_tree import ListProof, check_entry, compute_list_root, prove_entry
from chain.primitives.codec import encode, replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import NO_HASH

COUNTS = (1, 2, 3, 4, 5, 7, 8, 9, 33)


def build_entries(count: int) -> tuple[bytes, ...]:
    """So many different entries."""
    return tuple(b"entry %d" % number for number in range(count))


@pytest.mark.parametrize("count", COUNTS)
def test_every_entry_is_proven_at_its_place_and_nowhere_else(count: int) -> None:
    """A proof holds for its entry, its index and its count alone."""
    entries = build_entries(count)
    root = compute_list_root(entries)
    for index, entry in enumerate(entries):
        proof = prove_entry(entries, index)
        check_entry(root, entry, proof)
        for other_index in range(count + 2):
            for other_count in range(1, count + 3):
                if (other_index, other_count) != (index, count):
                    with pytest.raises(InvalidProof):
                        check_entry(root, entry, ListProof(other_index, other_count, proof.siblings))
        with pytest.raises(InvalidProof):
            check_entry(root, entry + b"!", proof)


@given(st.integers(1, 40), st.data())
def test_a_damaged_proof_is_refused(count: int, data: st.DataObject) -> None:
    """A sibling changed, left out, added or exchanged."""
    entries = build_entries(count)
    index = data.draw(st.integers(0, count - 1))
    proof, root = prove_entry(entries, index), compute_list_root(entries)
    siblings = proof.siblings
    damaged = [
        (*siblings, NO_HASH),
        (NO_HASH, *siblings),
        *((*siblings[:n], NO_HASH, *siblings[n + 1 :]) for n in range(len(siblings))),
    ]
    damaged += [siblings[:-1], siblings[::-1]]
    for wrong in damaged:
        if wrong != siblings:
            with pytest.raises(InvalidProof):
                check_entry(root, entries[index], replace(proof, siblings=wrong))


def test_an_inner_node_is_no_entry() -> None:
    """The hashes of two entries do not pass for an entry of a shorter list."""
    entries = build_entries(2)
    pair = b"".join(hash_bytes(Domain.LIST_LEAF, entry) for entry in entries)
    assert compute_list_root((pair,)) != compute_list_root(entries)
    with pytest.raises(InvalidProof):
        check_entry(compute_list_root(entries), pair, ListProof(0, 1, ()))


def test_roots_of_different_lists_differ() -> None:
    """In order, length and content; the empty list has the root of zeros."""
    entries = build_entries(5)
    lists = [
        entries,
        entries[::-1],
        entries[:4],
        (*entries, entries[-1]),
        (entries[0] + entries[1], *entries[2:]),
    ]
    assert len({compute_list_root(one) for one in lists}) == len(lists)
    assert compute_list_root(()) == NO_HASH


def test_the_shape_is_that_of_rfc_6962() -> None:
    """Seven entries split 4 + 3, and those 2 + 2 and 2 + 1; the count is hashed in on top."""
    leaf = [hash_bytes(Domain.LIST_LEAF, entry) for entry in build_entries(7)]

    def node(left: bytes, right: bytes) -> bytes:
        return hash_bytes(Domain.LIST_NODE, left + right)

    left = node(node(leaf[0], leaf[1]), node(leaf[2], leaf[3]))
    top = node(left, node(node(leaf[4], leaf[5]), leaf[6]))
    assert compute_list_root(build_entries(7)) == hash_bytes(Domain.LIST_ROOT, encode((7, top)))
