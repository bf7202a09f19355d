"""A host that stores everything and answers only in part of the epochs."""

from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import host
from tests.economy.world.hosts import register

KEY = ATTACKERS[0]
EVERY = 10


def run(arena: Arena, epochs: int) -> Outcome:
    """It skips every tenth epoch, so that credits cover it. Honest: it answers always.

    Answered by: credits keep stake, not pay; a tenth of misses costs half of the pay.
    """

    def attack(world: Arena) -> None:
        register(world, KEY, world.contents, "15.0.0")
        world.run(epochs, lambda current: current.epoch % EVERY and current.prove(KEY))

    return compare(arena, attack, host(epochs), (KEY,))
