"""Catalogue: the costs of an entry, refusals, demand, delisting, and the queues of eras."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.content import (
    DATUM_BYTES_MAX,
    FileEntry,
    build_manifest,
    compute_datum_id,
    compute_files_hash,
)
from chain.errors import DispatchError, InvalidChainSpec
from chain.modules import balances, catalogue
from chain.modules.catalogue import GIB, CatalogueTotals, Delist, ListDatum
from chain.primitives.codec import Record, replace
from chain.primitives.text import is_clean_text
from tests.chain.support.worlds import CATALOGUE, VIDYA, World, account

ALICE, BOB, POOR, STRANGER = account(1), account(2), account(3), account(4)
ROOT = b"r" * 32
MANIFEST = build_manifest((FileEntry("one.ogg", GIB), FileEntry("two.ogg", 2 * GIB)), ROOT)
DATUM, FILES_HASH = compute_datum_id(MANIFEST), compute_files_hash(MANIFEST)
SONGS = ListDatum(
    FILES_HASH, ROOT, 3 * GIB, "Songs — of été", "audio", ("folk", "2019"), "Line one\nline two"
)


def build_world(**changes: int) -> World:
    world = World(
        {ALICE: 1_000 * VIDYA, BOB: 1_000 * VIDYA, POOR: 30 * VIDYA}, checks=(catalogue.check_invariants,)
    )
    parameters = replace(CATALOGUE, **changes)
    catalogue.build_genesis(world.context(), catalogue.GenesisConfig(parameters))
    return world


def get_datum(world: World) -> catalogue.Datum:
    datum = catalogue.get_datum(world.state, DATUM)
    assert datum is not None
    return datum


def end_eras(world: World, count: int) -> list[Record]:
    """So many eras end; the world is in the first block of the next. Returns what the last end told."""
    events: list[Record] = []
    for _ in range(count):
        world.go_to_era(world.context().era + 1)
        world.height -= 1
        events = world.run(catalogue.on_epoch_end)
        world.height += 1
    return events


def test_listing_burns_by_size_and_locks_the_bond() -> None:
    """3 GiB cost 15 VIDYA, burned, and 25 that come back; the datum is in the index as it was given."""
    world = build_world()
    events = world.call(catalogue.list_datum, ALICE, SONGS)
    assert events == [
        catalogue.Listed(DATUM, ALICE, 3 * GIB, 15 * VIDYA, 25 * VIDYA, bond_until=4, earns_from=0),
        catalogue.Admitted(DATUM, 0),
    ]
    assert world.balance(ALICE) == 960 * VIDYA
    assert world.balance(catalogue.POT) == 25 * VIDYA
    assert balances.get_supply(world.state).burned == 15 * VIDYA
    datum = catalogue.get_datum(world.state, DATUM)
    assert datum is not None
    assert (datum.root, datum.size_bytes, datum.title, datum.lister) == (ROOT, 3 * GIB, SONGS.title, ALICE)
    assert catalogue.get_totals(world.state) == CatalogueTotals(1, 1, 3 * GIB, 3 * GIB)


BAD = [
    (catalogue.SizeOutOfBounds, {"size_bytes": 0}),
    (catalogue.SizeOutOfBounds, {"size_bytes": CATALOGUE.datum_bytes_max + 1}),
    (catalogue.UnprintableText, {"title": "a\nb"}),
    (catalogue.UnprintableText, {"title": "\x1b[2J"}),
    (catalogue.UnprintableText, {"title": "exe.\u202egpj"}),
    (catalogue.UnprintableText, {"category": "te\u200bxt"}),
    (catalogue.UnprintableText, {"tags": ("fine", "\x7f")}),
    (catalogue.UnprintableText, {"description": "a\tb"}),
    (catalogue.TextTooLong, {"title": "é" * 65}),
    (catalogue.TextTooLong, {"category": "é" * 17}),
    (catalogue.TextTooLong, {"tags": ("é" * 17,)}),
    (catalogue.TextTooLong, {"description": "é" * 1025}),
]


@pytest.mark.parametrize(("error", "changes"), BAD)
def test_what_is_out_of_bounds_is_refused(error: type[DispatchError], changes: dict[str, object]) -> None:
    """Sizes, and texts in bytes and characters, are bounded; a refusal costs nothing but the fee."""
    build_world().refuse(error, catalogue.list_datum, ALICE, replace(SONGS, **changes))


def test_the_largest_of_everything_is_accepted() -> None:
    """Each bound itself is allowed."""
    call = ListDatum(FILES_HASH, ROOT, 1, "é" * 64, "é" * 16, ("é" * 16,) * 16, "é\n" * 682 + "aa")
    assert len(call.description.encode()) == 2048
    build_world().call(catalogue.list_datum, ALICE, call)


def test_an_entry_is_made_once_and_paid_in_full() -> None:
    """A datum has one entry; a lister that cannot pay fee and bond together gets none."""
    world = build_world()
    world.refuse(balances.InsufficientBalance, catalogue.list_datum, POOR, SONGS)
    world.call(catalogue.list_datum, ALICE, SONGS)
    world.refuse(catalogue.AlreadyListed, catalogue.list_datum, BOB, SONGS)


SQUATS: list[dict[str, object]] = [
    {"root": bytes(32)},
    {"size_bytes": 3 * GIB - 1},
    {"size_bytes": 1},
    {"root": bytes(32), "size_bytes": 1},
    {"files_hash": DATUM},
    {"files_hash": ROOT, "root": FILES_HASH},
]


@pytest.mark.parametrize("changes", SQUATS)
def test_nobody_can_squat_a_datum(changes: dict[str, object]) -> None:
    """Listing another root, size or files gives another id; the datum's own id stays free."""
    world = build_world()
    squat = replace(SONGS, **changes)
    listed = world.call(catalogue.list_datum, BOB, squat)[0]
    assert isinstance(listed, catalogue.Listed) and listed.datum != DATUM
    assert catalogue.get_datum(world.state, DATUM) is None
    world.call(catalogue.list_datum, ALICE, SONGS)
    datum = catalogue.get_datum(world.state, DATUM)
    assert datum is not None
    assert (datum.root, datum.size_bytes, datum.lister) == (MANIFEST.root, MANIFEST.length, ALICE)
    assert catalogue.get_totals(world.state) == CatalogueTotals(2, 2, *[3 * GIB + squat.size_bytes] * 2)


