"""Hosting: when holdings take effect and end, the bond behind them, and the row of leaves kept of them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.content import LEAF_BYTES, compute_leaf_count
from chain.errors import DispatchError, InvalidChainSpec
from chain.modules import catalogue, hosting, staking
from chain.modules.hosting import DatumLeaf, RegisterHost, RegisterSubset, SubsetTotals
from chain.modules.hosting import effects as hosting_effects
from chain.primitives.codec import replace
from chain.primitives.types import Hash
from tests.chain.support.content_worlds import BOND, LISTER, Content, ContentWorld
from tests.chain.support.worlds import EPOCH_BLOCKS, HOSTING, VIDYA, World, account

ALICE, BOB, CAROL = account(1), account(2), account(3)
NETWORK = "4:7f0000"
PER_GIB = HOSTING.pledge_per_gib_min
HOST = RegisterHost(b"peer", ("/ip4/127.0.0.1/tcp/1",), 1_000)
SMALL = Content(1, 5 * LEAF_BYTES - 1, has_bytes=False)
LARGE = Content(2, 2**30, has_bytes=False)


def build_world(*hosts: bytes) -> ContentWorld:
    world = ContentWorld((ALICE, BOB, CAROL))
    world.list_content(SMALL)
    world.list_content(LARGE)
    for who in hosts:
        world.host(who)
    return world


def add(*datums: Hash) -> RegisterSubset:
    return RegisterSubset(datums, ())


def drop(*datums: Hash) -> RegisterSubset:
    return RegisterSubset((), datums)


def list_held(world: World, who: bytes, epoch: int) -> list[Hash]:
    return [held.datum for held in hosting.get_subset(world.state, who, epoch)]


def test_a_host_registers_and_changes_its_particulars() -> None:
    """The second registration changes where the host is reached, not since when it is one."""
    world = build_world()
    assert world.call(hosting.calls.register_host, ALICE, HOST) == [
        hosting.types.HostRegistered(ALICE, HOST.peer_id, HOST.addresses, HOST.capacity)
    ]
    world.go_to_epoch(4)
    world.call(hosting.calls.register_host, ALICE, replace(HOST, peer_id=b"other", capacity=7))
    assert hosting.get_host(world.state, ALICE) == hosting.Host(
        b"other", HOST.addresses, 7, since_era=0, network=NETWORK
    )


def test_a_holding_takes_effect_two_epochs_later() -> None:
    """Registered in epoch 0, held from epoch 2 on: known before, in the row of leaves from then."""
    world = build_world(ALICE)
    events = world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))
    pledge = hosting.queries.compute_pledge(PER_GIB, SMALL.size)
    assert events == [hosting.types.HoldingRegistered(ALICE, SMALL.datum, SMALL.size, 2, pledge, pledge)]
    assert [list_held(world, ALICE, epoch) for epoch in range(4)] == [[], [], [SMALL.datum], [SMALL.datum]]
    assert hosting.queries.get_hosts_of(world.state, SMALL.datum, 1) == ()
    assert hosting.queries.get_hosts_of(world.state, SMALL.datum, 2) == (ALICE,)
    world.go_to_epoch(1)
    assert list(hosting.list_subset_totals(world.state)) == []
    world.go_to_epoch(2)
    assert list(hosting.list_subset_totals(world.state)) == [
        (ALICE, SubsetTotals(1, SMALL.size, 5, from_epoch=2))
    ]
    assert hosting.get_subset_totals(world.state, ALICE).bytes == SMALL.size


def test_a_dropped_holding_lasts_two_epochs_and_binds_the_bond_until_then() -> None:
    """Dropped in epoch 3: held and bonded in 4, over and free in 5; registered again not before 7."""
    world = build_world(ALICE)
    world.call(hosting.calls.register_subset, ALICE, add(LARGE.datum))
    assert staking.get_ledger(world.state, ALICE).committed == PER_GIB
    world.go_to_epoch(3)
    assert world.call(hosting.calls.register_subset, ALICE, drop(LARGE.datum)) == [
        hosting.types.HoldingDropped(ALICE, LARGE.datum, 5)
    ]
    world.refuse(hosting.NotHeld, hosting.calls.register_subset, ALICE, drop(LARGE.datum))
    world.go_to_epoch(4)
    assert hosting.is_holding(world.state, ALICE, LARGE.datum, 4)
    world.refuse(staking.types.BondCommitted, staking.calls.unbond, ALICE, staking.calls.Unbond(BOND))
    world.refuse(catalogue.StillHosted, catalogue.delist, LISTER, catalogue.Delist(LARGE.datum))
    world.go_to_epoch(5)
    assert hosting.queries.get_hosts_of(world.state, LARGE.datum, 5) == ()
    assert list(hosting.list_subset_totals(world.state)) == []
    world.call(staking.calls.unbond, ALICE, staking.calls.Unbond(VIDYA))
    world.go_to_epoch(6)
    world.refuse(hosting.types.AlreadyHeld, hosting.calls.register_subset, ALICE, add(LARGE.datum))
    world.go_to_epoch(7)
    assert hosting.get_holding(world.state, ALICE, LARGE.datum) is None
    world.call(hosting.calls.register_subset, ALICE, add(LARGE.datum))


def test_a_holding_is_remembered_until_it_has_ended() -> None:
    """Without an interval between drops, a datum is free again one epoch after its holding is over."""
    world = build_world(ALICE)
    hosting.types.PARAMETERS.set(world.state, replace(HOSTING, drop_interval_epochs=0))
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))
    world.go_to_epoch(3)
    world.call(hosting.calls.register_subset, ALICE, drop(SMALL.datum))
    world.go_to_epoch(5)
    assert staking.get_ledger(world.state, ALICE).committed == 0
    world.refuse(hosting.types.AlreadyHeld, hosting.calls.register_subset, ALICE, add(SMALL.datum))
    world.go_to_epoch(6)
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))


REFUSALS = [
    (hosting.types.NothingToChange, ALICE, RegisterSubset((), ())),
    (hosting.types.NothingToChange, ALICE, add(SMALL.datum, SMALL.datum)),
    (hosting.types.NothingToChange, ALICE, RegisterSubset((SMALL.datum,), (SMALL.datum,))),
    (hosting.types.NotHost, BOB, add(SMALL.datum)),
    (catalogue.NotListed, ALICE, add(b"?" * 32)),
    (hosting.NotHeld, ALICE, drop(LARGE.datum)),
    (hosting.types.AlreadyHeld, ALICE, add(SMALL.datum)),
]


@pytest.mark.parametrize(("error", "who", "call"), REFUSALS)
def test_a_subset_that_makes_no_sense_is_refused(
    error: type[DispatchError], who: bytes, call: RegisterSubset
) -> None:
    """Empty and repeated changes, strangers, unknown datums, what is held already or not at all."""
    world = build_world(ALICE)
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))
    world.refuse(error, hosting.calls.register_subset, who, call)


def test_every_byte_needs_bond() -> None:
    """A host may register what its bond covers to the unit, and nothing of a call that goes beyond."""
    world = build_world(ALICE)
    needed = hosting.queries.compute_pledge(PER_GIB, LARGE.size) + hosting.queries.compute_pledge(
        PER_GIB, SMALL.size
    )
    world.call(staking.calls.unbond, ALICE, staking.calls.Unbond(BOND - needed + 1))
    both = add(SMALL.datum, LARGE.datum)
    world.refuse(hosting.types.UncoveredBytes, hosting.calls.register_subset, ALICE, both)
    world.call(staking.calls.bond, ALICE, staking.Bond(1))
    world.call(hosting.calls.register_subset, ALICE, both)
    assert staking.get_ledger(world.state, ALICE).committed == needed


def test_a_subset_has_a_largest_size() -> None:
    """One datum more than `subset_datums_max` is refused."""
    world = build_world(ALICE)
    hosting.types.PARAMETERS.set(world.state, replace(HOSTING, subset_datums_max=1))
    world.refuse(
        hosting.types.TooManyDatums, hosting.calls.register_subset, ALICE, add(SMALL.datum, LARGE.datum)
    )
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))
    world.refuse(hosting.types.TooManyDatums, hosting.calls.register_subset, ALICE, add(LARGE.datum))


def test_the_tombstoned_can_only_leave() -> None:
    """A tombstoned host can register nothing, but can drop what it holds."""
    world = build_world(ALICE)
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))
    world.run(staking.tombstone, ALICE)
    world.refuse(hosting.types.Excluded, hosting.calls.register_host, ALICE, HOST)
    world.refuse(hosting.types.Excluded, hosting.calls.register_subset, ALICE, add(LARGE.datum))
    world.call(hosting.calls.register_subset, ALICE, drop(SMALL.datum))


def test_unregistering_ends_everything_with_the_epoch() -> None:
    """What was held, what was dropped already and what was still to come is all over in the next epoch."""
    world = build_world(ALICE)
    later = Content(3, LEAF_BYTES, has_bytes=False)
    world.list_content(later)
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum, LARGE.datum))
    world.go_to_epoch(2)
    world.call(hosting.calls.register_subset, ALICE, RegisterSubset((later.datum,), (SMALL.datum,)))
    assert world.run(hosting.unregister_all, ALICE) == [hosting.types.SubsetDropped(ALICE, 3)]
    assert world.run(hosting.unregister_all, ALICE) == []
    assert len(list_held(world, ALICE, 2)) == 2
    world.go_to_epoch(3)
    assert [list_held(world, ALICE, epoch) for epoch in (3, 4)] == [[], []]
    assert hosting.get_subset_totals(world.state, ALICE) == hosting.types.NO_TOTALS
    world.end_block()
    host = hosting.get_host(world.state, ALICE)
    assert host is not None and (host.bytes, host.datums) == (0, 0)
    assert staking.get_ledger(world.state, ALICE).committed == 0
    world.go_to_epoch(8)
    assert list(hosting.HOLDINGS.items(world.state)) == []
    assert (
        list(hosting.types.CHANGES.items(world.state)) == list(hosting.types.ENDINGS.items(world.state)) == []
    )
    assert list(hosting.types.LEAF_ROWS.items(world.state)) == []


def test_what_a_gone_host_held_is_taken_apart_a_few_per_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the next epoch on nothing is in effect; five holdings are removed, two per block."""
    monkeypatch.setattr(hosting_effects, "TAKEN_APART_PER_BLOCK_MAX", 2)
    world = build_world(ALICE, BOB)
    datums = [world.list_content(Content(number, LEAF_BYTES, has_bytes=False)) for number in range(3, 8)]
    world.host(ALICE, *datums)
    world.host(BOB, datums[0])
    world.go_to_epoch(2)
    world.run(hosting.unregister_all, ALICE)
    world.refuse(hosting.types.StillLeaving, hosting.calls.register_subset, ALICE, drop(datums[0]))
    world.go_to_epoch(3)
    left = []
    for _ in range(4):
        host = hosting.get_host(world.state, ALICE)
        assert host is not None and host.bytes == host.datums * LEAF_BYTES
        assert not any(hosting.is_holding(world.state, ALICE, datum, 3) for datum in datums)
        assert hosting.queries.get_hosts_of(world.state, datums[0], 3) == (BOB,)
        left.append(host.datums)
        world.end_block()
        world.start_block()
    assert left == [5, 3, 1, 0]
    assert staking.get_ledger(world.state, ALICE).committed == 0


