"""Small worlds for module tests: a state with the lower modules at genesis, a place in time, and calls on it.

A `World` runs handlers as the runtime does, on a fork that is joined only if nothing was refused, and checks
that a refusal left no trace. Times are short: an epoch is 5 blocks, an era 2 epochs.
"""

from collections.abc import Callable
from typing import Any

import pytest

from chain.errors import DispatchError
from chain.module import Context
from chain.modules import (
    balances,
    beacon,
    catalogue,
    escrow,
    hosting,
    membership,
    offences,
    possession,
    staking,
    system,
    validators,
)
from chain.primitives.codec import Record, replace
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Amount, Hash
from chain.state import MemoryState, Overlay
from chain.votes import (
    CommitCertificate,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    get_vote_signing_bytes,
)

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
STAKING = staking.types.Parameters(
    unbonding_eras=2,
    delegation_min=VIDYA,
    slash_repair_ppm=250_000,
    slash_validators_ppm=150_000,
    slash_reporter_ppm=100_000,
)


BEACON = beacon.Parameters(links_max=1_000, renewal_links=2, seeds_kept=4)
CATALOGUE = catalogue.Parameters(
    listing_fee_per_gib=5 * VIDYA,
    listing_fee_min=VIDYA // 100,
    curator_bond=25 * VIDYA,
    curator_bond_eras=3,
    unpaid_eras=0,
    sponsor_eras=0,
    sponsor_copies=5,
    sponsor_per_gib_min=0,
    sponsor_min=0,
    sponsor_notice_eras=1,
    outside_members=2,
    datum_bytes_max=2**40,
)
HOSTING = hosting.types.Parameters(
    pledge_eras=20,
    pledge_per_gib_min=6 * VIDYA,
    pledge_step_ppm=50_000,
    pledge_supply_ppm=0,
    pledge_bytes_min=1,
    delay_epochs=2,
    drop_interval_epochs=4,
    subset_datums_max=100,
)
POSSESSION = possession.types.Parameters(
    leaves_per_epoch=4,
    deadline_blocks=3,
    sale_pause_blocks=1,
    unsold_bytes_min=2**19,
    window_epochs=8,
    pay_floor_ppm=800_000,
    credit_proven_epochs=24,
    credits_max=96,
    mass_miss_ppm=500_000,
    mass_miss_hosts_min=3,
    excused_epochs_max=2,
    era_proven_ppm=500_000,
    era_bytes_min=1,
    demand_fee=VIDYA // 2,
    demands_per_host_max=4,
)
MEMBERSHIP = membership.Parameters(
    gate="fixed_gate", lock=45 * VIDYA, fee_lockers=3 * VIDYA, fee_burned=2 * VIDYA, unlocking_eras=1
)
VALIDATORS = validators.types.Parameters(
    bond_min=10 * VIDYA,
    power_unit=VIDYA,
    validators_max=10,
    validators_min=1,
    commission_step_ppm=10_000,
)
OFFENCES = offences.Parameters(
    equivocation_ppm_min=50_000,
    equivocation_window_eras=2,
    miss_jail_ppm=500_000,
    jail_epochs=2,
    miss_slash_ppm=1_000,
    miss_slash_ppm_max=50_000,
    jailing_window_eras=30,
    offline_epochs=6,
    unrevealed_ppm=5_000,
    unrevealed_links_max=3,
    demand_failures_max=3,
    demand_slash_ppm=50_000,
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


LISTING = catalogue.ListDatum(b"f" * 32, b"r" * 32, 10 * 2**20, "a title", "text", (), "")
DATUM = catalogue.compute_datum_id(LISTING)


def consensus_key(number: int) -> KeyPair:
    """The consensus key of test account `number`."""
    return KeyPair(bytes((number, 1)) * 16)


def build_candidacy(number: int, who: Address | None = None, commission_ppm: int = 0) -> validators.Validate:
    """The call by which an account, by default `number`, stands with the consensus key of `number`."""
    standing = account(number) if who is None else who
    return validators.sign_candidacy(consensus_key(number), GENESIS_HASH, standing, commission_ppm)


def build_collective(*, is_listed: bool = False, **changes: int) -> World:
    """Accounts 1 to 4 are validators with a bond of 100, accounts 1 to 9 own 1000 more each.

    `changes` are to the parameters of `validators`; `is_listed` puts one datum of 10 MiB into the catalogue.
    """
    modules = (beacon, catalogue, hosting, possession, membership, validators, offences)
    checks = tuple(module.check_invariants for module in modules if hasattr(module, "check_invariants"))
    named = range(1, 5)
    world = World({account(number): (1_100 if number in named else 1_000) * VIDYA for number in range(1, 10)})
    ctx = world.context()
    for number in named:
        staking.calls.bond(ctx, account(number), staking.Bond(100 * VIDYA))
    chains = tuple((account(number), b"t" * 32, 1_000) for number in named)
    keys = tuple((account(number), consensus_key(number).public_key, 0) for number in named)
    beacon.build_genesis(ctx, beacon.GenesisConfig(BEACON, chains))
    catalogue.build_genesis(ctx, catalogue.GenesisConfig(CATALOGUE))
    hosting.build_genesis(ctx, hosting.GenesisConfig(HOSTING))
    possession.build_genesis(ctx, possession.GenesisConfig(POSSESSION))
    membership.build_genesis(ctx, membership.GenesisConfig(MEMBERSHIP))
    validators.build_genesis(ctx, validators.GenesisConfig(replace(VALIDATORS, **changes), keys))
    offences.build_genesis(ctx, offences.GenesisConfig(OFFENCES))
    if is_listed:
        world.call(catalogue.list_datum, account(9), LISTING)
    world.checks = (*world.checks, *checks)
    return world


def sign_vote(vote: Vote, key: KeyPair) -> SignedVote:
    """The vote with a signature by `key`."""
    return SignedVote(vote, key.sign(get_vote_signing_bytes(GENESIS_HASH, vote)))


def build_certificate(world: World, numbers: list[int]) -> CommitCertificate:
    """The commit of the block before, by these test accounts."""
    height = world.height - 1
    votes = (Vote(VoteKind.PRECOMMIT, height, 0, b"b" * 32, account(number)) for number in numbers)
    return build_commit_certificate(
        [sign_vote(vote, consensus_key(number)) for vote, number in zip(votes, numbers, strict=True)]
    )


def run_block(world: World, during: Callable[[World], object] | None = None) -> list[Record]:
    """Run the next block with these modules' hooks in the runtime's order; `during` makes its calls."""
    world.height += 1
    events = world.run(possession.on_block_start)
    events += world.run(offences.on_block_start)
    events += world.run(hosting.on_block_start)
    epoch = world.context().epoch
    if world.height == system.compute_first_height(SYSTEM, epoch):
        events += world.run(hosting.on_epoch_start)
        events += world.run(possession.on_epoch_start)
    if during is not None:
        during(world)
    if system.is_epoch_end(SYSTEM, world.height):
        events += world.run(offences.on_epoch_end)
        events += world.run(catalogue.on_epoch_end)
        events += world.run(beacon.on_epoch_end)
    if system.is_era_end(SYSTEM, world.height):
        events += world.run(possession.on_era_end)
        events += world.run(escrow.on_era_end)
        events += world.run(validators.on_era_end)
    events += world.run(hosting.on_block_end)
    return events + world.run(validators.on_block_end)
