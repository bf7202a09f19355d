"""Catalogue: reads of entries, totals, prices and bonds."""

from chain.modules.catalogue.types import (
    DATUMS,
    GIB,
    PARAMETERS,
    PAY_PER_GIB,
    SPONSORSHIPS,
    TOTALS,
    CatalogueTotals,
    Datum,
    Parameters,
    Sponsorship,
)
from chain.primitives.fixed_point import div_up
from chain.primitives.types import Address, Amount, Hash
from chain.state import StateReader


def get_parameters(state: StateReader) -> Parameters:
    """The costs of a listing, and the conditions for its admission."""
    return PARAMETERS.require(state)


def get_datum(state: StateReader, datum_id: Hash) -> Datum | None:
    """An entry of the index."""
    return DATUMS.get(state, datum_id)


def is_admitted(state: StateReader, datum_id: Hash) -> bool:
    """Whether hosting the datum is rewarded."""
    datum = get_datum(state, datum_id)
    return datum is not None and is_earning(datum)


def is_earning(datum: Datum) -> bool:
    """Whether an entry is admitted: its unpaid eras are over, it is sponsored, and no jury found it junk."""
    is_sponsored = datum.needed is not None and datum.sponsored >= datum.needed
    return datum.is_due and is_sponsored and not datum.is_junk


def get_totals(state: StateReader) -> CatalogueTotals:
    """Counts over the whole index."""
    return TOTALS.get(state) or CatalogueTotals()


def get_sponsorship(state: StateReader, datum_id: Hash, who: Address) -> Sponsorship | None:
    """The bond of one sponsor of a datum."""
    return SPONSORSHIPS.get(state, datum_id, who)


def list_sponsorships(state: StateReader, datum_id: Hash) -> tuple[tuple[Address, Sponsorship], ...]:
    """(sponsor, bond) of a datum, those that are leaving included, in the order of accounts."""
    return tuple(SPONSORSHIPS.items(state, datum_id))


def get_pay_per_gib(state: StateReader) -> Amount:
    """What a proven and admitted GiB earned in the last era; 0 before the first one ended."""
    return PAY_PER_GIB.get(state) or 0


def get_required(state: StateReader, datum: Datum) -> Amount:
    """What all sponsors together must bond for a datum now."""
    return compute_required(get_parameters(state), get_pay_per_gib(state), datum.size_bytes)


def compute_required(parameters: Parameters, pay_per_gib: Amount, size_bytes: int) -> Amount:
    """`sponsor_eras` of the hosting pay of `sponsor_copies` copies, rounded up, at least the minima."""
    earned = parameters.sponsor_eras * parameters.sponsor_copies * pay_per_gib
    per_gib = max(earned, parameters.sponsor_per_gib_min)
    return max(div_up(per_gib * size_bytes, GIB), parameters.sponsor_min)


def compute_listing_fee(parameters: Parameters, size_bytes: int) -> Amount:
    """Base units that listing burns: in proportion to the size, rounded up, at least the minimum."""
    return max(parameters.listing_fee_min, div_up(size_bytes * parameters.listing_fee_per_gib, GIB))
