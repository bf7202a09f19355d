"""Junk under many names: several listers, each its own sponsor, that leave when they are challenged."""

from chain.modules import catalogue
from chain.modules.catalogue.sponsoring import LeaveSponsorship
from tests.economy.world.admission import sponsor
from tests.economy.world.arena import ATTACKERS, MEMBERS, Arena, build_listing
from tests.economy.world.bounds import compute_lister_bound
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.content import Monotone
from tests.economy.world.courses import idle
from tests.economy.world.hosts import register
from tests.economy.world.rules import FIRST, GIB
from tests.economy.world.verdicts import challenge, vote

LISTERS, KEYS = ATTACKERS[:4], ATTACKERS[5:10]
TRIAL_ERAS = 4


def run(arena: Arena, epochs: int) -> Outcome:
    """Four listers with 256 GiB each, five own keys without a disk. Honest use of the bond: it lies idle.

    A member challenges all four data 4 eras before the end of the run; each lister gives notice at once. Only
    bounded: until somebody challenges them, each lister's data earn up to their bound of the hosting pool.
    """

    def attack(world: Arena) -> None:
        world.run(1)
        items = [world.learn(Monotone(400 + number, 256 * GIB)) for number in range(len(LISTERS))]
        for lister, item in zip(LISTERS, items, strict=True):
            world.call(lister, build_listing(world.contents[item]))
        for number, key in enumerate(KEYS):
            register(world, key, items, f"33.{number}.0")
        world.run(3, prove)
        for lister, item in zip(LISTERS, items, strict=True):
            sponsor(world, item, lister)
        world.run(max(epochs - 4 - TRIAL_ERAS * world.era_epochs, 0), prove)
        cases = [] if world.rules == FIRST else accuse(world, items)
        world.run(TRIAL_ERAS * world.era_epochs, lambda current: judge(current, cases))

    unpaid = catalogue.get_parameters(arena.state).unpaid_eras * arena.era_epochs
    bound = compute_lister_bound(arena, max(epochs - unpaid, 0), len(LISTERS))
    return compare(arena, attack, idle(epochs), (*LISTERS, *KEYS), bound=bound)


def accuse(world: Arena, items: list[bytes]) -> list[int]:
    """A case for each datum that earns; its lister takes its bond out as far as the rules let it."""
    cases = []
    for lister, item in zip(LISTERS, items, strict=True):
        if catalogue.is_admitted(world.state, item):
            cases.append(challenge(world, MEMBERS[0], item))
            world.attempt(lister, LeaveSponsorship(item))
    return cases


def prove(world: Arena) -> None:
    """All keys make the junk at will."""
    for key in KEYS:
        world.prove(key)


def judge(world: Arena, cases: list[int]) -> None:
    """The keys go on; honest jurors see what it is."""
    prove(world)
    for case in cases:
        vote(world, case, lambda juror: True)
