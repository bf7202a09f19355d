"""The state in which weights are measured: a collective of middling size on LevelDB, full where calls look.

10^4 accounts, 100 validators that host, 500 datums of 1 GiB held by all of them, in era 40 of the public
profile. Every datum has the longest texts, every host the longest addresses, stake that leaves in each era
of the unbonding time, and escrow of each era of the release time. All leaves of the datums are equal, so that
the proof of any leaf of a GiB is known without a GiB.

Where the calls that lead there would take eras, the state is written as they would leave it; money is moved
with it, so that `check_invariants` holds of what matters here: every pot can pay.
"""

from collections.abc import Callable
from pathlib import Path

from chain.content import LeafProof
from chain.content.tree import compute_content_root
from chain.genesis import ChainSpec, build_genesis_state, compute_genesis_hash
from chain.module import Context
from chain.modules import (
    balances,
    beacon,
    catalogue,
    escrow,
    hosting,
    offences,
    possession,
    sessions,
    staking,
    system,
    validators,
)
from chain.modules.possession import ProvenLeaf
from chain.primitives.codec import replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Epoch, Hash, Height
from chain.spec_builder import GenesisValidator, build_spec
from chain.state import Changes, Overlay
from node.home.profiles import load_profile
from storage.kv import LevelDbStore
from storage.state_store import StateStore

VIDYA = 10**9
GIB = 2**30
ACCOUNTS = 10_000
MEMBERS = 64
HOSTS = 100
DATUMS = 500
SPARE_DATUMS = 256
"""Listed, held by nobody."""
ERA = 40
LINKS = 1_000
REGISTERED_AT_ONCE = 250
HOSTS_PER_BLOCK = 13
"""That register all their datums: as many as a block has room for."""
BLOCK_CHANGES = 5_000
"""Keys that the block has changed already: about the middle of a full one."""

LEAF = bytes(1024)
_LEVELS = 20


def make_key(kind: str, number: int) -> KeyPair:
    """The key of somebody."""
    return KeyPair(hash_bytes(Domain.SAMPLE, f"{kind} {number}".encode()))


def make_id(kind: str, number: int) -> Hash:
    """32 bytes that name something, or an account without a key."""
    return hash_bytes(Domain.SAMPLE, f"{kind} {number}".encode())


def _build_path() -> tuple[Hash, ...]:
    nodes = [hash_bytes(Domain.CONTENT_LEAF, LEAF)]
    for _ in range(_LEVELS):
        nodes.append(hash_bytes(Domain.CONTENT_NODE, nodes[-1] * 2))
    return tuple(nodes)


_PATH = _build_path()
ROOT = compute_content_root(_PATH[-1], GIB)
PROVEN_LEAF = ProvenLeaf(LEAF, LeafProof(_PATH[:-1]))
"""Any leaf of any datum here."""

LISTER = make_id("account", 0)
SECRET = make_id("secret", 0)


