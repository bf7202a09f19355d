"""A host that registers all data and stores seven of eight."""

from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import host
from tests.economy.world.hosts import register

KEY = ATTACKERS[0]


def run(arena: Arena, epochs: int) -> Outcome:
    """It proves whenever no sampled leaf lies in what it lacks. Honest: it registers what it stores.

    Answered by: four uniform leaves an epoch, a pay factor that falls to nothing at 80 %, jail at half.
    """
    *stored, lost = sorted(arena.contents)

    def attack(world: Arena) -> None:
        register(world, KEY, (*stored, lost), "14.0.0")
        world.run(epochs, lambda current: current.prove(KEY, (lost,)))

    return compare(arena, attack, host(epochs, lacking=1), (KEY,))
