"""Rewards: what one more GiB of a datum would bring, computed by the functions that pay.

The newcomer proves every epoch and registers now. All else stays as it is: the other hosts keep their
weights, although one more copy of a datum may make theirs smaller. So a forecast is what the next era pays
if nobody else moves, and no promise.
"""

from typing import NamedTuple

from chain.modules import hosting, system
from chain.modules.catalogue import GIB
from chain.modules.rewards.division import compute_cap
from chain.modules.rewards.payments import (
    compute_available,
    divide_pool,
    get_epoch_end_ms,
    get_pools,
    get_uploads,
)
from chain.modules.rewards.types import PARAMETERS, DatumForecast, Parameters
from chain.modules.rewards.weights import (
    Copies,
    TermsOf,
    compute_factor,
    compute_scarcity,
    compute_tenure,
    count_copies,
    count_sharers,
    get_terms,
    list_subsets,
    sum_by_lister,
    sum_weights,
    weigh,
)
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM, Address, Amount, Epoch, Era, Hash, Ppm, Uint
from chain.state import StateReader


class HostingSurvey(NamedTuple):
    """All that decides what one more GiB earns, read once."""

    parameters: Parameters
    epoch: Epoch
    era: Era
    era_epochs: int
    available: Amount
    """What an epoch has for hosting before it is bounded by price."""
    weight: Uint
    lister_weights: dict[Address, Uint]
    """Of the data of each lister that share a bound."""
    copies: Copies
    terms: TermsOf


def survey(state: StateReader, epoch: Epoch) -> HostingSurvey:
    """Weighs every host of the epoch: about 4 us for each holding of each host."""
    parameters, terms = PARAMETERS.require(state), TermsOf()
    subsets = tuple(list_subsets(state, epoch, terms))
    copies = count_copies(subsets)
    weighed = [(subset, weigh(parameters, subset, copies, terms)) for subset in subsets]
    pools = get_pools(state, get_epoch_end_ms(state))
    era_epochs = system.get_parameters(state).era_epochs
    return HostingSurvey(
        parameters=parameters,
        epoch=epoch,
        era=epoch // era_epochs,
        era_epochs=era_epochs,
        available=compute_available(pools, get_uploads(state, epoch, pools.uploads)),
        weight=sum_weights(weighed),
        lister_weights=sum_by_lister(weighed, terms),
        copies=copies,
        terms=terms,
    )


def forecast_datum(
    state: StateReader,
    found: HostingSurvey,
    datum_id: Hash,
    who: Address | None = None,
    size_bytes: int = GIB,
) -> DatumForecast:
    """What `size_bytes` more of a datum would bring in an era to `who`, or to a host in a new network."""
    parameters = found.parameters
    terms = get_terms(state, parameters, datum_id, found.era)
    networks = found.copies.get(datum_id, {})
    copy = networks.get(_get_network(state, parameters, who))
    copies = len(networks) + (copy is None)
    sharers = count_sharers(copy, _get_since(state, found, who, datum_id))
    scarcity = compute_scarcity(parameters, copies)
    tenure = compute_tenure(parameters, _count_tenure_eras(state, who, datum_id))
    demand = 0 if terms is None else terms.demand_ppm
    factor = compute_factor(parameters, PPM, scarcity, tenure, sharers, demand)
    weight = mul_ppm(size_bytes, factor)
    paid = _pay(state, found, None if terms is None else terms.capped_with, weight)
    return DatumForecast(
        datum=datum_id,
        is_admitted=terms is not None,
        copies=copies,
        sharers=sharers,
        scarcity_ppm=scarcity,
        tenure_ppm=tenure,
        demand_ppm=demand,
        factor_ppm=factor,
        capped_ppm=paid.capped_ppm,
        pay_per_gib=paid.amount,
    )


def _get_network(state: StateReader, parameters: Parameters, who: Address | None) -> str:
    """As `weights` tells networks apart; that of an account that is not a host is new."""
    host = None if who is None else hosting.get_host(state, who)
    if who is None or host is None:
        return ""
    return host.network if parameters.are_networks_counted else who.hex()


def _get_since(state: StateReader, found: HostingSurvey, who: Address | None, datum_id: Hash) -> Epoch:
    """The epoch from which the account counts as a holder of the datum; a later one if it is to register."""
    host = None if who is None else hosting.get_host(state, who)
    if who is None or host is None or not hosting.is_holding(state, who, datum_id, found.epoch):
        return found.epoch + hosting.get_parameters(state).delay_epochs
    holding = hosting.get_holding(state, who, datum_id)
    return found.epoch if holding is None else max(holding.from_epoch, host.network_since)


def _count_tenure_eras(state: StateReader, who: Address | None, datum_id: Hash) -> int:
    """Eras that the account has proven since it registered the datum; 0 if it has not."""
    host = None if who is None else hosting.get_host(state, who)
    holding = None if who is None else hosting.get_holding(state, who, datum_id)
    return 0 if host is None or holding is None else host.proven_eras - holding.from_proven_eras


class _Pay(NamedTuple):
    """What a weight that is added brings."""

    capped_ppm: Ppm
    amount: Amount
    """Base units of an era; 0 for none."""


def _pay(state: StateReader, found: HostingSurvey, lister: Address | None, weight: Uint) -> _Pay:
    """`lister`: whose data share a bound with what is added, if any."""
    if weight == 0:
        return _Pay(PPM, 0)
    listers = dict(found.lister_weights)
    if lister is not None:
        listers[lister] = listers.get(lister, 0) + weight
    pool, division = divide_pool(state, found.weight + weight, listers.values(), found.available)
    capped = PPM if lister is None else compute_cap(division, listers[lister])
    amount = mul_div(pool, mul_ppm(weight, capped), division.weight_total)
    return _Pay(capped, amount * found.era_epochs)
