"""What must hold whatever happened: checkers that read the stores and the history, and no node.

Each returns the violations it finds, as text; none trusts what another has checked. The chain of the run is
replayed from genesis on a ledger of its own, so that validity is what this program computes and not what
nodes have stored.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from chain.block import Block, compute_header_hash
from chain.errors import ChainError
from chain.genesis import ChainSpec
from chain.modules import schedule, staking
from chain.primitives.types import Address, Hash, Height, Round
from chain.validator_set import ValidatorSet, compute_total_power, get_validator, has_honest_member
from chain.votes import (
    CommitCertificate,
    Evidence,
    SignedProposal,
    SignedVote,
    Verify,
    build_certificate_votes,
    build_duplicate_proposal,
    build_duplicate_vote,
    check_certificate,
    check_evidence,
    get_offence_height,
    get_offender,
)
from node.ledger.ledger import Ledger
from storage.errors import CorruptStore
from storage.kv import MemoryStore
from tests.sim.checks.history import History

CLOCK_REASON = "the local clock is wrong"
"""In the words of `chain.light`."""
Chains = Mapping[int, Ledger]
"""The final chain of each honest node, by the node's number, opened again from what is on its disk."""


class Violation(NamedTuple):
    """A rule that does not hold, and what shows it."""

    rule: str
    detail: str


class Healing(NamedTuple):
    """When all faults ended: the last final height; how many rounds the next and later ones may take."""

    height: Height
    next_round_max: Round
    later_round_max: Round


class Replay(NamedTuple):
    """The chain of the run, executed once more: who decided each height, and the state at its end."""

    sets: dict[Height, ValidatorSet]
    final: Ledger
    violations: list[Violation]


def check_agreement(chains: Chains, history: History) -> list[Violation]:
    """No two honest nodes ever made different blocks of one height final, neither now nor before a crash."""
    found: dict[Height, dict[Hash, int]] = {}
    for fact in history.finalities:
        found.setdefault(fact.height, {}).setdefault(fact.block_hash, fact.node)
    for number, chain in chains.items():
        for height in range(1, chain.height + 1):
            header = chain.get_header(height)
            if header is not None:
                found.setdefault(height, {}).setdefault(compute_header_hash(header), number)
    return [
        Violation(
            "agreement",
            f"height {height}: " + ", ".join(f"{h.hex()[:8]} at node {n}" for h, n in ways.items()),
        )
        for height, ways in sorted(found.items())
        if len(ways) > 1
    ]


def replay(spec: ChainSpec, chain: Ledger, verify: Verify) -> Replay:
    """Validity: every block follows by the rules, every certificate holds against the set of its height, and
    money is neither made nor lost.
    """
    ledger = Ledger(MemoryStore(), spec, verify=verify)
    sets: dict[Height, ValidatorSet] = {}
    violations: list[Violation] = []
    for height in range(1, chain.height + 1):
        sets[height] = ledger.get_validators()
        block, certificate = chain.get_block(height), chain.get_certificate(height)
        if block is None or certificate is None:
            violations.append(Violation("validity", f"height {height} is missing"))
            break
        try:
            _check_final(ledger, sets[height], block, certificate, verify)
            ledger.move_head(ledger.commit(ledger.execute(block), certificate))
            schedule.check_invariants(ledger.state)
        except (ChainError, AssertionError) as error:
            violations.append(Violation("validity", f"height {height}: {type(error).__name__}: {error}"))
            break
    return Replay(sets, ledger, violations)


def _check_final(
    ledger: Ledger, members: ValidatorSet, block: Block, certificate: CommitCertificate, verify: Verify
) -> None:
    assert certificate.block_hash == compute_header_hash(block.header), "certificate of another block"
    assert certificate.height == block.header.height, "certificate of another height"
    check_certificate(ledger.genesis_hash, members, certificate, verify)


def get_base(chain: Ledger) -> Height:
    """The first height whose header the node has: 1, or that of the snapshot it began at."""
    return next((height for height in range(1, chain.height + 1) if chain.get_header(height)), 1)


