"""Why state sync fails; the operator must decide what to do.

StateSyncFailed
├── TrustTooOld       the trusted header is older than the trusting period
├── UnknownAnchor     peers have another block at the height of `--trust`
└── ForkSeen          two final headers of one height
"""


class StateSyncFailed(Exception):
    """The node cannot begin at a snapshot; the message says what to do."""


class TrustTooOld(StateSyncFailed):
    """The trusted header is too old: its validators may have withdrawn their bonds."""


class UnknownAnchor(StateSyncFailed):
    """Peers have another block than the operator named."""


class ForkSeen(StateSyncFailed):
    """More than a third of the power signed two blocks of one height."""
