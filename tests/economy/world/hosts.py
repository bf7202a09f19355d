"""What hosts of the attackers do: bond what their bytes need, buy sampled leaves, hold what they hold."""

from collections.abc import Iterable

from chain.content import CHUNK_BYTES, CHUNK_LEAVES
from chain.modules import hosting, possession, staking
from chain.modules.hosting import DatumLeaf
from chain.primitives.types import Address, Hash
from tests.economy.world.arena import HONEST, Arena
from tests.economy.world.rules import FIRST, VIDYA
from tests.economy.world.trade import buy

BOND_STEP = 20_000 * VIDYA


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


def find_seller(arena: Arena, leaf: DatumLeaf) -> Address | None:
    """An honest host that may sell the chunk of a leaf now, by the chain's own query; None if nobody may."""
    if arena.rules == FIRST:
        return HONEST[0]
    hold, chunk = possession.get_sales_hold(arena.state, leaf.datum), leaf.leaf_index // CHUNK_LEAVES
    return next((host for host in HONEST if hold.get_end(chunk, host) is None), None)


def prove_bought(arena: Arena, who: Address) -> bool:
    """Buy the chunks of the leaves that are owed from honest hosts, and prove; False if nobody sells one.

    An epoch of the table stands for `scale` epochs, so it pays for so many times four chunks.
    """
    places = possession.get_challenges(arena.state, who, arena.epoch)
    sellers = [find_seller(arena, place) for place in places]
    if not places or None in sellers:
        return False
    seller = sellers[0] or HONEST[0]
    buy(arena, who, seller, places[0].datum, len(places) * CHUNK_BYTES * max(arena.scale, 2))
    return arena.prove(who)
