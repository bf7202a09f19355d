"""Catalogue: a datum earns once its unpaid eras are over and its sponsors have bonded what is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import DispatchError
from chain.modules import balances, catalogue
from chain.modules.catalogue import (
    GIB,
    Delist,
    LeaveSponsorship,
    ListDatum,
    Sponsor,
    WithdrawSponsorship,
)
from chain.primitives.codec import Record, replace
from tests.chain.support.worlds import CATALOGUE, VIDYA, World, account

LISTER, ANN, BEN, JURY = account(1), account(2), account(3), account(90)
SONGS = ListDatum(b"f" * 32, b"r" * 32, 2 * GIB, "Songs", "audio", (), "")
DATUM = catalogue.compute_datum_id(SONGS)
PARAMETERS = replace(
    CATALOGUE,
    unpaid_eras=2,
    sponsor_eras=7,
    sponsor_per_gib_min=5 * VIDYA,
    sponsor_min=VIDYA,
    sponsor_notice_eras=2,
)


def build_world(**changes: int) -> World:
    """A listed datum for which sponsors must bond 10 VIDYA."""
    owned = {account(number): 1_000 * VIDYA for number in range(1, 60)}
    world = World(owned, checks=(catalogue.check_invariants,))
    catalogue.build_genesis(world.context(), catalogue.GenesisConfig(replace(PARAMETERS, **changes)))
    world.call(catalogue.list_datum, LISTER, SONGS)
    return world


def get_datum(world: World) -> catalogue.Datum:
    datum = catalogue.get_datum(world.state, DATUM)
    assert datum is not None
    return datum


def sponsor(world: World, who: bytes, amount: int) -> list[Record]:
    return world.call(catalogue.sponsor, who, Sponsor(DATUM, amount))


def end_eras(world: World, count: int) -> list[Record]:
    """So many eras end; the world is in the first block of the next. Returns what the last end told."""
    events: list[Record] = []
    for _ in range(count):
        world.go_to_era(world.context().era + 1)
        world.height -= 1
        events = world.run(catalogue.on_epoch_end)
        world.height += 1
    return events


def test_it_earns_after_the_unpaid_eras_once_sponsored() -> None:
    """Two sponsors reach the sum before the eras are over: it is admitted with the first paid era."""
    world = build_world()
    assert sponsor(world, ANN, 4 * VIDYA) == [
        catalogue.Sponsored(DATUM, ANN, 4 * VIDYA, 4 * VIDYA, 10 * VIDYA)
    ]
    sponsor(world, BEN, 6 * VIDYA)
    assert world.balance(catalogue.SPONSOR_POT) == 10 * VIDYA
    assert end_eras(world, 2) == [] and not catalogue.is_admitted(world.state, DATUM)
    assert end_eras(world, 1) == [catalogue.Admitted(DATUM, 10 * VIDYA)]
    assert world.context().era == get_datum(world).earns_from == 3
    totals = catalogue.get_totals(world.state)
    assert (totals.admitted, totals.admitted_bytes) == (1, 2 * GIB)


def test_time_alone_admits_nothing() -> None:
    """Without sponsors it never earns; with the last unit that was missing it earns at once."""
    world = build_world()
    end_eras(world, 9)
    sponsor(world, ANN, 10 * VIDYA - 1)
    assert not catalogue.is_admitted(world.state, DATUM)
    told = sponsor(world, ANN, 1)
    assert catalogue.Admitted(DATUM, 10 * VIDYA) in told
    assert (get_datum(world).sponsors, get_datum(world).wanted_in) == (1, 9)


def test_what_is_asked_follows_the_pay_of_hosting() -> None:
    """Seven eras of five copies at the last era's pay per GiB, or the minima, whichever is more."""
    world = build_world()
    assert catalogue.get_required(world.state, get_datum(world)) == 10 * VIDYA
    world.run(catalogue.record_pay, VIDYA)
    assert catalogue.get_required(world.state, get_datum(world)) == 7 * 5 * 2 * VIDYA


def test_what_was_asked_once_stays_enough() -> None:
    """A datum that is sponsored in full earns on when hosting pays more later."""
    world = build_world(unpaid_eras=0)
    sponsor(world, ANN, 10 * VIDYA)
    world.run(catalogue.record_pay, 10 * VIDYA)
    assert catalogue.is_admitted(world.state, DATUM)


