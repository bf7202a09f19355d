"""The light client trusts what the network signed, over few headers; nothing forged, old or lonely passes."""

from collections.abc import Callable, Container
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import Header, compute_header_hash
from chain.errors import ChainError, DecodeError
from chain.jsonable import get_fields
from chain.light import (
    CLOCK_DRIFT_MS,
    Bisection,
    ForgedHeader,
    LightBlock,
    LightError,
    NotEnoughTrust,
    TrustExpired,
    TrustRules,
    build_genesis_light_block,
    build_rules,
    check_anchor,
    verify_adjacent,
    verify_parent,
    verify_skipping,
)
from chain.primitives.codec import decode, encode, replace
from chain.primitives.types import Address, Height
from chain.validator_set import Roster, compute_roster_hash, has_honest_member
from chain.votes import Vote, VoteKind, get_vote_signing_bytes
from tests.chain.support.chain_rig import build_rig
from tests.chain.support.signed_chain import SignedChain, build_chain_spec, build_member, certify, get_person

HEADERS = 10_000
ERA = 500
Serve = Callable[[Height], LightBlock]


def run(bisection: Bisection, serve: Serve, now_ms: int) -> int:
    """To its end, or to the error; the number of headers that were fetched."""
    count = 0
    while bisection.wanted is not None:
        count += 1
        bisection.supply(serve(bisection.wanted), now_ms)
    return count


