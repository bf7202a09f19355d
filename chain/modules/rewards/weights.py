"""Rewards: what the bytes of each host weigh in the hosting pool."""

from collections.abc import Iterator
from typing import NamedTuple

from chain.modules import catalogue, hosting, possession, staking
from chain.modules.hosting import SubsetEntry
from chain.modules.rewards.types import PARAMETERS, DatumFactors, Parameters
from chain.primitives.fixed_point import mul_div, mul_ppm
from chain.primitives.types import PPM, Address, Epoch, Hash, Ppm
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


Copies = dict[Hash, dict[str, int]]
"""Datum -> network -> hosts there that earn with it."""


def list_subsets(state: StateReader, epoch: Epoch) -> Iterator[HostSubset]:
    """Of every host that holds something admitted in this epoch, in the order of accounts."""
    are_networks_counted = PARAMETERS.require(state).are_networks_counted
    known: dict[Hash, bool] = {}
    for who, _ in hosting.list_subset_totals(state):
        subset, host = hosting.get_subset(state, who, epoch), hosting.get_host(state, who)
        assert host is not None
        for one in subset:
            if one.datum not in known:
                known[one.datum] = catalogue.is_admitted(state, one.datum)
        held = tuple(one for one in subset if known[one.datum])
        if held:
            network = host.network if are_networks_counted else who.hex()
            pay_factor = possession.get_pay_factor(state, who)
            yield HostSubset(who, network, pay_factor, host.proven_eras, is_excluded(state, who), held)


def count_copies(subsets: tuple[HostSubset, ...]) -> Copies:
    """Who earns with each datum, by network; who is gone or in jail makes nothing less scarce."""
    copies: Copies = {}
    for subset in subsets:
        if subset.pay_factor > 0 and not subset.is_excluded:
            for one in subset.held:
                networks = copies.setdefault(one.datum, {})
                networks[subset.network] = networks.get(subset.network, 0) + 1
    return copies


def weigh(parameters: Parameters, subset: HostSubset, copies: Copies) -> tuple[DatumFactors, ...]:
    """The factors of each datum of a subset, the heaviest first, ties by datum."""
    earning = 0 if subset.is_excluded else subset.pay_factor
    factors = []
    for one in subset.held:
        networks = copies.get(one.datum, {})
        sharers = max(networks.get(subset.network, 0), 1)
        scarcity = compute_scarcity(parameters, len(networks))
        eras = subset.proven_eras - one.from_proven_eras
        tenure = compute_tenure(parameters, eras)
        factor = compute_factor(parameters, earning, scarcity, tenure, sharers)
        factors.append(
            DatumFactors(
                datum=one.datum,
                size_bytes=one.size_bytes,
                copies=len(networks),
                sharers=sharers,
                scarcity_ppm=scarcity,
                tenure_eras=eras,
                tenure_ppm=tenure,
                factor_ppm=factor,
                weight=mul_ppm(one.size_bytes, factor),
            )
        )
    return tuple(sorted(factors, key=lambda one: (-one.weight, one.datum)))


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
    parameters: Parameters, pay_factor: Ppm, scarcity: Ppm, tenure: Ppm, sharers: int = 1
) -> Ppm:
    """The product, rounded down and bounded; hosts that are one copy share it."""
    return min(pay_factor * scarcity * tenure // (PPM * PPM), parameters.weight_ppm_max) // sharers


def is_excluded(state: StateReader, who: Address) -> bool:
    """Whether nothing is minted for an account now: it is in jail, or tombstoned."""
    standing = staking.get_standing(state, who)
    return standing.is_jailed or standing.is_tombstoned
