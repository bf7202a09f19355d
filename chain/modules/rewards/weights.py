"""Rewards: what the bytes of each host weigh in the hosting pool."""

from collections.abc import Iterator
from typing import NamedTuple

from chain.modules import catalogue, hosting, possession, staking, system
from chain.modules.hosting import SubsetEntry
from chain.modules.rewards.division import Division, compute_cap
from chain.modules.rewards.types import PARAMETERS, DatumFactors, Parameters
from chain.primitives.codec import replace
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM, Address, Epoch, Era, Hash, Ppm, Uint
from chain.state import StateReader


class HostSubset(NamedTuple):
    """A host's part in the hosting pool, before it is known what the others have."""

    host: Address
    network: str
    """Hosts of one network are one copy of what they hold."""
    pay_factor: Ppm
    proven_eras: int
    is_excluded: bool
    held: tuple[SubsetEntry, ...]
    """Admitted datums only."""
    network_since: Epoch = 0


class DatumTerms(NamedTuple):
    """What an admitted datum's entry in the catalogue makes of its weight."""

    demand_ppm: Ppm
    capped_with: Address | None
    """The lister whose data share a bound; None once enough other members have paid for the datum."""


Weighed = list[tuple[HostSubset, tuple[DatumFactors, ...]]]
TermsOf = dict[Hash, DatumTerms | None]
"""By datum; None for those that are not admitted. Each is read once, however many hosts hold it."""


class Copy(NamedTuple):
    """The hosts of a network that are paid for a datum: those that have held it there for longest."""

    since: Epoch
    hosts: int


Copies = dict[Hash, dict[str, Copy]]
"""Datum -> network -> its copy. Only hosts that earn count."""


def weigh_hosts(state: StateReader, parameters: Parameters, epoch: Epoch, terms: TermsOf) -> Weighed:
    """Every host that holds something admitted in this epoch, with the factors of each such datum, before
    the bound on listers; fills `terms`.
    """
    subsets = tuple(list_subsets(state, epoch, terms))
    copies = count_copies(subsets)
    return [(subset, weigh(parameters, subset, copies, terms)) for subset in subsets]


def list_subsets(state: StateReader, epoch: Epoch, terms: TermsOf) -> Iterator[HostSubset]:
    """Of every host that holds something admitted in this epoch, in the order of accounts; fills `terms`."""
    parameters = PARAMETERS.require(state)
    era = epoch // system.get_parameters(state).era_epochs
    for who, _ in hosting.list_subset_totals(state):
        subset, host = hosting.get_subset(state, who, epoch), hosting.get_host(state, who)
        assert host is not None
        for one in subset:
            if one.datum not in terms:
                terms[one.datum] = get_terms(state, parameters, one.datum, era)
        held = tuple(one for one in subset if terms[one.datum] is not None)
        if held:
            network = host.network if parameters.are_networks_counted else who.hex()
            yield HostSubset(
                host=who,
                network=network,
                network_since=host.network_since,
                pay_factor=possession.get_pay_factor(state, who),
                proven_eras=host.proven_eras,
                is_excluded=is_excluded(state, who),
                held=held,
            )


def get_terms(state: StateReader, parameters: Parameters, datum_id: Hash, era: Era) -> DatumTerms | None:
    """The terms of a datum; None if it is not admitted."""
    datum = catalogue.get_datum(state, datum_id)
    if datum is None or not catalogue.is_earning(datum):
        return None
    unwanted = era - max(datum.wanted_in, datum.earns_from)
    is_known = datum.members >= catalogue.get_parameters(state).outside_members
    return DatumTerms(compute_demand(parameters, unwanted), None if is_known else datum.lister)


def count_copies(subsets: tuple[HostSubset, ...]) -> Copies:
    """Who earns with each datum, by network; who is gone or in jail makes nothing less scarce."""
    copies: Copies = {}
    for subset in subsets:
        if subset.pay_factor > 0 and not subset.is_excluded:
            for one in subset.held:
                networks, since = copies.setdefault(one.datum, {}), get_since(subset, one)
                networks[subset.network] = join_copy(networks.get(subset.network), since)
    return copies


def get_since(subset: HostSubset, held: SubsetEntry) -> Epoch:
    """The epoch from which a host holds a datum in the network where it is now."""
    return max(held.from_epoch, subset.network_since)


def join_copy(copy: Copy | None, since: Epoch) -> Copy:
    """The copy with one more host. An address is not proven, so who comes later takes nothing from others."""
    if copy is None or since < copy.since:
        return Copy(since, 1)
    return copy if since > copy.since else Copy(since, copy.hosts + 1)


