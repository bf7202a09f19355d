"""Blocks that break a rule: headers, inherents and bodies with one thing changed."""

from collections.abc import Callable

import pytest

from chain.block import Block, Header, Inherents
from chain.errors import InvalidBlock
from chain.jsonable import get_fields
from chain.modules import balances, beacon, validators
from chain.primitives.codec import replace
from chain.primitives.types import Address
from chain.votes import build_commit_certificate
from tests.chain.support.chain_rig import Rig, build_rig, put_transactions


@pytest.fixture
def rig() -> Rig:
    """A chain at height 3."""
    rig = build_rig()
    rig.run(rig.sign(rig.people[4], balances.Send(rig.people[5].address, 1)))
    rig.run()
    rig.run()
    return rig


def other(value: object) -> object:
    """Another value of the same type."""
    if isinstance(value, int):
        return value + 1
    assert isinstance(value, bytes)
    return bytes((value[0] ^ 1,)) + value[1:]


@pytest.mark.parametrize("field", [name for name, _, _ in get_fields(Header)])
def test_no_field_of_a_header_can_be_changed(rig: Rig, field: str) -> None:
    """A block with one field changed is invalid: the time is part of the state, the rest is compared."""
    block = rig.build([rig.sign(rig.people[4], balances.Burn(1))])[0].block
    tampered = replace(block.header, **{field: other(getattr(block.header, field))})
    with pytest.raises(InvalidBlock):
        rig.live.execute(replace(block, header=tampered))
    assert rig.live.execute(block).block == block


@pytest.mark.parametrize(
    ("field", "get_value", "reason"),
    [
        ("height", lambda block: block.header.height - 1, "does not follow"),
        ("time_ms", lambda block: block.header.time_ms - 1_000, "not later than its parent"),
        ("spec_version", lambda block: 2, "rules of version 2; this program knows 1"),
        ("proposer", lambda block: build_rig().people[3].address, "next link of the proposer's beacon chain"),
        ("proposer", lambda block: build_rig().people[5].address, "proposer is not a validator"),
    ],
)
def test_a_header_is_refused_for_the_right_reason(
    rig: Rig, field: str, get_value: Callable[[Block], object], reason: str
) -> None:
    """Time stands still or goes back, rules of the future, somebody else's block."""
    block = rig.build()[0].block
    header = replace(block.header, **{field: get_value(block)})
    with pytest.raises(InvalidBlock, match=reason):
        rig.live.execute(replace(block, header=header))


def test_nobody_can_be_made_the_proposer_of_a_block_without_reveal(rig: Rig) -> None:
    """That would be punished: the state after the block names who proposed it."""
    block = rig.build(is_revealing=False)[0].block
    victim = next(person.address for person in rig.people if person.address != block.header.proposer)
    assert validators.is_validator(rig.state, victim)
    with pytest.raises(InvalidBlock, match="root differs"):
        rig.live.execute(replace(block, header=replace(block.header, proposer=victim)))


def test_transactions_can_not_be_dropped_doubled_or_reordered(rig: Rig) -> None:
    """Neither under the header as it is, nor under one that is made to fit."""
    pair = tuple(rig.sign(rig.people[number], balances.Burn(1)) for number in (4, 5))
    block = rig.build(pair)[0].block
    for transactions in ((), pair[:1], pair[::-1], (*pair, pair[0])):
        with pytest.raises(InvalidBlock, match="extrinsics root differs"):
            rig.live.execute(replace(block, transactions=transactions))
        with pytest.raises(InvalidBlock, match=r"root differs|nonce_too_low"):
            rig.live.execute(put_transactions(block, transactions))


def put_inherents(block: Block, inherents: Inherents) -> Block:
    """The block with other inherents, to which its header is made to fit."""
    return put_transactions(replace(block, inherents=inherents), block.transactions)


