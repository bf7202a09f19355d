"""More than a tenth of the hosts, who prove one epoch of each era and let the excuse cover the others."""

from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import idle
from tests.economy.world.hosts import register

KEYS = ATTACKERS[:4]


def run(arena: Arena, epochs: int) -> Outcome:
    """Four keys prove one epoch of each era from an accomplice's disk. Honest use of the bond: it lies idle.

    Answered by: an excuse keeps from slash only, never pays, and comes four times an era at most.
    """

    def act(world: Arena) -> None:
        if world.epoch % world.era_epochs == 0:
            for key in KEYS:
                world.prove(key)

    def attack(world: Arena) -> None:
        world.run(1)
        for number, key in enumerate(KEYS):
            register(world, key, world.contents, f"17.{number}.0")
        world.run(epochs - 1, act)

    return compare(
        arena,
        attack,
        idle(epochs),
        KEYS,
    )
