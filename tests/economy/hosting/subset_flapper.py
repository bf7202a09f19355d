"""A host that registers and drops a datum again and again, so as to hold it only when it is not sampled."""

from chain.modules.hosting import RegisterSubset
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import host
from tests.economy.world.hosts import drop, register

KEY = ATTACKERS[0]


def run(arena: Arena, epochs: int) -> Outcome:
    """A datum that it does not store is registered and dropped as often as allowed. Honest: never registered.

    Answered by: both take effect two epochs later, one epoch after the seed is known; a drop stays for four.
    """
    *stored, lost = sorted(arena.contents)

    def act(world: Arena) -> None:
        if not drop(world, KEY, (lost,)):
            world.attempt(KEY, RegisterSubset((lost,), ()))
        world.prove(KEY, (lost,))

    def attack(world: Arena) -> None:
        register(world, KEY, (*stored, lost), "16.0.0")
        world.run(epochs, act)

    return compare(arena, attack, host(epochs, lacking=1), (KEY,))
