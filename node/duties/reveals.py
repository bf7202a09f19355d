"""Beacon reveals of a validator: links of its own hash chains, found again quickly after a restart.

All chains of a validator are derived from one secret, by number, so a new chain never needs a new backup.
"""

from chain.modules.beacon import Chain, compute_checkpoints, compute_next_link
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import Hash

CHAINS_MAX = 64
"""Numbers that are tried in the search for the chain in use."""


def compute_chain_secret(secret: Hash, number: int) -> Hash:
    """The first link of chain `number`."""
    return hash_bytes(Domain.BEACON, secret + number.to_bytes(8, "big"))


class Reveals:
    """Finds the next link of the chain that the state names."""

    def __init__(self, secret: Hash) -> None:
        self._secret = secret
        self._number = 0
        self._checkpoints: tuple[Hash, ...] = ()
        self._foreign_tip: Hash | None = None

    def get_next_link(self, chain: Chain | None) -> Hash | None:
        """The link that hashes to the chain's tip; None if no link is left or the chain is not ours."""
        if chain is None or chain.links == 0:
            return None
        if self._checkpoints:
            link = compute_next_link(self._checkpoints, chain.links)
            if hash_bytes(Domain.BEACON_LINK, link) == chain.tip:
                return link
        return None if chain.tip == self._foreign_tip else self._search(chain)

    def _search(self, chain: Chain) -> Hash | None:
        for number in range(self._number, CHAINS_MAX):
            checkpoints = compute_checkpoints(compute_chain_secret(self._secret, number), chain.links)
            if checkpoints[-1] == chain.tip:
                self._number, self._checkpoints = number, checkpoints
                return compute_next_link(checkpoints, chain.links)
        self._foreign_tip = chain.tip
        return None
