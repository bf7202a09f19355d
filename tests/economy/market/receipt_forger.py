"""A host that settles vouchers nobody signed: forged, replayed, lowered, for another host, after the end."""

from chain.modules.sessions import CloseSession
from chain.primitives.keys import KeyPair
from tests.economy.world.arena import ATTACKERS, HONEST, MEMBERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.hosts import register
from tests.economy.world.rules import GIB
from tests.economy.world.trade import build_settle, open_session

FORGER, OTHER = ATTACKERS[:2]


def run(arena: Arena, epochs: int) -> Outcome:
    """In each epoch it settles a true voucher of 1 GiB and tries every false one. Honest: the true one.

    Answered by: the session's key signs session, host, bytes and amount; only a higher voucher counts.
    """

    def trade(world: Arena, *, is_forging: bool) -> None:
        world.prove(FORGER)
        if world.epoch < arena.epoch + 4:
            return
        session = open_session(world, MEMBERS[0], FORGER, min(world.contents), 8 * GIB)
        world.call(FORGER, build_settle(world, session, FORGER, GIB))
        if is_forging:
            forge(world, session)
        world.call(MEMBERS[0], CloseSession(session))
        if is_forging:
            forge(world, session)

    def play(world: Arena, *, is_forging: bool) -> None:
        register(world, FORGER, world.contents, "20.0.0")
        world.run(epochs, lambda current: trade(current, is_forging=is_forging))

    return compare(
        arena,
        lambda world: play(world, is_forging=True),
        lambda world: play(world, is_forging=False),
        (FORGER, OTHER),
        victims=(MEMBERS[0], *HONEST),
    )


def forge(world: Arena, session: bytes) -> None:
    """Every false voucher."""
    thief = KeyPair(b"t" * 32)
    for host, size, key in ((FORGER, 8 * GIB, thief), (OTHER, GIB, thief), (FORGER, GIB, thief)):
        world.attempt(FORGER, build_settle(world, session, host, size, key))
    world.attempt(FORGER, build_settle(world, session, FORGER, GIB))
    world.attempt(FORGER, build_settle(world, session, FORGER, GIB // 2))
