"""A host that takes what buyers pay ahead, delivers nothing, and settles it."""

from chain.content import CHUNK_BYTES
from chain.modules import rewards, sessions
from chain.modules.sessions import CloseSession, Release
from chain.primitives.types import PPM
from node.content.downloads.losses import LossBook
from node.content.prepayment import PREPAID_BYTES_MAX
from tests.economy.world.arena import ATTACKERS, MEMBERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import KEY, OWN_NETWORK, host
from tests.economy.world.hosts import register
from tests.economy.world.rules import GIB
from tests.economy.world.trade import build_settle, open_session

assert ATTACKERS[0] == KEY
EVERY = 8


def run(arena: Arena, epochs: int) -> Outcome:
    """Every eighth simulated epoch each of 30 members buys of it, and gets nothing. Honest: it only hosts.

    The first time a member pays as far ahead as its node ever does. Then its own book of losses knows it,
    and it pays one chunk; that it would also ask this host last is left out. Only bounded: the bound is what
    the members pay ahead, less what is burned of it and not matched.
    """
    rounds = len([epoch for epoch in range(epochs) if is_sale(arena.epoch + epoch)])

    def attack(world: Arena) -> None:
        register(world, KEY, world.contents, OWN_NETWORK)
        books = [LossBook() for _ in MEMBERS]
        world.run(epochs, lambda current: act(current, books))

    def act(world: Arena, books: list[LossBook]) -> None:
        world.prove(KEY)
        if is_sale(world.epoch) and world.is_holding(KEY, min(world.contents)):
            for member, book in zip(MEMBERS, books, strict=True):
                keep(world, member, book)

    sold, paid = sessions.get_parameters(arena.state), rewards.get_parameters(arena.state)
    burned = PPM - sold.host_ppm - sold.lockers_ppm
    kept_ppm = sold.host_ppm + burned * paid.match_ppm // PPM
    most = len(MEMBERS) * (PREPAID_BYTES_MAX + max(rounds - 1, 0) * CHUNK_BYTES)
    bound = most * sold.price_per_gib // GIB * kept_ppm // PPM
    return compare(arena, attack, host(epochs), (KEY,), victims=MEMBERS, bound=bound)


def is_sale(epoch: int) -> bool:
    """Whether members buy in this epoch."""
    return epoch % EVERY == 0


def keep(world: Arena, member: bytes, book: LossBook) -> None:
    """The member pays ahead, waits in vain, closes; the host releases with the voucher."""
    ahead = CHUNK_BYTES if book.get(KEY) else PREPAID_BYTES_MAX
    session = open_session(world, member, KEY, min(world.contents), GIB)
    book.note(KEY, ahead, 0)
    world.call(member, CloseSession(session))
    world.call(KEY, Release(KEY, (build_settle(world, session, KEY, ahead).signed,), ()))
