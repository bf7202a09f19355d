"""Keys that register an address in the networks of honest hosts, and prove from one disk."""

from tests.economy.hosting.shared_disk import play
from tests.economy.world.arena import ATTACKERS, HONEST, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import host

KEYS = ATTACKERS[: len(HONEST)]


def run(arena: Arena, epochs: int) -> Outcome:
    """One key in the /24 of each honest host, all from one disk. Honest: one key in a network of its own.

    Answered by: a network's copy is paid to who has held the datum there for longest.
    """
    networks = [f"10.{number}.0" for number in range(1, len(KEYS) + 1)]
    return compare(arena, lambda world: play(world, epochs, KEYS, networks), host(epochs), KEYS)
