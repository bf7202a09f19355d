"""A sample of possession proofs: who has shown is found to have, whatever is wrong with a proof is seen."""

from collections.abc import Callable

import pytest

from chain.block import Header, Inherents, compute_extrinsics_root
from chain.content import LEAF_BYTES
from chain.light_sampling import DRAWS, Draw, NotShown, check_hosts, check_shown, draw, has_missed
from chain.list_tree import ListProof, prove_entry
from chain.modules import balances, possession
from chain.modules.possession import Prove
from chain.primitives.codec import Record, encode, replace
from chain.primitives.keys import KeyPair
from chain.primitives.types import NO_HASH
from chain.runtime import build_call
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from tests.chain.support.content_worlds import Content, ContentWorld, build_hosts

ALICE, BOB, CAROL = sorted(build_hosts(3))
EPOCH = 2
LEAVES = 4
INHERENTS = Inherents(None, None)
KEY = KeyPair(b"k" * 32)
Shown = tuple[Header, SignedTransaction, ListProof]


@pytest.fixture
def world() -> ContentWorld:
    """Alice and Bob have shown their leaves of epoch 2, Carol has not, and all are judged."""
    world = ContentWorld((ALICE, BOB, CAROL))
    datums = [world.list_content(Content(number, 9 * LEAF_BYTES + 1)) for number in (1, 2)]
    for who in (ALICE, BOB, CAROL):
        world.host(who, *datums)
    world.go_to_epoch(EPOCH)
    for who in (ALICE, BOB):
        world.prove(who)
    world.go_to_deadline()
    return world


def show(world: ContentWorld, *calls: Record, height: int | None = None) -> Shown:
    """A block of one transaction with these calls, at the first height of the epoch."""
    transaction = Transaction(1, NO_HASH, KEY.public_key, 0, 100, 0, 0, tuple(map(build_call, calls)))
    signed = sign_transaction(KEY, transaction)
    ids = (signed.id,)
    header = Header(
        spec_version=1,
        height=get_first(world) if height is None else height,
        time_ms=1,
        parent_hash=NO_HASH,
        proposer=NO_HASH,
        extrinsics_root=compute_extrinsics_root(INHERENTS, ids),
        receipts_root=NO_HASH,
        state_root=NO_HASH,
        validators_hash=NO_HASH,
        next_validators_hash=NO_HASH,
        priorities_hash=NO_HASH,
    )
    return header, signed, prove_entry((encode(INHERENTS), *ids), 1)


def get_first(world: ContentWorld) -> int:
    round_ = possession.get_round(world.state)
    assert round_ is not None
    return round_.deadline - possession.get_parameters(world.state).deadline_blocks


def test_every_leaf_that_was_shown_is_found(world: ContentWorld) -> None:
    """Of the hosts that proved, whatever leaf is drawn."""
    check_hosts(world.state, EPOCH, [ALICE, BOB, CAROL])
    for who in (ALICE, BOB):
        assert not has_missed(world.state, who)
        shown = show(world, world.build_proof(who))
        for leaf in range(LEAVES):
            check_shown(world.state, EPOCH, Draw(who, leaf), *shown)
    assert has_missed(world.state, CAROL)


@pytest.mark.parametrize(
    "hosts",
    [[ALICE, BOB], [ALICE, BOB, BOB], [BOB, ALICE, CAROL], [ALICE, BOB, CAROL, bytes([255]) * 32], []],
)
def test_a_list_of_hosts_has_the_right_length_and_no_doubles(world: ContentWorld, hosts: list[bytes]) -> None:
    """Nobody can be left out without another in his place."""
    with pytest.raises(NotShown):
        check_hosts(world.state, EPOCH, hosts)


def test_a_stranger_in_place_of_a_host_is_found(world: ContentWorld) -> None:
    """Nothing is asked of who holds nothing, so nothing he shows counts."""
    stranger = bytes(32)
    check_hosts(world.state, EPOCH, [stranger, ALICE, BOB])
    forged = replace(world.build_proof(ALICE), host=stranger)
    with pytest.raises(NotShown, match="another number"):
        check_shown(world.state, EPOCH, Draw(stranger, 0), *show(world, forged))


