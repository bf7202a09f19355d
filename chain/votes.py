"""Proposals, votes, and the records built from them: certificates and evidence of equivocation.

Everything is signed with a validator's consensus key over purpose + genesis hash + canonical encoding; a
validator is named by its account. `block_hash` None is *nil*. Votes carry no time (docs/spec/consensus.md,
proposer-based time), so two votes of one validator in one slot are either the same bytes or an equivocation.

A certificate has the signed votes of more than 2/3 of the power for one block; the fields that they share
are written once. Each signature is that of an ordinary vote, so a certificate can be turned back into votes.
There is no certificate for nil: nothing later refers to one.

The caller finds the validator set of the record's height. The checks verify every signature, never only the
first two thirds. `verify` can be a function that remembers verified signatures.

ChainError
├── InvalidProposal      proposer unknown, proof-of-lock round not before the round, bad signature
├── InvalidVote          validator unknown, bad signature
├── InvalidCertificate   order, duplicates, unknown validators, a bad signature, not more than 2/3
└── InvalidEvidence      no equivocation, wrong order, validator unknown, a bad signature
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from chain.primitives.codec import Record, encode
from chain.primitives.errors import ChainError
from chain.primitives.hashing import Domain, hash_record, signing_bytes
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Address, Hash, Height, PublicKey, Round, Signature
from chain.validator_set import (
    VALIDATORS_MAX,
    ValidatorSet,
    compute_total_power,
    get_validator,
    is_quorum,
)

Verify = Callable[[PublicKey, bytes, Signature], bool]


class InvalidProposal(ChainError):
    """No validator of the set signed this proposal, or its proof-of-lock round is not earlier."""


class InvalidVote(ChainError):
    """No validator of the set signed this vote."""


class InvalidCertificate(ChainError):
    """These signatures do not show that more than 2/3 of the power voted for the block."""


class InvalidEvidence(ChainError):
    """The two messages do not show that a validator of the set equivocated."""


class VoteKind(IntEnum):
    """The two votes of a round."""

    PREVOTE = 1
    PRECOMMIT = 2


class Proposal(Record):
    """A proposed block; `pol_round` is the earlier round of its polka (proof of lock), None without one."""

    height: Height
    round: Round
    block_hash: Hash
    pol_round: Round | None
    proposer: Address


class SignedProposal(Record):
    """A proposal with its proposer's signature."""

    proposal: Proposal
    signature: Signature


class Vote(Record):
    """A prevote or precommit for a block, or for nil."""

    kind: VoteKind
    height: Height
    round: Round
    block_hash: Hash | None
    validator: Address


class SignedVote(Record):
    """A vote with its validator's signature."""

    vote: Vote
    signature: Signature


class CertificateSignature(Record):
    """One validator's signature in a certificate."""

    validator: Address
    signature: Signature


CertificateSignatures = Annotated[tuple[CertificateSignature, ...], Meta(max_length=VALIDATORS_MAX)]


class CommitCertificate(Record):
    """More than 2/3 of the power precommitted the block: it is final."""

    height: Height
    round: Round
    block_hash: Hash
    signatures: CertificateSignatures


class PolkaCertificate(Record):
    """More than 2/3 of the power prevoted the block in that round."""

    height: Height
    round: Round
    block_hash: Hash
    signatures: CertificateSignatures


Certificate = CommitCertificate | PolkaCertificate


class DuplicateVote(Record, tag=1):
    """Two different votes of one validator in one slot; the one with the smaller encoding is first."""

    first: SignedVote
    second: SignedVote


class DuplicateProposal(Record, tag=2):
    """Two different proposals of one validator in one round; the one with the smaller encoding is first."""

    first: SignedProposal
    second: SignedProposal


Evidence = DuplicateVote | DuplicateProposal

_VOTE_DOMAINS = {VoteKind.PREVOTE: Domain.SIGN_PREVOTE, VoteKind.PRECOMMIT: Domain.SIGN_PRECOMMIT}


