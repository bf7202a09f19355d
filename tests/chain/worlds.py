"""Small worlds for module tests: a state with the lower modules at genesis, a place in time, and calls on it.

A `World` runs handlers as the runtime does, on a fork that is joined only if nothing was refused, and checks
that a refusal left no trace. Times are short: an epoch is 5 blocks, an era 2 epochs.
"""

from collections.abc import Callable
from typing import Any

import pytest

from chain.errors import DispatchError
from chain.module import Context
from chain.modules import balances, escrow, staking, system
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Hash
from chain.state import MemoryState, Overlay

VIDYA = 10**9
GENESIS_HASH: Hash = b"genesis".ljust(32, b"\0")
EPOCH_BLOCKS = 5
ERA_EPOCHS = 2
ERA_BLOCKS = EPOCH_BLOCKS * ERA_EPOCHS
BLOCK_MS = 1_000
GENESIS_MS = 1_700_000_000_000

SYSTEM = system.Parameters(
    block_ms=BLOCK_MS,
    epoch_blocks=EPOCH_BLOCKS,
    era_epochs=ERA_EPOCHS,
    block_weight_max=1_000_000,
    block_bytes_max=1_000_000,
    block_transactions_max=1_000,
    transaction_lifetime_blocks_max=100,
    precision_ms=500,
    message_delay_ms=1_000,
    evidence_age_blocks=20,
    evidence_age_ms=20 * BLOCK_MS,
)
ESCROW = escrow.Parameters(
    release_eras=4,
    tiers=(escrow.Tier(2, 750_000), escrow.Tier(4, 500_000), escrow.Tier(6, 250_000)),
    last_share_ppm=100_000,
)
STAKING = staking.Parameters(
    unbonding_eras=2,
    delegation_min=VIDYA,
    slash_repair_ppm=250_000,
    slash_validators_ppm=150_000,
    slash_reporter_ppm=100_000,
)


def account(number: int) -> Address:
    """The address of test account `number` (no key stands behind it)."""
    return bytes((number,)) * 32


class World:
    """A state and a place; `checks` are the invariants that hold after every call and hook."""

    def __init__(
        self, owned: dict[Address, Amount], *, checks: tuple[Callable[[Overlay], None], ...] = ()
    ) -> None:
        self.state = Overlay(MemoryState())
        self.checks = (balances.check_invariants, escrow.check_invariants, staking.check_invariants, *checks)
        self.height = 0
        self.proposer = account(1)
        ctx = self.context()
        system.build_genesis(ctx, system.GenesisConfig(SYSTEM))
        balances.build_genesis(ctx, balances.GenesisConfig(tuple(owned.items())))
        escrow.build_genesis(ctx, escrow.GenesisConfig(ESCROW))
        staking.build_genesis(ctx, staking.GenesisConfig(STAKING))

    def context(self) -> Context:
        """The place of the world, over its state."""
        return Context(
            self.state,
            genesis_hash=GENESIS_HASH,
            height=self.height,
            time_ms=GENESIS_MS + self.height * BLOCK_MS,
            epoch=system.compute_epoch(SYSTEM, self.height),
            era=system.compute_era(SYSTEM, self.height),
            proposer=self.proposer,
        )

    def go_to_epoch(self, epoch: int) -> None:
        """Move to the first block of an epoch, running nothing on the way."""
        self.height = system.compute_first_height(SYSTEM, epoch)

    def go_to_era(self, era: int) -> None:
        """Move to the first block of an era, running nothing on the way."""
        self.go_to_epoch(era * ERA_EPOCHS)

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Record]:
        """Run a hook or a function of a module on the state; returns its events."""
        ctx = self.context()
        function(ctx, *arguments)
        self.check()
        return ctx.events

    def call(self, handler: Callable[..., Any], sender: Address, arguments: Record) -> list[Record]:
        """Run a call as the runtime would; returns its events."""
        ctx = self.context()
        inner = ctx.fork()
        handler(inner, sender, arguments)
        ctx.join(inner)
        self.check()
        return ctx.events

    def refuse(
        self,
        error: type[DispatchError],
        handler: Callable[..., Any],
        sender: Address,
        arguments: Record,
    ) -> None:
        """Show that a call is refused with `error`, and that the state is as before."""
        before = dict(self.state.changes)
        with pytest.raises(error):
            self.call(handler, sender, arguments)
        assert self.state.changes == before

    def check(self) -> None:
        """Every invariant of the modules in this world."""
        for check in self.checks:
            check(self.state)

    def balance(self, who: Address) -> Amount:
        """Free base units."""
        return balances.get_balance(self.state, who)
