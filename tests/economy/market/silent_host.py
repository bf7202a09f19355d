"""A host that never releases its part of ended sessions, so that deposits come back late."""

from chain.modules.sessions import CloseSession, Release
from tests.economy.world.arena import MEMBERS, Arena
from tests.economy.world.compare import Outcome
from tests.economy.world.courses import KEY, OWN_NETWORK
from tests.economy.world.hosts import register
from tests.economy.world.rules import GIB
from tests.economy.world.trade import open_session

DEPOSIT = 512 * GIB


def run(arena: Arena, epochs: int) -> Outcome:
    """30 members open a session with it and close it. Honest: it releases. The harm is what waits meanwhile.

    Answered by: an era after its end a session is over, whoever is silent. The run fails if a deposit is not
    back by then.
    """
    silent, released = (play(arena, is_silent=is_silent) for is_silent in (True, False))
    waiting = released.free(*MEMBERS) - silent.free(*MEMBERS)
    profit = silent.wealth(KEY) - released.wealth(KEY)
    silent.run(silent.era_epochs + 2, lambda world: world.prove(KEY))
    released.run(silent.era_epochs + 2, lambda world: world.prove(KEY))
    assert silent.free(*MEMBERS) == released.free(*MEMBERS), "a deposit is still locked after an era"
    return Outcome(profit, waiting, None)


def play(arena: Arena, *, is_silent: bool) -> Arena:
    """The arena three epochs after the sessions were closed."""
    world = arena.fork()
    register(world, KEY, world.contents, OWN_NETWORK)
    world.run(3, lambda current: current.prove(KEY))
    for member in MEMBERS:
        session = open_session(world, member, KEY, min(world.contents), DEPOSIT)
        world.call(member, CloseSession(session))
        if not is_silent:
            world.call(KEY, Release(KEY, (), (session,)))
    world.run(3, lambda current: current.prove(KEY))
    return world