def count_sharers(copy: Copy | None, since: Epoch) -> int:
    """The hosts that share a copy's pay with one that holds it since then; 0 if others held it earlier."""
    if copy is None or since < copy.since:
        return 1
    return copy.hosts if since == copy.since else 0


def weigh(
    parameters: Parameters, subset: HostSubset, copies: Copies, terms: TermsOf
) -> tuple[DatumFactors, ...]:
    """The factors of each datum of a subset, the heaviest first, ties by datum."""
    earning = 0 if subset.is_excluded else subset.pay_factor
    factors = []
    for one in subset.held:
        networks, of_datum = copies.get(one.datum, {}), terms[one.datum]
        assert of_datum is not None
        sharers = count_sharers(networks.get(subset.network), get_since(subset, one))
        scarcity = compute_scarcity(parameters, len(networks))
        eras = subset.proven_eras - one.from_proven_eras
        tenure = compute_tenure(parameters, eras)
        factor = compute_factor(parameters, earning, scarcity, tenure, sharers, of_datum.demand_ppm)
        factors.append(
            DatumFactors(
                datum=one.datum,
                size_bytes=one.size_bytes,
                copies=len(networks),
                sharers=sharers,
                scarcity_ppm=scarcity,
                tenure_eras=eras,
                tenure_ppm=tenure,
                demand_ppm=of_datum.demand_ppm,
                factor_ppm=factor,
                weight=mul_ppm(one.size_bytes, factor),
                capped_ppm=PPM,
            )
        )
    return tuple(sorted(factors, key=lambda one: (-one.weight, one.datum)))


def sum_weights(weighed: Weighed) -> Uint:
    """The weight of all hosts together."""
    return sum(one.weight for _, factors in weighed for one in factors)


def sum_by_lister(weighed: Weighed, terms: TermsOf) -> dict[Address, Uint]:
    """The weight of each lister's data that share a bound."""
    weights: dict[Address, Uint] = {}
    for _, factors in weighed:
        for one in factors:
            if (lister := get_group(terms, one.datum)) is not None:
                weights[lister] = weights.get(lister, 0) + one.weight
    return weights


def cap(weighed: Weighed, terms: TermsOf, weights: dict[Address, Uint], division: Division) -> Weighed:
    """Bound what is paid of the data of listers with too much of the weight; `weights` are by lister."""
    caps = {
        lister: compute_cap(division, weight)
        for lister, weight in weights.items()
        if weight > division.lister_weight_max
    }
    if not caps:
        return weighed
    return [(subset, tuple(_lower(one, caps, terms) for one in factors)) for subset, factors in weighed]


def _lower(factors: DatumFactors, caps: dict[Address, Ppm], terms: TermsOf) -> DatumFactors:
    lister = get_group(terms, factors.datum)
    return factors if lister not in caps else replace(factors, capped_ppm=caps[lister])


def get_group(terms: TermsOf, datum_id: Hash) -> Address | None:
    """The lister whose data share a bound with this admitted datum; None if it is not bounded."""
    of_datum = terms[datum_id]
    assert of_datum is not None
    return of_datum.capped_with


def compute_demand(parameters: Parameters, unwanted_eras: int) -> Ppm:
    """1, halved for each stretch of `halving_eras` in which nobody wanted the datum; rounded down."""
    if parameters.halving_eras == 0:
        return PPM
    return PPM >> max(unwanted_eras, 0) // parameters.halving_eras


def compute_scarcity(parameters: Parameters, copies: int) -> Ppm:
    """More for what few networks hold, 1 up to `replicas` copies; beyond, all share what those would get."""
    if copies < parameters.scarce_below:
        return parameters.scarce_ppm
    return PPM if copies <= parameters.replicas else mul_div(PPM, parameters.replicas, copies)


def compute_tenure(parameters: Parameters, eras: int) -> Ppm:
    """The factor of the last step that so many proven eras of a holding have reached."""
    reached = [step.factor_ppm for step in parameters.tenure if eras >= step.eras_from]
    return reached[-1] if reached else PPM


def compute_factor(
    parameters: Parameters,
    pay_factor: Ppm,
    scarcity: Ppm,
    tenure: Ppm,
    sharers: int = 1,
    demand: Ppm = PPM,
) -> Ppm:
    """The product, bounded, times the demand; hosts that are one copy share it. Rounded down.

    0 without sharers: the copy's pay is another host's, which held the datum in this network earlier.
    """
    product = min(pay_factor * scarcity * tenure // (PPM * PPM), parameters.weight_ppm_max)
    return mul_ppm(product, demand) // sharers if sharers else 0


def is_excluded(state: StateReader, who: Address) -> bool:
    """Whether nothing is minted for an account now: it is in jail, or tombstoned."""
    standing = staking.get_standing(state, who)
    return standing.is_jailed or standing.is_tombstoned
