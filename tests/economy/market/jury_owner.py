"""A challenger that has bribed the majority of the jurors, against an honest datum that they do not hold."""

from chain.modules import catalogue, juries, rewards
from chain.primitives.types import PPM, Hash
from tests.economy.world.admission import sponsor
from tests.economy.world.arena import ATTACKERS, HONEST, LISTER, Arena, build_listing
from tests.economy.world.bounds import compute_hosting_pool
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import add
from tests.economy.world.rules import GIB
from tests.economy.world.verdicts import challenge, vote

CHALLENGER = ATTACKERS[0]
BRIBED, HOST = HONEST[:4], HONEST[4]
WANTED = Monotone(500, 64 * GIB)
TRIAL_ERAS = 4


def run(arena: Arena, epochs: int) -> Outcome:
    """Four of five jurors say junk. Honest: nobody challenges. Victims: the sponsor, and the datum's host.

    Only bounded: a jury that errs takes the sponsor's bond, of which the challenger and the jurors get their
    parts, and what the host has withheld for the datum; what the datum earned is paid for other data.
    """

    def prepare(world: Arena) -> Hash:
        world.run(1)
        datum = world.learn(WANTED)
        world.call(LISTER, build_listing(WANTED))
        add(world, HOST, (datum,))
        sponsor(world, datum, LISTER)
        world.run(max(epochs - 1 - TRIAL_ERAS * world.era_epochs, 0))
        return datum

    def attack(world: Arena) -> None:
        datum = prepare(world)
        case = challenge(world, CHALLENGER, datum)
        world.run(TRIAL_ERAS * world.era_epochs, lambda current: vote(current, case, BRIBED.__contains__))

    def honest(world: Arena) -> None:
        prepare(world)
        world.run(TRIAL_ERAS * world.era_epochs)

    return compare(
        arena, attack, honest, (CHALLENGER, *BRIBED), victims=(LISTER, HOST), bound=compute_bound(arena)
    )


def compute_bound(arena: Arena) -> int:
    """The parts of the sponsor bond that a verdict pays, and the most that the datum earned in that time."""
    world = arena.fork()
    world.run(1)
    datum = world.learn(WANTED)
    world.call(LISTER, build_listing(WANTED))
    entry = catalogue.get_datum(world.state, datum)
    assert entry is not None
    parameters, paid = juries.get_parameters(world.state), rewards.get_parameters(world.state)
    bonded = catalogue.get_required(world.state, entry)
    pool = compute_hosting_pool(arena, TRIAL_ERAS * arena.era_epochs)
    others = sum(content.size for content in arena.contents.values()) * len(HONEST)
    moved = pool * WANTED.size * paid.weight_ppm_max // (others * PPM)
    return bonded * (parameters.winner_ppm + parameters.jurors_ppm) // PPM + moved