def get_vote_signing_bytes(genesis_hash: Hash, vote: Vote) -> bytes:
    """The bytes that the validator signs; prevotes and precommits have different purposes."""
    return signing_bytes(_VOTE_DOMAINS[vote.kind], genesis_hash, vote)


def get_proposal_signing_bytes(genesis_hash: Hash, proposal: Proposal) -> bytes:
    """The bytes that the proposer signs."""
    return signing_bytes(Domain.SIGN_PROPOSAL, genesis_hash, proposal)


def check_signed_vote(
    genesis_hash: Hash, validator_set: ValidatorSet, signed: SignedVote, verify: Verify = is_signed_by
) -> None:
    """Raises InvalidVote unless a validator of the set signed it."""
    validator = get_validator(validator_set, signed.vote.validator)
    if validator is None:
        raise InvalidVote("not from a validator of this height")
    if not verify(
        validator.consensus_key, get_vote_signing_bytes(genesis_hash, signed.vote), signed.signature
    ):
        raise InvalidVote("bad signature")


def check_signed_proposal(
    genesis_hash: Hash, validator_set: ValidatorSet, signed: SignedProposal, verify: Verify = is_signed_by
) -> None:
    """Raises InvalidProposal unless a validator of the set signed it; the core checks whose turn it is."""
    proposal = signed.proposal
    if proposal.pol_round is not None and proposal.pol_round >= proposal.round:
        raise InvalidProposal("its proof-of-lock round is not before its round")
    validator = get_validator(validator_set, proposal.proposer)
    if validator is None:
        raise InvalidProposal("not from a validator of this height")
    message = get_proposal_signing_bytes(genesis_hash, proposal)
    if not verify(validator.consensus_key, message, signed.signature):
        raise InvalidProposal("bad signature")


def build_commit_certificate(votes: Sequence[SignedVote]) -> CommitCertificate:
    """The certificate of precommits that are all for one block in one round."""
    height, round, block_hash = _get_common_vote(votes, VoteKind.PRECOMMIT)
    return CommitCertificate(height, round, block_hash, _build_certificate_signatures(votes))


def build_polka_certificate(votes: Sequence[SignedVote]) -> PolkaCertificate:
    """The certificate of prevotes that are all for one block in one round."""
    height, round, block_hash = _get_common_vote(votes, VoteKind.PREVOTE)
    return PolkaCertificate(height, round, block_hash, _build_certificate_signatures(votes))


def build_certificate_votes(certificate: Certificate) -> tuple[SignedVote, ...]:
    """The signed votes that the certificate was made of."""
    kind = VoteKind.PRECOMMIT if isinstance(certificate, CommitCertificate) else VoteKind.PREVOTE
    height, round, block_hash = certificate.height, certificate.round, certificate.block_hash
    return tuple(
        SignedVote(Vote(kind, height, round, block_hash, part.validator), part.signature)
        for part in certificate.signatures
    )


def check_certificate(
    genesis_hash: Hash, validator_set: ValidatorSet, certificate: Certificate, verify: Verify = is_signed_by
) -> None:
    """Raises InvalidCertificate unless more than 2/3 of the set's power signed, and nothing else is in it.

    Power is counted before any signature is verified, so that a certificate with too little power is cheap to
    refuse.
    """
    signers = [part.validator for part in certificate.signatures]
    if any(left >= right for left, right in pairwise(signers)):
        raise InvalidCertificate("signers are not strictly ascending")
    members = [get_validator(validator_set, signer) for signer in signers]
    power = sum(member.power for member in members if member is not None)
    if not is_quorum(power, compute_total_power(validator_set)):
        raise InvalidCertificate("not more than two thirds of the power")
    for signed in build_certificate_votes(certificate):
        try:
            check_signed_vote(genesis_hash, validator_set, signed, verify)
        except InvalidVote as error:
            raise InvalidCertificate(str(error)) from error


