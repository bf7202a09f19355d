"""A payer that ends a session before its host has settled, after settling an old voucher itself."""

from chain.modules.sessions import CloseSession, Release, Settle
from tests.economy.world.arena import ATTACKERS, HONEST, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.rules import GIB
from tests.economy.world.trade import build_settle, open_session

PAYER, MATE, HOST = *ATTACKERS[:2], HONEST[0]
SOLD, EARLY = GIB, GIB // 64
EPOCHS_MAX = 64


def run(arena: Arena, epochs: int) -> Outcome:
    """It settles a voucher of 16 MiB, closes, and tries to release the rest itself. Honest: it only closes.

    Answered by: hosts have an era to settle after the end, and only the host can say that it claims no more.
    """

    def trade(world: Arena, *, is_early: bool) -> None:
        session = open_session(world, PAYER, HOST, min(world.contents), 4 * GIB)
        last = build_settle(world, session, HOST, SOLD).signed
        if is_early:
            world.call(PAYER, build_settle(world, session, HOST, EARLY))
        world.call(PAYER, CloseSession(session))
        if is_early:
            for somebody in (PAYER, MATE):
                assert not world.attempt(somebody, Release(HOST, (), (session,)))
                world.attempt(somebody, build_settle(world, session, HOST, EARLY * 2))
        world.call(HOST, Release(HOST, (last,), ()))
        world.attempt(PAYER, Settle(last))

    def play(world: Arena, *, is_early: bool) -> None:
        world.run(min(epochs, EPOCHS_MAX), lambda current: trade(current, is_early=is_early))

    return compare(
        arena,
        lambda world: play(world, is_early=True),
        lambda world: play(world, is_early=False),
        (PAYER, MATE),
        victims=(HOST,),
    )
