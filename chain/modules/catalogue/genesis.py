"""Catalogue: genesis and invariants."""

from chain.content import DATUM_BYTES_MAX
from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import balances
from chain.modules.catalogue.calls import ListDatum, list_founding
from chain.modules.catalogue.queries import get_totals, is_earning
from chain.modules.catalogue.types import (
    BONDED,
    DATUMS,
    PARAMETERS,
    POT,
    SPONSOR_POT,
    SPONSORSHIPS,
    UNPAID,
    CatalogueTotals,
    Datum,
    Parameters,
    Sponsorship,
)
from chain.primitives.codec import Record
from chain.primitives.types import HASH_BYTES, Address, Hash
from chain.state import StateReader


class GenesisConfig(Record):
    """Listings at genesis; each lister pays fee and bond from its genesis balance."""

    parameters: Parameters
    listings: tuple[tuple[Address, ListDatum], ...] = ()


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters. The founders' listings are admitted at once: the chain spec is their sponsor."""
    parameters = config.parameters
    if parameters.datum_bytes_max > DATUM_BYTES_MAX:
        raise InvalidChainSpec(f"catalogue: datum_bytes_max at most {DATUM_BYTES_MAX}")
    if parameters.outside_members == 0:
        raise InvalidChainSpec("catalogue: outside_members at least 1")
    PARAMETERS.set(ctx.state, parameters)
    for who, call in config.listings:
        list_founding(ctx, who, call)


def check_invariants(state: StateReader) -> None:
    """The pots hold all bonds; the totals count the entries; each waiting entry is in its queue."""
    datums = dict(DATUMS.items(state))
    assert balances.get_balance(state, POT) == sum(datum.bond for datum in datums.values())
    admitted = [datum.size_bytes for datum in datums.values() if is_earning(datum)]
    size_bytes = sum(datum.size_bytes for datum in datums.values())
    assert get_totals(state) == CatalogueTotals(len(datums), len(admitted), size_bytes, sum(admitted))
    unpaid = {(datum.earns_from, name) for name, datum in datums.items() if not datum.is_due}
    assert unpaid == {(int.from_bytes(key[:8], "big"), key[8:]) for key, _ in UNPAID.items(state)}
    bonded = [(int.from_bytes(key[:8], "big"), key[8:]) for key, _ in BONDED.items(state)]
    assert all((datum.bond_until, name) in bonded for name, datum in datums.items() if datum.bond)
    assert all(name in datums for _, name in bonded)
    _check_sponsors(state, datums)


def _check_sponsors(state: StateReader, datums: dict[Hash, Datum]) -> None:
    sponsorships: dict[Hash, list[Sponsorship]] = {}
    for key, one in SPONSORSHIPS.items(state):
        sponsorships.setdefault(key[:HASH_BYTES], []).append(one)
    held = sum(one.amount for of_datum in sponsorships.values() for one in of_datum)
    assert balances.get_balance(state, SPONSOR_POT) == held
    for name, datum in datums.items():
        of_datum = sponsorships.pop(name, [])
        staying = sum(one.amount for one in of_datum if one.unlocks_in is None)
        assert (datum.sponsors, datum.sponsored) == (len(of_datum), staying)
        assert datum.fresh <= datum.sponsored
    assert not sponsorships, "a bond for a datum that is not listed"
