"""How a datum comes to earn under the rules that are built."""

from collections.abc import Iterable

from chain.primitives.types import Address, Hash
from tests.economy.world.arena import DATUM_BYTES, HONEST, MEMBERS, Arena
from tests.economy.world.trade import buy

IS_SPONSORED = False
"""Whether sponsors and unpaid eras decide; until that is built, members that have paid for all of it do."""


def open_arena(
    rules: str, seed: int, scale: int, *, datums: int = 8, datum_bytes: int = DATUM_BYTES
) -> Arena:
    """An arena whose data earn."""
    arena = Arena(rules, seed, scale, datums=datums, datum_bytes=datum_bytes)
    arena.run(1)
    for number, datum in enumerate(sorted(arena.contents)):
        admit(arena, datum, MEMBERS, HONEST[number % len(HONEST)])
    return arena


def admit(arena: Arena, datum: Hash, people: Iterable[Address], host: Address) -> None:
    """Do what makes hosting a datum rewarded: each of the people pays a host for all of it."""
    for member in people:
        buy(arena, member, host, datum, arena.contents[datum].size)
