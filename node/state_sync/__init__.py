"""State sync: a node without a store fetches the state of a recent height instead of executing every block.

    sources    the peers, their offers and their faults
    trust      verifies the header of a snapshot's height with the light client
    fetching   fetches the parts from several peers at once into a new store
    run        one state sync: choose a snapshot, verify it, fetch it
    joining    state sync of a whole node, before anything else of the node exists

Everything from a peer is compared with the header's state root before it is used. An error is charged to the
peer that caused it and to no other. The node has no ledger meanwhile and signs nothing. A restart keeps the
parts that it has. docs/spec/sync.md says what is trusted.
"""

from node.state_sync.errors import ForkSeen, StateSyncFailed, TrustTooOld, UnknownAnchor
from node.state_sync.run import StateSync
from node.state_sync.trust import Anchor, parse_anchor

__all__ = [
    "Anchor",
    "ForkSeen",
    "StateSync",
    "StateSyncFailed",
    "TrustTooOld",
    "UnknownAnchor",
    "parse_anchor",
]
