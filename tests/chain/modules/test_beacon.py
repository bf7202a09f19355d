"""Beacon: links in order only, seeds from all reveals, new chains only after a delay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidBlock, InvalidChainSpec
from chain.modules import beacon
from chain.modules.beacon import CommitChain
from chain.primitives.codec import replace
from chain.primitives.hashing import Domain, hash_bytes
from tests.chain.support.worlds import GENESIS_HASH, World, account

ALICE, BOB = account(1), account(2)
SECRET, OTHER_SECRET = b"s" * 32, b"t" * 32
LINKS = 6
PARAMETERS = beacon.Parameters(links_max=1_000, renewal_links=2, seeds_kept=4)


def build_world() -> World:
    """Alice has a chain from genesis and is the proposer; Bob has none."""
    world = World({})
    tip = beacon.compute_chain(SECRET, LINKS)
    beacon.build_genesis(world.context(), beacon.GenesisConfig(PARAMETERS, ((ALICE, tip, LINKS),)))
    world.height = 1
    return world


def reveal(world: World, position: int) -> list[object]:
    return world.run(beacon.process_reveal, beacon.compute_link(SECRET, LINKS, position))


def test_links_are_taken_in_order() -> None:
    """Each link hashes to the one before, down to the secret; then there is none left to give."""
    world = build_world()
    for position in range(LINKS):
        reveal(world, position)
        chain = beacon.get_chain(world.state, ALICE, 0)
        assert chain == beacon.Chain(beacon.compute_link(SECRET, LINKS, position), LINKS - 1 - position, 0)
    assert chain.tip == SECRET
    assert not beacon.has_links(world.state, ALICE, 0)
    with pytest.raises(InvalidBlock):
        beacon.process_reveal(world.context(), SECRET)


@pytest.mark.parametrize("position", [1, 2, LINKS - 1])
def test_skipped_link_makes_the_block_invalid(position: int) -> None:
    """A later link of the right chain is refused like any other bytes."""
    with pytest.raises(InvalidBlock):
        reveal(build_world(), position)


def test_revealed_link_can_not_be_given_again() -> None:
    """A replayed reveal does not hash to the present tip."""
    world = build_world()
    reveal(world, 0)
    with pytest.raises(InvalidBlock):
        reveal(world, 0)


def test_reveal_without_a_chain_is_invalid() -> None:
    """A proposer who has committed to nothing has nothing to reveal."""
    world = build_world()
    world.proposer = BOB
    with pytest.raises(InvalidBlock):
        reveal(world, 0)


def test_missing_reveals_are_counted_by_epoch_and_account() -> None:
    """A block without a reveal is valid; misses are kept for `seeds_kept` epochs."""
    world = build_world()
    world.run(beacon.process_reveal, None)
    world.run(beacon.process_reveal, None)
    world.proposer = BOB
    assert world.run(beacon.process_reveal, None) == [beacon.RevealMissed(BOB, 0)]
    assert beacon.list_misses(world.state, 0) == ((ALICE, 2), (BOB, 1))
    for epoch in range(PARAMETERS.seeds_kept):
        world.go_to_epoch(epoch)
        world.run(beacon.on_epoch_end)
    assert beacon.list_misses(world.state, 0) == ()


def test_seed_depends_on_every_reveal_and_their_order() -> None:
    """The seed is the fold of the last seed and the reveals; without reveals it still moves."""
    world = build_world()
    reveal(world, 0)
    reveal(world, 1)
    world.run(beacon.on_epoch_end)
    mix = GENESIS_HASH
    for position in (0, 1):
        mix = hash_bytes(Domain.BEACON, mix + beacon.compute_link(SECRET, LINKS, position))
    assert beacon.get_seed(world.state, 0) == beacon.get_seed(world.state, -2) == GENESIS_HASH
    assert beacon.get_seed(world.state, 1) == hash_bytes(Domain.BEACON, mix)
    world.go_to_epoch(1)
    world.run(beacon.on_epoch_end)
    assert beacon.get_seed(world.state, 2) == hash_bytes(Domain.BEACON, beacon.get_seed(world.state, 1))


def test_old_seeds_are_forgotten() -> None:
    """`seeds_kept` seeds are there at any time, the last being that of the next epoch."""
    world = build_world()
    for epoch in range(10):
        world.go_to_epoch(epoch)
        world.run(beacon.on_epoch_end)
    kept = [epoch for epoch in range(1, 20) if beacon.SEEDS.has(world.state, epoch)]
    assert kept == [7, 8, 9, 10]


def test_new_chain_is_in_use_two_epochs_later() -> None:
    """A first commitment counts from epoch e+2 on, and reveals work from there."""
    world = build_world()
    world.proposer = BOB
    tip = beacon.compute_chain(OTHER_SECRET, 9)
    assert world.call(beacon.commit_chain, BOB, CommitChain(tip, 9)) == [
        beacon.ChainCommitted(BOB, tip, 9, 2)
    ]
    assert not beacon.has_links(world.state, BOB, 1)
    assert beacon.has_links(world.state, BOB, 2)
    world.go_to_epoch(2)
    world.run(beacon.process_reveal, beacon.compute_link(OTHER_SECRET, 9, 0))
    assert beacon.get_chain(world.state, BOB, 2).links == 8


def test_chain_is_replaced_only_near_its_end() -> None:
    """While many links are left no other chain is accepted; then the old one serves until the new one."""
    world = build_world()
    new = CommitChain(beacon.compute_chain(OTHER_SECRET, 50), 50)
    for position in range(4):
        world.refuse(beacon.ChainNotUsed, beacon.commit_chain, ALICE, new)
        reveal(world, position)
    world.call(beacon.commit_chain, ALICE, new)
    reveal(world, 4)
    world.go_to_epoch(2)
    assert beacon.get_chain(world.state, ALICE, 2) == beacon.Chain(new.tip, 50, 2)
    world.refuse(beacon.ChainNotUsed, beacon.commit_chain, ALICE, new)


def test_chain_in_use_survives_the_next_commitment() -> None:
    """A replacement that is in use itself is kept while its own replacement waits."""
    world = build_world()
    world.call(beacon.commit_chain, BOB, CommitChain(beacon.compute_chain(OTHER_SECRET, 2), 2))
    world.go_to_epoch(2)
    world.call(beacon.commit_chain, BOB, CommitChain(beacon.compute_chain(SECRET, 9), 9))
    assert beacon.get_chain(world.state, BOB, 3).links == 2
    assert beacon.get_chain(world.state, BOB, 4).links == 9


@pytest.mark.parametrize("links", [0, 1_001])
def test_length_is_bounded(links: int) -> None:
    """A chain has at least one link and no more than the network allows."""
    build_world().refuse(beacon.LinksOutOfBounds, beacon.commit_chain, BOB, CommitChain(b"x" * 32, links))


@given(st.integers(1, 600), st.data())
def test_checkpoints_give_the_same_links(links: int, data: st.DataObject) -> None:
    """A link out of checkpoints is the link by hashing all the way."""
    left = data.draw(st.integers(1, links))
    checkpoints = beacon.compute_checkpoints(SECRET, links)
    assert checkpoints[-1] == beacon.compute_chain(SECRET, links)
    assert beacon.compute_next_link(checkpoints, left) == beacon.compute_link(SECRET, links, links - left)


def test_too_short_a_memory_is_refused() -> None:
    """Sampling reads seeds of two epochs ago, so a chain spec that keeps fewer is refused."""
    with pytest.raises(InvalidChainSpec):
        beacon.build_genesis(World({}).context(), beacon.GenesisConfig(replace(PARAMETERS, seeds_kept=3)))