def spoil(proof: Prove, leaf: int) -> Prove:
    leaves = list(proof.leaves)
    data = leaves[leaf].leaf
    leaves[leaf] = replace(leaves[leaf], leaf=bytes((data[0] ^ 1,)) + data[1:])
    return replace(proof, leaves=tuple(leaves))


@pytest.mark.parametrize(
    "forge",
    [
        lambda proof: (spoil(proof, 2),),
        lambda proof: (replace(proof, host=BOB),),
        lambda proof: (replace(proof, epoch=EPOCH - 1),),
        lambda proof: (replace(proof, demanded=b"d" * 32),),
        lambda proof: (replace(proof, leaves=proof.leaves[:3]),),
        lambda proof: (replace(proof, leaves=proof.leaves[::-1]),),
        lambda proof: (proof, proof),
        lambda proof: (balances.Burn(1),),
    ],
    ids=["leaf", "host", "epoch", "demand", "too few", "order", "two calls", "no proof"],
)
def test_what_shows_something_else_is_refused(
    world: ContentWorld, forge: Callable[[Prove], tuple[Record, ...]]
) -> None:
    """A finalised block with such a transaction does not make it a proof."""
    shown = show(world, *forge(world.build_proof(ALICE)))
    with pytest.raises(NotShown):
        check_shown(world.state, EPOCH, Draw(ALICE, 2), *shown)


def test_a_leaf_that_was_not_drawn_may_be_wrong(world: ContentWorld) -> None:
    """The sample says something about what it drew, and nothing else."""
    shown = show(world, spoil(world.build_proof(ALICE), 2))
    check_shown(world.state, EPOCH, Draw(ALICE, 1), *shown)


def test_a_proof_must_be_in_a_block_of_its_time(world: ContentWorld) -> None:
    """Below the deadline and not before the epoch; and of the epoch whose round is open."""
    proof, first = world.build_proof(ALICE), get_first(world)
    round_ = possession.get_round(world.state)
    assert round_ is not None
    check_shown(world.state, EPOCH, Draw(ALICE, 0), *show(world, proof, height=round_.deadline - 1))
    for height in (first - 1, round_.deadline):
        with pytest.raises(NotShown, match="within the time"):
            check_shown(world.state, EPOCH, Draw(ALICE, 0), *show(world, proof, height=height))
    with pytest.raises(NotShown, match="is over"):
        check_shown(world.state, EPOCH + 1, Draw(ALICE, 0), *show(world, proof))
    with pytest.raises(NotShown, match="not judged"):
        check_hosts(world.state, EPOCH + 1, [ALICE, BOB, CAROL])


def test_a_transaction_must_be_in_the_block(world: ContentWorld) -> None:
    """Under the extrinsics root of the header, where the proof says; the inherents are no transaction."""
    header, signed, inclusion = show(world, world.build_proof(ALICE))
    other, _, _ = show(world, world.build_proof(BOB))
    for forged in (
        (other, signed, inclusion),
        (header, replace(signed, signature=bytes(64)), inclusion),
        (header, signed, replace(inclusion, index=0)),
        (header, signed, replace(inclusion, siblings=())),
    ):
        with pytest.raises(NotShown, match="not in the block"):
            check_shown(world.state, EPOCH, Draw(ALICE, 0), *forged)


def test_draws_follow_chance_alone() -> None:
    """Sixteen of all that is owed: other entropy, other draws; each leaf as often as another."""
    hosts = [ALICE, BOB, CAROL]
    first, second = (draw(bytes((number,)) * 32, EPOCH, hosts, LEAVES) for number in (1, 2))
    assert len(first) == DRAWS == 16 and first != second
    assert draw(b"e" * 32, EPOCH, [], LEAVES) == []
    many = draw(b"e" * 32, EPOCH, hosts, LEAVES, 12_000)
    counts = [many.count(Draw(who, leaf)) for who in hosts for leaf in range(LEAVES)]
    assert min(counts) > 850 and max(counts) < 1_150
