"""Possession: the chunks that honest hosts do not sell, so that a host without a disk cannot buy its proof.

A chunk is *sampled* while some host has still to prove a leaf in it. Until that host has proven it, or the
deadline has passed, the other hosts do not sell the chunk.

The leaves of an epoch can be computed from the last reveal of the epoch before: by its proposer before the
others, by everybody who sees the proposal before the block is final. So hosts sell no chunk at all while the
last `sale_pause_blocks` of an epoch are made. Whoever proposes all of these still knows its leaves earlier.
That gains nothing unless it happens in most epochs: pay begins at 80 % of proven epochs.

The chain cannot see a sale: nodes keep this rule, by the state after the last block. It concerns only data of
`unsold_bytes_min` or more, because nobody saves a disk by not storing small ones.
"""

from typing import NamedTuple

from chain.content import CHUNK_LEAVES
from chain.modules import catalogue, hosting, system
from chain.modules.possession.history import get_parameters, is_proven
from chain.modules.possession.sampling import draw_leaves, get_demanded
from chain.primitives.types import Address, Epoch, Hash, Height
from chain.state import StateReader


class SampledChunk(NamedTuple):
    """A chunk with a leaf that `host` has still to prove."""

    chunk: int
    host: Address


class SalesHold(NamedTuple):
    """The chunks of one datum that are not sold after a block. Heights are those of the head."""

    paused_until: Height = 0
    """Below this height no chunk is sold; 0 if sales are not paused."""
    holders: tuple[Address, ...] = ()
    """During a pause: the hosts of which any chunk may be sampled when it ends."""
    sampled_until: Height = 0
    """Below this height the sampled chunks are not sold, unless they are proven before."""
    sampled: tuple[SampledChunk, ...] = ()

    def get_end(self, chunk: int, seller: Address) -> Height | None:
        """The height of the head from which `seller` may sell the chunk; None if it may now."""
        if any(host != seller for host in self.holders):
            return self.paused_until
        if any(one.chunk == chunk and one.host != seller for one in self.sampled):
            return self.sampled_until
        return None


NO_HOLD = SalesHold()


def get_sales_hold(state: StateReader, datum_id: Hash) -> SalesHold:
    """What is not sold of a datum, by the state after the last block.

    Reads a few values for each host of the datum, and the leaf row of those that have not proven yet.
    """
    parameters, periods = get_parameters(state), system.get_parameters(state)
    datum = catalogue.get_datum(state, datum_id)
    if datum is None or datum.size_bytes < parameters.unsold_bytes_min:
        return NO_HOLD
    following = system.get_position(state).height + 1
    epoch = system.compute_epoch(periods, following)
    first = system.compute_first_height(periods, epoch)
    last = first + periods.epoch_blocks - 1
    if following > last - parameters.sale_pause_blocks:
        return SalesHold(last, hosting.get_hosts_of(state, datum_id, epoch + 1))
    deadline = first + parameters.deadline_blocks
    if following >= deadline:
        return NO_HOLD
    sampled = _list_sampled(state, datum_id, epoch, is_next=following == first)
    return SalesHold(sampled_until=deadline - 1, sampled=sampled)


def _list_sampled(
    state: StateReader, datum_id: Hash, epoch: Epoch, *, is_next: bool
) -> tuple[SampledChunk, ...]:
    """The chunks with open leaves, in the order of hosts; `is_next`: the epoch begins with the next block."""
    sampled = []
    for host in hosting.get_hosts_of(state, datum_id, epoch):
        leaves = get_demanded(state, host, epoch, datum_id)
        if not is_proven(state, host, epoch):
            leaves += _draw(state, host, epoch, is_next=is_next)
        chunks = {one.leaf_index // CHUNK_LEAVES for one in leaves if one.datum == datum_id}
        sampled += [SampledChunk(chunk, host) for chunk in sorted(chunks)]
    return tuple(sampled)


def _draw(state: StateReader, host: Address, epoch: Epoch, *, is_next: bool) -> tuple[hosting.DatumLeaf, ...]:
    if is_next:
        return draw_leaves(state, host, epoch, hosting.get_next_subset_totals(state, host, epoch))
    return draw_leaves(state, host, epoch, hosting.get_subset_totals(state, host))
