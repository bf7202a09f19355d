"""Copies on one disk behind several networks."""

from tests.economy.hosting.shared_disk import play
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare

KEYS = ATTACKERS[:5]


def run(arena: Arena, epochs: int) -> Outcome:
    """Five keys in five networks prove from one disk. Honest: one key hosts from that disk.

    Only bounded: a copy that somebody else could hold is paid. The bound is what five true copies earn more
    than one; each key pledges like a true copy.
    """
    networks = [f"13.{number}.0" for number in range(len(KEYS))]
    fair = arena.fork()
    before = fair.wealth(*KEYS)
    play(fair, epochs, KEYS, networks)
    bound = (fair.wealth(*KEYS) - before) * (len(KEYS) - 1) // len(KEYS)
    return compare(
        arena,
        lambda world: play(world, epochs, KEYS, networks),
        lambda world: play(world, epochs, KEYS[:1], networks[:1]),
        KEYS,
        bound=bound,
    )
