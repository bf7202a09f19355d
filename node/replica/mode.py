"""The modes of a replica, and which may follow which."""

from enum import Enum


class Mode(Enum):
    """What a replica is doing. `Replica._enter` makes every transition:

        STARTING  -> SYNCING     the log was read for own signatures
        SYNCING   -> RESTORING   the first height begins, or the sync gained blocks
        SYNCING   -> RUNNING     the sync gained nothing: the height goes on
        RESTORING -> RUNNING     the core of the height is there
        RUNNING   -> SYNCING     a peer has proven that it is ahead

    A decided height stays RUNNING until the next one has begun: late precommits still count.
    """

    STARTING = "starting"
    """Until `start` was called and the log was read for own signatures."""
    SYNCING = "syncing"
    """Others may be ahead; inputs wait."""
    RESTORING = "restoring"
    """The log of the next height is read and its blocks are executed; inputs wait."""
    RUNNING = "running"
    """Inputs are handled."""


NEXT_MODES = {
    Mode.STARTING: {Mode.SYNCING},
    Mode.SYNCING: {Mode.RESTORING, Mode.RUNNING},
    Mode.RESTORING: {Mode.RUNNING},
    Mode.RUNNING: {Mode.SYNCING},
}