def test_the_lister_takes_back_what_nobody_hosts() -> None:
    """Delisting returns the bond to the lister alone, and only while no host has the datum."""
    world = build_world()
    world.refuse(catalogue.NotListed, catalogue.delist, ALICE, Delist(DATUM))
    world.call(catalogue.list_datum, ALICE, SONGS)
    world.refuse(catalogue.NotLister, catalogue.delist, BOB, Delist(DATUM))
    world.run(catalogue.count_holding, DATUM, 1)
    world.refuse(catalogue.StillHosted, catalogue.delist, ALICE, Delist(DATUM))
    world.run(catalogue.count_holding, DATUM, -1)
    events = world.call(catalogue.delist, ALICE, Delist(DATUM))
    assert events == [catalogue.Delisted(DATUM, ALICE, 25 * VIDYA)]
    assert world.balance(ALICE) == 985 * VIDYA
    assert catalogue.get_totals(world.state) == CatalogueTotals()
    world.call(catalogue.list_datum, BOB, SONGS)


def test_payment_for_what_is_not_listed_changes_nothing() -> None:
    """A session may outlive an entry."""
    world = build_world()
    before = dict(world.state.changes)
    world.run(catalogue.record_paid_download, DATUM, ALICE)
    assert world.state.changes == before


def test_demand_is_what_others_pay_for() -> None:
    """A member that pays for all of it counts once and says when it was wanted; its lister never does."""
    world = build_world(outside_members=2)
    world.call(catalogue.list_datum, ALICE, SONGS)
    world.go_to_era(3)
    world.run(catalogue.record_paid_download, DATUM, ALICE)
    assert get_datum(world).wanted_in == get_datum(world).members == 0
    for era, member, members in ((3, BOB, 1), (4, BOB, 1), (5, POOR, 2), (6, STRANGER, 2)):
        world.go_to_era(era)
        world.run(catalogue.record_paid_download, DATUM, member)
        assert (get_datum(world).wanted_in, get_datum(world).members) == (era, members)
    assert len(list(catalogue.DOWNLOADERS.items(world.state))) == 2


