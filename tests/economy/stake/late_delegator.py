"""Stake that is delegated in the last block before pay, and earns before it is elected."""

from chain.modules.staking.calls import Delegate
from tests.economy.world.arena import ATTACKERS, HONEST, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.rules import VIDYA

LATE, LOYAL = ATTACKERS[:2]
STAKE = 1_000_000 * VIDYA


def run(arena: Arena, epochs: int) -> Outcome:
    """Delegates in the last block of an epoch. Honest: in the next one, when the epoch has been paid.

    The victim is who delegated before. Answered by: delegators share by the stake that was elected.
    """

    def play(world: Arena, *, is_late: bool) -> None:
        world.run(1)
        world.call(LOYAL, Delegate(HONEST[0], STAKE // 10))
        world.run(world.era_epochs)
        world.start_block()
        world.prove_honest()
        if is_late:
            world.call(LATE, Delegate(HONEST[0], STAKE))
        world.end_block()
        world.start_block()
        world.end_block()
        world.run(1, None if is_late else lambda current: current.call(LATE, Delegate(HONEST[0], STAKE)))

    return compare(
        arena,
        lambda world: play(world, is_late=True),
        lambda world: play(world, is_late=False),
        (LATE,),
        victims=(LOYAL,),
    )
