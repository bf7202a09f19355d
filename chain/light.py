"""Following a chain by its headers: the rules for trusting a header, and the order of fetching.

A light client trusts one header, at first that of the chain spec, and moves on from there. Trust passes to
the next header if that has the roster that the trusted one announced. It passes to any later header if more
than a third of the trusted roster's power signed it: then at least one honest validator did, and an honest
one signs one block per height. In both cases more than two thirds of the header's own roster must have
signed it.

Invariants: a trusted header is used only within the trusting period, during which the stake behind it can
still be slashed; every signature of a certificate is verified; no answer of a node is trusted without proof.
The state machines `Bisection` and `CrossCheck` do no input or output: `wanted` is the height they need next,
`supply` takes it. Not here: clocks, networks, files (cli.light.client), proofs of values (cli.light.proofs).

ChainError
└── LightError            trust ends here
    ├── TrustExpired      the trusted header is older than the trusting period
    ├── NotEnoughTrust    at most a third of the trusted power signed; try a header in between
    ├── ForgedHeader      no honest node gives this answer
    └── Divergence        two headers of one height, both signed as final: a fork; carries the evidence
"""

from collections.abc import Sequence
from typing import NamedTuple

from chain.block import Header, compute_header_hash
from chain.commitment import NoNodes, update
from chain.genesis import ChainSpec, build_genesis_header, build_genesis_state, compute_genesis_hash
from chain.modules import validators
from chain.primitives.codec import Record
from chain.primitives.errors import ChainError
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Address, Hash, Height, TimeMs
from chain.state import MemoryState
from chain.validator_set import (
    InvalidValidatorSet,
    Roster,
    build_roster,
    build_validator_set,
    compute_roster_hash,
    has_honest_member,
)
from chain.votes import (
    CommitCertificate,
    DuplicateVote,
    InvalidCertificate,
    Verify,
    build_certificate_votes,
    build_duplicate_vote,
    check_certificate,
)

CLOCK_DRIFT_MS = 10_000
"""How far a header may be ahead of the client's clock, which may be less exact than validators' clocks."""


class LightBlock(Record):
    """A header with the proof that it is final: its certificate (none at height 0) and its roster."""

    header: Header
    certificate: CommitCertificate | None
    roster: Roster


class LightError(ChainError):
    """Trust does not reach this header."""


class TrustExpired(LightError):
    """The signers of the trusted header may have withdrawn their stake, and can no longer be slashed."""


class NotEnoughTrust(LightError):
    """Too little of the trusted power signed to skip that far."""


class ForgedHeader(LightError):
    """The header breaks a rule that every final header keeps."""


class Divergence(LightError):
    """Two final headers of one height. The client cannot know the right one: it must stop and report."""

    def __init__(self, common: LightBlock, ours: LightBlock, theirs: LightBlock) -> None:
        height = ours.header.height
        super().__init__(
            f"two headers of height {height} are signed as final, on top of height {common.header.height}"
        )
        self.common, self.ours, self.theirs = common, ours, theirs


class TrustRules(NamedTuple):
    """The parameters of trust in a network."""

    genesis_hash: Hash
    trusting_period_ms: int
    clock_drift_ms: int = CLOCK_DRIFT_MS
    verify: Verify = is_signed_by


