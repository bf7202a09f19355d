"""A validator that withholds a beacon link when the seed without it spares a host that lacks data."""

from chain.modules import offences, possession
from chain.primitives.types import Epoch
from tests.economy.world.admission import open_arena
from tests.economy.world.arena import ATTACKERS, HONEST, LISTER, Arena, build_listing
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import register
from tests.economy.world.rules import EPOCH_BLOCKS, GIB

VALIDATOR, MATE = HONEST[0], ATTACKERS[0]
LOST = Monotone(55, 128 * GIB)
SCALE = 4
SAMPLED_AFTER = 1
"""The last link of an epoch is in the seed of the next one."""


def run(arena: Arena, epochs: int) -> Outcome:
    """The mate lacks 3 % of its bytes in the epochs in which grinding spares it. Honest: reveal and miss.

    Before an epoch's last block, if it is the validator's, both seeds are tried on copies of the chain. It
    withholds if only the seed without its link spares the mate, as often as its candidacy lasts. Answered by:
    each link costs 0.5 % of the bond and an era's validator pay at least; three end the candidacy.

    A link spares one public epoch, so a simulated one must not stand for many: this arena has its own scale.
    """
    fine = open_arena(arena.rules, arena.seed, SCALE)
    count = epochs * arena.scale // SCALE

    def play(world: Arena, *, is_grinding: bool) -> None:
        grinder = Grinder(world, is_grinding=is_grinding)
        world.call(LISTER, build_listing(world.contents[world.learn(LOST)]))
        register(world, MATE, world.contents, "32.0.0")
        world.run(count, grinder.act)

    found = compare(
        fine,
        lambda world: play(world, is_grinding=True),
        lambda world: play(world, is_grinding=False),
        (VALIDATOR, MATE),
        victims=HONEST[1:],
    )
    detected = None if found.detected is None else found.detected * SCALE // arena.scale
    return found._replace(detected=detected)


class Grinder:
    """Chooses the links that are worth withholding; withholds them, or only lets the mate miss."""

    def __init__(self, world: Arena, *, is_grinding: bool) -> None:
        self.is_grinding = is_grinding
        self.links_left = offences.get_parameters(world.state).unrevealed_links_max - 1
        self.lacks_in: set[Epoch] = set()
        """Epochs in which the mate lacks the datum."""

    def act(self, world: Arena) -> None:
        """In the first block of an epoch, whose second block is the last."""
        world.prove(MATE, (LOST.datum,) if world.epoch in self.lacks_in else ())
        last = world.height + EPOCH_BLOCKS - 1
        if not self.links_left or world.get_proposer(last) != VALIDATOR:
            return
        if not is_spared(world, set()) and is_spared(world, {last}):
            self.links_left -= 1
            self.lacks_in.add(world.epoch + SAMPLED_AFTER)
            if self.is_grinding:
                world.silent_at.add(last)


def is_spared(world: Arena, silent_at: set[int]) -> bool:
    """Whether no leaf that will be sampled lies in what the mate lacks, if these links are withheld."""
    trial = world.fork()
    trial.silent_at = silent_at
    trial.run(SAMPLED_AFTER)
    trial.start_block()
    places = possession.get_challenges(trial.state, MATE, trial.epoch)
    return bool(places) and all(place.datum != LOST.datum for place in places)