def test_a_host_that_left_may_come_back() -> None:
    """It registers again once its holdings are gone; what was planned for the old ones harms no new one."""
    world = build_world(ALICE)
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum, LARGE.datum))
    world.go_to_epoch(2)
    world.call(hosting.calls.register_subset, ALICE, drop(SMALL.datum))
    world.run(hosting.unregister_all, ALICE)
    world.go_to_epoch(3)
    world.refuse(hosting.types.StillLeaving, hosting.calls.register_subset, ALICE, add(SMALL.datum))
    world.end_block()
    world.start_block()
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))
    for epoch in range(5, 9):
        world.go_to_epoch(epoch)
        assert list_held(world, ALICE, epoch) == [SMALL.datum]
        assert hosting.get_subset_totals(world.state, ALICE) == SubsetTotals(1, SMALL.size, 5, from_epoch=5)


def test_unregistering_what_is_not_held_is_refused() -> None:
    """Other modules learn that there is nothing to end; ending twice changes nothing."""
    world = build_world(ALICE)
    with pytest.raises(hosting.NotHeld):
        world.run(hosting.unregister, ALICE, SMALL.datum)
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum))
    world.run(hosting.unregister, ALICE, SMALL.datum)
    assert world.run(hosting.unregister, ALICE, SMALL.datum) == []