def test_a_sponsor_that_leaves_ends_the_admission_and_stays_liable() -> None:
    """The pay ends at once, the bond is free two full eras later; another sponsor takes the place."""
    world = build_world(unpaid_eras=0)
    sponsor(world, ANN, 10 * VIDYA)
    told = world.call(catalogue.leave_sponsorship, ANN, LeaveSponsorship(DATUM))
    assert told == [
        catalogue.AdmissionEnded(DATUM, 0),
        catalogue.SponsorLeft(DATUM, ANN, 10 * VIDYA, unlocks_in=3),
    ]
    end_eras(world, 2)
    world.refuse(catalogue.StillBonded, catalogue.withdraw_sponsorship, ANN, WithdrawSponsorship(DATUM))
    assert catalogue.Admitted(DATUM, 10 * VIDYA) in sponsor(world, BEN, 10 * VIDYA)
    end_eras(world, 1)
    world.call(catalogue.withdraw_sponsorship, ANN, WithdrawSponsorship(DATUM))
    assert world.balance(ANN) == 1_000 * VIDYA and catalogue.is_admitted(world.state, DATUM)
    assert world.balance(catalogue.SPONSOR_POT) == 10 * VIDYA


def test_sponsoring_anew_counts_as_demand() -> None:
    """A second full bond says that the datum is wanted; a part of one does not, nor one that left again."""
    world = build_world(unpaid_eras=0)
    sponsor(world, ANN, 10 * VIDYA)
    end_eras(world, 5)
    sponsor(world, BEN, 9 * VIDYA)
    world.call(catalogue.leave_sponsorship, BEN, LeaveSponsorship(DATUM))
    sponsor(world, account(5), 9 * VIDYA)
    assert get_datum(world).wanted_in == 0
    sponsor(world, account(5), VIDYA)
    assert get_datum(world).wanted_in == 5
    world.call(catalogue.leave_sponsorship, ANN, LeaveSponsorship(DATUM))
    assert catalogue.is_admitted(world.state, DATUM)


