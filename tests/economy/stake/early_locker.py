"""The first locker, who locks a week when the fund is full and no other weight shares it."""

from chain.modules import lockers
from chain.modules.lockers import LeaveLock, LockTokens
from chain.primitives.fixed_point import mul_ppm
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.rules import VIDYA

KEY = ATTACKERS[0]
AMOUNT = 1_000_000 * VIDYA


def run(arena: Arena, epochs: int) -> Outcome:
    """Locks for one week at the end of the run, and leaves after it. Honest: nobody locks.

    Only bounded: a lock is paid. The bound is 0.2 % of the lock in each era of its term.
    """
    week = lockers.get_parameters(arena.state).week_eras

    def attack(world: Arena) -> None:
        world.run(epochs)
        world.call(KEY, LockTokens(AMOUNT, 1))
        world.run((week + 2) * world.era_epochs)
        world.call(KEY, LeaveLock(0))

    def honest(world: Arena) -> None:
        world.run(epochs + (week + 2) * world.era_epochs)

    paid_ppm = lockers.get_parameters(arena.state).pay_ppm_max
    return compare(arena, attack, honest, (KEY,), bound=mul_ppm(AMOUNT, paid_ppm) * (week + 2))
