"""Copies on one disk behind several networks."""

from tests.economy.hosting.shared_disk import play
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.bounds import compute_replica_bound
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import host

KEYS = ATTACKERS[:5]
NETWORKS = [f"13.{number}.0" for number in range(len(KEYS))]


def run(arena: Arena, epochs: int) -> Outcome:
    """Five keys in five networks prove from one disk. Honest: one key hosts from that disk.

    Only bounded: a proof shows a disk, not how many there are, and an address is what a host says.
    """
    return compare(
        arena,
        lambda world: play(world, epochs, KEYS, NETWORKS),
        host(epochs),
        KEYS,
        bound=compute_replica_bound(arena, epochs, len(KEYS)),
    )
