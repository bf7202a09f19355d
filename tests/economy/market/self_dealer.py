"""Keys that sell to each other and own all locks."""

from chain.modules.lockers import LockTokens
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.hosts import register
from tests.economy.world.rules import GIB, VIDYA
from tests.economy.world.trade import buy

BUYER, OTHER, *SELLERS = ATTACKERS[:6]
GIB_AN_EPOCH = 20


def run(arena: Arena, epochs: int) -> Outcome:
    """It buys its own data from itself every epoch. Honest: the same hosts and locks without the purchases.

    By the seed: one to four selling keys, and all, half or none of the locks.

    Answered by: what a faked GiB burns exceeds what is minted for it by 2 % of the price.
    """

    sellers, lockers = SELLERS[: 1 + arena.seed % 4], ((BUYER,), (BUYER, OTHER), (OTHER,))[arena.seed % 3]

    def prove(world: Arena) -> None:
        for seller in sellers:
            world.prove(seller)

    def prepare(world: Arena) -> None:
        for number, seller in enumerate(sellers):
            register(world, seller, world.contents, f"19.{number}.0")
        for locker in lockers:
            world.call(locker, LockTokens(500_000 * VIDYA, 52))
        world.run(3, prove)

    def act(world: Arena) -> None:
        prove(world)
        buy(world, BUYER, sellers[world.epoch % len(sellers)], min(world.contents), GIB_AN_EPOCH * GIB)

    def attack(world: Arena) -> None:
        prepare(world)
        world.run(epochs, act)

    def honest(world: Arena) -> None:
        prepare(world)
        world.run(epochs, prove)

    return compare(arena, attack, honest, (*sellers, BUYER))