@pytest.mark.parametrize(
    "changes", [{"delay_epochs": 0}, {"subset_datums_max": hosting.types.SUBSET_DATUMS_MAX + 1}]
)
def test_genesis_refuses_what_would_not_hold(changes: dict[str, int]) -> None:
    """Holdings cannot take effect at once, and a row of leaves has a bound."""
    world = World({})
    with pytest.raises(InvalidChainSpec):
        hosting.build_genesis(world.context(), hosting.GenesisConfig(replace(HOSTING, **changes)))


def test_genesis_registers_hosts() -> None:
    """Hosts of the chain spec are there from the start, by the same call as later ones."""
    world = World({})
    hosting.build_genesis(world.context(), hosting.GenesisConfig(HOSTING, ((ALICE, HOST),)))
    assert hosting.get_host(world.state, ALICE) == hosting.Host(
        b"peer", HOST.addresses, 1_000, 0, network=NETWORK
    )


@given(st.dictionaries(st.binary(min_size=32, max_size=32), st.integers(1, 9), min_size=1, max_size=12))
def test_the_row_has_every_leaf_once_and_in_order(leaves: dict[Hash, int]) -> None:
    """Positions of the row are the leaves of its datums, one after another."""
    counts = sorted(leaves.items())
    row = hosting.leaf_row.build_leaf_row(counts)
    assert list(hosting.leaf_row.list_leaves(row)) == counts
    expected = [DatumLeaf(datum, index) for datum, count in counts for index in range(count)]
    assert [hosting.compute_leaf_at(row, position) for position in range(len(expected))] == expected


