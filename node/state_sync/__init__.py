"""State sync: a node without a store gets the state of a late height instead of executing every block.

    sources    the peers, what they offer, and what they are charged with
    trust      the header of a snapshot's height, verified by the light client from what this node trusts
    fetching   the parts, from several peers at once, into a store that is being filled
    run        one after the other, until the store is whole or nobody has a snapshot

Whatever comes from a peer is compared with the header's state root before it counts; each error is charged to
the peer that sent the wrong thing and to nobody else. The node has no ledger meanwhile and signs nothing.
Resumable: parts that are in stay in. docs/spec/sync.md says what is trusted.
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
