"""Worlds with everything that pays: hosts that prove real bytes and validate, members that buy, all hooks.

A block runs the runtime's own hooks, a commit of the last block and a beacon reveal. The supply identity and
the invariants of all modules are checked after every block and call.
"""

from collections.abc import Iterable
from copy import copy
from functools import cache

from chain.modules import (
    balances,
    beacon,
    catalogue,
    fees,
    hosting,
    juries,
    lockers,
    membership,
    offences,
    possession,
    rewards,
    schedule,
    sessions,
    staking,
    system,
    validators,
)
from chain.modules.hosting import RegisterHost, RegisterSubset
from chain.modules.possession import Prove
from chain.modules.sessions import HostAllotment, OpenSession, Settle, Voucher
from chain.primitives.codec import Record, replace
from chain.primitives.keys import KeyPair
from chain.primitives.power_law import Exponent
from chain.primitives.types import Address, Hash
from chain.state import Overlay
from chain.votes import CommitCertificate
from tests.chain.support.content_worlds import Content
from tests.chain.support.worlds import (
    BEACON,
    BLOCK_MS,
    CATALOGUE,
    EPOCH_BLOCKS,
    GENESIS_HASH,
    HOSTING,
    MEMBERSHIP,
    OFFENCES,
    POSSESSION,
    SYSTEM,
    VALIDATORS,
    VIDYA,
    World,
    account,
    build_certificate,
    consensus_key,
)

HOSTS = tuple(account(number) for number in (1, 2, 3, 4))
MEMBERS = MEMBER, OTHER = account(21), account(22)
LISTER, TREASURY, STRANGER = account(31), account(32), account(33)
SMALL, LARGE = 3_000, 50_000
VOUCHER_KEY = KeyPair(b"v" * 32)
BOND = 1_000 * VIDYA
LINKS = 500
SECRET = b"s" * 32
SUPPLY = 100_000_000 * VIDYA
PRICE = 10 * VIDYA

SESSIONS = sessions.Parameters(
    price_per_gib=PRICE,
    host_ppm=700_000,
    lockers_ppm=100_000,
    settle_min=VIDYA // 100,
    settle_blocks=4,
    lifetime_blocks_max=60,
)
REWARDS = rewards.types.Parameters(
    emission_ppm=80_000,
    hosting_ppm=400_000,
    upload_ppm=200_000,
    validator_ppm=150_000,
    hosting_price_ppm=0,
    match_ppm=900_000,
    replicas=7,
    scarce_below=3,
    scarce_ppm=1_250_000,
    tenure=(rewards.types.Tenure(1, 1_100_000), rewards.types.Tenure(3, 1_200_000)),
    weight_ppm_max=2_000_000,
    halving_eras=0,
    subtree_ppm=1_000_000,
    are_networks_counted=False,
)
LOCKERS = lockers.Parameters(
    week_eras=1,
    weeks_max=8,
    amount_min=VIDYA,
    weight_exponent=Exponent(3, 2),
    vesting_eras=10,
    vesting_exponent=Exponent(2, 1),
    fund_divisor=6,
    pay_ppm_max=2_000,
)
JURIES = juries.Parameters(
    jury_size=5,
    jurors_min=7,
    juror_bond_min=100 * VIDYA,
    juror_eras=1,
    challenge_bond_max=100 * VIDYA,
    commit_epochs=2,
    reveal_epochs=2,
    cases_per_epoch_max=2,
    winner_ppm=400_000,
    jurors_ppm=100_000,
    silent_ppm=10_000,
)
FEES = fees.Parameters(base_fee_min=1_000, transaction_weight=100, byte_weight_ppm=50_000)


