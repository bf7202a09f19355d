"""Ghost hosts with an accomplice's disk: one disk, seven more keys in the same network."""

from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import host
from tests.economy.world.hosts import register

OWNER, *MATES = ATTACKERS[:8]


def play(world: Arena, epochs: int, keys: tuple[bytes, ...], networks: list[str]) -> None:
    """Keys that all prove from one disk."""
    for key, network in zip(keys, networks, strict=True):
        register(world, key, world.contents, network)
    world.run(epochs, lambda current: [current.prove(key) for key in keys])


def run(arena: Arena, epochs: int) -> Outcome:
    """Eight keys prove from one disk, in one network. Honest: one key hosts from that disk.

    Answered by: hosts in one network are one copy and share its pay.
    """
    everybody = (OWNER, *MATES)
    return compare(
        arena,
        lambda world: play(world, epochs, everybody, ["12.0.0"] * len(everybody)),
        host(epochs),
        everybody,
    )
