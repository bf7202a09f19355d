"""The state commitment: one hash over a map, with proofs of values and of absence.

A 16-ary Merkle trie over hashed keys, versioned and pruned; docs/spec/state.md is the specification.

    nodes      what a node is, how it is hashed and stored
    updates    a new version from an old one and a change set
    subtrees   a whole version, cut at one depth into parts that are checked one by one (state sync)
    proofs     a key's value, or its absence, shown under a root
    audit      re-hashing a whole version

Invariants: the root depends on the map alone, never on the history. The root of version v is the node
(v, empty path), written even when nothing changed. A version is never changed, so old roots stay provable
until the nodes that `TreeUpdate.stale` names are deleted.

Not here: values (the flat store has them), caches, deletion of old versions (storage.state_store).
"""

from chain.commitment.audit import TreeSummary, check_tree, compute_summary
from chain.commitment.nodes import (
    EMPTY_ROOT,
    DamagedTree,
    NodeReader,
    NoNodes,
    UnknownVersion,
    compute_key_hash,
    compute_node_key,
    get_root,
)
from chain.commitment.proofs import PROOF_BYTES_MAX, Proof, check_proof, prove
from chain.commitment.subtrees import (
    Pair,
    Subtree,
    build_subtree,
    build_top,
    compute_place_path,
    is_at_home,
    read_slots,
)
from chain.commitment.updates import TreeUpdate, update
