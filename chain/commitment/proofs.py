"""Proofs that a key has a value, or none, under a state root."""

from typing import Annotated

from msgspec import Meta

from chain.commitment.nodes import (
    HASHED_NODE_BYTES_MAX,
    HEADER_BYTES,
    LEAF_BYTES,
    NO_SLOT,
    PATH_NIBBLES_MAX,
    Branch,
    NodeReader,
    compute_key_hash,
    compute_leaf,
    compute_nibbles,
    compute_node_hash,
    compute_path,
    decode_hashed,
    load_branch,
    load_root,
)
from chain.errors import InvalidProof
from chain.primitives.codec import Record
from chain.primitives.types import HASH_BYTES, Hash

PROOF_BYTES_MAX = 2**17
"""Bound for decoding; proofs have about 2.5 kB at 10^6 keys."""


class Proof(Record):
    """The branches from the root towards a key, as they are hashed, each without the slot on the path.

    The verifier computes that slot from the branch below. In the last branch it is the leaf of the key; for
    an absent key it is empty, or `other_leaf`: the leaf of another key at the position of the absent one.
    """

    branches: Annotated[
        tuple[Annotated[bytes, Meta(min_length=HEADER_BYTES, max_length=HASHED_NODE_BYTES_MAX)], ...],
        Meta(min_length=1, max_length=PATH_NIBBLES_MAX),
    ]
    other_leaf: Annotated[bytes, Meta(min_length=LEAF_BYTES, max_length=LEAF_BYTES)] | None


def prove(reader: NodeReader, version: int, key: bytes) -> Proof:
    """The proof of the key's value, or of its absence, under the root of `version`."""
    key_hash = compute_key_hash(key)
    path = compute_nibbles(key_hash)
    branches = _load_path(reader, version, path)
    last_slot = branches[-1].get_slot(path[len(branches) - 1])
    for branch, nibble in zip(branches, path, strict=False):
        branch.set_slot(nibble, NO_SLOT)
    is_other = last_slot != NO_SLOT and last_slot[:HASH_BYTES] != key_hash
    return Proof(tuple(branch.encode_hashed() for branch in branches), last_slot if is_other else None)


def check_proof(root: Hash, key: bytes, value: bytes | None, proof: Proof) -> None:
    """Raises InvalidProof unless the map under `root` has exactly this value (None: no value) for the key."""
    path = compute_path(key)
    if not 1 <= len(proof.branches) <= PATH_NIBBLES_MAX:
        raise InvalidProof("the number of branches is not possible")
    slot = _compute_claimed_slot(path, key, value, proof.other_leaf, len(proof.branches))
    for nibble, hashed in reversed(list(zip(path, proof.branches, strict=False))):
        branch = decode_hashed(hashed)
        if branch.get_slot(nibble) != NO_SLOT:
            raise InvalidProof("the slot on the path is not empty")
        branch.set_slot(nibble, slot)
        slot = compute_node_hash(branch.encode_hashed())
    if slot != root:
        raise InvalidProof("the proof leads to another root")


def _load_path(reader: NodeReader, version: int, path: bytes) -> list[Branch]:
    """The branches from the root to the one whose slot on the path is empty or a leaf."""
    branches = [load_root(reader, version)]
    while len(branches[-1].get_slot(path[len(branches) - 1])) == HASH_BYTES:
        depth = len(branches)
        branches.append(load_branch(reader, branches[-1].get_version(path[depth - 1]) + path[:depth]))
    return branches


def _compute_claimed_slot(
    path: bytes, key: bytes, value: bytes | None, other_leaf: bytes | None, depth: int
) -> bytes:
    """The slot of the last of `depth` branches on the path, if the key has this value."""
    if other_leaf is None:
        return NO_SLOT if value is None else compute_leaf(key, value)
    other_path = compute_nibbles(other_leaf[:HASH_BYTES])
    if value is not None or other_path == path or other_path[:depth] != path[:depth]:
        raise InvalidProof("the other leaf does not show that the key is absent")
    return other_leaf