def check_certificates(
    genesis_hash: Hash, chains: Chains, sets: Mapping[Height, ValidatorSet], verify: Verify
) -> list[Violation]:
    """Every node's own certificate of every height holds; they may differ in who signed."""
    violations = []
    for number, chain in chains.items():
        for height in range(get_base(chain), chain.height + 1):
            certificate = chain.get_certificate(height)
            try:
                if certificate is None or height not in sets:
                    raise AssertionError("missing")
                check_certificate(genesis_hash, sets[height], certificate, verify)
            except (ChainError, AssertionError) as error:
                violations.append(Violation("certificate", f"node {number}, height {height}: {error}"))
    return violations


def check_roots(chains: Chains) -> list[Violation]:
    """The state on each disk is the one its head commits to, and nodes of one height have one root."""
    violations = []
    roots: dict[Height, dict[Hash, int]] = {}
    for number, chain in chains.items():
        try:
            chain.state.check_integrity()
        except (CorruptStore, ChainError) as error:
            violations.append(Violation("state", f"node {number}: {error}"))
        assert chain.state.head is not None
        roots.setdefault(chain.height, {}).setdefault(chain.state.head.root, number)
    violations += [
        Violation("roots", f"height {height}: {len(ways)} roots")
        for height, ways in roots.items()
        if len(ways) > 1
    ]
    return violations


def check_signatures(history: History, honest: Iterable[Address]) -> list[Violation]:
    """No honest key ever signed two different messages for one height, round and step."""
    honest = frozenset(honest)
    return [
        Violation(
            "equivocation", f"{who.hex()[:8]} at height {height}, round {round}, kind {kind}: {len(messages)}"
        )
        for (who, height, round, kind), messages in history.signed.items()
        if who in honest and len(messages) > 1
    ]


def find_unaware(
    history: History, chains: Chains, restored: Mapping[int, tuple[Address, Height]]
) -> list[Address]:
    """Validators that signed twice after an old disk was put back, and could not know better.

    Up to the height before, their own chain holds no signature of theirs from after the backup: all peers
    that they reach are behind as well.
    """
    unaware = []
    for number, (who, backed_up) in restored.items():
        heights = [
            slot[1] for slot, messages in history.signed.items() if slot[0] == who and len(messages) > 1
        ]
        chain = chains.get(number)
        if chain and heights and not any(_has_trace(chain, who, backed_up, height) for height in heights):
            unaware.append(who)
    return unaware


def _has_trace(chain: Ledger, who: Address, after: Height, before: Height) -> bool:
    """Whether a certificate of a height in between, or a last commit in a block there, has its signature."""
    for height in range(after + 1, before):
        block = chain.get_block(height)
        commits = (chain.get_certificate(height), block.inherents.last_commit if block else None)
        for commit in commits:
            signers = [part.validator for part in commit.signatures] if commit else []
            if who in signers and commit is not None and commit.height > after:
                return True
    return False


def check_acknowledged(chains: Chains, history: History) -> list[Violation]:
    """What any node called final is in the chain of every honest node, where it said."""
    violations = []
    bases = {number: get_base(chain) for number, chain in chains.items()}
    for tx_id, told in history.acknowledged.items():
        for number, chain in chains.items():
            place = chain.chain.get_tx_place(tx_id)
            if bases[number] < told.height <= chain.height and (place is None or place.height != told.height):
                where = "nowhere" if place is None else f"at {place.height}"
                told_by = f"{tx_id.hex()[:8]}: final at {told.height} says node {told.node}"
                violations.append(Violation("lost", f"{told_by}, {where} at node {number}"))
    return violations


def check_rounds(history: History, healing: Healing) -> list[Violation]:
    """Liveness: on a good network every height ends within a few rounds."""
    violations = []
    for fact in history.finalities:
        is_next = fact.height == healing.height + 1
        round_max = healing.next_round_max if is_next else healing.later_round_max
        if fact.height > healing.height and fact.round > round_max:
            detail = f"height {fact.height} took round {fact.round}, at most {round_max}, at node {fact.node}"
            violations.append(Violation("liveness", detail))
    return violations


