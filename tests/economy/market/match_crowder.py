"""A self-dealer that is so loud that the match of honest uploads runs dry."""

from tests.economy.world.arena import ATTACKERS, HONEST, MEMBERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.hosts import register
from tests.economy.world.rules import GIB
from tests.economy.world.trade import buy

SELLER, BUYER = ATTACKERS[:2]
VICTIM = HONEST[0]
HONEST_GIB, LOUD_GIB = 20, 2_000


def run(arena: Arena, epochs: int) -> Outcome:
    """In eight epochs it sells itself a hundred times what an honest host sells. Honest: it only hosts.

    Answered by: the match is a share of what was burned, and the pool a bound: who fills it loses more.
    """

    def trade(world: Arena, *, is_loud: bool) -> None:
        world.prove(SELLER)
        buy(world, MEMBERS[0], VICTIM, min(world.contents), HONEST_GIB * GIB)
        if is_loud:
            buy(world, BUYER, SELLER, min(world.contents), LOUD_GIB * GIB)

    def play(world: Arena, *, is_loud: bool) -> None:
        register(world, SELLER, world.contents, "27.0.0")
        world.run(3, lambda current: current.prove(SELLER))
        world.run(min(epochs, 8), lambda current: trade(current, is_loud=is_loud))

    return compare(
        arena,
        lambda world: play(world, is_loud=True),
        lambda world: play(world, is_loud=False),
        (SELLER, BUYER),
        victims=(VICTIM,),
    )
