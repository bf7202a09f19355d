"""A proposer that leaves another validator's votes out of its blocks."""

from tests.economy.world.arena import HONEST, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import idle

CENSOR, VICTIM = HONEST[0], HONEST[1]


def run(arena: Arena, epochs: int) -> Outcome:
    """In its turns it leaves one rival out. Honest: it includes everything.

    Answered by: pay that one account loses is not minted and goes to no other. Proofs are another matter: who
    proposes all 20 blocks before the deadline could leave them out, which a vote on the proposers cannot.
    """

    def attack(world: Arena) -> None:
        world.left_out = {CENSOR: VICTIM}
        world.run(epochs)

    return compare(arena, attack, idle(epochs), (CENSOR,), victims=(VICTIM,))
