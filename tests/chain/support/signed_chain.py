"""Chains of headers without bodies, signed for real, whose rosters change as the chain's own do.

Headers come from the chain spec's genesis on; what blocks would have done is not in them. `fork` continues a
chain at some height with other blocks, signed by whoever is named.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from chain.block import Header, compute_header_hash
from chain.genesis import ChainSpec
from chain.light import LightBlock, TrustRules, build_genesis_light_block, build_rules
from chain.modules.validators.sets import compute_step
from chain.primitives.codec import replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash, Height, Round
from chain.spec_builder import GenesisValidator, build_spec
from chain.validator_set import (
    Roster,
    ValidatorChange,
    build_roster,
    build_validator_set,
    compute_roster_hash,
    update,
)
from chain.votes import (
    CertificateSignature,
    CommitCertificate,
    Vote,
    VoteKind,
    get_vote_signing_bytes,
)
from tests.chain.support.chain_rig import GENESIS_MS, VIDYA, Person, build_short_profile

BLOCK_MS = 1_000
Target = Mapping[int, int]
"""Number of a person -> power it should have."""


@cache
def get_person(number: int) -> Person:
    """Somebody, whose keys are made once."""
    return Person(number)


@cache
def get_key(address: Address) -> KeyPair:
    """The consensus key of the person with this account."""
    return next(person.consensus for person in map(get_person, range(256)) if person.address == address)


def build_member(number: int, power: int) -> ValidatorChange:
    """A person as a validator."""
    person = get_person(number)
    return ValidatorChange(person.address, person.consensus.public_key, power)


def build_chain_spec(numbers: Iterable[int]) -> ChainSpec:
    """A spec with these persons as validators of equal power, whose trust lasts for long."""
    people = [get_person(number) for number in numbers]
    seats = [
        GenesisValidator(
            account=person.address,
            consensus_key=person.consensus.public_key,
            bond=100 * VIDYA,
            commission_ppm=0,
            beacon_tip=bytes(32),
            beacon_links=48,
            peer_id=bytes((index,)),
            addresses=("/ip4/127.0.0.1/tcp/1",),
        )
        for index, person in enumerate(people)
    ]
    accounts = [(person.address, 10_100 * VIDYA) for person in people]
    profile = build_short_profile()
    profile = replace(
        profile,
        staking=replace(
            profile.staking, parameters=replace(profile.staking.parameters, unbonding_eras=10_000)
        ),
        validators=replace(
            profile.validators, parameters=replace(profile.validators.parameters, validators_max=100)
        ),
    )
    return build_spec(profile, name="signed", time_ms=GENESIS_MS, seats=seats, accounts=accounts)


class SignedChain:
    """Light blocks by height; certificates are signed when the chain grows."""

    def __init__(self, spec: ChainSpec) -> None:
        self.spec = spec
        self.rules: TrustRules = build_rules(spec)
        genesis = build_genesis_light_block(spec)
        self.blocks = [genesis]
        self._next = genesis.roster
        self._target: Target | None = None

    @property
    def head(self) -> LightBlock:
        """The newest."""
        return self.blocks[-1]

    @property
    def now_ms(self) -> int:
        """A moment after the head."""
        return self.head.header.time_ms + BLOCK_MS

    def set_target(self, target: Target) -> None:
        """From the next block on, rosters walk there as fast as the chain lets them."""
        self._target = target

    def grow(
        self, count: int, *, salt: bytes = b"", round: Round = 0, is_signing: "SignerTest | None" = None
    ) -> None:
        """So many blocks more; `salt` makes them others than those of another chain."""
        for _ in range(count):
            self.blocks.append(self._build(salt, round, is_signing or sign_all))

    def _build(self, salt: bytes, round: Round, is_signing: "SignerTest") -> LightBlock:
        parent, roster = self.head.header, self._next
        self._next = self._walk(roster)
        header = Header(
            spec_version=1,
            height=parent.height + 1,
            time_ms=parent.time_ms + BLOCK_MS,
            parent_hash=compute_header_hash(parent),
            proposer=roster.validators[parent.height % len(roster.validators)].address,
            extrinsics_root=hash_bytes(Domain.LIST_ROOT, salt),
            receipts_root=bytes(32),
            state_root=bytes(32),
            validators_hash=compute_roster_hash(roster),
            next_validators_hash=compute_roster_hash(self._next),
            priorities_hash=bytes(32),
        )
        signers = [one.address for one in roster.validators if is_signing(header.height, one.address)]
        return LightBlock(header, certify(self.rules.genesis_hash, header, round, signers), roster)

    def _walk(self, roster: Roster) -> Roster:
        if self._target is None:
            return roster
        goal = sorted((build_member(*one) for one in self._target.items()), key=lambda member: member.address)
        members = build_validator_set(roster.validators)
        changes = compute_step(members, tuple(goal))
        if not changes:
            self._target = None
            return roster
        return build_roster(update(members, changes))

    def fork(self, height: Height) -> "SignedChain":
        """The same chain up to `height`, which goes its own way from there."""
        other = SignedChain.__new__(SignedChain)
        other.spec, other.rules, other._target = self.spec, self.rules, None
        other.blocks = self.blocks[: height + 1]
        other._next = self.blocks[height + 1].roster if height < self.head.header.height else self._next
        return other

    def usurp(self, numbers: Iterable[int]) -> None:
        """From the next block on these persons claim to be the roster, which the head did not announce."""
        members = (build_member(number, 100) for number in numbers)
        self._next = Roster(tuple(sorted(members, key=lambda member: member.address)))


SignerTest = Callable[[Height, Address], bool]


def sign_all(height: Height, who: Address) -> bool:
    """Everybody, always."""
    return True


def certify(
    genesis_hash: Hash, header: Header, round: Round, signers: Sequence[Address]
) -> CommitCertificate:
    """What these validators sign, whether they are enough or not."""
    name, parts = compute_header_hash(header), []
    for who in sorted(signers):
        vote = Vote(VoteKind.PRECOMMIT, header.height, round, name, who)
        message = get_vote_signing_bytes(genesis_hash, vote)
        parts.append(CertificateSignature(who, get_key(who).sign(message)))
    return CommitCertificate(header.height, round, name, tuple(parts))
