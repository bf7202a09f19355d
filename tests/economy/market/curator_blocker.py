"""A host that registers a datum only to keep its lister from getting the curator bond back."""

from chain.modules import catalogue
from chain.modules.catalogue import Delist
from tests.economy.world.arena import ATTACKERS, Arena, build_listing
from tests.economy.world.compare import Outcome
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import register

BLOCKER, CURATOR = ATTACKERS[:2]
ERAS = 92


def run(arena: Arena, epochs: int) -> Outcome:
    """Registers somebody's KiB for 92 eras. The harm is the bond that its lister cannot get.

    Answered by: the curator bond returns after 90 eras, whoever hosts the datum by then.
    """
    world = Arena(arena.rules, arena.seed, 96, datums=0)
    world.run(1)
    datum = world.learn(Monotone(66, 1024))
    world.call(CURATOR, build_listing(world.contents[datum]))
    register(world, BLOCKER, (datum,), "25.0.0")
    world.run(ERAS, lambda current: current.prove(BLOCKER))
    world.attempt(CURATOR, Delist(datum))
    entry = catalogue.get_datum(world.state, datum)
    return Outcome(0, 0 if entry is None else entry.bond, None)