def build_rules(spec: ChainSpec, verify: Verify = is_signed_by) -> TrustRules:
    """The rules of a network. Trust lasts half of the unbonding time.

    The other half is left for reporting a fork, and for blocks that are faster than intended.
    """
    periods, unbonding_eras = spec.system.parameters, spec.staking.parameters.unbonding_eras
    unbonding_blocks = unbonding_eras * periods.era_epochs * periods.epoch_blocks
    return TrustRules(compute_genesis_hash(spec), unbonding_blocks * periods.block_ms // 2, verify=verify)


def build_genesis_light_block(spec: ChainSpec) -> LightBlock:
    """The first trusted block: height 0, computed from the chain spec. The cost grows with its state."""
    changes = build_genesis_state(spec)
    memory = MemoryState()
    memory.apply(changes)
    header = build_genesis_header(spec, memory, update(NoNodes(), None, 0, changes).root)
    return LightBlock(header, None, build_roster(validators.get_current(memory)))


# Trust from one header to the next.


def check_light_block(rules: TrustRules, block: LightBlock) -> None:
    """Raises ForgedHeader unless more than 2/3 of the roster that the header names signed the header."""
    header, certificate = block.header, block.certificate
    if certificate is None:
        raise ForgedHeader("there is no certificate")
    if (certificate.height, certificate.block_hash) != (header.height, compute_header_hash(header)):
        raise ForgedHeader("the certificate is for another block")
    if compute_roster_hash(block.roster) != header.validators_hash:
        raise ForgedHeader("the roster is not the one that the header names")
    try:
        members = build_validator_set(block.roster.validators)
        check_certificate(rules.genesis_hash, members, certificate, rules.verify)
    except (InvalidValidatorSet, InvalidCertificate) as error:
        raise ForgedHeader(str(error)) from error


def check_anchor(rules: TrustRules, block: LightBlock, height: Height, header_hash: Hash) -> None:
    """Raises ForgedHeader unless it is the block that the operator named as trusted."""
    if (block.header.height, compute_header_hash(block.header)) != (height, header_hash):
        raise ForgedHeader(f"not the block {header_hash.hex()} at height {height}")
    if height > 0:
        check_light_block(rules, block)


def check_trust(rules: TrustRules, trusted: LightBlock, now_ms: TimeMs) -> None:
    """Raises TrustExpired if the header is older than the trusting period."""
    age_ms = now_ms - trusted.header.time_ms
    if age_ms >= rules.trusting_period_ms:
        raise TrustExpired(
            f"the trusted header of height {trusted.header.height} is {age_ms // 1000} s old;"
            f" trust lasts {rules.trusting_period_ms // 1000} s"
        )


def verify_adjacent(rules: TrustRules, trusted: LightBlock, block: LightBlock, now_ms: TimeMs) -> None:
    """Raises LightError unless trust passes from `trusted` to `block`, the next height."""
    _check_later(rules, trusted, block, now_ms)
    if block.header.height != trusted.header.height + 1:
        raise ForgedHeader("not the next height")
    check_succession(trusted, block)


def verify_skipping(rules: TrustRules, trusted: LightBlock, block: LightBlock, now_ms: TimeMs) -> None:
    """Raises LightError unless more than a third of the trusted power signed the later `block`."""
    _check_later(rules, trusted, block, now_ms)
    check_overlap(trusted, block)


def check_succession(trusted: LightBlock, block: LightBlock) -> None:
    """Raises ForgedHeader unless the header names `trusted` as its parent and has the announced roster."""
    if block.header.parent_hash != compute_header_hash(trusted.header):
        raise ForgedHeader("its parent is not the trusted header")
    if block.header.validators_hash != trusted.header.next_validators_hash:
        raise ForgedHeader("not the roster that the trusted header announced")


def check_overlap(trusted: LightBlock, block: LightBlock) -> None:
    """Raises NotEnoughTrust unless more than 1/3 of the trusted power is among the signers.

    A signer counts with the power it has in the trusted roster, if it signs with the key it has there.
    """
    assert block.certificate is not None
    keys = {one.address: one.consensus_key for one in block.roster.validators}
    signers = {(part.validator, keys[part.validator]) for part in block.certificate.signatures}
    members = trusted.roster.validators
    power = sum(one.power for one in members if (one.address, one.consensus_key) in signers)
    total = sum(one.power for one in members)
    if not has_honest_member(power, total):
        raise NotEnoughTrust(
            f"{power} of {total} trusted power of height {trusted.header.height}"
            f" signed height {block.header.height}"
        )


def _check_later(rules: TrustRules, trusted: LightBlock, block: LightBlock, now_ms: TimeMs) -> None:
    """The checks of any later block, before those of trust; raises LightError."""
    check_trust(rules, trusted, now_ms)
    _check_place(rules, trusted, block, now_ms)
    check_light_block(rules, block)


def _check_place(rules: TrustRules, trusted: LightBlock, block: LightBlock, now_ms: TimeMs) -> None:
    header = block.header
    if header.height <= trusted.header.height:
        raise ForgedHeader(f"height {header.height} is not above the trusted one")
    if header.time_ms <= trusted.header.time_ms:
        raise ForgedHeader("not later than the trusted header")
    if header.time_ms > now_ms + rules.clock_drift_ms:
        raise ForgedHeader("the header is from the future, or the local clock is wrong")


class Bisection:
    """Passes trust from a header to a later height, with as few headers in between as possible."""

    def __init__(self, rules: TrustRules, trusted: LightBlock, target: Height) -> None:
        assert target > trusted.header.height
        self._rules = rules
        self._waiting: list[LightBlock] = []
        """Signed as final, not yet trusted; the lowest last."""
        self.trace = [trusted]
        """The trusted headers, ascending: the last is the newest."""
        self.wanted: Height | None = target
        """The height to fetch next; None when the target is trusted."""

    @property
    def trusted(self) -> LightBlock:
        """The newest trusted block."""
        return self.trace[-1]

    def supply(self, block: LightBlock, now_ms: TimeMs) -> None:
        """Take the block of height `wanted`; raises TrustExpired, ForgedHeader. Trust gained stays."""
        if block.header.height != self.wanted:
            raise ForgedHeader(f"height {block.header.height} was given for {self.wanted}")
        _check_later(self._rules, self.trusted, block, now_ms)
        self._waiting.append(block)
        self._advance()

    def _advance(self) -> None:
        while self._waiting:
            try:
                self._step(self._waiting[-1])
            except NotEnoughTrust:
                low, high = self.trusted.header.height, self._waiting[-1].header.height
                self.wanted = (low + high) // 2
                return
            self.trace.append(self._waiting.pop())
        self.wanted = None

    def _step(self, block: LightBlock) -> None:
        """Raises LightError unless trust passes to this block, whose signatures are checked already."""
        if block.header.time_ms <= self.trusted.header.time_ms:
            raise ForgedHeader("the time of a header in between is later")
        if block.header.height == self.trusted.header.height + 1:
            check_succession(self.trusted, block)
        else:
            check_overlap(self.trusted, block)


def verify_parent(newer: Header, header: Header) -> None:
    """Raises ForgedHeader unless `header` is the parent of a trusted one, which passes trust backwards."""
    if newer.parent_hash != compute_header_hash(header) or header.height + 1 != newer.height:
        raise ForgedHeader("not the parent of the trusted header")


# Comparison with a witness.


class CrossCheck:
    """Compares a trusted trace with the headers of a witness, which is not trusted either.

    Where the witness first differs from the trace, its header must pass the same checks as the trace. If it
    does, there is a fork. If not, the witness lied, and its answer says nothing about the trace.
    """

    def __init__(self, rules: TrustRules, trace: Sequence[LightBlock]) -> None:
        assert len(trace) > 1
        self._rules = rules
        self._trace = tuple(trace)
        self._agreed, self._differs = 0, len(trace)
        self._position = len(trace) - 1
        self._proof: Bisection | None = None
        self.wanted: Height | None = self._trace[-1].header.height
        """The height to ask the witness for; None when it agrees."""

    def supply(self, block: LightBlock, now_ms: TimeMs) -> None:
        """Take the witness's block; raises Divergence, or another LightError if the witness lies."""
        if self._proof is None:
            self._compare(block)
        else:
            self._follow(self._proof, block, now_ms)

    def _compare(self, block: LightBlock) -> None:
        ours = self._trace[self._position]
        if block.header.height != ours.header.height:
            raise ForgedHeader(f"height {block.header.height} was given for {ours.header.height}")
        if block.header == ours.header:
            self._agreed = self._position
        else:
            self._differs = self._position
        if self._agreed == len(self._trace) - 1:
            self.wanted = None
        elif self._agreed + 1 == self._differs:
            self._proof = Bisection(
                self._rules, self._trace[self._agreed], self._trace[self._differs].header.height
            )
            self.wanted = self._proof.wanted
        else:
            self._position = (self._agreed + self._differs) // 2
            self.wanted = self._trace[self._position].header.height

    def _follow(self, proof: Bisection, block: LightBlock, now_ms: TimeMs) -> None:
        proof.supply(block, now_ms)
        self.wanted = proof.wanted
        ours = self._trace[self._differs]
        if proof.wanted is None:
            if proof.trusted.header == ours.header:
                raise ForgedHeader("the witness gave two answers for one height")
            raise Divergence(self._trace[self._agreed], ours, proof.trusted)


def list_double_signers(one: LightBlock, other: LightBlock) -> tuple[Address, ...]:
    """The validators that signed both of two blocks of one height, ascending; none without certificates."""
    if one.certificate is None or other.certificate is None:
        return ()
    known = {part.validator for part in other.certificate.signatures}
    return tuple(part.validator for part in one.certificate.signatures if part.validator in known)


def list_equivocations(one: LightBlock, other: LightBlock) -> tuple[DuplicateVote, ...]:
    """Evidence against every validator that signed both blocks in the same round; none if the rounds differ.

    Signing two blocks in two rounds breaks the lock rule (amnesia), which two messages cannot show.
    """
    if (
        one.certificate is None
        or other.certificate is None
        or one.certificate.round != other.certificate.round
    ):
        return ()
    theirs = {signed.vote.validator: signed for signed in build_certificate_votes(other.certificate)}
    return tuple(
        build_duplicate_vote(signed, theirs[signed.vote.validator])
        for signed in build_certificate_votes(one.certificate)
        if signed.vote.validator in theirs
    )
