"""The world of the attackers: honest hosts, members and a treasury on the real state machine.

Blocks run the program's own hooks over a state that the real genesis built. Honest hosts hold all data,
prove, sign and reveal, and are sometimes down; an agent calls whatever anybody may call. Fees are not
charged, which only helps an attacker. Signatures of calls are verified, those of commits taken as valid. The
supply identity is checked after every block, every invariant at every era's end.
"""

from collections.abc import Callable, Iterable
from copy import copy
from random import Random

from chain.errors import DispatchError
from chain.genesis import ChainSpec, build_genesis_state, compute_genesis_hash
from chain.module import Context
from chain.modules import (
    balances,
    beacon,
    catalogue,
    hosting,
    possession,
    schedule,
    staking,
    system,
    validators,
)
from chain.modules.possession import Prove
from chain.primitives.codec import Record
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Address, Hash
from chain.spec_builder import GenesisValidator, build_spec
from chain.votes import CertificateSignature, CommitCertificate, Verify
from tests.economy.first_edition import CALLS, REPLACED
from tests.economy.world.content import Monotone
from tests.economy.world.flat_state import FlatState
from tests.economy.world.rules import EPOCH_BLOCKS, FIRST, GIB, VIDYA, build_profile, enforce
from tests.economy.world.wealth import compute_wealth

GENESIS_MS = 1_767_225_600_000
SUPPLY = 100_000_000 * VIDYA
BOND = 400_000 * VIDYA
OWNED = 2_000_000 * VIDYA
LINKS = 40_000
DOWN_PPM = 20_000
"""An honest host misses so many epochs in a million."""
NO_SIGNATURE = bytes(64)
HANDLERS = {spec.kind: spec.handler for module in schedule.MODULES for spec in module.calls.values()}


def account(number: int) -> Address:
    """The address of account `number`."""
    return bytes((number,)) * 32


HONEST = tuple(map(account, range(1, 6)))
MEMBERS = tuple(map(account, range(150, 180)))
"""As many as must pay for a datum before its lister's data are not bounded together."""
LISTER, TREASURY = account(200), account(201)
ATTACKERS = tuple(map(account, range(101, 121)))
"""Members with money; an agent takes as many as it needs."""
DATUMS, DATUM_BYTES = 8, 512 * GIB

Act = Callable[["Arena"], object]


