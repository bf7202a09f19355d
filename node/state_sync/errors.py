"""Why state sync gives up: each needs a decision of the operator.

StateSyncFailed
├── TrustTooOld       what the node trusts is older than the trusting period
├── UnknownAnchor     peers have another block than the one the operator named
└── ForkSeen          two final headers of one height
"""


class StateSyncFailed(Exception):
    """The node can not begin at a snapshot; the message says what to do."""


class TrustTooOld(StateSyncFailed):
    """Too old to say who decides today."""


class UnknownAnchor(StateSyncFailed):
    """The operator's block and the network's differ."""


class ForkSeen(StateSyncFailed):
    """More than a third of the power signed two blocks of one height."""
