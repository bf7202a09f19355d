"""A host that registers a datum only to keep its lister from getting the curator bond back."""

from chain.modules import catalogue
from chain.modules.catalogue import Delist
from tests.economy.world.admission import IS_SPONSORED
from tests.economy.world.arena import ATTACKERS, Arena, build_listing
from tests.economy.world.built import ADMISSION
from tests.economy.world.compare import Outcome
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import register

BLOCKER, CURATOR = ATTACKERS[:2]


def run(arena: Arena, epochs: int) -> Outcome:
    """Registers somebody's KiB for as long as the run. The harm is the bond that its lister cannot get.

    Answered by: the curator bond returns after 90 eras, whoever hosts the datum by then.
    """
    world = arena.fork()
    world.run(1)
    datum = world.learn(Monotone(66, 1024))
    world.call(CURATOR, build_listing(world.contents[datum]))
    register(world, BLOCKER, (datum,), "25.0.0")
    world.run(epochs, lambda current: current.prove(BLOCKER))
    is_back = world.attempt(CURATOR, Delist(datum))
    bond = catalogue.get_parameters(world.state).curator_bond
    return Outcome(0, 0 if is_back else bond, None, 0, "" if IS_SPONSORED else ADMISSION)