def test_what_was_paid_for_is_forgotten_with_the_entry() -> None:
    """Delisting deletes the record of who paid: a new entry of the same datum starts over."""
    world = build_world()
    world.call(catalogue.list_datum, ALICE, SONGS)
    world.run(catalogue.record_paid_download, DATUM, BOB)
    world.call(catalogue.delist, ALICE, Delist(DATUM))
    assert list(catalogue.DOWNLOADERS.items(world.state)) == []


def test_the_curator_bond_returns_by_time() -> None:
    """After three full eras the lister has its bond, hosted or not; delisting then returns none."""
    world = build_world()
    world.call(catalogue.list_datum, ALICE, SONGS)
    world.run(catalogue.count_holding, DATUM, 1)
    assert end_eras(world, 3) == []
    assert end_eras(world, 1) == [catalogue.CuratorBondReturned(DATUM, ALICE, 25 * VIDYA)]
    assert (world.balance(ALICE), world.balance(catalogue.POT)) == (985 * VIDYA, 0)
    world.run(catalogue.count_holding, DATUM, -1)
    assert world.call(catalogue.delist, ALICE, Delist(DATUM)) == [catalogue.Delisted(DATUM, ALICE, 0)]
    assert end_eras(world, 9) == []


def test_a_datum_taken_back_and_listed_again_has_one_bond() -> None:
    """The queues forget a delisted entry: its bond returns once, in the time of the new entry."""
    world = build_world(unpaid_eras=2)
    world.call(catalogue.list_datum, ALICE, SONGS)
    end_eras(world, 1)
    world.call(catalogue.delist, ALICE, Delist(DATUM))
    world.call(catalogue.list_datum, BOB, SONGS)
    told = [end_eras(world, 1) for _ in range(5)]
    bond = [catalogue.CuratorBondReturned(DATUM, BOB, 25 * VIDYA)]
    assert told == [[], [], [catalogue.Admitted(DATUM, 0)], bond, []]


def test_a_queue_is_worked_off_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one epoch's end does not reach waits for the next, the oldest first."""
    monkeypatch.setattr(catalogue.effects, "DUE_PER_EPOCH_MAX", 2)
    world = build_world(curator_bond=VIDYA)
    for number in range(3):
        world.call(catalogue.list_datum, ALICE, replace(SONGS, root=bytes((number,)) * 32))
    world.go_to_era(4)
    world.height -= 1
    assert [len(world.run(catalogue.on_epoch_end)) for _ in range(3)] == [2, 1, 0]


def test_genesis_refuses_sizes_that_the_tree_can_not_hold() -> None:
    """No datum may be larger than what leaf proofs are bounded for."""
    world = World({})
    parameters = replace(CATALOGUE, datum_bytes_max=DATUM_BYTES_MAX + 1)
    with pytest.raises(InvalidChainSpec):
        catalogue.build_genesis(world.context(), catalogue.GenesisConfig(parameters))


@given(st.integers(1, 2**42), st.integers(0, 10**12), st.integers(0, 10**12))
def test_the_fee_is_the_exact_price_rounded_up(size: int, per_gib: int, fee_min: int) -> None:
    """What is burned is the price, rounded up to a unit, and at least the minimum."""
    parameters = replace(CATALOGUE, listing_fee_per_gib=per_gib, listing_fee_min=fee_min)
    fee = catalogue.compute_listing_fee(parameters, size)
    assert fee >= fee_min
    assert fee == fee_min or (fee - 1) * GIB < size * per_gib <= fee * GIB


@given(st.text(max_size=64))
def test_ascii_controls_never_pass(text: str) -> None:
    """Text with a control character is refused, whatever stands around it."""
    assert not is_clean_text(text + "\x1b")
    if is_clean_text(text):
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