REFUSED: list[tuple[type[DispatchError], object, bytes, Record]] = [
    (catalogue.NotListed, catalogue.sponsor, BEN, Sponsor(b"n" * 32, 10 * VIDYA)),
    (catalogue.SponsorshipTooSmall, catalogue.sponsor, BEN, Sponsor(DATUM, 10 * VIDYA // 16 - 1)),
    (catalogue.SponsorshipTooSmall, catalogue.sponsor, BEN, Sponsor(DATUM, 0)),
    (balances.InsufficientBalance, catalogue.sponsor, BEN, Sponsor(DATUM, 1_001 * VIDYA)),
    (catalogue.NotSponsor, catalogue.leave_sponsorship, BEN, LeaveSponsorship(DATUM)),
    (catalogue.NotListed, catalogue.leave_sponsorship, BEN, LeaveSponsorship(b"n" * 32)),
    (catalogue.NotSponsor, catalogue.withdraw_sponsorship, BEN, WithdrawSponsorship(DATUM)),
    (catalogue.StillBonded, catalogue.withdraw_sponsorship, ANN, WithdrawSponsorship(DATUM)),
    (catalogue.StillSponsored, catalogue.delist, LISTER, Delist(DATUM)),
]


@pytest.mark.parametrize(("error", "handler", "sender", "call"), REFUSED)
def test_refusals_leave_no_trace(error, handler, sender, call) -> None:
    """Each reason, on a datum that one account sponsors in part."""
    world = build_world()
    sponsor(world, ANN, 5 * VIDYA)
    world.refuse(error, handler, sender, call)


def test_notice_is_given_once() -> None:
    """Who is leaving can neither leave again nor add."""
    world = build_world()
    sponsor(world, ANN, 5 * VIDYA)
    world.call(catalogue.leave_sponsorship, ANN, LeaveSponsorship(DATUM))
    world.refuse(catalogue.SponsorLeaving, catalogue.leave_sponsorship, ANN, LeaveSponsorship(DATUM))
    world.refuse(catalogue.SponsorLeaving, catalogue.sponsor, ANN, Sponsor(DATUM, 5 * VIDYA))


def test_small_bonds_can_not_take_all_places() -> None:
    """Sixteen of the least bonds suffice, and sixteen more renew it; then all places are taken."""
    world = build_world(unpaid_eras=0)
    for number in range(2, 18):
        sponsor(world, account(number), 10 * VIDYA // 16)
    assert catalogue.is_admitted(world.state, DATUM)
    for number in range(18, 34):
        sponsor(world, account(number), 10 * VIDYA // 16)
    world.refuse(catalogue.TooManySponsors, catalogue.sponsor, account(40), Sponsor(DATUM, 10 * VIDYA))
    sponsor(world, account(2), 10 * VIDYA)


def test_junk_earns_nothing_and_its_sponsors_lose_all() -> None:
    """Also a sponsor that is leaving; nobody can sponsor, delist or list it again."""
    world = build_world(unpaid_eras=0)
    sponsor(world, ANN, 10 * VIDYA)
    sponsor(world, BEN, VIDYA)
    world.call(catalogue.leave_sponsorship, BEN, LeaveSponsorship(DATUM))
    world.run(catalogue.open_case, DATUM, 0)
    end_eras(world, 3)
    world.refuse(catalogue.CaseOpen, catalogue.withdraw_sponsorship, BEN, WithdrawSponsorship(DATUM))
    world.refuse(catalogue.CaseOpen, catalogue.delist, LISTER, Delist(DATUM))
    assert world.run(catalogue.condemn, DATUM, JURY) == [catalogue.AdmissionEnded(DATUM, 0)]
    assert (world.balance(JURY), world.balance(catalogue.SPONSOR_POT)) == (11 * VIDYA, 0)
    assert catalogue.get_totals(world.state).admitted == 0
    world.refuse(catalogue.Junk, catalogue.sponsor, ANN, Sponsor(DATUM, 10 * VIDYA))
    world.refuse(catalogue.Junk, catalogue.delist, LISTER, Delist(DATUM))
    world.refuse(catalogue.AlreadyListed, catalogue.list_datum, BEN, SONGS)


def test_the_founders_listings_are_admitted_from_genesis() -> None:
    """The chain spec is their sponsor; they pay fee and bond like others."""
    world = World({LISTER: 1_000 * VIDYA}, checks=(catalogue.check_invariants,))
    config = catalogue.GenesisConfig(PARAMETERS, ((LISTER, SONGS),))
    catalogue.build_genesis(world.context(), config)
    datum = get_datum(world)
    assert catalogue.is_admitted(world.state, DATUM) and datum.members == PARAMETERS.outside_members
    assert world.balance(LISTER) == (1_000 - 10 - 25) * VIDYA


@given(st.integers(1, 2**40), st.integers(0, 10**12), st.integers(0, 10**11), st.integers(0, 10**11))
def test_what_is_asked_is_rounded_up(size: int, pay: int, per_gib: int, least: int) -> None:
    """At least the pay of the eras and copies for its bytes, at least the minima, and no unit more."""
    parameters = replace(PARAMETERS, sponsor_per_gib_min=per_gib, sponsor_min=least)
    required = catalogue.compute_required(parameters, pay, size)
    exact = max(35 * pay, per_gib) * size
    assert required >= least and required * GIB >= exact
    assert required == least or (required - 1) * GIB < exact


@given(st.lists(st.tuples(st.integers(2, 6), st.sampled_from("sslw"), st.integers(1, 12)), max_size=40))
def test_bonds_are_kept_to_the_base_unit(steps: list[tuple[int, str, int]]) -> None:
    """Whatever sponsors do, the pot is the sum of bonds, and no account gains or loses a unit by it."""
    world = build_world(unpaid_eras=1)
    for number, step, amount in steps:
        who = account(number)
        calls = {
            "s": (catalogue.sponsor, Sponsor(DATUM, amount * VIDYA)),
            "l": (catalogue.leave_sponsorship, LeaveSponsorship(DATUM)),
            "w": (catalogue.withdraw_sponsorship, WithdrawSponsorship(DATUM)),
        }
        handler, call = calls[step]
        try:
            world.call(handler, who, call)
        except DispatchError:
            end_eras(world, 1)
    for number in range(2, 7):
        one = catalogue.get_sponsorship(world.state, DATUM, account(number))
        assert world.balance(account(number)) + (one.amount if one else 0) == 1_000 * VIDYA
