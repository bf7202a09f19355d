"""Keys that are registered early and hold nothing, so that less of their pay is withheld later."""

from chain.modules import escrow
from tests.economy.world.admission import open_arena
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome
from tests.economy.world.hosts import add
from tests.economy.world.rules import VIDYA

KEY = ATTACKERS[0]
AGE_ERAS = 100
ERAS = 4


def run(arena: Arena, epochs: int) -> Outcome:
    """An empty key of 100 eras begins to host. Honest: a key that registers when it begins.

    Counted is what can be spent at once after four eras: what is withheld can still be slashed. Answered by:
    withholding follows proven eras.
    """
    arena = open_arena(arena.rules, arena.seed, 96, datums=1)
    aged, young = arena.fork(), arena.fork()
    for world, is_early in ((aged, True), (young, False)):
        world.run(1)
        if is_early:
            world.become_host(KEY, 5_000 * VIDYA, "23.0.0")
        world.run(AGE_ERAS)
        if not is_early:
            world.become_host(KEY, 5_000 * VIDYA, "23.0.0")
        add(world, KEY, world.contents)
        world.run(ERAS, lambda current: current.prove(KEY))
    paid = [_get_share_at_once(world) for world in (aged, young)]
    return Outcome(paid[0] - paid[1], 0, None)


def _get_share_at_once(world: Arena) -> int:
    paid = [event for _, event in world.events if isinstance(event, escrow.Paid) and event.account == KEY]
    return sum(event.amount - event.withheld for event in paid)
