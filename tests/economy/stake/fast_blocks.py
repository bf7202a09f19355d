"""All validators together make blocks one millisecond apart."""

from tests.economy.world.arena import HONEST, LISTER, Arena
from tests.economy.world.compare import Outcome, compare


def run(arena: Arena, epochs: int) -> Outcome:
    """Blocks as fast as the header allows, for so many epochs. Honest: one epoch of the same chain time.

    Answered by: an epoch mints for the time between its first and last block.
    """

    def attack(world: Arena) -> None:
        world.run(epochs, gap_ms=1)

    return compare(arena, attack, lambda world: world.run(1, gap_ms=epochs), HONEST, victims=(LISTER,))
