"""What hosts of the attackers do: bond what their bytes need, buy sampled leaves, hold what they hold."""

from collections.abc import Iterable

from chain.modules import hosting, possession, staking
from chain.primitives.types import Address, Hash
from tests.economy.world.arena import HONEST, Arena
from tests.economy.world.built import IS_SAMPLED_CHUNK_UNSOLD
from tests.economy.world.rules import SECOND, VIDYA
from tests.economy.world.trade import buy

BOND_STEP = 20_000 * VIDYA
CHUNK_BYTES = 2**18


def register(arena: Arena, who: Address, datums: Iterable[Hash], network: str) -> None:
    """Become a host of data in a network, with as little bond as the rules accept, in steps."""
    arena.become_host(who, BOND_STEP, network)
    add(arena, who, datums)


def add(arena: Arena, who: Address, datums: Iterable[Hash]) -> None:
    """Register more data; bond what is missing."""
    call = hosting.RegisterSubset(tuple(datums), ())
    while not arena.attempt(who, call):
        arena.call(who, staking.Bond(BOND_STEP))


def drop(arena: Arena, who: Address, datums: Iterable[Hash]) -> bool:
    """Drop data; whether it was accepted."""
    return arena.attempt(who, hosting.RegisterSubset((), tuple(datums)))


def is_sold(arena: Arena) -> bool:
    """Whether honest hosts sell the chunks in which the leaves of others lie before the deadline."""
    return not (arena.rules == SECOND and IS_SAMPLED_CHUNK_UNSOLD)


def prove_bought(arena: Arena, who: Address) -> bool:
    """Buy the chunks of the leaves that are owed from an honest host, and prove; False if nobody sells.

    An epoch of the table stands for `scale` epochs, so it pays for so many times four chunks.
    """
    places = possession.get_challenges(arena.state, who, arena.epoch)
    if not places or not is_sold(arena):
        return False
    buy(arena, who, HONEST[0], places[0].datum, len(places) * CHUNK_BYTES * max(arena.scale, 2))
    return arena.prove(who)
