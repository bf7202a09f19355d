"""A host that lets a mate demand proofs it does not give, to move its bond out before it unbonds."""

from chain.modules.possession.calls import Challenge
from tests.economy.world.arena import ATTACKERS, Arena, build_listing
from tests.economy.world.compare import Outcome
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import register

HOST, MATE, LISTER = ATTACKERS[:3]
ITEMS = 48
DEMANDS_AN_EPOCH = 16
DEMANDS_A_DATUM = 2
"""The third would be punished."""


def run(arena: Arena, epochs: int) -> Outcome:
    """Two demands for each of 48 items. Counted is what the mate can spend before anything unbonds.

    Answered by: fines are burned; nobody earns by a demand.
    """
    world = arena.fork()
    world.run(1)
    items = [world.learn(Monotone(300 + number, 1024)) for number in range(ITEMS)]
    for item in items:
        world.call(LISTER, build_listing(world.contents[item]))
    register(world, HOST, items, "24.0.0")
    world.run(2, lambda current: current.prove(HOST))
    before, queue = world.free(MATE), items * DEMANDS_A_DATUM

    def act(current: Arena) -> None:
        current.prove(HOST)
        for item in queue[:DEMANDS_AN_EPOCH]:
            current.attempt(MATE, Challenge(HOST, item))
        del queue[:DEMANDS_AN_EPOCH]

    world.run(min(epochs, 12), act)
    return Outcome(world.free(MATE) - before, 0, None)
