"""Procedural junk: a TiB that a program makes at will, admitted by own members and hosted by own keys."""

from tests.economy.world.admission import pay, sponsor
from tests.economy.world.arena import ATTACKERS, Arena, build_listing
from tests.economy.world.built import IS_JUDGED, JURY
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import register
from tests.economy.world.rules import FIRST, GIB

KEYS, FANS, LISTER = ATTACKERS[:7], ATTACKERS[8:11], ATTACKERS[11]
COALITION = (*KEYS, *FANS, LISTER)


def run(arena: Arena, epochs: int) -> Outcome:
    """One TiB, seven own keys without a disk. Honest use of the bond: it lies idle.

    Under the first edition three own members pay for it, which admitted a datum; now its lister sponsors it.
    Answered by: seven unpaid eras, a sponsor bond that a jury can take, a bound on one lister's data.
    """

    def attack(world: Arena) -> None:
        world.run(1)
        junk = world.learn(Monotone(77, 1024 * GIB))
        world.call(LISTER, build_listing(world.contents[junk]))
        for number, key in enumerate(KEYS):
            register(world, key, (junk,), f"21.{number}.0")
        world.run(3, lambda current: [current.prove(key) for key in KEYS])
        sponsor(world, junk, LISTER)
        if world.rules == FIRST:
            pay(world, junk, FANS, KEYS[0])
        world.run(epochs - 4, lambda current: [current.prove(key) for key in KEYS])

    missing = "" if IS_JUDGED else JURY
    return compare(arena, attack, lambda world: world.run(epochs), COALITION, missing=missing)