class Market(World):
    """Accounts 1 to 4 are bonded hosts and validators, two of them and two others members."""

    def __init__(
        self,
        *,
        sold: sessions.Parameters = SESSIONS,
        paid: rewards.types.Parameters = REWARDS,
        listed: catalogue.Parameters = CATALOGUE,
        people: Iterable[Address] = (),
    ) -> None:
        owned = dict.fromkeys((*HOSTS, *MEMBERS, LISTER, STRANGER, *people), 10_000 * VIDYA)
        owned[TREASURY] = SUPPLY - sum(owned.values())
        super().__init__(owned, checks=(schedule.check_invariants,))
        self.contents: dict[Hash, Content] = {}
        self.signers = [1, 2, 3, 4]
        ctx = self.context()
        tip = beacon.compute_chain(SECRET, LINKS)
        chains = tuple((host, tip, LINKS) for host in HOSTS)
        beacon.build_genesis(ctx, beacon.GenesisConfig(replace(BEACON, links_max=LINKS), chains))
        fees.build_genesis(ctx, fees.GenesisConfig(FEES))
        for number, host in enumerate(HOSTS, 1):
            staking.calls.bond(ctx, host, staking.Bond(BOND))
            address = f"/ip4/127.0.0.1/tcp/{number}"
            hosting.calls.register_host(ctx, host, RegisterHost(b"peer", (address,), 1_000))
        catalogue.build_genesis(ctx, catalogue.GenesisConfig(listed))
        hosting.build_genesis(ctx, hosting.GenesisConfig(HOSTING))
        possession.build_genesis(ctx, possession.GenesisConfig(POSSESSION))
        membership.build_genesis(ctx, membership.GenesisConfig(MEMBERSHIP, (*MEMBERS, *HOSTS[:2])))
        lockers.build_genesis(ctx, lockers.GenesisConfig(LOCKERS))
        sessions.build_genesis(ctx, sessions.GenesisConfig(sold))
        keys = tuple((account(number), consensus_key(number).public_key, 0) for number in self.signers)
        validators.build_genesis(ctx, validators.GenesisConfig(VALIDATORS, keys))
        offences.build_genesis(ctx, offences.GenesisConfig(OFFENCES))
        rewards.build_genesis(ctx, rewards.GenesisConfig(paid))
        juries.build_genesis(ctx, juries.GenesisConfig(JURIES))
        self.check()
        self.start_block()

    def fork(self) -> "Market":
        """A copy of the world that changes independently."""
        other = copy(self)
        other.state = Overlay(self.state.base)
        other.state.changes = dict(self.state.changes)
        return other

    def start_block(self) -> list[Record]:
        """Begin the next block, as the runtime does."""
        self.height += 1
        ctx = self.context()
        validators.process_last_commit(ctx, self._build_commit())
        beacon.process_reveal(ctx, self._reveal())
        for hook in schedule.ON_BLOCK_START:
            hook(ctx)
        if self.height == system.compute_first_height(SYSTEM, ctx.epoch):
            for hook in schedule.ON_EPOCH_START:
                hook(ctx)
        self.check()
        return ctx.events

    def _build_commit(self) -> CommitCertificate | None:
        """The commit of the last block by those of `signers` that were validators."""
        members = [member.address for member in validators.get_previous(self.state).validators]
        present = [number for number in self.signers if account(number) in members]
        return build_certificate(self, present) if self.height > 1 else None

    def _reveal(self) -> Hash | None:
        chain = beacon.get_chain(self.state, self.proposer, self.context().epoch)
        return None if chain is None else beacon.compute_link(SECRET, LINKS, LINKS - chain.links)

    def end_block(self) -> list[Record]:
        """End the block that began, as the runtime does."""
        ctx = self.context()
        if system.is_epoch_end(SYSTEM, self.height):
            for hook in schedule.ON_EPOCH_END:
                hook(ctx)
        if system.is_era_end(SYSTEM, self.height):
            for hook in schedule.ON_ERA_END:
                hook(ctx)
        for hook in schedule.ON_BLOCK_END:
            hook(ctx)
        self.check()
        return ctx.events

    def step(self, blocks: int = 1) -> list[Record]:
        """End this block and begin the next, so many times; returns all events."""
        events: list[Record] = []
        for _ in range(blocks):
            events += self.end_block()
            events += self.start_block()
        return events

    def go_to_epoch(self, epoch: int, provers: Iterable[Address] = HOSTS) -> list[Record]:
        """Run to the first block of an epoch; `provers` prove what they hold in each epoch on the way."""
        events: list[Record] = []
        while self.context().epoch < epoch:
            if self.height == system.compute_first_height(SYSTEM, self.context().epoch):
                self.prove(provers)
            events += self.step()
        return events

    def go_to_last_block(self) -> None:
        """Run to the last block of this epoch."""
        while not system.is_epoch_end(SYSTEM, self.height):
            self.step()

    def publish(self, number: int, size: int, hosts: Iterable[Address] = HOSTS) -> Hash:
        """List content and have hosts register it, which takes effect two epochs later."""
        content = Content(number, size)
        call = catalogue.ListDatum(content.files_hash, content.root, size, "a title", "text", (), "")
        self.call(catalogue.list_datum, LISTER, call)
        self.contents[content.datum] = content
        self.host_all(content.datum, hosts)
        return content.datum

    def host_all(self, datum: Hash, hosts: Iterable[Address] = HOSTS) -> None:
        """Have hosts register a datum."""
        for host in hosts:
            self.call(hosting.calls.register_subset, host, RegisterSubset((datum,), ()))

    def prove(self, hosts: Iterable[Address]) -> None:
        """Hosts prove the leaves that they owe in this epoch."""
        epoch = self.context().epoch
        for host in hosts:
            places = possession.get_challenges(self.state, host, epoch)
            leaves = tuple(self.contents[place.datum].prove(place.leaf_index) for place in places)
            if leaves:
                self.call(possession.calls.prove, STRANGER, Prove(host, epoch, leaves))

    def open(self, datum: Hash, *amounts: int, payer: Address = MEMBER, blocks: int = 40) -> Hash:
        """Open a session with an allotment for each of the first hosts; returns its id."""
        parts = tuple(HostAllotment(host, amount) for host, amount in zip(HOSTS, amounts, strict=False))
        call = OpenSession(datum, VOUCHER_KEY.public_key, PRICE, self.height + blocks, parts)
        (opened,) = self.call(sessions.calls.open_session, payer, call)
        assert isinstance(opened, sessions.types.SessionOpened)
        return opened.session

    def settle(self, session: Hash, host: Address, size: int, sender: Address = STRANGER) -> sessions.Settled:
        """Settle the honest voucher for so many bytes."""
        events = self.call(sessions.calls.settle, sender, build_settle(session, host, size))
        return next(event for event in events if isinstance(event, sessions.Settled))

    def epoch_end_ms(self) -> int:
        """Time of the last block of this epoch."""
        blocks = EPOCH_BLOCKS - 1 - (self.height - 1) % EPOCH_BLOCKS
        return self.context().time_ms + blocks * BLOCK_MS

    @property
    def lockers_fund(self) -> int:
        return self.balance(lockers.FUND)

    def minted(self) -> int:
        return balances.get_supply(self.state).minted

    def burned(self) -> int:
        return balances.get_supply(self.state).burned


