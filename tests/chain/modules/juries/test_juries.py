"""Juries: a challenge, a draw, two steps of voting, a verdict, and where every base unit goes."""

from functools import cache
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import DispatchError, InvalidChainSpec
from chain.modules import balances, catalogue, escrow, hosting, juries, membership, staking
from chain.modules.catalogue import Sponsor
from chain.modules.juries import (
    ChallengeDatum,
    CommitVerdict,
    RetireAsJuror,
    RevealVerdict,
    ServeAsJuror,
)
from chain.modules.juries import calls as jury_calls
from chain.modules.juries.types import (
    CaseDecided,
    CaseOpened,
    JuryDrawn,
    SilentJurorFined,
    WithheldBurned,
)
from chain.primitives.codec import Record, replace
from chain.primitives.types import Address, Hash
from tests.chain.support.market_worlds import HOSTS, JURIES, SMALL, STRANGER, Market, pick
from tests.chain.support.worlds import CATALOGUE, ERA_EPOCHS, GENESIS_HASH, VIDYA, account

ONE, TWO, THREE, FOUR = HOSTS
PEOPLE = tuple(account(number) for number in range(41, 51))
ANN, BEN = account(51), account(52)
SALT = b"s" * 32
LISTED = replace(CATALOGUE, sponsor_min=10 * VIDYA, sponsor_notice_eras=4)
OPENED_IN = 4 * ERA_EPOCHS
DRAWN_IN, REVEALS_FROM, DECIDED_IN = OPENED_IN + 2, OPENED_IN + 4, OPENED_IN + 6


@cache
def _build(jurors: int) -> tuple[Market, Hash]:
    """Era 4: a datum of two sponsors is hosted and earns; so many members have long had bonds as jurors."""
    world = Market(listed=LISTED, people=(*PEOPLE, ANN, BEN))
    datum = world.publish(1, SMALL)
    world.call(catalogue.sponsor, ANN, Sponsor(datum, 6 * VIDYA))
    world.call(catalogue.sponsor, BEN, Sponsor(datum, 4 * VIDYA))
    for who in islice(PEOPLE, jurors):
        world.call(membership.join, who, membership.Join())
        world.call(jury_calls.serve_as_juror, who, ServeAsJuror(100 * VIDYA))
    world.go_to_epoch(OPENED_IN)
    return world, datum


def build(jurors: int = 0) -> tuple[Market, Hash]:
    world, datum = _build(jurors)
    return world.fork(), datum


def challenge(world: Market, datum: Hash) -> JuryDrawn:
    """Open a case and go to the epoch in which its jury is drawn; returns the jury."""
    world.call(jury_calls.challenge_datum, STRANGER, ChallengeDatum(datum))
    return pick(world.go_to_epoch(DRAWN_IN), JuryDrawn)


def commit(world: Market, juror: Address, is_junk: bool, case: int = 0) -> None:
    commitment = juries.compute_commitment(GENESIS_HASH, case, juror, is_junk, SALT)
    world.call(jury_calls.commit_verdict, juror, CommitVerdict(case, commitment))


def vote(world: Market, for_junk: tuple[Address, ...], against: tuple[Address, ...] = ()) -> list[Record]:
    """Commit, reveal, and go on to the decision; returns what the hooks told then."""
    verdicts = [(who, True) for who in for_junk] + [(who, False) for who in against]
    for who, is_junk in verdicts:
        commit(world, who, is_junk)
    world.go_to_epoch(REVEALS_FROM)
    for who, is_junk in verdicts:
        world.call(jury_calls.reveal_verdict, who, RevealVerdict(0, is_junk, SALT))
    return world.go_to_epoch(DECIDED_IN)


def test_few_jurors_mean_that_validators_judge() -> None:
    """Below `jurors_min` the current validators are drawn; the challenge costs what sponsors have bonded."""
    world, datum = build()
    (opened,) = world.call(jury_calls.challenge_datum, STRANGER, ChallengeDatum(datum))
    assert opened == CaseOpened(0, datum, STRANGER, 10 * VIDYA, DRAWN_IN)
    told = pick(world.go_to_epoch(DRAWN_IN), JuryDrawn)
    assert told.are_validators and sorted(told.jurors) == sorted(HOSTS)[:4]
    assert (told.candidates, told.reveals_from, told.decided_in) == (4, REVEALS_FROM, DECIDED_IN)