def build_eras(count: int, height_max: Height) -> SignedChain:
    """Seven validators, of whom two go and two come in every era; in each fourth, all seven are replaced."""
    chain, chance, newcomer = SignedChain(build_chain_spec(range(7))), Random(1), 7
    people = list(range(7))
    for era in range(height_max // count):
        if era > 0:
            leaving = 7 if era % 4 == 0 else 2
            people = people[leaving:] + list(range(newcomer, newcomer + leaving))
            newcomer += leaving
            chain.set_target({number: chance.randint(50, 150) for number in people})
        chain.grow(count)
    return chain


@pytest.fixture(scope="module")
def long_chain() -> SignedChain:
    """10,000 headers of 20 eras, every one signed by all of its validators."""
    return build_eras(ERA, HEADERS)


@pytest.fixture(scope="module")
def chain() -> SignedChain:
    """40 headers; from height 10 on, three of seven validators are others."""
    chain = SignedChain(build_chain_spec(range(7)))
    chain.grow(8)
    chain.set_target(dict.fromkeys((*range(3, 7), 7, 8, 9), 100))
    chain.grow(32)
    return chain


def test_ten_thousand_headers_take_fewer_than_a_hundred(
    long_chain: SignedChain, record_property: Callable[[str, object], None]
) -> None:
    """From genesis to the head over 20 eras, five of which replace everybody."""
    assert long_chain.head.header.height == HEADERS
    assert len({block.header.validators_hash for block in long_chain.blocks}) > 2 * (HEADERS // ERA - 1)
    bisection = Bisection(long_chain.rules, long_chain.blocks[0], HEADERS)
    downloads = run(bisection, long_chain.blocks.__getitem__, long_chain.now_ms)
    record_property("headers downloaded", downloads)
    assert bisection.trusted == long_chain.head
    assert downloads == len(bisection.trace) - 1 < 100


def test_trust_begins_with_the_chain_spec() -> None:
    """The first trusted header is computed from it alone, and is that of a node."""
    rig = build_rig()
    block = build_genesis_light_block(rig.spec)
    assert block.header == rig.live.head and block.certificate is None
    assert compute_roster_hash(block.roster) == block.header.validators_hash
    rules = build_rules(rig.spec)
    assert rules.trusting_period_ms == 2 * 2 * 4 * 1_000 // 2
    check_anchor(rules, block, 0, compute_header_hash(rig.live.head))


def test_every_header_follows_the_one_before(chain: SignedChain) -> None:
    """One by one, also where the roster changes; and backwards by the parents' hashes."""
    for trusted, block in zip(chain.blocks, chain.blocks[1:], strict=False):
        verify_adjacent(chain.rules, trusted, block, chain.now_ms)
        verify_parent(block.header, trusted.header)
        with pytest.raises(ForgedHeader):
            verify_parent(trusted.header, block.header)


def test_an_anchor_is_named_by_height_and_hash(chain: SignedChain) -> None:
    """What somebody trusted said is enough, if the block is the one he named."""
    block = chain.blocks[20]
    check_anchor(chain.rules, block, 20, compute_header_hash(block.header))
    for height, name in ((21, compute_header_hash(block.header)), (20, bytes(32))):
        with pytest.raises(ForgedHeader):
            check_anchor(chain.rules, block, height, name)


# What is refused.


def test_a_forged_header_is_refused(chain: SignedChain) -> None:
    """Each field of the header changed, under the old certificate and under one of everybody who forges."""
    block = chain.blocks[30]
    forgers = [one.address for one in block.roster.validators][:2]
    for name, _, _ in get_fields(Header):
        value = getattr(block.header, name)
        changed = value + 1 if isinstance(value, int) else bytes((value[0] ^ 1,)) + value[1:]
        header = replace(block.header, **{name: changed})
        for certificate in (block.certificate, certify(chain.rules.genesis_hash, header, 0, forgers)):
            with pytest.raises(ForgedHeader):
                verify_skipping(
                    chain.rules, chain.blocks[0], LightBlock(header, certificate, block.roster), chain.now_ms
                )


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bit_can_be_changed(chain: SignedChain, data: st.DataObject) -> None:
    """Header, certificate and roster: whatever bit is flipped, the block is refused."""
    encoded = bytearray(encode(chain.blocks[30]))
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    with pytest.raises((DecodeError, LightError)):
        verify_skipping(chain.rules, chain.blocks[8], decode(LightBlock, bytes(encoded)), chain.now_ms)


def build_unequal(powers: list[int]) -> SignedChain:
    """A chain whose validators have these powers from height 3 on."""
    chain = SignedChain(build_chain_spec(range(len(powers))))
    chain.set_target(dict(enumerate(powers)))
    chain.grow(6)
    return chain


def test_a_third_of_the_old_power_is_too_little_to_skip() -> None:
    """Exactly a third of the trusted power signs: refused. One unit more: trusted."""
    for powers, is_enough in (([2000, 2000, 2000], False), ([2001, 2000, 2000], True)):
        chain = build_unequal(powers)
        trusted = chain.head
        chain.set_target({0: powers[0], 7: 5000, 8: 5000})
        chain.grow(10)
        assert len(chain.head.roster.validators) == 3
        if is_enough:
            verify_skipping(chain.rules, trusted, chain.head, chain.now_ms)
            continue
        with pytest.raises(NotEnoughTrust, match="2000 of 6000"):
            verify_skipping(chain.rules, trusted, chain.head, chain.now_ms)
        bisection = Bisection(chain.rules, trusted, chain.head.header.height)
        assert run(bisection, chain.blocks.__getitem__, chain.now_ms) > 1
        assert bisection.trusted == chain.head


def test_power_counts_only_under_the_key_that_was_trusted(chain: SignedChain) -> None:
    """A validator's account with a key that the trusted roster does not know vouches for nothing."""
    stolen = tuple(
        replace(build_member(number, 100), consensus_key=get_person(number + 100).consensus.public_key)
        for number in range(7)
    )
    roster = Roster(tuple(sorted(stolen, key=lambda one: one.address)))
    header = replace(chain.blocks[30].header, validators_hash=compute_roster_hash(roster))
    honest = certify(chain.rules.genesis_hash, header, 0, [one.address for one in stolen])
    signatures = tuple(
        replace(part, signature=sign_as_thief(chain.rules, header, part.validator))
        for part in honest.signatures
    )
    forged = LightBlock(header, replace(honest, signatures=signatures), roster)
    with pytest.raises(NotEnoughTrust, match="0 of"):
        verify_skipping(chain.rules, chain.blocks[0], forged, chain.now_ms)


def sign_as_thief(rules: TrustRules, header: Header, who: Address) -> bytes:
    """A precommit in the name of `who` under the key of somebody else."""
    number = next(number for number in range(7) if get_person(number).address == who)
    vote = Vote(VoteKind.PRECOMMIT, header.height, 0, compute_header_hash(header), who)
    return get_person(number + 100).consensus.sign(get_vote_signing_bytes(rules.genesis_hash, vote))


def test_old_trust_is_refused(chain: SignedChain) -> None:
    """At the end of the trusting period nothing is built upon the header any more, a moment before it is."""
    trusted, block = chain.blocks[5], chain.blocks[20]
    end_ms = trusted.header.time_ms + chain.rules.trusting_period_ms
    verify_skipping(chain.rules, trusted, block, end_ms - 1)
    for verify, later in ((verify_skipping, block), (verify_adjacent, chain.blocks[6])):
        with pytest.raises(TrustExpired):
            verify(chain.rules, trusted, later, end_ms)
    bisection = Bisection(chain.rules, trusted, 20)
    with pytest.raises(TrustExpired):
        bisection.supply(block, end_ms)
    assert bisection.trace == [trusted]


def test_a_header_from_the_future_is_refused(chain: SignedChain) -> None:
    """Beyond the drift of clocks that is allowed for."""
    block = chain.blocks[20]
    earliest = block.header.time_ms - CLOCK_DRIFT_MS
    verify_skipping(chain.rules, chain.blocks[5], block, earliest)
    with pytest.raises(ForgedHeader, match="future"):
        verify_skipping(chain.rules, chain.blocks[5], block, earliest - 1)


def test_headers_that_are_no_later_are_refused(chain: SignedChain) -> None:
    """Neither the same height, nor one below, nor another than was asked for."""
    for height in (19, 20):
        with pytest.raises(ForgedHeader):
            verify_skipping(chain.rules, chain.blocks[20], chain.blocks[height], chain.now_ms)
    with pytest.raises(ForgedHeader, match="was given for"):
        Bisection(chain.rules, chain.blocks[0], 20).supply(chain.blocks[21], chain.now_ms)


def test_a_header_without_certificate_is_refused(chain: SignedChain) -> None:
    """That is for genesis alone."""
    naked = replace(chain.blocks[9], certificate=None)
    with pytest.raises(ForgedHeader, match="no certificate"):
        verify_skipping(chain.rules, chain.blocks[0], naked, chain.now_ms)


# Against a slow reference.


def find_last_good(chain: SignedChain, serve: Serve, height_max: Height, now_ms: int) -> Height:
    """The highest header that is reached when each one is held against the one before."""
    trusted = chain.blocks[0]
    for height in range(1, height_max + 1):
        try:
            verify_adjacent(chain.rules, trusted, serve(height), now_ms)
        except LightError:
            return height - 1
        trusted = serve(height)
    return height_max


plans = st.lists(
    st.tuples(
        st.integers(1, 5), st.dictionaries(st.integers(0, 9), st.integers(1, 300), min_size=1, max_size=6)
    ),
    min_size=1,
    max_size=5,
)


def grow_by(chain: SignedChain, plan: list[tuple[int, dict[int, int]]]) -> None:
    """Some blocks, a new target, and so on."""
    for count, target in plan:
        chain.set_target(target)
        chain.grow(count)


@settings(max_examples=60, deadline=None)
@given(plans, st.data())
def test_skipping_agrees_with_verifying_every_header(
    plan: list[tuple[int, dict[int, int]]], data: st.DataObject
) -> None:
    """On honest chains it arrives at the same header; where one is forged it never passes the forgery.

    The forgers hold at most a third of every roster's power, and claim rosters of their own from the forged
    height on.
    """
    chain = SignedChain(build_chain_spec(range(4)))
    grow_by(chain, plan)
    head = chain.head.header.height
    forged_at = data.draw(st.integers(1, head + 1))
    false_chain = build_false_chain(chain, forged_at, head)

    def serve(height: Height) -> LightBlock:
        return chain.blocks[height] if height < forged_at else false_chain.blocks[height]

    last_good = find_last_good(chain, serve, head, chain.now_ms)
    bisection = Bisection(chain.rules, chain.blocks[0], head)
    with suppress(LightError):
        run(bisection, serve, chain.now_ms)
    assert last_good == forged_at - 1
    assert all(block == chain.blocks[block.header.height] for block in bisection.trace)
    assert (bisection.trusted == chain.head) == (forged_at > head)


def build_false_chain(chain: SignedChain, forged_at: Height, head: Height) -> SignedChain:
    """From `forged_at` on, blocks of strangers and of as many validators as a network may have as enemies."""
    false_chain = chain.fork(min(forged_at, head) - 1)
    false_chain.usurp([200, *list_forgers(chain)])
    false_chain.grow(head + 1 - min(forged_at, head), salt=b"forged")
    return false_chain


def list_forgers(chain: SignedChain) -> list[int]:
    """Persons who together never have more than a third of the power."""
    rosters = {block.header.validators_hash: block.roster for block in chain.blocks}.values()
    forgers: list[int] = []
    for number in range(10):
        addresses = {get_person(one).address for one in (*forgers, number)}
        if all(not has_honest_member(*sum_powers(roster, addresses)) for roster in rosters):
            forgers.append(number)
    return forgers


def sum_powers(roster: Roster, addresses: Container[Address]) -> tuple[int, int]:
    """Power of these in a roster, and of all."""
    named = sum(one.power for one in roster.validators if one.address in addresses)
    return named, sum(one.power for one in roster.validators)


def test_a_liar_does_not_undo_what_was_trusted(chain: SignedChain) -> None:
    """What an honest node gave before stays; the next one can go on from there."""
    bisection = Bisection(chain.rules, chain.blocks[0], 40)
    false_chain = build_false_chain(chain, 20, 40)
    with pytest.raises(ChainError):
        run(bisection, lambda height: (chain if height < 20 else false_chain).blocks[height], chain.now_ms)
    again = Bisection(chain.rules, bisection.trusted, 40)
    run(again, chain.blocks.__getitem__, chain.now_ms)
    assert again.trusted == chain.head


# Blocks that validators signed although they break a rule.


def sign_anew(chain: SignedChain, block: LightBlock, **changes: object) -> LightBlock:
    """The block with another header, which all of its validators sign."""
    header = replace(block.header, **changes)
    signers = [one.address for one in block.roster.validators]
    return replace(block, header=header, certificate=certify(chain.rules.genesis_hash, header, 0, signers))


def test_a_third_missing_is_no_certificate(chain: SignedChain) -> None:
    """Two thirds of the block's own power are too few, also one by one."""
    spec = build_chain_spec(range(3))
    small = SignedChain(spec)
    small.grow(3)
    missing = small.fork(3)
    missing.grow(1, is_signing=lambda height, who: who != get_person(2).address)
    for verify, trusted in ((verify_adjacent, small.head), (verify_skipping, small.blocks[0])):
        with pytest.raises(ForgedHeader, match="two thirds"):
            verify(small.rules, trusted, missing.head, missing.now_ms)


def test_who_is_in_the_roster_and_did_not_sign_counts_for_nothing() -> None:
    """Three old validators are still there, beside two with ten times their power; one of the three signs."""
    chain = SignedChain(build_chain_spec(range(3)))
    chain.grow(3)
    power = chain.head.roster.validators[0].power
    chain.set_target({**dict.fromkeys(range(3), power), **dict.fromkeys((7, 8), 10 * power)})
    silent = [get_person(number).address for number in (1, 2)]
    chain.grow(4, is_signing=lambda height, who: who not in silent or height < 6)
    with pytest.raises(NotEnoughTrust):
        verify_skipping(chain.rules, chain.blocks[3], chain.head, chain.now_ms)


def test_height_and_time_go_up_whoever_signs(chain: SignedChain) -> None:
    """A header below, one that is no later, and one between two that is later than the upper."""
    trusted = chain.blocks[20]
    later = chain.now_ms
    below = sign_anew(chain, chain.blocks[19], time_ms=later)
    early = sign_anew(chain, chain.blocks[25], time_ms=trusted.header.time_ms)
    for block in (below, early):
        with pytest.raises(ForgedHeader):
            verify_skipping(chain.rules, trusted, block, later)
    other = SignedChain(build_chain_spec(range(3)))
    other.grow(3)
    other.set_target({10: 100})
    other.grow(10)
    bisection = Bisection(other.rules, other.blocks[0], 13)
    bisection.supply(other.head, other.now_ms)
    assert bisection.wanted == 6
    while bisection.wanted is not None and bisection.wanted > 4:
        bisection.supply(other.blocks[bisection.wanted], other.now_ms)
    assert bisection.wanted is not None
    with pytest.raises(ForgedHeader, match="in between is later"):
        between = other.blocks[bisection.wanted]
        bisection.supply(sign_anew(other, between, time_ms=other.now_ms), other.now_ms)


def test_neighbours_need_parent_and_roster(chain: SignedChain) -> None:
    """The next block of a fork, and one of a roster that was not announced, though old validators signed."""
    fork = chain.fork(20)
    fork.grow(5, salt=b"fork")
    strange = chain.fork(22)
    strange.usurp([*range(3, 7), 200])
    strange.grow(1)
    assert strange.head.header.parent_hash == compute_header_hash(chain.blocks[22].header)
    for block in (fork.blocks[23], strange.head):
        verify_skipping(chain.rules, chain.blocks[20], block, chain.now_ms)
        with pytest.raises(ForgedHeader):
            verify_adjacent(chain.rules, chain.blocks[22], block, chain.now_ms)
        with pytest.raises(ForgedHeader):
            Bisection(chain.rules, chain.blocks[22], 23).supply(block, chain.now_ms)
    with pytest.raises(ForgedHeader):
        verify_parent(chain.blocks[24].header, fork.blocks[23].header)


def test_signatures_are_verified_wherever_a_block_comes_in(chain: SignedChain) -> None:
    """In the bisection, and at an anchor whose hash is the right one."""
    block = chain.blocks[20]
    assert block.certificate is not None
    first, *others = block.certificate.signatures
    spoiled = replace(block.certificate, signatures=(replace(first, signature=bytes(64)), *others))
    forged = replace(block, certificate=spoiled)
    with pytest.raises(ForgedHeader, match="bad signature"):
        Bisection(chain.rules, chain.blocks[12], 20).supply(forged, chain.now_ms)
    with pytest.raises(ForgedHeader, match="bad signature"):
        check_anchor(chain.rules, forged, 20, compute_header_hash(block.header))
