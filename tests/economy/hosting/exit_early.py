"""A host that deletes the disk, keeps proving what it can buy, and leaves at the first failed proof."""

from chain.modules import hosting, staking
from chain.modules.staking.calls import Unbond
from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.compare import Outcome, compare
from tests.economy.world.hosts import drop, register

KEY = ATTACKERS[0]


def run(arena: Arena, epochs: int) -> Outcome:
    """It stores half, and drops all and unbonds at the first miss. Honest: it hosts that half all the time.

    Answered by: pay needs proofs from the first epoch on, so there is nothing to leave with.
    """
    datums = sorted(arena.contents)
    stored, lost = datums[::2], datums[1::2]

    def act(world: Arena) -> None:
        if not world.prove(KEY, lost) and hosting.get_subset(world.state, KEY, world.epoch):
            drop(world, KEY, datums)
        ledger = staking.get_ledger(world.state, KEY)
        if ledger.active > ledger.committed:
            world.call(KEY, Unbond(ledger.active - ledger.committed))

    def attack(world: Arena) -> None:
        register(world, KEY, datums, "18.0.0")
        world.run(epochs, act)

    def honest(world: Arena) -> None:
        register(world, KEY, stored, "18.0.0")
        world.run(epochs, lambda current: current.prove(KEY))

    return compare(arena, attack, honest, (KEY,))
