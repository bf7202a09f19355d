"""Comparison with witnesses: agreement passes, a lie is not taken for a fork, a fork yields evidence."""

import pytest

from chain.light import (
    Bisection,
    CrossCheck,
    Divergence,
    ForgedHeader,
    LightBlock,
    list_double_signers,
    list_equivocations,
)
from chain.primitives.codec import replace
from chain.primitives.types import Address, Height
from chain.validator_set import build_validator_set, has_honest_member
from chain.votes import InvalidEvidence, check_evidence, get_offender
from tests.chain.light.test_light import run
from tests.chain.support.signed_chain import SignedChain, build_chain_spec, get_person

HEAD = 40
FORK = 25


@pytest.fixture(scope="module")
def chain() -> SignedChain:
    """40 headers of six validators; three of them are others from height 12 on."""
    chain = SignedChain(build_chain_spec(range(6)))
    chain.grow(10)
    chain.set_target(dict.fromkeys((2, 3, 4, 6, 7, 8), 100))
    chain.grow(HEAD - 10)
    return chain


def sign_but_two(height: Height, who: Address) -> bool:
    """Five of six are enough."""
    return who != get_person(8).address


def build_fork(chain: SignedChain, round: int = 0, height: Height = FORK) -> SignedChain:
    """Another history after `height`, signed by five of the six."""
    other = chain.fork(height)
    other.grow(HEAD - height, salt=b"other", round=round, is_signing=sign_but_two)
    return other


def follow(chain: SignedChain, trusted: LightBlock | None = None) -> list[LightBlock]:
    """The trace of a client that trusts genesis and follows this chain."""
    bisection = Bisection(chain.rules, trusted or chain.blocks[0], HEAD)
    run(bisection, chain.blocks.__getitem__, chain.now_ms)
    return bisection.trace


def ask(check: CrossCheck, witness: SignedChain) -> int:
    """To the end; the number of questions."""
    count = 0
    while check.wanted is not None:
        count += 1
        check.supply(witness.blocks[check.wanted], witness.now_ms)
    return count


def test_a_witness_that_agrees_is_asked_once(chain: SignedChain) -> None:
    """One header binds all before it."""
    assert ask(CrossCheck(chain.rules, follow(chain)), chain) == 1


def test_the_place_of_a_fork_is_found_by_halving(chain: SignedChain) -> None:
    """A witness is asked for few of the headers that are trusted, however many there are."""
    fork = build_fork(chain, height=HEAD - 2)
    asked: list[Height] = []
    check = CrossCheck(chain.rules, chain.blocks)
    with pytest.raises(Divergence):
        while check.wanted is not None:
            asked.append(check.wanted)
            check.supply(fork.blocks[check.wanted], chain.now_ms)
    assert len(asked) <= 8


@pytest.mark.parametrize("height", [0, 11, FORK, HEAD - 1])
def test_a_fork_yields_evidence_that_the_chain_accepts(chain: SignedChain, height: Height) -> None:
    """Everybody who signed both is proven to have equivocated: more than a third of the power."""
    fork = build_fork(chain, height=height)
    with pytest.raises(Divergence, match="signed as final") as caught:
        ask(CrossCheck(chain.rules, follow(chain)), fork)
    found = caught.value
    at = found.ours.header.height
    assert (found.ours, found.theirs) == (chain.blocks[at], fork.blocks[at])
    assert (
        found.common == chain.blocks[found.common.header.height] and found.common.header.height <= height < at
    )
    evidence = list_equivocations(found.ours, found.theirs)
    members = build_validator_set(chain.blocks[at].roster.validators)
    for one in evidence:
        check_evidence(chain.rules.genesis_hash, members, one)
    offenders = [get_offender(one) for one in evidence]
    assert tuple(offenders) == list_double_signers(found.ours, found.theirs)
    powers = {one.address: one.power for one in members.validators}
    assert has_honest_member(sum(powers[who] for who in offenders), sum(powers.values()))


def test_evidence_names_nobody_who_signed_once(chain: SignedChain) -> None:
    """A validator that signed only one block is not an offender, and evidence against it fails."""
    fork = build_fork(chain)
    evidence = list_equivocations(chain.blocks[HEAD], fork.blocks[HEAD])
    innocent = get_person(8).address
    assert innocent in [one.address for one in chain.blocks[HEAD].roster.validators]
    assert innocent not in [get_offender(one) for one in evidence]
    members = build_validator_set(chain.blocks[0].roster.validators)
    strangers = [one for one in evidence if get_offender(one) == get_person(6).address]
    assert len(strangers) == 1
    with pytest.raises(InvalidEvidence):
        check_evidence(chain.rules.genesis_hash, members, strangers[0])


def test_amnesia_is_seen_but_not_proven(chain: SignedChain) -> None:
    """Blocks signed in different rounds: the fork stops the client, and those who signed both are named."""
    fork = build_fork(chain, round=1)
    with pytest.raises(Divergence) as caught:
        ask(CrossCheck(chain.rules, follow(chain)), fork)
    found = caught.value
    assert list_equivocations(found.ours, found.theirs) == ()
    assert len(list_double_signers(found.ours, found.theirs)) == 5


def test_blocks_without_certificate_name_nobody(chain: SignedChain) -> None:
    """A block without certificate, as a file of trusted blocks may have, gives no evidence."""
    signed, bare = chain.blocks[HEAD], replace(chain.blocks[HEAD], certificate=None)
    for pair in ((signed, bare), (bare, signed)):
        assert list_double_signers(*pair) == list_equivocations(*pair) == ()


def test_a_witness_that_can_not_show_its_header_is_a_liar(chain: SignedChain) -> None:
    """It invented validators; its answer says nothing about the network."""
    liar = chain.fork(FORK)
    liar.usurp([200, 201])
    liar.grow(HEAD - FORK, salt=b"lie")
    with pytest.raises(ForgedHeader):
        ask(CrossCheck(chain.rules, follow(chain)), liar)


def test_a_witness_that_contradicts_itself_is_a_liar(chain: SignedChain) -> None:
    """First another header, then the same: no fork."""
    check = CrossCheck(chain.rules, follow(chain))
    check.supply(build_fork(chain, height=0).blocks[HEAD], chain.now_ms)
    with pytest.raises(ForgedHeader):
        ask(check, chain)


def test_a_witness_that_answers_something_else_is_a_liar(chain: SignedChain) -> None:
    """Another height than it was asked for."""
    with pytest.raises(ForgedHeader, match="was given for"):
        CrossCheck(chain.rules, follow(chain)).supply(chain.blocks[3], chain.now_ms)
