"""Procedural junk: a TiB that a program makes at will, admitted by own members and hosted by own keys."""

from chain.modules import catalogue
from tests.economy.world.admission import pay, sponsor
from tests.economy.world.arena import ATTACKERS, MEMBERS, Arena, build_listing
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.content import Monotone
from tests.economy.world.courses import idle
from tests.economy.world.hosts import register
from tests.economy.world.rules import FIRST, GIB
from tests.economy.world.verdicts import challenge, vote

KEYS, FANS, LISTER = ATTACKERS[:7], ATTACKERS[8:11], ATTACKERS[11]
TRIAL_ERAS = 4
COALITION = (*KEYS, *FANS, LISTER)


def run(arena: Arena, epochs: int) -> Outcome:
    """One TiB, seven own keys without a disk. Honest use of the bond: it lies idle.

    Under the first edition three own members pay for it, which admitted a datum; now its lister sponsors it,
    and a member challenges it four eras before the end of the run: until then nobody has noticed.
    Answered by: seven unpaid eras, a sponsor bond that a jury can take, a bound on one lister's data.
    """

    def attack(world: Arena) -> None:
        world.run(1)
        junk = world.learn(Monotone(77, 1024 * GIB))
        world.call(LISTER, build_listing(world.contents[junk]))
        for number, key in enumerate(KEYS):
            register(world, key, (junk,), f"21.{number}.0")
        world.run(3, prove)
        sponsor(world, junk, LISTER)
        if world.rules == FIRST:
            pay(world, junk, FANS, KEYS[0])
        world.run(max(epochs - 4 - TRIAL_ERAS * world.era_epochs, 0), prove)
        is_challenged = catalogue.is_admitted(world.state, junk) and world.rules != FIRST
        case = challenge(world, MEMBERS[0], junk) if is_challenged else None
        world.run(TRIAL_ERAS * world.era_epochs, lambda current: judge(current, case))

    return compare(arena, attack, idle(epochs), COALITION)


def prove(world: Arena) -> None:
    """All keys make the junk at will."""
    for key in KEYS:
        world.prove(key)


def judge(world: Arena, case: int | None) -> None:
    """The keys go on; honest jurors see what it is."""
    prove(world)
    if case is not None:
        vote(world, case, lambda juror: True)
