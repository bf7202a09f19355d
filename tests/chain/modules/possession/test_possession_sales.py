"""Possession: which chunks are not sold, from the moment their leaves are known to the deadline."""

from contextlib import suppress
from random import Random

import pytest

from chain.content import CHUNK_LEAVES
from chain.errors import DispatchError
from chain.modules import hosting, possession
from chain.modules.hosting import RegisterSubset
from chain.modules.possession.calls import Challenge
from chain.primitives.types import Address, Hash
from tests.chain.support.content_worlds import MEMBER, Content, ContentWorld, build_hosts
from tests.chain.support.worlds import EPOCH_BLOCKS, POSSESSION

ALICE, BOB, CAROL = build_hosts(3)
FILM = Content(1, 5 * 2**18 + 1)
NOTE = Content(2, 2**18)
FIRST = 4 * EPOCH_BLOCKS + 1
"""The first block of the epoch that the tests look at."""
DEADLINE = FIRST + POSSESSION.deadline_blocks


def build_world(*hosts: Address, **changes: int) -> ContentWorld:
    """Hosts of a large and a small datum, at the start of the epoch before the one that is looked at."""
    world = ContentWorld((ALICE, BOB, CAROL), **changes)
    datums = [world.list_content(content) for content in (FILM, NOTE)]
    for who in hosts:
        world.host(who, *datums)
    world.go_to_height(FIRST - EPOCH_BLOCKS)
    return world


def go_after(world: ContentWorld, height: int) -> None:
    """Run blocks until the one at `height` has ended; the next one has not begun."""
    world.go_to_height(height)
    world.end_block()


