"""Who proposes in each round of a height, computed once per round.

The rule is `chain.validator_set`'s; this only remembers, because a core asks for the same rounds again and
again, and round r costs r + 1 selections from the start.
"""

from chain.primitives.types import Address, Round
from chain.validator_set import ValidatorSet, compute_proposer, rotate


class Proposers:
    """The proposers of one height, computed up to the highest round asked for."""

    def __init__(self, validator_set: ValidatorSet) -> None:
        self._next_set = validator_set
        self._known: list[Address] = []

    def get(self, round: Round) -> Address:
        """The address of the proposer of `round`."""
        while len(self._known) <= round:
            self._known.append(compute_proposer(self._next_set, 0).address)
            self._next_set = rotate(self._next_set)
        return self._known[round]
