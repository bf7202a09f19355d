"""The chain as the parts of content read it."""

from typing import Protocol

from chain.primitives.types import Hash, Height
from chain.state import StateReader


class ChainHead(Protocol):
    """The newest final block; a `Ledger` has one."""

    genesis_hash: Hash

    @property
    def state(self) -> StateReader:
        """The state after the newest final block."""

    @property
    def height(self) -> Height:
        """The height of the newest final block."""
