"""Where the possession proofs of an epoch are: an index over the blocks in which they are accepted.

It is filled on request, from the blocks that are final by then. It holds few epochs and drops the least
recently used one. A client that samples proofs asks for several of one epoch, so each block is read only
once.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import trio

from chain.block import Block
from chain.modules import possession, system
from chain.modules.possession import Prove
from chain.primitives.codec import decode_trusted
from chain.primitives.types import Address, Epoch, Height
from chain.transaction import SignedTransaction
from node.ledger.ledger import LedgerView
from storage.chain_store import TxPlace

EPOCHS_KEPT_MAX = 4
PROVE_CALL = 1


@dataclass
class _EpochIndex:
    following: Height
    """The lowest height that was not read yet."""
    places: dict[Address, TxPlace] = field(default_factory=dict)


class Pruned(Exception):
    """The blocks of the epoch are not kept here."""


class ShownIndex:
    """Host -> place of its proof, by epoch."""

    def __init__(self) -> None:
        self._epochs: OrderedDict[Epoch, _EpochIndex] = OrderedDict()
        self._lock = trio.Lock()

    async def find(
        self, view: LedgerView, epoch: Epoch, host: Address, limiter: trio.CapacityLimiter
    ) -> TxPlace | None:
        """The place of the host's proof of the epoch, if it is final; raises Pruned. Reads in a thread."""
        first = system.compute_first_height(system.get_parameters(view.state), epoch)
        deadline = first + possession.get_parameters(view.state).deadline_blocks
        async with self._lock:
            index = self._open(epoch, first)
            if index.following < min(deadline, view.height + 1):
                await trio.to_thread.run_sync(_fill, view, epoch, index, deadline, limiter=limiter)
            return index.places.get(host)

    def _open(self, epoch: Epoch, first: Height) -> _EpochIndex:
        index = self._epochs.setdefault(epoch, _EpochIndex(first))
        self._epochs.move_to_end(epoch)
        if len(self._epochs) > EPOCHS_KEPT_MAX:
            self._epochs.popitem(last=False)
        return index


def _fill(view: LedgerView, epoch: Epoch, index: _EpochIndex, deadline: Height) -> None:
    for height in range(index.following, min(deadline, view.height + 1)):
        data = view.chain.get_block(height)
        if data is None:
            raise Pruned(f"block {height} is not kept here")
        for number, signed in enumerate(decode_trusted(Block, data).transactions):
            for call in _list_proofs(signed):
                if call.epoch == epoch and call.demanded is None:
                    index.places[call.host] = TxPlace(height, number)
        index.following = height + 1


def _list_proofs(signed: SignedTransaction) -> Iterator[Prove]:
    for call in signed.transaction.calls:
        if (call.module, call.index) == (possession.MODULE.index, PROVE_CALL):
            yield decode_trusted(Prove, call.arguments)
