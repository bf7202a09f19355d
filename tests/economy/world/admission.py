"""How a datum comes to earn: a sponsor bond, unpaid eras, and members that pay for it."""

from collections.abc import Iterable

from chain.modules import catalogue
from chain.modules.catalogue.sponsoring import Sponsor
from chain.primitives.types import Address, Hash
from tests.economy.world.arena import DATUM_BYTES, DATUMS, HONEST, LISTER, MEMBERS, Arena
from tests.economy.world.trade import buy


def open_arena(
    rules: str, seed: int, scale: int, *, datums: int = DATUMS, datum_bytes: int = DATUM_BYTES
) -> Arena:
    """An arena whose data earn, some of the second edition's unpaid eras after its genesis."""
    arena = Arena(rules, seed, scale, datums=datums, datum_bytes=datum_bytes)
    arena.run(1)
    for number, datum in enumerate(sorted(arena.contents)):
        sponsor(arena, datum, LISTER)
        pay(arena, datum, MEMBERS, HONEST[number % len(HONEST)])
    unpaid = catalogue.get_parameters(arena.state).unpaid_eras
    if datums and unpaid:
        arena.run((unpaid + 1) * arena.era_epochs)
    arena.events.clear()
    return arena


def sponsor(arena: Arena, datum: Hash, who: Address) -> None:
    """Bond what is asked for a datum to earn, if anything is."""
    entry = catalogue.get_datum(arena.state, datum)
    assert entry is not None
    asked = catalogue.get_required(arena.state, entry)
    if asked:
        arena.call(who, Sponsor(datum, asked))


def pay(arena: Arena, datum: Hash, people: Iterable[Address], host: Address) -> None:
    """Each of the people pays a host for all of a datum."""
    for member in people:
        buy(arena, member, host, datum, arena.contents[datum].size)
