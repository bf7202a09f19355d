"""Data of any size whose tree is cheap: every leaf has the same bytes, so a level of the tree is one hash.

The size counts for pledges, weights and sampling as any other; proofs are real and checked by the real call.
What a host has on its disk is therefore said by the agent, not by the bytes.
"""

from functools import cached_property

from chain.content import compute_leaf_count
from chain.content.manifest import compute_listed_id
from chain.content.tree import (
    LEAF_BYTES,
    LeafProof,
    compute_content_root,
    compute_leaf_hashes,
    compute_parents,
)
from chain.modules.possession import ProvenLeaf
from chain.primitives.types import Hash

LEAF = bytes(LEAF_BYTES)


class Monotone:
    """A datum of a power of two of leaves, all equal."""

    def __init__(self, number: int, size: int) -> None:
        leaves = compute_leaf_count(size)
        assert size % LEAF_BYTES == 0 and leaves & (leaves - 1) == 0
        self.files_hash: Hash = number.to_bytes(32, "big")
        self.size = size
        self.height = leaves.bit_length() - 1

    @cached_property
    def levels(self) -> tuple[Hash, ...]:
        """The one hash of each level, from the leaves to the top."""
        hashes = compute_leaf_hashes(LEAF)
        for _ in range(self.height):
            hashes.append(compute_parents([hashes[-1]] * 2)[0])
        return tuple(hashes)

    @cached_property
    def root(self) -> Hash:
        """The content root that is listed."""
        return compute_content_root(self.levels[-1], self.size)

    @cached_property
    def datum(self) -> Hash:
        """The id under which it is listed."""
        return compute_listed_id(self.files_hash, self.size, self.root)

    @cached_property
    def leaf(self) -> ProvenLeaf:
        """Any leaf with its proof."""
        return ProvenLeaf(LEAF, LeafProof(self.levels[:-1]))