def test_rows_are_laid_out_in_the_epoch_before_they_count() -> None:
    """What block 2 of epoch 0 registers, block 2 of epoch 1 prepares; epoch 2 only takes it over."""
    world = build_world(ALICE)
    world.go_to_height(2)
    world.call(hosting.calls.register_subset, ALICE, add(SMALL.datum, LARGE.datum))
    world.go_to_height(EPOCH_BLOCKS + 2)
    assert list(hosting.types.PREPARED.items(world.state)) == []
    world.end_block()
    (prepared,) = hosting.types.PREPARED.items(world.state)
    assert prepared[1].datums == 2
    assert list(hosting.types.CHANGES.items(world.state)) == []
    assert list(hosting.list_subset_totals(world.state)) == []
    world.start_block()
    world.run(hosting.unregister, ALICE, LARGE.datum)
    world.go_to_epoch(2)
    assert list(hosting.list_subset_totals(world.state)) == [
        (ALICE, SubsetTotals(1, SMALL.size, 5, from_epoch=2))
    ]
    assert list(hosting.types.PREPARED.items(world.state)) == []


def test_bond_is_free_in_the_block_at_the_place_of_the_call() -> None:
    """Dropped in block 2 of epoch 3, a holding is over with epoch 4, and off the books in block 2 of 5."""
    world = build_world(ALICE)
    world.call(hosting.calls.register_subset, ALICE, add(LARGE.datum))
    world.go_to_height(3 * EPOCH_BLOCKS + 2)
    world.call(hosting.calls.register_subset, ALICE, drop(LARGE.datum))
    world.go_to_epoch(5)
    assert hosting.queries.get_hosts_of(world.state, LARGE.datum, 5) == ()
    assert staking.get_ledger(world.state, ALICE).committed == PER_GIB
    world.go_to_height(5 * EPOCH_BLOCKS + 2)
    assert staking.get_ledger(world.state, ALICE).committed == 0


@pytest.mark.parametrize(("seed", "delay_epochs"), [(0, 2), (1, 2), (2, 2), (3, 1), (4, 3)])
def test_any_course_of_adds_and_drops_keeps_the_books(seed: int, delay_epochs: int) -> None:
    """Over 25 epochs of changes at any time the row of each host is its subset, and all totals agree."""
    chance = Random(seed)
    world = ContentWorld((ALICE, BOB, CAROL))
    hosting.types.PARAMETERS.set(world.state, replace(HOSTING, delay_epochs=delay_epochs))
    contents = [Content(number, chance.randrange(1, 2**24), has_bytes=False) for number in range(6)]
    sizes = {world.list_content(content): content.size for content in contents}
    for who in (ALICE, BOB, CAROL):
        world.host(who)
    for epoch in range(1, 26):
        for who in (ALICE, BOB, CAROL):
            world.go_to_height(max(world.height, epoch * EPOCH_BLOCKS - chance.randrange(EPOCH_BLOCKS)))
            _change(world, chance, who, tuple(sizes))
        world.go_to_epoch(epoch)
        for who in (ALICE, BOB, CAROL):
            row = [(datum, compute_leaf_count(sizes[datum])) for datum in list_held(world, who, epoch)]
            held = hosting.get_leaf_row(world.state, who, hosting.get_subset_totals(world.state, who))
            assert list(hosting.leaf_row.list_leaves(held)) == row
    assert any(True for _ in hosting.list_subset_totals(world.state))


def _change(world: ContentWorld, chance: Random, who: bytes, datums: tuple[Hash, ...]) -> None:
    """One random call or loss, which may be refused."""
    chosen = tuple(chance.sample(datums, chance.randrange(1, 4)))
    if chance.random() < 0.1:
        world.run(hosting.unregister_all, who)
        return
    if chance.random() < 0.2 and hosting.get_holding(world.state, who, chosen[0]) is not None:
        world.run(hosting.unregister, who, chosen[0])
        return
    call = add(*chosen) if chance.random() < 0.6 else drop(*chosen)
    try:
        world.call(hosting.calls.register_subset, who, call)
    except DispatchError:
        world.check()