def build_duplicate_vote(one: SignedVote, other: SignedVote) -> DuplicateVote:
    """Evidence of two conflicting votes, in canonical order."""
    first, second = sorted((one, other), key=lambda signed: encode(signed.vote))
    return DuplicateVote(first, second)


def build_duplicate_proposal(one: SignedProposal, other: SignedProposal) -> DuplicateProposal:
    """Evidence of two conflicting proposals, in canonical order."""
    first, second = sorted((one, other), key=lambda signed: encode(signed.proposal))
    return DuplicateProposal(first, second)


def get_offender(evidence: Evidence) -> Address:
    """The validator that equivocated."""
    if isinstance(evidence, DuplicateVote):
        return evidence.first.vote.validator
    return evidence.first.proposal.proposer


def get_offence_height(evidence: Evidence) -> Height:
    """The height of the offence, whose validator set the check needs."""
    if isinstance(evidence, DuplicateVote):
        return evidence.first.vote.height
    return evidence.first.proposal.height


def compute_evidence_hash(evidence: Evidence) -> Hash:
    """The hash that names an offence: without signatures, of which the offender could make many."""
    if isinstance(evidence, DuplicateVote):
        return hash_record(Domain.EVIDENCE, (evidence.first.vote, evidence.second.vote))
    return hash_record(Domain.EVIDENCE, (evidence.first.proposal, evidence.second.proposal))


def check_evidence(
    genesis_hash: Hash, validator_set: ValidatorSet, evidence: Evidence, verify: Verify = is_signed_by
) -> None:
    """Raises InvalidEvidence unless a validator of the set signed two different messages for one slot."""
    try:
        if isinstance(evidence, DuplicateVote):
            _check_votes_conflict(evidence.first.vote, evidence.second.vote)
            check_signed_vote(genesis_hash, validator_set, evidence.first, verify)
            check_signed_vote(genesis_hash, validator_set, evidence.second, verify)
        else:
            _check_proposals_conflict(evidence.first.proposal, evidence.second.proposal)
            check_signed_proposal(genesis_hash, validator_set, evidence.first, verify)
            check_signed_proposal(genesis_hash, validator_set, evidence.second, verify)
    except (InvalidVote, InvalidProposal) as error:
        raise InvalidEvidence(str(error)) from error


def _get_common_vote(votes: Sequence[SignedVote], kind: VoteKind) -> tuple[Height, Round, Hash]:
    first = votes[0].vote
    assert first.block_hash is not None
    assert all(signed.vote.block_hash == first.block_hash for signed in votes)
    assert all((signed.vote.kind, signed.vote.round) == (kind, first.round) for signed in votes)
    return first.height, first.round, first.block_hash


def _build_certificate_signatures(votes: Sequence[SignedVote]) -> tuple[CertificateSignature, ...]:
    ordered = sorted(votes, key=lambda signed: signed.vote.validator)
    return tuple(CertificateSignature(signed.vote.validator, signed.signature) for signed in ordered)


def _check_votes_conflict(first: Vote, second: Vote) -> None:
    if (first.kind, first.height, first.round, first.validator) != (
        second.kind,
        second.height,
        second.round,
        second.validator,
    ):
        raise InvalidEvidence("the votes are not of one slot")
    _check_order(first, second)


def _check_proposals_conflict(first: Proposal, second: Proposal) -> None:
    # The same block with another proof-of-lock round counts too: an honest proposer signs once per round.
    if (first.height, first.round, first.proposer) != (second.height, second.round, second.proposer):
        raise InvalidEvidence("the proposals are not of one round")
    _check_order(first, second)


def _check_order(first: Record, second: Record) -> None:
    """Raises InvalidEvidence unless strictly ascending: no equal messages, and one form per pair."""
    if encode(first) >= encode(second):
        raise InvalidEvidence("the messages are equal or not in order")
