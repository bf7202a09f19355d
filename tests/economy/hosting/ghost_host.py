"""Ghost hosts: keys without a disk that register others' data and buy the few sampled chunks each epoch."""

from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import idle
from tests.economy.world.hosts import prove_bought, register

KEYS = ATTACKERS[:7]


def run(arena: Arena, epochs: int) -> Outcome:
    """Seven keys, each in a network of its own, hold all data. The honest use of the bond: it lies idle.

    Answered by: no sale of sampled chunks before a short deadline, and a pledge that grows with the share.
    """

    def attack(world: Arena) -> None:
        world.run(1)
        for number, key in enumerate(KEYS):
            register(world, key, world.contents, f"11.{number}.0")
        world.run(epochs - 1, lambda current: [prove_bought(current, key) for key in KEYS])

    return compare(arena, attack, idle(epochs), KEYS)
