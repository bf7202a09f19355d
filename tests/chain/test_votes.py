"""Votes, certificates and evidence pass if and only if the right validators signed the right thing."""

from collections.abc import Callable, Sequence

import pytest

from chain.primitives.codec import decode, encode, replace
from chain.primitives.errors import DecodeError
from chain.primitives.keys import KeyPair
from chain.validator_set import ValidatorChange, build_validator_set
from chain.votes import (
    Certificate,
    CertificateSignature,
    CommitCertificate,
    DuplicateProposal,
    DuplicateVote,
    Evidence,
    InvalidCertificate,
    InvalidEvidence,
    InvalidProposal,
    InvalidVote,
    PolkaCertificate,
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
    build_certificate_votes,
    build_commit_certificate,
    build_duplicate_proposal,
    build_duplicate_vote,
    build_polka_certificate,
    check_certificate,
    check_evidence,
    check_signed_proposal,
    check_signed_vote,
    compute_evidence_hash,
    get_offence_height,
    get_offender,
    get_proposal_signing_bytes,
    get_vote_signing_bytes,
)

GENESIS = b"g" * 32
X, Y = b"x" * 32, b"y" * 32
KEYS = [KeyPair(bytes([number]) * 32) for number in range(1, 6)]
POWERS = (4, 3, 2, 1)
"""Total 10: the first two are exactly 7, a quorum; 4 + 2 is not."""
SET = build_validator_set(
    ValidatorChange(bytes([n]) * 32, KEYS[n].public_key, power) for n, power in enumerate(POWERS)
)


def sign_vote(who: int, vote: Vote, genesis: bytes = GENESIS) -> SignedVote:
    return SignedVote(vote, KEYS[who].sign(get_vote_signing_bytes(genesis, vote)))


def vote(
    who: int, value: bytes | None = X, kind: VoteKind = VoteKind.PRECOMMIT, height: int = 7, round: int = 1
) -> SignedVote:
    return sign_vote(who, Vote(kind, height, round, value, bytes([who]) * 32))


def proposal(who: int, value: bytes = X, pol_round: int | None = None, round: int = 1) -> SignedProposal:
    unsigned = Proposal(7, round, value, pol_round, bytes([who]) * 32)
    return SignedProposal(unsigned, KEYS[who].sign(get_proposal_signing_bytes(GENESIS, unsigned)))


def commit(*who: int, value: bytes = X) -> CommitCertificate:
    return build_commit_certificate([vote(one, value) for one in who])


def polka(*who: int) -> PolkaCertificate:
    return build_polka_certificate([vote(one, X, VoteKind.PREVOTE) for one in who])


def with_signatures(
    certificate: CommitCertificate, parts: Sequence[CertificateSignature]
) -> CommitCertificate:
    return replace(certificate, signatures=tuple(parts))


@pytest.mark.parametrize(
    "record",
    [vote(0), vote(0, None), proposal(0), proposal(0, X, 0), commit(0, 1), polka(0, 1)],
    ids=lambda record: type(record).__name__,
)
def test_records_round_trip(record: object) -> None:
    """Each record is the only one with its encoding."""
    assert decode(type(record), encode(record)) == record


def test_there_are_two_kinds_of_votes() -> None:
    """A vote of another kind is no record."""
    encoded = bytearray(encode(vote(0).vote))
    assert encoded[1] == VoteKind.PRECOMMIT
    encoded[1] = 3
    with pytest.raises(DecodeError):
        decode(Vote, bytes(encoded))


def test_evidence_is_a_tagged_union() -> None:
    """Both kinds of evidence decode to what they are."""
    for evidence in (
        build_duplicate_vote(vote(0), vote(0, Y)),
        build_duplicate_proposal(proposal(0), proposal(0, Y)),
    ):
        assert decode(Evidence, encode(evidence)) == evidence


def test_signing_bytes_separate_purposes_and_networks() -> None:
    """The same vote as the other kind, or on another network, is signed over other bytes."""
    precommit = vote(0).vote
    messages = {
        get_vote_signing_bytes(GENESIS, precommit),
        get_vote_signing_bytes(GENESIS, replace(precommit, kind=VoteKind.PREVOTE)),
        get_vote_signing_bytes(b"h" * 32, precommit),
    }
    assert len(messages) == 3