def check_blames(history: History, honest: Iterable[int], skewed: Iterable[int] = ()) -> list[Violation]:
    """No honest node charges another honest node with a fault.

    A node whose own clock is wrong (`skewed`) may take a header for one from the future.
    """
    honest, skewed = frozenset(honest), frozenset(skewed)
    return [
        Violation("blame", f"node {by} blames node {whom}: {why}")
        for by, whom, why in history.blames
        if whom in honest and not (by in skewed and CLOCK_REASON in why)
    ]


def find_offenders(
    history: History, genesis_hash: Hash, sets: Mapping[Height, ValidatorSet], verify: Verify
) -> dict[Height, dict[Address, Evidence]]:
    """Who equivocated at each height, with evidence that passes the check."""
    offenders: dict[Height, dict[Address, Evidence]] = {}
    for (who, height, _, _), messages in history.signed.items():
        if len(messages) < 2 or height not in sets:
            continue
        evidence = _build_evidence(list(messages.values()))
        try:
            check_evidence(genesis_hash, sets[height], evidence, verify)
        except ChainError:
            continue
        offenders.setdefault(height, {})[who] = evidence
    return offenders


def _build_evidence(messages: Sequence[SignedVote | SignedProposal]) -> Evidence:
    one, other = messages[:2]
    if isinstance(one, SignedVote):
        assert isinstance(other, SignedVote)
        return build_duplicate_vote(one, other)
    assert isinstance(other, SignedProposal)
    return build_duplicate_proposal(one, other)


def check_accountability(
    chains: Chains,
    history: History,
    genesis_hash: Hash,
    members: ValidatorSet,
    height: Height,
    verify: Verify,
) -> list[Violation]:
    """A fork at `height` within one round convicts more than a third of the power.

    Over several rounds some of them may be amnesiac, which two messages do not show: those who precommitted
    in one round and prevoted otherwise later are listed from the signatures, too.
    """
    certificates = [c for chain in chains.values() if (c := chain.get_certificate(height)) is not None]
    blocks = {certificate.block_hash for certificate in certificates}
    if len(blocks) < 2:
        return []
    guilty = set(find_offenders(history, genesis_hash, {height: members}, verify).get(height, {}))
    guilty |= _find_turncoats(certificates, history, height)
    power = sum(member.power for member in members.validators if member.address in guilty)
    if has_honest_member(power, compute_total_power(members)):
        return []
    return [Violation("accountability", f"fork at height {height}, only {power} power is guilty of it")]


def _find_turncoats(certificates: list[CommitCertificate], history: History, height: Height) -> set[Address]:
    """Those who precommitted a block, and voted for another one in a later round of the height."""
    turned: set[Address] = set()
    votes = [vote for certificate in certificates for vote in build_certificate_votes(certificate)]
    for signed in votes:
        vote = signed.vote
        for (who, at, round, _), messages in history.signed.items():
            if who == vote.validator and at == height and round > vote.round:
                others = [m.vote.block_hash for m in messages.values() if isinstance(m, SignedVote)]
                if any(other not in (None, vote.block_hash) for other in others):
                    turned.add(who)
    return turned


def check_evidence_on_chain(
    history: History, final: Ledger, deadline_ms: int, crashed: Iterable[int]
) -> list[Violation]:
    """What a node that never crashed saw of an equivocation, long enough before the end, is punished."""
    crashed = frozenset(crashed)
    violations = []
    for fact in history.reported:
        offender = get_offender(fact.evidence)
        if fact.node in crashed or fact.time_ms > deadline_ms:
            continue
        if get_validator(final.get_validators(), offender) is None or staking.is_tombstoned(
            final.state, offender
        ):
            continue
        detail = f"{offender.hex()[:8]} equivocated at height {get_offence_height(fact.evidence)}, unpunished"
        violations.append(Violation("evidence", f"{detail}; node {fact.node} knew at {fact.time_ms} ms"))
    return violations
