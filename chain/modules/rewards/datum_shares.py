"""Rewards: what part of each host's hosting pay comes from a datum, for the verdict on junk."""

from typing import NamedTuple

from chain.modules.rewards.payments import get_epoch_end_ms, get_pools, share_pool
from chain.modules.rewards.types import PARAMETERS, DatumFactors
from chain.modules.rewards.weights import TermsOf, count_copies, list_subsets, weigh
from chain.primitives.fixed_point import div_up, mul_ppm
from chain.primitives.types import PPM, Address, Epoch, Hash, Ppm
from chain.state import StateReader


class DatumShare(NamedTuple):
    """The part of a host's hosting pay that comes from one datum, rounded up."""

    host: Address
    datum: Hash
    share_ppm: Ppm


def list_datum_shares(state: StateReader, epoch: Epoch, datums: tuple[Hash, ...]) -> list[DatumShare]:
    """What part of each host's hosting pay comes from each of these datums, by the weights of an epoch.

    The pay factor is one for all that a host holds, so the share does not depend on it: whoever misses a
    proof, or is in jail, has the same share. The pool is that of a whole epoch without matched uploads.
    """
    parameters, terms = PARAMETERS.require(state), TermsOf()
    subsets = tuple(list_subsets(state, epoch, terms))
    copies = count_copies(subsets)
    paid = [subset._replace(pay_factor=PPM, is_excluded=False) for subset in subsets]
    weighed = [(one, weigh(parameters, one, copies, terms)) for one in paid]
    pools = get_pools(state, get_epoch_end_ms(state))
    shared = share_pool(state, weighed, terms, pools.hosting + pools.uploads)
    return [share for one, factors in shared.weighed for share in _list_shares(one.host, factors, datums)]


def _list_shares(
    host: Address, factors: tuple[DatumFactors, ...], datums: tuple[Hash, ...]
) -> list[DatumShare]:
    weights = {one.datum: mul_ppm(one.weight, one.capped_ppm) for one in factors}
    total = max(sum(weights.values()), 1)
    shares = ((datum, div_up(PPM * weights[datum], total)) for datum in datums if datum in weights)
    return [DatumShare(host, datum, share_ppm) for datum, share_ppm in shares if share_ppm]
