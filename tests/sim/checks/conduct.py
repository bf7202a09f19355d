"""Whether honest validators followed the protocol, judged by arithmetic of its own.

The checkers of `checkers` compute validity with the product's code, and would share its mistakes. Here only
records are read: who signed what, which power that is, what a block says of its parent. Rules are those of
Tendermint (arXiv 1807.04938, lines in brackets), each as what must be true of all signatures ever made if one
honest validator made this one.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from chain.block import Header, compute_header_hash
from chain.modules import offences
from chain.primitives.hashing import Domain, signing_bytes
from chain.primitives.types import Address, Hash, Height, Round
from chain.runtime import decode_event
from chain.validator_set import ValidatorSet, compute_hash, get_priority
from chain.votes import (
    CommitCertificate,
    Proposal,
    SignedVote,
    Verify,
    Vote,
    VoteKind,
    get_vote_signing_bytes,
)
from node.ledger.ledger import Ledger
from tests.sim.checks.checkers import Chains, Violation
from tests.sim.checks.history import History

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


class _HeightMessages:
    """All messages signed at one height."""

    def __init__(self, members: ValidatorSet) -> None:
        self.powers = {member.address: member.power for member in members.validators}
        self.total = sum(self.powers.values())
        self.votes: dict[tuple[VoteKind, Round, Hash | None], dict[Address, None]] = {}
        self.proposals: dict[Round, list[Proposal]] = {}

    def has_polka(self, round: Round, block_hash: Hash) -> bool:
        """Whether more than two thirds prevoted the block in that round."""
        voters = self.votes.get((PREVOTE, round, block_hash), {})
        return 3 * sum(self.powers.get(who, 0) for who in voters) > 2 * self.total

    def find_lock(self, who: Address, round: Round) -> tuple[Round, Hash] | None:
        """The last block that a validator precommitted before a round."""
        locks = [
            (before, block_hash)
            for (kind, before, block_hash), voters in self.votes.items()
            if kind is PRECOMMIT and block_hash is not None and before < round and who in voters
        ]
        return max(locks, default=None)


def check_votes(
    history: History, sets: Mapping[Height, ValidatorSet], honest: Iterable[Address]
) -> list[Violation]:
    """Every vote of an honest validator is one that the rules allow."""
    said = {height: _HeightMessages(members) for height, members in sets.items()}
    messages = [one for slot in history.signed.values() for one in slot.values()]
    for one in messages:
        if isinstance(one, SignedVote):
            vote = one.vote
            if vote.height in said:
                slot = vote.kind, vote.round, vote.block_hash
                said[vote.height].votes.setdefault(slot, {})[vote.validator] = None
        elif one.proposal.height in said:
            said[one.proposal.height].proposals.setdefault(one.proposal.round, []).append(one.proposal)
    honest = frozenset(honest)
    votes = [one.vote for one in messages if isinstance(one, SignedVote) and one.vote.height in said]
    honest_votes = [vote for vote in votes if vote.validator in honest]
    found = [(vote, _judge(said[vote.height], vote)) for vote in honest_votes]
    spoiled = history.spoiled
    found += [(vote, "votes for an invalid block") for vote in honest_votes if vote.block_hash in spoiled]
    return [
        Violation("conduct", f"{v.validator.hex()[:8]} at height {v.height}, round {v.round}: {why}")
        for v, why in found
        if why is not None
    ]


def _judge(said: _HeightMessages, vote: Vote) -> str | None:
    if vote.block_hash is None:
        return None
    if vote.kind is PRECOMMIT:
        has_polka = said.has_polka(vote.round, vote.block_hash)
        return None if has_polka else "precommit without a polka in its round (L36)"
    if not any(_allows(said, one, vote.block_hash) for one in said.proposals.get(vote.round, ())):
        return "prevote without a proposal that allows it (L22, L28)"
    lock = said.find_lock(vote.validator, vote.round)
    if lock is None or lock[1] == vote.block_hash:
        return None
    is_free = any(said.has_polka(round, vote.block_hash) for round in range(lock[0], vote.round))
    return None if is_free else f"prevote against the lock of round {lock[0]} (L23, L29)"


def _allows(said: _HeightMessages, proposal: Proposal, block_hash: Hash) -> bool:
    pol_round = proposal.pol_round
    is_new = pol_round is None
    return proposal.block_hash == block_hash and (
        is_new or (pol_round < proposal.round and said.has_polka(pol_round, block_hash))
    )


class Seal(NamedTuple):
    """What is needed to judge a certificate."""

    genesis_hash: Hash
    members: ValidatorSet
    verify: Verify


def find_seal_fault(seal: Seal, header: Header, certificate: CommitCertificate) -> str | None:
    """Why a certificate does not make a block final."""
    if (certificate.height, certificate.block_hash) != (header.height, compute_header_hash(header)):
        return "it is of another block"
    members = {member.address: member for member in seal.members.validators}
    signers = [part.validator for part in certificate.signatures]
    if len(frozenset(signers)) != len(signers) or any(who not in members for who in signers):
        return "it has signers twice, or strangers"
    if 3 * sum(members[who].power for who in signers) <= 2 * sum(one.power for one in members.values()):
        return "it has not more than two thirds of the power"
    for part in certificate.signatures:
        vote = Vote(PRECOMMIT, header.height, certificate.round, certificate.block_hash, part.validator)
        message = get_vote_signing_bytes(seal.genesis_hash, vote)
        if not seal.verify(members[part.validator].consensus_key, message, part.signature):
            return f"the signature of {part.validator.hex()[:8]} is bad"
    return None


def check_seals(chains: Chains, sets: Mapping[Height, ValidatorSet], verify: Verify) -> list[Violation]:
    """Every block on every disk is final by the certificate beside it."""
    violations = []
    for number, chain in chains.items():
        for height in range(1, chain.height + 1):
            header, certificate = chain.get_header(height), chain.get_certificate(height)
            if header is None or certificate is None or height not in sets:
                continue
            seal = Seal(chain.genesis_hash, sets[height], verify)
            following = chain.get_block(height + 1)
            last_commit = following.inherents.last_commit if following else None
            for what, one in (("certificate", certificate), ("last commit", last_commit)):
                fault = None if one is None else find_seal_fault(seal, header, one)
                if fault is not None:
                    violations.append(Violation("seal", f"node {number}, {what} of {height}: {fault}"))
    return violations


def check_headers(
    chain: Ledger, sets: Mapping[Height, ValidatorSet], history: History, start_ms: int
) -> list[Violation]:
    """Headers name their parents, announce the next set, and have times that were possible."""
    violations = []
    first_final = {}
    for fact in history.finalities:
        first_final[fact.height] = min(fact.time_ms, first_final.get(fact.height, fact.time_ms))
    precision_ms = chain.get_parameters().precision_ms
    parent = chain.get_header(0)
    for height in range(1, chain.height + 1):
        header = chain.get_header(height)
        assert header is not None and parent is not None
        latest_ms = start_ms + first_final.get(height, 2**60) + 2 * precision_ms
        faults = {
            "does not name its parent": header.parent_hash != compute_header_hash(parent),
            "is not later than its parent": header.time_ms <= parent.time_ms,
            "is from the future": header.time_ms > latest_ms,
            "has another set than announced": height > 1
            and header.validators_hash != parent.next_validators_hash,
            "is not decided by the set it names": height in sets
            and header.validators_hash != compute_hash(sets[height]),
        }
        violations += [
            Violation("header", f"height {height} {what}") for what, is_so in faults.items() if is_so
        ]
        parent = header
    return violations


def check_transactions(chain: Ledger, verify: Verify) -> list[Violation]:
    """Everything in a block was signed by its sender."""
    violations = []
    for height in range(1, chain.height + 1):
        block = chain.get_block(height)
        for signed in block.transactions if block else ():
            transaction = signed.transaction
            message = signing_bytes(Domain.SIGN_TRANSACTION, chain.genesis_hash, transaction)
            if not verify(transaction.sender, message, signed.signature):
                violations.append(Violation("transaction", f"height {height}: not signed by its sender"))
    return violations


def check_turns(chain: Ledger, sets: Mapping[Height, ValidatorSet]) -> list[Violation]:
    """In round 0 nobody proposes all the time: with four heights of one set there are two proposers."""
    proposers: list[Address] = []
    for height in range(1, chain.height + 1):
        header, certificate = chain.get_header(height), chain.get_certificate(height)
        if header is not None and certificate is not None and certificate.round == 0:
            proposers.append(header.proposer)
    if len(proposers) >= 8 and len(frozenset(proposers)) == 1 and len(sets[1].validators) > 1:
        return [Violation("turns", f"{proposers[0].hex()[:8]} alone has proposed {len(proposers)} blocks")]
    return []


def check_priorities(sets: Mapping[Height, ValidatorSet]) -> list[Violation]:
    """From height to height the proposer priorities move by one selection, computed here again.

    Heights at which the set changes are left out.
    """
    violations = []
    for height in sorted(sets):
        members, following = sets[height].validators, sets.get(height + 1)
        if following is None or _list_powers(sets[height]) != _list_powers(following):
            continue
        expected = select([one.power for one in members], [get_priority(one) for one in members])
        if [get_priority(one) for one in following.validators] != expected:
            violations.append(Violation("turns", f"priorities of height {height + 1} are not {expected}"))
    return violations


def _list_powers(members: ValidatorSet) -> list[tuple[Address, int]]:
    return [(one.address, one.power) for one in members.validators]


def select(powers: list[int], priorities: list[int]) -> list[int]:
    """One selection of weighted round robin; validators are in the order of their addresses.

    Scale into twice the total power (ratio rounded up), centre (mean rounded down), add powers, and take the
    total from the highest, the first of equals.
    """
    total = sum(powers)
    spread = max(priorities) - min(priorities)
    ratio = max(1, -(-spread // (2 * total)))
    scaled = [priority // ratio for priority in priorities]
    mean = sum(scaled) // len(scaled)
    moved = [priority - mean + power for priority, power in zip(scaled, powers, strict=True)]
    moved[moved.index(max(moved))] -= total
    return moved


def check_punishments(chain: Ledger, villains: Iterable[Address]) -> list[Violation]:
    """Every validator slashed for equivocation is a villain, slashed once, before the evidence expired."""
    villains = frozenset(villains)
    punished: list[Address] = []
    violations = []
    for height in range(1, chain.height + 1):
        for event in iterate_proven(chain, height):
            if event.validator not in villains:
                violations.append(Violation("punished", f"{event.validator.hex()[:8]} is innocent"))
            if event.validator in punished:
                violations.append(Violation("punished", f"{event.validator.hex()[:8]} twice"))
            if _is_expired(chain, height, event.height):
                detail = f"at height {height} for an offence at {event.height}, which has expired"
                violations.append(Violation("punished", detail))
            punished.append(event.validator)
    return violations


def iterate_proven(chain: Ledger, height: Height) -> Iterator[offences.EquivocationProven]:
    """Who was slashed for equivocation in a block."""
    receipts = chain.get_receipts(height)
    for receipt in receipts.transactions if receipts else ():
        for record in receipt.events:
            _, event = decode_event(record)
            if isinstance(event, offences.EquivocationProven):
                yield event


def _is_expired(chain: Ledger, height: Height, offence_height: Height) -> bool:
    """Too old in blocks, and in time since its epoch ended."""
    parameters = chain.get_parameters()
    epoch_end = -(-max(offence_height, 1) // parameters.epoch_blocks) * parameters.epoch_blocks
    ended, now = chain.get_header(min(epoch_end, chain.height)), chain.get_header(height)
    assert ended is not None and now is not None
    is_old = height - offence_height > parameters.evidence_age_blocks
    return is_old and epoch_end < height and now.time_ms - ended.time_ms > parameters.evidence_age_ms