class Arena:
    """A state, a place in time, and what everybody honest does."""

    def __init__(
        self, rules: str, seed: int, scale: int, *, datums: int = DATUMS, datum_bytes: int = DATUM_BYTES
    ) -> None:
        self.rules, self.scale, self.seed = rules, scale, seed
        self.random = Random(seed)
        self.handlers = HANDLERS | CALLS if rules == FIRST else HANDLERS
        self.contents: dict[Hash, Monotone] = {}
        self.links = _build_links(seed)
        for number in range(datums):
            self.learn(Monotone(number + 1, datum_bytes))
        spec = self._build_spec(build_profile(rules, scale))
        self.genesis_hash = compute_genesis_hash(spec)
        self.state = FlatState()
        with enforce(rules):
            self.state.apply(build_genesis_state(spec))
        self.epoch_ms = EPOCH_BLOCKS * spec.system.parameters.block_ms
        self.era_epochs = spec.system.parameters.era_epochs
        self.block_ms = spec.system.parameters.block_ms
        self.height, self.time_ms, self.proposer = 0, GENESIS_MS, HONEST[0]
        self.is_open = False
        """Whether a block has begun and not ended."""
        self.withholders: set[Address] = set()
        self.left_out: dict[Address, Address] = {}
        """Proposer -> a validator whose votes it leaves out."""
        self.silent_at: set[int] = set()
        """Heights whose proposer withholds its beacon link."""
        self.events: list[tuple[int, Record]] = []
        self.courses: dict[tuple[str, int, int], Arena] = {}
        """Honest courses that were run from here, by name."""

    def _build_spec(self, profile: ChainSpec) -> ChainSpec:
        seats = [
            GenesisValidator(
                account=who,
                consensus_key=KeyPair(bytes((number, 9)) * 16).public_key,
                bond=BOND,
                commission_ppm=100_000,
                beacon_tip=self.links[-1],
                beacon_links=LINKS,
                peer_id=bytes((number,)),
                addresses=(f"/ip4/10.{number}.0.1/tcp/1",),
            )
            for number, who in enumerate(HONEST, 1)
        ]
        owned = dict.fromkeys((*HONEST, LISTER, *ATTACKERS), OWNED) | dict.fromkeys(MEMBERS, OWNED // 4)
        owned[TREASURY] = SUPPLY - sum(owned.values())
        return build_spec(
            profile,
            name=f"arena-{self.seed}",
            time_ms=GENESIS_MS,
            seats=seats,
            accounts=tuple(owned.items()),
            members=(*MEMBERS, *ATTACKERS),
            listings=[(LISTER, build_listing(content)) for content in self.contents.values()],
            holdings=[(who, tuple(sorted(self.contents))) for who in HONEST],
        )

    def fork(self) -> "Arena":
        """A copy that changes independently."""
        other = copy(self)
        other.state, other.random = self.state.copy(), Random(self.seed + self.height)
        other.events, other.withholders, other.left_out, other.silent_at = [], set(), {}, set()
        other.contents, other.courses = dict(self.contents), {}
        return other

    def learn(self, content: Monotone) -> Hash:
        """Be able to prove a datum."""
        self.contents[content.datum] = content
        return content.datum

    def context(self, verify: Verify = is_signed_by) -> Context:
        """The current place, over the state."""
        epoch = max(self.height - 1, 0) // EPOCH_BLOCKS
        return Context(
            self.state,
            genesis_hash=self.genesis_hash,
            height=self.height,
            time_ms=self.time_ms,
            epoch=epoch,
            era=epoch // self.era_epochs,
            proposer=self.proposer,
            verify=verify,
        )

    @property
    def epoch(self) -> int:
        return self.context().epoch

    def call(self, sender: Address, arguments: Record) -> list[Record]:
        """A call as the runtime dispatches it; raises DispatchError and changes nothing if it is refused.

        Between blocks it begins the next one.
        """
        if not self.is_open:
            self.start_block()
        ctx = self.context()
        inner = ctx.fork()
        self.handlers[type(arguments)](inner, sender, arguments)
        ctx.join(inner)
        self._keep(ctx)
        return ctx.events

    def attempt(self, sender: Address, arguments: Record) -> bool:
        """Whether a call was accepted."""
        try:
            self.call(sender, arguments)
        except DispatchError:
            return False
        return True

    def _keep(self, ctx: Context) -> None:
        self.events.extend((ctx.epoch, event) for event in ctx.events)

    def _run(self, ctx: Context, hooks: Iterable[Callable[[Context], None]]) -> None:
        for hook in hooks:
            (REPLACED.get(hook, hook) if self.rules == FIRST else hook)(ctx)

    def start_block(self, gap_ms: int | None = None) -> None:
        """Begin a block by the next proposer."""
        self.is_open = True
        self.height += 1
        self.time_ms += self.block_ms if gap_ms is None else gap_ms
        self.proposer = self.get_proposer(self.height)
        ctx = self.context(lambda key, message, signature: True)
        with enforce(self.rules):
            validators.process_last_commit(ctx, self._build_commit())
            beacon.process_reveal(ctx, self._reveal())
            self._run(ctx, schedule.ON_BLOCK_START)
            if self.height % EPOCH_BLOCKS == 1:
                self._run(ctx, schedule.ON_EPOCH_START)
        self._keep(ctx)

    def end_block(self) -> None:
        """End the block that began."""
        self.is_open = False
        ctx = self.context()
        is_era_end = system.is_era_end(system.get_parameters(self.state), self.height)
        with enforce(self.rules):
            if self.height % EPOCH_BLOCKS == 0:
                self._run(ctx, schedule.ON_EPOCH_END)
            if is_era_end:
                self._run(ctx, schedule.ON_ERA_END)
            self._run(ctx, schedule.ON_BLOCK_END)
        self._keep(ctx)
        balances.check_invariants(self.state)
        if is_era_end:
            schedule.check_invariants(self.state)
            self.state = self.state.copy()

    def get_proposer(self, height: int) -> Address:
        """Who proposes at a height near the current one: validators in turn, one for each two blocks."""
        current = validators.get_current(self.state).validators
        return current[height // EPOCH_BLOCKS % len(current)].address

    def _build_commit(self) -> CommitCertificate | None:
        if self.height == 1:
            return None
        names = [member.address for member in validators.get_previous(self.state).validators]
        signers = [who for who in names if who != self.left_out.get(self.proposer)]
        parts = tuple(CertificateSignature(who, NO_SIGNATURE) for who in signers)
        return CommitCertificate(self.height - 1, 0, self.genesis_hash, parts)

    def _reveal(self) -> Hash | None:
        chain = beacon.get_chain(self.state, self.proposer, self.epoch)
        is_withheld = self.proposer in self.withholders or self.height in self.silent_at
        is_silent = chain is None or chain.links == 0 or is_withheld
        return None if is_silent else self.links[chain.links - 1]

    def run(self, epochs: int, act: Act | None = None, *, gap_ms: int | None = None) -> None:
        """So many epochs; `act` calls what the attacker calls, in the first block of each."""
        for _ in range(epochs):
            if not self.is_open:
                self.start_block(gap_ms)
            self.prove_honest()
            if act is not None:
                act(self)
            self.end_block()
            for _ in range(EPOCH_BLOCKS - 1):
                self.start_block(gap_ms)
                self.end_block()

    def prove_honest(self) -> None:
        """Honest hosts prove, unless they are down."""
        for who in HONEST:
            is_down = self.random.randrange(10**6) < DOWN_PPM
            if not is_down:
                self.prove(who)

    def prove(self, host: Address, lost: Iterable[Hash] = (), demanded: Hash | None = None) -> bool:
        """Prove what a host owes, unless a leaf of it lies in `lost`; whether it was proven."""
        places = possession.get_challenges(self.state, host, self.epoch, demanded)
        if not places or any(place.datum in lost for place in places):
            return False
        leaves = tuple(self.contents[place.datum].leaf for place in places)
        return self.attempt(host, Prove(host, self.epoch, leaves, demanded))

    def become_host(self, who: Address, bond: int, network: str) -> None:
        """Bond and register with an address in a network of its own, or a shared one."""
        self.call(who, staking.Bond(bond))
        self.call(who, hosting.RegisterHost(who[:8], (f"/ip4/{network}.1/tcp/1",), 10**6))

    def is_holding(self, who: Address, datum: Hash) -> bool:
        """Whether a host holds a datum in this epoch."""
        return hosting.is_holding(self.state, who, datum, self.epoch)

    def wealth(self, *people: Address) -> int:
        """All that belongs to accounts: free, staked, unbonding, withheld, delegated, locked, bonded."""
        return sum(compute_wealth(self.state, who) for who in people)

    def free(self, *people: Address) -> int:
        """What accounts can spend at once."""
        return sum(balances.get_balance(self.state, who) for who in people)


def build_listing(content: Monotone) -> catalogue.ListDatum:
    """The call that lists content."""
    return catalogue.ListDatum(content.files_hash, content.root, content.size, "a title", "text", (), "")


def _build_links(seed: int) -> list[Hash]:
    """One beacon chain, which all honest hosts share: its links are as good as random."""
    links = [hash_bytes(Domain.BEACON, seed.to_bytes(8, "big"))]
    for _ in range(LINKS):
        links.append(hash_bytes(Domain.BEACON_LINK, links[-1]))
    return links
