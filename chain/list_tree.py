"""The Merkle root of a list and proofs of its entries, for extrinsics and receipts.

Shape of RFC 6962 section 2.1: a list of n > 1 entries splits at the largest power of two below n. Leaves,
nodes and the root are hashed under different keys. The root covers the count, because no header does:
without it the last of three entries would also pass for the last of two, and a proof would not show the
position.
"""

from typing import Annotated

from msgspec import Meta

from chain.errors import InvalidProof
from chain.primitives.codec import Record
from chain.primitives.hashing import Domain, hash_bytes, hash_record
from chain.primitives.types import NO_HASH, Hash, Uint32


class ListProof(Record):
    """Entry `index` of `count`, with the sibling hashes from the entry up to the root."""

    index: Uint32
    count: Uint32
    siblings: Annotated[tuple[Hash, ...], Meta(max_length=32)]


def compute_list_root(entries: tuple[bytes, ...]) -> Hash:
    """The root of a list of encoded entries; all zeros for the empty list."""
    if not entries:
        return NO_HASH
    top = _root([hash_bytes(Domain.LIST_LEAF, entry) for entry in entries])
    return _bind(len(entries), top)


def prove_entry(entries: tuple[bytes, ...], index: int) -> ListProof:
    """The proof of entry `index`, 0 <= index < len(entries)."""
    assert 0 <= index < len(entries)
    leaves = [hash_bytes(Domain.LIST_LEAF, entry) for entry in entries]
    return ListProof(index, len(entries), tuple(_path(leaves, index)))


def check_entry(root: Hash, entry: bytes, proof: ListProof) -> None:
    """Raises InvalidProof unless `entry` is at the proof's index of the list with `root`."""
    if proof.index >= proof.count:
        raise InvalidProof("the index is beyond the list")
    siblings = list(proof.siblings)
    found = _climb(hash_bytes(Domain.LIST_LEAF, entry), proof.index, proof.count, siblings)
    if siblings or _bind(proof.count, found) != root:
        raise InvalidProof("does not lead to the root")


def _bind(count: int, top: Hash) -> Hash:
    return hash_record(Domain.LIST_ROOT, (count, top))


def _split(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


def _node(left: Hash, right: Hash) -> Hash:
    return hash_bytes(Domain.LIST_NODE, left + right)


def _root(leaves: list[Hash]) -> Hash:
    if len(leaves) == 1:
        return leaves[0]
    cut = _split(len(leaves))
    return _node(_root(leaves[:cut]), _root(leaves[cut:]))


def _path(leaves: list[Hash], index: int) -> list[Hash]:
    if len(leaves) == 1:
        return []
    cut = _split(len(leaves))
    if index < cut:
        return [*_path(leaves[:cut], index), _root(leaves[cut:])]
    return [*_path(leaves[cut:], index - cut), _root(leaves[:cut])]


def _climb(leaf: Hash, index: int, count: int, siblings: list[Hash]) -> Hash:
    if count == 1:
        return leaf
    if not siblings:
        raise InvalidProof("the proof is too short")
    sibling = siblings.pop()
    cut = _split(count)
    if index < cut:
        return _node(_climb(leaf, index, cut, siblings), sibling)
    return _node(sibling, _climb(leaf, index - cut, count - cut, siblings))