def test_jurors_are_drawn_once_enough_qualify() -> None:
    """Members with old bonds, and none twice; who has a seat cannot retire."""
    world, datum = build(jurors=8)
    told = challenge(world, datum)
    assert not told.are_validators and len(frozenset(told.jurors)) == JURIES.jury_size
    assert frozenset(told.jurors) <= frozenset(PEOPLE)
    world.refuse(juries.types.Seated, jury_calls.retire_as_juror, told.jurors[0], RetireAsJuror())
    spare = next(who for who in PEOPLE[:8] if who not in told.jurors)
    world.call(jury_calls.retire_as_juror, spare, RetireAsJuror())


@pytest.mark.parametrize("reason", ["young", "left", "party"])
def test_who_does_not_qualify_is_not_drawn(reason: str) -> None:
    """A bond that grew lately, a member that left, a sponsor of the datum."""
    world, datum = build(jurors=8)
    who = PEOPLE[0]
    if reason == "young":
        world.call(jury_calls.serve_as_juror, who, ServeAsJuror(1))
    elif reason == "left":
        world.call(membership.leave, who, membership.Leave())
    else:
        world.call(catalogue.sponsor, who, Sponsor(datum, 10 * VIDYA))
    told = challenge(world, datum)
    assert told.candidates == 7 and who not in told.jurors


def test_junk_loses_all_bonds_and_the_withheld_pay() -> None:
    """Half of the sponsors' bonds burned, 40 % to the challenger, 10 % to voters, hosts' escrow burned."""
    world, datum = build(jurors=8)
    before = world.balance(STRANGER)
    jurors = challenge(world, datum).jurors
    voters = (world.balance(jurors[0]), world.balance(jurors[4]))
    withheld = escrow.get_withheld(world.state, ONE)
    events = vote(world, jurors[:4], jurors[4:])
    assert pick(events, CaseDecided) == CaseDecided(
        case=0,
        datum=datum,
        is_junk=True,
        for_junk=4,
        against=1,
        silent=0,
        forfeited=10 * VIDYA,
        winner=4 * VIDYA,
        jurors=VIDYA,
        burned=5 * VIDYA,
    )
    assert world.balance(STRANGER) == before + 4 * VIDYA
    assert (world.balance(jurors[0]), world.balance(jurors[4])) == tuple(
        balance + VIDYA // 5 for balance in voters
    )
    burned = [one for one in events if isinstance(one, WithheldBurned)]
    assert [one.host for one in burned] == sorted(HOSTS) and all(one.share_ppm == 10**6 for one in burned)
    assert escrow.get_withheld(world.state, ONE) < withheld and burned[0].amount > 0
    assert {one.since_era for one in burned} == {1}, "the era in which they began to hold it"
    assert not catalogue.is_admitted(world.state, datum)
    grants = [grant for _, grant in escrow.GRANTS.items(world.state)]
    assert grants and all(grant.hosting == 0 for grant in grants)


def test_after_the_verdict_junk_earns_nothing() -> None:
    """The epoch in which the case is decided pays nothing for it any more."""
    world, datum = build()
    jurors = challenge(world, datum).jurors
    vote(world, jurors)
    hosted = [one for one in world.go_to_epoch(DECIDED_IN + 1) if type(one).__name__ == "HostingRewarded"]
    assert hosted == []


