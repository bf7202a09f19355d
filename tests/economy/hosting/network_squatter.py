"""Keys that register an address in the networks of honest hosts, and prove from one disk."""

from tests.economy.hosting.replicas import compute_bound
from tests.economy.hosting.shared_disk import play
from tests.economy.world.arena import ATTACKERS, HONEST, Arena
from tests.economy.world.compare import Outcome, compare

KEYS = ATTACKERS[: len(HONEST)]


def run(arena: Arena, epochs: int) -> Outcome:
    """One key in the /24 of each honest host, all from one disk. Honest: one key in a network of its own.

    Only bounded, like copies on one disk: an address is what a host says, until committees reach it. It
    halves the pay of the host whose network it names; the bound is that of five copies.
    """
    networks = [f"10.{number}.0" for number in range(1, len(KEYS) + 1)]
    return compare(
        arena,
        lambda world: play(world, epochs, KEYS, networks),
        lambda world: play(world, epochs, KEYS[:1], ["26.0.0"]),
        KEYS,
        bound=compute_bound(arena, epochs),
    )