def build_settle(
    session: Hash, host: Address, size: int, key: KeyPair = VOUCHER_KEY, **changes: object
) -> Settle:
    """A call with a voucher for so many bytes at PRICE; `changes` are made before it is signed."""
    voucher = Voucher(GENESIS_HASH, session, host, size, sessions.compute_price(size, PRICE))
    return Settle(sessions.sign_voucher(key, replace(voucher, **changes)))


@cache
def _build_hosted(epoch: int, paid: rewards.types.Parameters) -> tuple[Market, Hash, Hash]:
    if epoch > 4:
        world, common, rare = build_hosted(epoch - 1, paid)
    else:
        world = Market(paid=paid)
        common, rare = world.publish(1, SMALL), world.publish(2, LARGE, HOSTS[:1])
    world.go_to_epoch(epoch)
    return world, common, rare


def build_hosted(epoch: int = 4, paid: rewards.types.Parameters = REWARDS) -> tuple[Market, Hash, Hash]:
    """A world in the first block of an epoch: all hosts hold a small datum, the first a large one too."""
    world, common, rare = _build_hosted(epoch, paid)
    return world.fork(), common, rare


def finish(world: Market, provers=HOSTS) -> list[Record]:
    """Prove, run to the end of the epoch, and end it; returns what was paid."""
    world.prove(provers)
    world.go_to_last_block()
    return world.end_block()


def pick(events: list[Record], kind: type, who: bytes | None = None):
    """The one event of a kind (and account)."""
    named = ("host", "validator")
    chosen = [
        event
        for event in events
        if isinstance(event, kind) and (who is None or who in [getattr(event, name, None) for name in named])
    ]
    (one,) = chosen
    return one
