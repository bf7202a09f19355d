"""The failure that ends a replica; every other expected failure is a value or a peer's fault.

ConsensusHalted    more than two thirds of the power finalised what this node finds invalid
"""


class ConsensusHalted(Exception):
    """Others finalised a block that is invalid here: the node must stop (docs/operating.md)."""