class World:
    """The state after its setup, on disk, and contexts in it."""

    def __init__(self, directory: Path) -> None:
        self.store = LevelDbStore(directory)
        self.state = StateStore(self.store)
        self.accounts = [make_id("account", number) for number in range(ACCOUNTS)]
        self.members = self.accounts[1 : 1 + MEMBERS]
        self.host_keys = [make_key("host", number) for number in range(HOSTS)]
        self.consensus_keys = [make_key("consensus", number) for number in range(HOSTS)]
        self.hosts = [key.public_key for key in self.host_keys]
        self.listings = [build_listing(make_id("files", number)) for number in range(DATUMS)]
        self.spare_listings = [build_listing(make_id("spare", number)) for number in range(SPARE_DATUMS)]
        self.datums = sorted(map(catalogue.compute_datum_id, self.listings))
        self.spare_datums = sorted(map(catalogue.compute_datum_id, self.spare_listings))
        spec = self._build_spec()
        self.genesis_hash = compute_genesis_hash(spec)
        self.commit(build_genesis_state(spec))
        self.parameters = system.get_parameters(self.state)
        self.epoch: Epoch = ERA * self.parameters.era_epochs + 5
        self.height: Height = self.first_height(self.epoch) + 10

    def _build_spec(self) -> ChainSpec:
        tip = beacon.compute_chain(SECRET, LINKS)
        addresses = tuple("/dns4/" + "a" * 122 for _ in range(hosting.types.ADDRESSES_MAX))
        seats = [
            GenesisValidator(host, key.public_key, 40_000 * VIDYA, 50_000, tip, LINKS, b"p" * 38, addresses)
            for host, key in zip(self.hosts, self.consensus_keys, strict=True)
        ]
        owned = [(LISTER, 50_000_000 * VIDYA)]
        owned += [(who, 1_000 * VIDYA) for who in self.accounts[1:]]
        owned += [(host, 60_000 * VIDYA) for host in self.hosts]
        profile = load_profile("public")
        return build_spec(
            profile, name="weights", time_ms=0, seats=seats, accounts=owned, members=self.members
        )

    def first_height(self, epoch: Epoch) -> Height:
        """Of an epoch."""
        return system.compute_first_height(self.parameters, epoch)

    def open_context(self, height: Height, state: Overlay | None = None) -> Context:
        """A place in the chain, by default with nothing written yet."""
        epoch = system.compute_epoch(self.parameters, height)
        return Context(
            Overlay(self.state) if state is None else state,
            genesis_hash=self.genesis_hash,
            height=height,
            time_ms=height * self.parameters.block_ms,
            epoch=epoch,
            era=epoch // self.parameters.era_epochs,
            proposer=self.hosts[0],
        )

    def commit(self, changes: Changes) -> None:
        """Make the changes the state."""
        version = self.state.head.version + 1 if self.state.head else 0
        tree = self.state.compute_update(version, changes)
        self.store.write_batch(self.state.stage(tree, changes), sync=False)
        self.state.on_written(tree)

    def write(self, height: Height, *steps: Callable[[Context], None]) -> None:
        """Run steps at a height and commit what they wrote."""
        ctx = self.open_context(height)
        for step in steps:
            step(ctx)
        self.commit(ctx.state.changes)

    def open_block(self) -> Context:
        """A block that is half full: many accounts, all pots and the sums of modules are changed already."""
        ctx = self.open_context(self.height)
        pots = ("staking", "membership", "lockers-fund", "catalogue", "sessions", "possession", "escrow")
        owners = [*self.accounts[-BLOCK_CHANGES:], *self.hosts, *self.members, LISTER]
        owners += [balances.compute_pot(name) for name in (*pots, "repair", "validator-pool")]
        keys = [balances.ACCOUNTS.key(who) for who in owners]
        keys += [balances.SUPPLY.key, catalogue.TOTALS.key, b"\x05\x02"]
        for key in keys:
            value = self.state.get(key)
            if value is not None:
                ctx.state.set(key, value)
        return ctx

    # Setup.

    def list_datums(self) -> None:
        """The catalogue, with the longest texts."""

        def enlist(ctx: Context) -> None:
            for listing in (*self.listings, *self.spare_listings):
                catalogue.list_datum(ctx, LISTER, listing)
            for datum_id in self.datums[:-1]:
                admit(ctx, datum_id)

        self.write(self.first_height(self.epoch - 4), enlist)

    def register_subsets(self) -> None:
        """Every host begins to hold every datum, from two epochs before this one on; a full block at once."""
        for number, host in enumerate(self.hosts):
            ctx = self.open_context(self.first_height(self.epoch - 4) + number // HOSTS_PER_BLOCK)
            for start in range(0, DATUMS, REGISTERED_AT_ONCE):
                named = tuple(self.datums[start : start + REGISTERED_AT_ONCE])
                hosting.calls.register_subset(ctx, host, hosting.RegisterSubset(named, ()))
            self.commit(ctx.state.changes)

    def grow_old(self) -> None:
        """What eras of life leave behind: windows, leaving stake, escrow, jailings; seeds and the round."""

        def age(ctx: Context) -> None:
            for host in self.hosts:
                _age_host(ctx, host)
            for epoch in range(self.epoch - 4, self.epoch + 1):
                beacon.SEEDS.set(ctx.state, make_id("seed", epoch), epoch)

        self.write(self.height, age)
        self.write(self.first_height(self.epoch), possession.on_epoch_start)
        self.write(self.height, self._fill_tally)

    def _fill_tally(self, ctx: Context) -> None:
        entries = tuple(
            validators.Participation(host, 149, 140, 2 if number % 2 else 1, 140 * 10_000)
            for number, host in enumerate(sorted(self.hosts))
        )
        validators.types.TALLY.set(ctx.state, validators.types.Tally(ctx.epoch, entries))
        for host in self.hosts:
            sessions.types.BURNED.set(ctx.state, VIDYA, ctx.epoch, host)


def build_listing(files_hash: Hash) -> catalogue.ListDatum:
    """A listing with the longest texts."""
    tags = tuple(f"{number:032}" for number in range(catalogue.TAGS_MAX))
    return catalogue.ListDatum(
        files_hash=files_hash,
        root=ROOT,
        size_bytes=GIB,
        title="t" * catalogue.TITLE_BYTES_MAX,
        category="c" * catalogue.LABEL_BYTES_MAX,
        tags=tags,
        description="d" * catalogue.DESCRIPTION_BYTES_MAX,
    )


def admit(ctx: Context, datum_id: Hash) -> None:
    """As if its unpaid eras were over, it were sponsored, and enough members had paid for it."""
    datum = catalogue.get_datum(ctx.state, datum_id)
    assert datum is not None
    outside = catalogue.get_parameters(ctx.state).outside_members
    admitted = replace(datum, is_due=True, needed=0, members=outside)
    catalogue.effects.store(ctx, datum_id, admitted)


def _age_host(ctx: Context, host: Address) -> None:
    unbonding = staking.get_parameters(ctx.state).unbonding_eras
    release = escrow.get_parameters(ctx.state).release_eras
    window = possession.types.PROVEN * possession.get_parameters(ctx.state).window_epochs
    possession.types.HISTORIES.set(ctx.state, possession.types.History(window, 4, 3, 0, ctx.epoch - 1), host)
    leave_stake(ctx, host, range(ctx.era - unbonding, ctx.era))
    staking.calls.delegate(ctx, LISTER, staking.calls.Delegate(host, 1_000 * VIDYA))
    staking.on_era_end(ctx)
    for era in range(ctx.era - release, ctx.era):
        staking.types.UNBONDING_POOLS.set(ctx.state, staking.types.StakePool(VIDYA, VIDYA), host, era)
        escrow.GRANTS.set(ctx.state, escrow.Grant(VIDYA, release, VIDYA // 2), host, era)
    escrow.WITHHELD.set(ctx.state, release * VIDYA, host)
    balances.transfer(ctx, LISTER, escrow.POT, release * VIDYA)
    balances.transfer(ctx, LISTER, staking.types.POT, release * VIDYA)
    jailings = tuple(range(ctx.era - offences.JAILINGS_KEPT_MAX, ctx.era))
    offences.JAILINGS.set(ctx.state, jailings, host)


def leave_stake(ctx: Context, who: Address, eras: range) -> None:
    """A chunk of own stake that began to leave in each of these eras."""
    parameters, ledger = staking.get_parameters(ctx.state), staking.get_ledger(ctx.state, who)
    chunks = tuple(
        staking.types.UnbondingChunk(VIDYA, era, staking.ledger.compute_unlock_era(parameters, era))
        for era in eras
    )
    staking.LEDGERS.set(ctx.state, replace(ledger, unlocking=chunks), who)
    balances.transfer(ctx, LISTER, staking.types.POT, len(chunks) * VIDYA)
