"""A member that demands proofs of the one KiB that an honest host has lost, to have its bond slashed."""

from chain.modules.possession.calls import Challenge
from chain.modules.staking.calls import Delegate
from tests.economy.world.arena import ATTACKERS, HONEST, LISTER, Arena, build_listing
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.content import Monotone
from tests.economy.world.hosts import add
from tests.economy.world.rules import VIDYA

MEMBER, DELEGATOR, VICTIM = ATTACKERS[0], ATTACKERS[1], HONEST[1]


def run(arena: Arena, epochs: int) -> Outcome:
    """Demands for the lost KiB in every epoch. Honest: nobody asks. Victims: the host and its delegator.

    Answered by: the fine is 5 % of the pledge behind that datum, burned, and never touches delegators.
    """

    def prepare(world: Arena) -> bytes:
        world.run(1)
        lost = world.learn(Monotone(99, 1024))
        world.call(LISTER, build_listing(world.contents[lost]))
        world.call(DELEGATOR, Delegate(VICTIM, 500_000 * VIDYA))
        add(world, VICTIM, (lost,))
        world.run(3)
        return lost

    def attack(world: Arena) -> None:
        lost = prepare(world)
        world.run(epochs, lambda current: current.attempt(MEMBER, Challenge(VICTIM, lost)))

    def honest(world: Arena) -> None:
        prepare(world)
        world.run(epochs)

    return compare(arena, attack, honest, (MEMBER,), victims=(VICTIM, DELEGATOR))