def test_a_false_challenge_pays_the_sponsors() -> None:
    """The challenger's bond: half burned, 40 % to the sponsors by their bonds, 10 % to those who voted."""
    world, datum = build(jurors=8)
    before = [world.balance(who) for who in (ANN, BEN)]
    jurors = challenge(world, datum).jurors
    told = pick(vote(world, jurors[:1], jurors[1:]), CaseDecided)
    assert (told.is_junk, told.forfeited) == (False, 10 * VIDYA)
    assert (told.winner, told.jurors, told.burned) == (4 * VIDYA, VIDYA, 5 * VIDYA)
    gained = [world.balance(who) - was for who, was in zip((ANN, BEN), before, strict=True)]
    assert gained == [24 * VIDYA // 10, 16 * VIDYA // 10]
    assert catalogue.is_admitted(world.state, datum)
    world.call(jury_calls.challenge_datum, STRANGER, ChallengeDatum(datum))


def test_silent_jurors_lose_a_hundredth() -> None:
    """Those who neither commit nor reveal are fined of their bond; without a vote nobody else loses."""
    world, datum = build(jurors=8)
    before = world.balance(STRANGER)
    jurors = challenge(world, datum).jurors
    commit(world, jurors[0], True)
    events = world.go_to_epoch(DECIDED_IN)
    fined = [one for one in events if isinstance(one, SilentJurorFined)]
    assert sorted(one.juror for one in fined) == sorted(jurors)
    assert all(one.amount == VIDYA for one in fined)
    juror = juries.get_juror(world.state, jurors[0])
    assert juror is not None and (juror.amount, juror.seats) == (99 * VIDYA, 0)
    told = pick(events, CaseDecided)
    assert (told.is_junk, told.silent, told.forfeited, told.burned) == (None, 5, 0, 0)
    assert world.balance(STRANGER) == before and catalogue.is_admitted(world.state, datum)


def test_silent_validators_lose_a_hundredth_of_their_own_bond() -> None:
    """Delegators lose nothing."""
    world, datum = build()
    world.call(staking.calls.delegate, ANN, staking.calls.Delegate(ONE, 100 * VIDYA))
    jurors = challenge(world, datum).jurors
    bond, pool = staking.get_bond(world.state, ONE), staking.get_pool(world.state, ONE).amount
    events = vote(world, tuple(who for who in jurors if who != ONE))
    assert [one.juror for one in events if isinstance(one, SilentJurorFined)] == [ONE]
    assert staking.get_bond(world.state, ONE) == bond - bond // 100
    assert staking.get_pool(world.state, ONE).amount >= pool


def test_a_tie_moves_no_bond() -> None:
    """As many for junk as against it: the datum earns on, the challenger has its bond back."""
    world, datum = build()
    before = world.balance(STRANGER)
    jurors = challenge(world, datum).jurors
    told = pick(vote(world, jurors[:2], jurors[2:]), CaseDecided)
    assert (told.is_junk, told.for_junk, told.against, told.forfeited) == (None, 2, 2, 0)
    assert world.balance(STRANGER) == before and catalogue.is_admitted(world.state, datum)


def test_who_drops_at_the_challenge_is_not_spared() -> None:
    """A host that drops the datum in the epoch of the challenge loses what was withheld for it."""
    world, datum = build()
    other = world.publish(2, 3 * SMALL, HOSTS[:1])
    world.go_to_epoch(OPENED_IN)
    world.call(jury_calls.challenge_datum, STRANGER, ChallengeDatum(datum))
    world.call(hosting.calls.register_subset, TWO, hosting.RegisterSubset((), (datum,)))
    jurors = pick(world.go_to_epoch(DRAWN_IN), JuryDrawn).jurors
    burned = [one for one in vote(world, jurors) if isinstance(one, WithheldBurned)]
    assert TWO in [one.host for one in burned] and other


def test_a_verdict_is_hidden_and_fixed() -> None:
    """Nobody reveals before the time, another verdict, another's, or twice; nobody commits too late."""
    world, datum = build()
    first, second = challenge(world, datum).jurors[:2]
    reveal = RevealVerdict(0, True, SALT)
    world.refuse(juries.types.NotDrawn, jury_calls.commit_verdict, ANN, CommitVerdict(0, SALT))
    world.refuse(juries.types.NoSuchCase, jury_calls.commit_verdict, first, CommitVerdict(1, SALT))
    commit(world, first, False)
    commit(world, first, True)
    world.refuse(juries.types.WrongPhase, jury_calls.reveal_verdict, first, reveal)
    world.go_to_epoch(REVEALS_FROM)
    world.refuse(juries.types.WrongPhase, jury_calls.commit_verdict, second, CommitVerdict(0, SALT))
    world.refuse(juries.types.WrongVerdict, jury_calls.reveal_verdict, second, reveal)
    world.refuse(juries.types.WrongVerdict, jury_calls.reveal_verdict, first, replace(reveal, is_junk=False))
    world.call(jury_calls.reveal_verdict, first, reveal)
    world.refuse(juries.types.AlreadyRevealed, jury_calls.reveal_verdict, first, reveal)


CHALLENGES: list[tuple[type[DispatchError], Address, Hash | None]] = [
    (catalogue.NotListed, STRANGER, b"n" * 32),
    (balances.InsufficientBalance, account(77), None),
]


@pytest.mark.parametrize(("error", "sender", "datum"), CHALLENGES)
def test_a_challenge_is_refused(error, sender, datum) -> None:
    """For what is not listed, and for who cannot pay."""
    world, listed = build()
    world.refuse(error, jury_calls.challenge_datum, sender, ChallengeDatum(datum or listed))


def test_a_datum_has_one_case_and_junk_none() -> None:
    """No second challenge while a jury decides, nor of what is junk already."""
    world, datum = build()
    jurors = challenge(world, datum).jurors
    world.refuse(catalogue.CaseOpen, jury_calls.challenge_datum, ANN, ChallengeDatum(datum))
    vote(world, jurors)
    world.refuse(catalogue.Junk, jury_calls.challenge_datum, ANN, ChallengeDatum(datum))


def test_what_earns_nothing_is_not_judged() -> None:
    """A datum without sponsors that is not admitted has nothing to lose."""
    world, _ = build()
    unsponsored = world.publish(9, SMALL, ())
    world.refuse(juries.types.NothingToJudge, jury_calls.challenge_datum, ANN, ChallengeDatum(unsponsored))


def test_cases_of_an_epoch_are_bounded() -> None:
    """The third challenge of an epoch waits for the next epoch."""
    world, _ = build()
    datums = [world.publish(number, SMALL, ()) for number in (5, 6, 7)]
    for datum in datums:
        world.call(catalogue.sponsor, ANN, Sponsor(datum, 10 * VIDYA))
    for datum in datums[:2]:
        world.call(jury_calls.challenge_datum, STRANGER, ChallengeDatum(datum))
    world.refuse(juries.types.TooManyCases, jury_calls.challenge_datum, STRANGER, ChallengeDatum(datums[2]))
    told = world.go_to_epoch(OPENED_IN + 1)
    assert told
    world.call(jury_calls.challenge_datum, STRANGER, ChallengeDatum(datums[2]))
    drawn = [one for one in world.go_to_epoch(DRAWN_IN + 1) if isinstance(one, JuryDrawn)]
    assert [one.case for one in drawn] == [0, 1, 2]


SERVING: list[tuple[type[DispatchError], Address, int]] = [
    (juries.types.NotMember, STRANGER, 100 * VIDYA),
    (juries.types.JurorBondTooSmall, ONE, 100 * VIDYA - 1),
    (juries.types.JurorBondTooSmall, ONE, 0),
    (balances.InsufficientBalance, ONE, 10**6 * VIDYA),
]


@pytest.mark.parametrize(("error", "sender", "amount"), SERVING)
def test_serving_is_refused(error, sender, amount) -> None:
    """Jurors are members with at least the least bond."""
    world, _ = build()
    world.refuse(error, jury_calls.serve_as_juror, sender, ServeAsJuror(amount))
    world.refuse(juries.types.NotJuror, jury_calls.retire_as_juror, sender, RetireAsJuror())


@pytest.mark.parametrize(
    "changes",
    [
        {"jury_size": 0},
        {"jury_size": 65},
        {"jurors_min": 0},
        {"commit_epochs": 0},
        {"reveal_epochs": 0},
        {"cases_per_epoch_max": 0},
        {"winner_ppm": 900_001},
        {"silent_ppm": 1_000_001},
    ],
)
def test_genesis_refuses_what_makes_no_jury(changes: dict[str, int]) -> None:
    """Juries of nobody, phases without time, more than the whole."""
    world, _ = build()
    config = juries.GenesisConfig(replace(JURIES, **changes))
    with pytest.raises(InvalidChainSpec):
        juries.build_genesis(world.context(), config)


@given(verdicts=st.lists(st.sampled_from(("junk", "fair", "silent")), min_size=5, max_size=5))
def test_every_base_unit_has_its_place(verdicts: list[str]) -> None:
    """Whatever a jury says, bonds are paid back, paid out or burned to the base unit."""
    world, datum = build(jurors=8)
    everybody = (STRANGER, ANN, BEN, *PEOPLE)
    before = sum(map(world.balance, everybody))
    jurors = challenge(world, datum).jurors
    chosen = dict(zip(jurors, verdicts, strict=True))
    for_junk = tuple(who for who, verdict in chosen.items() if verdict == "junk")
    against = tuple(who for who, verdict in chosen.items() if verdict == "fair")
    told = pick(vote(world, for_junk, against), CaseDecided)
    lost = told.forfeited - told.winner - told.jurors
    sponsors_lost = 10 * VIDYA if told.is_junk else 0
    after = sum(map(world.balance, everybody))
    assert told.burned == lost
    assert after - before == told.winner + told.jurors - (told.forfeited if told.is_junk is False else 0)
    assert world.balance(catalogue.SPONSOR_POT) == 10 * VIDYA - sponsors_lost
    fines = verdicts.count("silent") * VIDYA
    assert world.balance(juries.types.POT) == 800 * VIDYA - fines