def test_a_good_vote_passes() -> None:
    """A member's vote passes, for a block or for nil."""
    check_signed_vote(GENESIS, SET, vote(0))
    check_signed_vote(GENESIS, SET, vote(3, None, VoteKind.PREVOTE))


@pytest.mark.parametrize(
    "signed",
    [
        vote(4),
        sign_vote(1, vote(0).vote),
        sign_vote(0, vote(0).vote, b"h" * 32),
        SignedVote(vote(0, Y).vote, vote(0).signature),
        SignedVote(vote(0, round=2).vote, vote(0).signature),
        SignedVote(vote(0, kind=VoteKind.PREVOTE).vote, vote(0).signature),
        SignedVote(vote(0).vote, bytes(64)),
    ],
    ids=[
        "stranger",
        "other's key",
        "other network",
        "other block",
        "other round",
        "other kind",
        "no signature",
    ],
)
def test_a_bad_vote_is_refused(signed: SignedVote) -> None:
    """A vote that its validator did not sign as it stands is refused."""
    with pytest.raises(InvalidVote):
        check_signed_vote(GENESIS, SET, signed)


def test_a_good_proposal_passes() -> None:
    """A member's proposal passes, with an earlier proof-of-lock round or none."""
    check_signed_proposal(GENESIS, SET, proposal(0))
    check_signed_proposal(GENESIS, SET, proposal(0, X, 0))


@pytest.mark.parametrize(
    "signed",
    [
        proposal(4),
        proposal(0, X, 1),
        proposal(0, X, 2),
        SignedProposal(proposal(0, Y).proposal, proposal(0).signature),
        SignedProposal(proposal(1).proposal, proposal(0).signature),
    ],
    ids=["stranger", "own round", "later round", "other block", "other's key"],
)
def test_a_bad_proposal_is_refused(signed: SignedProposal) -> None:
    """A proposal nobody signed, or that refers to no earlier round, is refused."""
    with pytest.raises(InvalidProposal):
        check_signed_proposal(GENESIS, SET, signed)


@pytest.mark.parametrize("certificate", [commit(0, 1), commit(3, 2, 1, 0), polka(0, 1), polka(0, 2, 3)])
def test_a_good_certificate_passes(certificate: Certificate) -> None:
    """More than two thirds of the power, by two heads or by all, in whatever order the votes came."""
    check_certificate(GENESIS, SET, certificate)


def test_a_certificate_comes_apart_into_its_votes() -> None:
    """What a certificate is made of are ordinary votes."""
    assert build_certificate_votes(commit(1, 0)) == (vote(0), vote(1))
    assert build_certificate_votes(polka(0, 1))[0] == vote(0, X, VoteKind.PREVOTE)


PARTS = commit(0, 1, 2).signatures


@pytest.mark.parametrize(
    "certificate",
    [
        commit(0, 2),
        commit(1, 2, 3),
        with_signatures(commit(0, 1), ()),
        with_signatures(commit(0, 1), (PARTS[0], PARTS[0])),
        with_signatures(commit(0, 1), (PARTS[0], PARTS[0], PARTS[1])),
        with_signatures(commit(0, 1), (PARTS[1], PARTS[0])),
        commit(0, 1, 4),
        commit(2, 4),
        with_signatures(commit(0, 1), (*PARTS[:2], replace(PARTS[2], signature=bytes(64)))),
        with_signatures(commit(0, 1), (PARTS[0], replace(PARTS[1], signature=PARTS[0].signature))),
        replace(commit(0, 1), block_hash=Y),
        replace(commit(0, 1), height=8),
        replace(commit(0, 1), round=2),
        CommitCertificate(7, 1, X, polka(0, 1).signatures),
        PolkaCertificate(7, 1, X, commit(0, 1).signatures),
    ],
    ids=[
        "six of ten", "three heads, six of ten", "empty", "one twice", "one twice among enough", "order",
        "stranger among enough", "stranger for power", "one bad signature among enough", "other's signature",
        "block", "height", "round", "prevotes as precommits", "precommits as prevotes",
    ],
)  # fmt: skip
def test_a_bad_certificate_is_refused(certificate: Certificate) -> None:
    """Nothing but sorted, unique, valid signatures of more than two thirds of the power is a certificate."""
    with pytest.raises(InvalidCertificate):
        check_certificate(GENESIS, SET, certificate)


