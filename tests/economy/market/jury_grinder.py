"""A challenger that has bribed a minority of the jurors, against honest data."""

from tests.economy.world.arena import ATTACKERS, HONEST, LISTER, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import idle
from tests.economy.world.verdicts import challenge, vote

CHALLENGER = ATTACKERS[0]
BRIBED = HONEST[:2]


def run(arena: Arena, epochs: int) -> Outcome:
    """Two of five jurors say junk, whatever is true; it challenges all data, one after the other.

    Honest: nobody challenges. The bribed belong to the coalition; the victim is the sponsor. Answered by: the
    majority of the revealed decides, and the loser's bond goes.
    """

    def attack(world: Arena) -> None:
        for datum in sorted(world.contents):
            world.run(1)
            case = challenge(world, CHALLENGER, datum)
            world.run(epochs // 8, lambda current, case=case: vote(current, case, BRIBED.__contains__))

    honest = idle(len(arena.contents) * (1 + epochs // 8))
    return compare(arena, attack, honest, (CHALLENGER, *BRIBED), victims=(LISTER,))
