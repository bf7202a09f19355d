"""Copies on one disk behind several networks."""

from tests.economy.hosting.shared_disk import play
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare

KEYS = ATTACKERS[:5]
NETWORKS = [f"13.{number}.0" for number in range(len(KEYS))]


def run(arena: Arena, epochs: int) -> Outcome:
    """Five keys in five networks prove from one disk. Honest: one key hosts from that disk.

    Only bounded: a copy that somebody else could hold is paid. The bound is what five true copies earn more
    than one; each key pledges like a true copy.
    """
    return compare(
        arena,
        lambda world: play(world, epochs, KEYS, NETWORKS),
        lambda world: play(world, epochs, KEYS[:1], NETWORKS[:1]),
        KEYS,
        bound=compute_bound(arena, epochs),
    )


def compute_bound(arena: Arena, epochs: int) -> int:
    """What four of five true copies earn."""
    fair = arena.fork()
    before = fair.wealth(*KEYS)
    play(fair, epochs, KEYS, NETWORKS)
    return (fair.wealth(*KEYS) - before) * (len(KEYS) - 1) // len(KEYS)