def test_every_signature_is_verified_by_the_given_function() -> None:
    """All signatures are looked at, not only two thirds, and none before the power suffices."""
    seen: list[bytes] = []

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        seen.append(key)
        return True

    check_certificate(GENESIS, SET, commit(0, 1, 2, 3), verify)
    assert seen == [key.public_key for key in KEYS[:4]]
    seen.clear()
    with pytest.raises(InvalidCertificate):
        check_certificate(GENESIS, SET, commit(0, 2), verify)
    assert seen == []


def test_good_evidence_passes() -> None:
    """Two blocks, or a block and nil, or one block with two proof-of-lock rounds: each is an equivocation."""
    check_evidence(GENESIS, SET, build_duplicate_vote(vote(0), vote(0, Y)))
    check_evidence(GENESIS, SET, build_duplicate_vote(vote(3, None), vote(3)))
    check_evidence(GENESIS, SET, build_duplicate_proposal(proposal(1), proposal(1, Y)))
    check_evidence(GENESIS, SET, build_duplicate_proposal(proposal(1, X, 0), proposal(1)))


GOOD = build_duplicate_vote(vote(0), vote(0, Y))


@pytest.mark.parametrize(
    "build",
    [
        lambda: DuplicateVote(GOOD.second, GOOD.first),
        lambda: DuplicateVote(vote(0), vote(0)),
        lambda: DuplicateVote(vote(0), SignedVote(vote(0).vote, bytes(64))),
        lambda: build_duplicate_vote(vote(0), vote(1, Y)),
        lambda: build_duplicate_vote(vote(0), vote(0, Y, round=2)),
        lambda: build_duplicate_vote(vote(0), vote(0, Y, height=8)),
        lambda: build_duplicate_vote(vote(0), vote(0, Y, kind=VoteKind.PREVOTE)),
        lambda: build_duplicate_vote(vote(4), vote(4, Y)),
        lambda: DuplicateVote(GOOD.first, SignedVote(GOOD.second.vote, bytes(64))),
        lambda: DuplicateVote(SignedVote(GOOD.first.vote, bytes(64)), GOOD.second),
        lambda: DuplicateProposal(proposal(0), proposal(0)),
        lambda: build_duplicate_proposal(proposal(0), proposal(1, Y)),
        lambda: build_duplicate_proposal(proposal(0), proposal(0, Y, round=2)),
        lambda: build_duplicate_proposal(proposal(0), SignedProposal(proposal(0, Y).proposal, bytes(64))),
        lambda: build_duplicate_proposal(proposal(4), proposal(4, Y)),
    ],
    ids=[
        "order", "same vote", "same vote, two signatures", "two validators", "two rounds", "two heights",
        "two kinds", "stranger", "second unsigned", "first unsigned", "same proposal", "two proposers",
        "two rounds of proposals", "unsigned proposal", "stranger's proposals",
    ],
)  # fmt: skip
def test_bad_evidence_is_refused(build: Callable[[], Evidence]) -> None:
    """What does not show two different signed messages of one member in one slot harms nobody."""
    with pytest.raises(InvalidEvidence):
        check_evidence(GENESIS, SET, build())


def test_evidence_names_its_offence() -> None:
    """Offender and height are read off; other signatures on the same messages are the same offence."""
    assert (get_offender(GOOD), get_offence_height(GOOD)) == (bytes(32), 7)
    other = build_duplicate_proposal(proposal(1), proposal(1, Y))
    assert (get_offender(other), get_offence_height(other)) == (bytes([1]) * 32, 7)
    resigned = DuplicateVote(SignedVote(GOOD.first.vote, b"s" * 64), GOOD.second)
    assert compute_evidence_hash(resigned) == compute_evidence_hash(GOOD)
    assert compute_evidence_hash(other) != compute_evidence_hash(GOOD)
