"""What ends a replica; everything else that is expected is a value or a peer's fault.

ConsensusHalted    more than two thirds of the power finalised what this node finds invalid
"""


class ConsensusHalted(Exception):
    """The others finalised a block that this node finds invalid: it must not go on (docs/operating.md)."""
