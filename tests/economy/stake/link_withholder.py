"""A validator that withholds beacon links, as one who looks for a better seed would."""

from tests.economy.world.arena import HONEST, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.courses import idle

KEY = HONEST[0]


def run(arena: Arena, epochs: int) -> Outcome:
    """It withholds every link for one era. Honest: it reveals.

    A better seed is worth at most the hosting pay of the epoch that it would fail otherwise, far below the
    cost. Answered by: each link costs 0.5 % of the bond and an era's validator pay at least; three end the
    candidacy.
    """

    def attack(world: Arena) -> None:
        world.withholders = {KEY}
        world.run(world.era_epochs)
        world.withholders = set()
        world.run(max(epochs - world.era_epochs, 0))

    return compare(arena, attack, idle(max(epochs, arena.era_epochs)), (KEY,))
