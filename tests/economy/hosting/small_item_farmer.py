"""The only datum of an empty index is one KiB, and it takes the hosting pool."""

from tests.economy.world.admission import open_arena, pay, sponsor
from tests.economy.world.arena import ATTACKERS, Arena, build_listing
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import register

KEY, LISTER = ATTACKERS[0], ATTACKERS[1]
FANS = ATTACKERS[2:5]


def run(arena: Arena, epochs: int) -> Outcome:
    """In an arena without data: lists, admits and hosts one KiB. Honest use of the bond: it lies idle.

    Answered by: a weighted GiB earns a tenth of the download price per era at most; the rest goes to lockers.
    """
    empty = open_arena(arena.rules, arena.seed, arena.scale, datums=0)

    def attack(world: Arena) -> None:
        kib = world.learn(Monotone(88, 1024))
        world.run(1)
        world.call(LISTER, build_listing(world.contents[kib]))
        register(world, KEY, (kib,), "22.0.0")
        world.run(2)
        sponsor(world, kib, LISTER)
        pay(world, kib, FANS, KEY)
        world.run(epochs - 3, lambda current: current.prove(KEY))

    return compare(empty, attack, lambda world: world.run(epochs), (KEY, LISTER, *FANS))