def list_unsold(world: ContentWorld, seller: Address, content: Content = FILM) -> set[int]:
    """The chunks that a host does not sell now."""
    hold = possession.get_sales_hold(world.state, content.datum)
    chunks = range(-(-content.size // 2**18))
    return {chunk for chunk in chunks if hold.get_end(chunk, seller) is not None}


def list_owed(world: ContentWorld, who: Address, demanded: Hash | None = None) -> set[int]:
    """The chunks of the film with leaves that a host owes in this epoch."""
    places = possession.get_challenges(world.state, who, world.epoch, demanded)
    return {place.leaf_index // CHUNK_LEAVES for place in places if place.datum == FILM.datum}


def test_all_sales_pause_before_the_seed_is_sealed() -> None:
    """While the last block of an epoch is made, nothing is sold; a block earlier, everything."""
    world = build_world(ALICE, BOB)
    go_after(world, FIRST - 3)
    assert list_unsold(world, ALICE) == set()
    world.start_block()
    world.end_block()
    assert list_unsold(world, ALICE) == set(range(6))
    hold = possession.get_sales_hold(world.state, FILM.datum)
    assert hold.get_end(0, ALICE) == FIRST - 1


def test_sampled_chunks_are_unsold_as_soon_as_the_seed_is_sealed() -> None:
    """After the last block of the epoch before, with the rows of the epoch to come."""
    world = build_world(ALICE, BOB)
    go_after(world, FIRST - 1)
    unsold = list_unsold(world, ALICE), list_unsold(world, BOB)
    assert possession.get_sales_hold(world.state, FILM.datum).sampled_until == DEADLINE - 1
    world.start_block()
    assert unsold == (list_owed(world, BOB), list_owed(world, ALICE))
    assert unsold[0] and unsold[1]


def test_a_host_sells_the_chunks_of_its_own_leaves() -> None:
    """Unless another host has a leaf there too; who holds nothing sells no sampled chunk."""
    world = build_world(ALICE, BOB)
    go_after(world, FIRST)
    owed = list_owed(world, ALICE), list_owed(world, BOB)
    assert list_unsold(world, ALICE) == owed[1]
    assert list_unsold(world, CAROL) == owed[0] | owed[1]
    assert owed[1] - owed[0], "a chunk that Bob sells and Alice does not"


def test_a_proof_frees_the_chunks_of_its_leaves() -> None:
    """Those of hosts that have not proven stay unsold."""
    world = build_world(ALICE, BOB)
    world.go_to_height(FIRST)
    left = list_owed(world, BOB)
    world.prove(ALICE)
    world.end_block()
    assert list_unsold(world, CAROL) == left
    assert list_unsold(world, BOB) == set()


def test_everything_is_sold_from_the_last_block_that_takes_proofs() -> None:
    """After it, nobody who buys a leaf can show it in time, so nothing is held back."""
    world = build_world(ALICE, BOB)
    go_after(world, DEADLINE - 2)
    assert list_unsold(world, CAROL)
    world.start_block()
    world.end_block()
    assert list_unsold(world, CAROL) == set()


def test_small_data_are_always_sold() -> None:
    """Below `unsold_bytes_min`, at every block of an epoch; a datum of just that size is held back."""
    world = build_world(ALICE, BOB, unsold_bytes_min=FILM.size)
    small = build_world(ALICE, BOB, unsold_bytes_min=FILM.size + 1)
    was_held = False
    for _ in range(EPOCH_BLOCKS):
        for one in (world, small):
            one.end_block()
        was_held |= bool(list_unsold(world, CAROL))
        assert list_unsold(small, CAROL) == list_unsold(world, CAROL, NOTE) == set()
        for one in (world, small):
            one.start_block()
    assert was_held


def test_a_datum_with_one_host_is_always_sold_by_it() -> None:
    """There is no other host whose proof could be bought; and a datum that nobody lists is not held back."""
    world = build_world(ALICE)
    for _ in range(EPOCH_BLOCKS):
        world.end_block()
        assert list_unsold(world, ALICE) == set()
        world.start_block()
    assert possession.get_sales_hold(world.state, b"x" * 32) == possession.SalesHold()


def test_the_leaves_of_a_demand_are_unsold_until_they_are_shown() -> None:
    """Also when the host has proven its epoch."""
    world = build_world(ALICE, BOB)
    world.call(possession.calls.challenge, MEMBER, Challenge(ALICE, FILM.datum))
    world.go_to_height(FIRST)
    demanded = list_owed(world, ALICE, FILM.datum)
    world.prove(ALICE)
    world.prove(BOB)
    world.end_block()
    assert list_unsold(world, BOB) == demanded != set()
    assert list_unsold(world, ALICE) == set()
    world.start_block()
    world.prove(ALICE, FILM.datum)
    world.end_block()
    assert list_unsold(world, BOB) == set()


@pytest.mark.parametrize("seed", range(12))
def test_no_open_leaf_of_another_host_is_ever_sold(seed: int) -> None:
    """Over random registrations, drops, demands and proofs: after each block that leaves time for a proof,
    what the next block asks of each host lies in chunks that no other host sells.
    """
    chance = Random(seed)
    world, hosts = ContentWorld((ALICE, BOB, CAROL)), (ALICE, BOB, CAROL)
    contents = [Content(number, chance.randrange(2**19, 2**21), has_bytes=False) for number in range(4)]
    datums = [world.list_content(content) for content in contents]
    for who in hosts:
        world.host(who, *chance.sample(datums, 2))
    checked = 0
    for _ in range(8 * EPOCH_BLOCKS):
        _change(world, chance, datums)
        world.end_block()
        holds = {datum: possession.get_sales_hold(world.state, datum) for datum in datums}
        is_paused = (world.height + 1) % EPOCH_BLOCKS == 0
        world.start_block()
        round_ = possession.get_round(world.state)
        assert round_ is not None
        expected = _list_open(world, hosts) if world.height < round_.deadline else set()
        checked += len(expected)
        for datum, content in zip(datums, contents, strict=True):
            for chunk in range(-(-content.size // 2**18)):
                for seller in hosts:
                    owners = {host for host, *place in expected if place == [datum, chunk]}
                    is_unsold = holds[datum].get_end(chunk, seller) is not None
                    assert is_paused or is_unsold == bool(owners - {seller})
    assert checked > 50


def _change(world: ContentWorld, chance: Random, datums: list[Hash]) -> None:
    """One random registration, drop or loss, and a demand; each may be refused."""
    who, datum = chance.choice((ALICE, BOB, CAROL)), chance.choice(datums)
    if chance.random() < 0.03:
        world.run(hosting.unregister_all, who)
    call = RegisterSubset((datum,), ()) if chance.random() < 0.6 else RegisterSubset((), (datum,))
    with suppress(DispatchError):
        world.call(hosting.calls.register_subset, who, call)
    with suppress(DispatchError):
        world.call(possession.calls.challenge, MEMBER, Challenge(who, datum))


def _list_open(world: ContentWorld, hosts: tuple[Address, ...]) -> set[tuple[Address, Hash, int]]:
    """(host, datum, chunk) of every leaf that this block may prove."""
    found = set()
    for who in hosts:
        asked = [None] if not possession.is_proven(world.state, who, world.epoch) else []
        asked += [datum for datum, _ in possession.types.DEMANDS.items(world.state, world.epoch, who)]
        for one in asked:
            places = possession.get_challenges(world.state, who, world.epoch, one)
            found |= {(who, place.datum, place.leaf_index // CHUNK_LEAVES) for place in places}
    return found