@pytest.mark.parametrize(
    ("get_reveal", "reason"),
    [
        (lambda rig, link: bytes(32), "not the next link"),
        (lambda rig, link: beacon.get_chain(rig.state, rig.people[0].address, 0).tip, "not the next link"),
        (lambda rig, link: rig.preimages[link], "not the next link"),
        (lambda rig, link: None, "root differs"),
    ],
)
def test_a_wrong_reveal_is_refused(
    rig: Rig, get_reveal: Callable[[Rig, bytes], bytes | None], reason: str
) -> None:
    """Not any bytes, not the last link again, not the one after, and not silently none."""
    block = rig.build(turn=0)[0].block
    link = block.inherents.beacon_reveal
    assert link is not None
    inherents = replace(block.inherents, beacon_reveal=get_reveal(rig, link))
    with pytest.raises(InvalidBlock, match=reason):
        rig.live.execute(put_inherents(block, inherents))


def test_a_chain_at_its_end_reveals_nothing(rig: Rig) -> None:
    """A proposer whose chain has no link left cannot reveal, not even the secret's own preimage."""
    while True:
        members = validators.get_current(rig.state).validators
        chain = beacon.get_chain(rig.state, members[0].address, rig.height // 4)
        assert chain is not None
        if chain.links == 0:
            break
        rig.commit(rig.build(turn=0)[0])
    block = rig.build(turn=0)[0].block
    assert block.inherents.beacon_reveal is None
    with pytest.raises(InvalidBlock, match="none left"):
        rig.live.execute(put_inherents(block, replace(block.inherents, beacon_reveal=bytes(32))))


def sign_all(rig: Rig, members: list[Address], **changes: object) -> Inherents:
    """The precommits of the head by these, with one thing changed in all."""
    certificate = build_commit_certificate([rig.sign_precommit(who) for who in sorted(members)])
    return Inherents(None, replace(certificate, **changes))


@pytest.mark.parametrize(
    ("get_commit", "reason"),
    [
        (lambda rig, good: None, "missing"),
        (lambda rig, good: replace(good, height=good.height - 1), "commit of height"),
        (lambda rig, good: replace(good, block_hash=b"x" * 32), "of another block"),
        (lambda rig, good: replace(good, round=1), "bad signature"),
        (lambda rig, good: replace(good, signatures=good.signatures[:2]), "two thirds"),
        (lambda rig, good: replace(good, signatures=(*good.signatures, good.signatures[-1])), "ascending"),
        (lambda rig, good: replace(good, signatures=good.signatures[::-1]), "ascending"),
        (
            lambda rig, good: replace(
                good,
                signatures=(*good.signatures[:-1], replace(good.signatures[-1], signature=bytes(64))),
            ),
            "bad signature",
        ),
    ],
)
def test_a_wrong_last_commit_is_refused(rig: Rig, get_commit: Callable[..., object], reason: str) -> None:
    """None, of another height, block or round, too few, doubled, out of order, with one bad signature."""
    block = rig.build()[0].block
    inherents = replace(block.inherents, last_commit=get_commit(rig, block.inherents.last_commit))
    with pytest.raises(InvalidBlock, match=reason):
        rig.live.execute(put_inherents(block, inherents))


def test_a_quorum_for_another_block_of_the_last_height_is_no_commit_of_the_parent(rig: Rig) -> None:
    """Even if the signatures are good, which takes a third of the power to be faulty."""
    block = rig.build()[0].block
    members = [person.address for person in rig.people[:4]]
    votes = [rig.sign_precommit(who, b"x" * 32) for who in sorted(members)]
    inherents = replace(block.inherents, last_commit=build_commit_certificate(votes))
    with pytest.raises(InvalidBlock, match="of another block"):
        rig.live.execute(put_inherents(block, inherents))


def test_the_first_block_has_no_commit(rig: Rig) -> None:
    """There is nothing yet that could be committed."""
    fresh = build_rig()
    block = fresh.build()[0].block
    assert block.inherents.last_commit is None
    with pytest.raises(InvalidBlock, match="of another block"):
        fresh.live.execute(put_inherents(block, replace(block.inherents, last_commit=rig.certify())))


def test_a_stranger_to_the_set_can_not_stand_in_the_commit(rig: Rig) -> None:
    """Nor does its signature add power."""
    block = rig.build()[0].block
    signatures = [rig.sign_precommit(person.address) for person in rig.people[:2]]
    signatures.append(rig.sign_precommit(rig.people[5].address))
    commit = build_commit_certificate(signatures)
    with pytest.raises(InvalidBlock, match="two thirds"):
        rig.live.execute(put_inherents(block, replace(block.inherents, last_commit=commit)))
