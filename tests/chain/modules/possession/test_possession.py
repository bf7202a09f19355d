"""Possession: what is asked, which answers count, what the deadline makes of them, what demands lead to."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.content import LEAF_BYTES
from chain.errors import DecodeError, DispatchError, InvalidChainSpec
from chain.modules import balances, hosting, membership, possession
from chain.modules.possession import Prove, ProvenLeaf
from chain.modules.possession.calls import Challenge
from chain.modules.possession.types import History, Judgement
from chain.primitives.codec import check_bounds, replace
from chain.primitives.types import PPM, Address, Hash
from chain.state import StateReader
from tests.chain.support.content_worlds import MEMBER, Content, ContentWorld, build_hosts
from tests.chain.support.worlds import EPOCH_BLOCKS, POSSESSION, account

ALICE, BOB, CAROL, DAVE = build_hosts(4)
SONGS, FILMS = Content(1, 40 * LEAF_BYTES + 1), Content(2, 9 * LEAF_BYTES)
FEE = POSSESSION.demand_fee


def build_world(*hosts: Address, **changes: int) -> ContentWorld:
    """A world at the start of epoch 2, in which the hosts' holdings take effect."""
    world = ContentWorld((ALICE, BOB, CAROL, DAVE), **changes)
    datums = [world.list_content(content) for content in (SONGS, FILMS)]
    for who in hosts:
        world.host(who, *datums)
    world.go_to_epoch(2)
    return world


def get_window(world: ContentWorld, who: Address) -> bytes:
    return possession.get_record(world.state, who).window


def run_epochs(world: ContentWorld, who: Address, course: str) -> None:
    """From the start of an epoch: prove in those marked p, let the others pass, and judge each."""
    for mark in course:
        if mark == "p":
            world.prove(who)
        world.go_to_deadline()
        world.go_to_epoch(world.epoch + 1)


def test_leaves_are_asked_of_what_is_in_effect() -> None:
    """A host owes four leaves of what it holds now; none before, none for other epochs, none without data."""
    world = ContentWorld((ALICE, BOB))
    world.host(ALICE, world.list_content(SONGS), world.list_content(FILMS))
    world.go_to_epoch(1)
    assert possession.get_challenges(world.state, ALICE, 1) == ()
    world.go_to_epoch(2)
    places = possession.get_challenges(world.state, ALICE, 2)
    assert len(places) == 4
    for place in places:
        assert place.leaf_index < len(world.contents[place.datum].levels[0])
    assert (
        possession.get_challenges(world.state, ALICE, 1)
        == possession.get_challenges(world.state, ALICE, 3)
        == ()
    )
    assert possession.get_challenges(world.state, BOB, 2) == ()


def test_epochs_and_hosts_are_asked_differently() -> None:
    """Equal subsets of two hosts, and of two epochs, are sampled independently."""
    world = build_world(ALICE, BOB)
    first = [possession.get_challenges(world.state, who, 2) for who in (ALICE, BOB)]
    world.go_to_epoch(3)
    second = [possession.get_challenges(world.state, who, 3) for who in (ALICE, BOB)]
    assert len({*first, *second}) == 4


def test_anybody_may_bring_a_proof_and_it_counts_once() -> None:
    """Any key may send the proof; a second one is refused."""
    world = build_world(ALICE)
    proof = world.build_proof(ALICE)
    assert not possession.is_proven(world.state, ALICE, 2)
    assert world.call(possession.calls.prove, DAVE, proof) == [possession.Proven(ALICE, 2, 4)]
    assert possession.is_proven(world.state, ALICE, 2)
    world.refuse(possession.types.NothingAsked, possession.calls.prove, ALICE, proof)


def forge(proof: Prove, position: int, /, **changes: object) -> Prove:
    """The proof with one of its leaves altered."""
    leaves = list(proof.leaves)
    leaves[position] = replace(leaves[position], **changes)
    return replace(proof, leaves=tuple(leaves))


@pytest.mark.parametrize("position", range(4))
def test_every_single_leaf_must_be_right(position: int) -> None:
    """A wrong bit, a missing byte, a shortened way or another leaf in any place spoils the proof."""
    world = build_world(ALICE)
    proof = world.build_proof(ALICE)
    leaf, path = proof.leaves[position].leaf, proof.leaves[position].proof.path
    place = possession.get_challenges(world.state, ALICE, 2)[position]
    other = world.contents[place.datum].prove(0 if place.leaf_index else 1)
    forged = [
        forge(proof, position, leaf=bytes((leaf[0] ^ 1,)) + leaf[1:]),
        forge(proof, position, leaf=leaf[:-1]),
        forge(proof, position, proof=replace(proof.leaves[position].proof, path=path[1:])),
        forge(proof, position, leaf=other.leaf, proof=other.proof),
    ]
    for one in forged:
        world.refuse(possession.types.ProofRejected, possession.calls.prove, ALICE, one)
    world.call(possession.calls.prove, ALICE, proof)


REFUSALS = [
    (possession.types.RoundClosed, {"epoch": 1}),
    (possession.types.RoundClosed, {"epoch": 3}),
    (possession.types.NothingAsked, {"host": BOB}),
    (possession.types.NothingAsked, {"demanded": SONGS.datum}),
    (possession.types.NothingAsked, {"demanded": b"?" * 32}),
    (possession.types.WrongLeafCount, {"leaves": ()}),
]


@pytest.mark.parametrize(("error", "changes"), REFUSALS)
def test_what_is_not_asked_is_refused(error: type[DispatchError], changes: dict[str, object]) -> None:
    """Refused are proofs of other epochs, of hosts without data, without a demand, and without leaves."""
    world = build_world(ALICE)
    world.refuse(error, possession.calls.prove, ALICE, replace(world.build_proof(ALICE), **changes))


def test_another_epochs_proof_is_worth_nothing() -> None:
    """A proof of the last epoch's leaves is refused in this epoch."""
    world = build_world(ALICE)
    old = world.build_proof(ALICE)
    world.go_to_epoch(3)
    world.refuse(possession.types.RoundClosed, possession.calls.prove, ALICE, old)
    world.refuse(possession.types.ProofRejected, possession.calls.prove, ALICE, replace(old, epoch=3))


def test_one_leaf_too_many_is_refused() -> None:
    """A proof must have exactly the leaves owed."""
    world = build_world(ALICE)
    proof = world.build_proof(ALICE)
    longer = replace(proof, leaves=(*proof.leaves, proof.leaves[0]))
    world.refuse(possession.types.WrongLeafCount, possession.calls.prove, ALICE, longer)
    world.refuse(
        possession.types.WrongLeafCount,
        possession.calls.prove,
        ALICE,
        replace(proof, leaves=proof.leaves[:-1]),
    )


def test_the_deadline_judges() -> None:
    """A proof in the last block below the deadline counts; at the deadline everybody is judged, once."""
    world = build_world(ALICE, BOB)
    first = 2 * EPOCH_BLOCKS + 1
    deadline = first + POSSESSION.deadline_blocks
    assert possession.get_round(world.state) == possession.types.Round(2, deadline)
    assert world.go_to_height(deadline - 1) == []
    late = world.build_proof(BOB)
    world.prove(ALICE)
    assert world.go_to_height(deadline) == [
        possession.Missed(BOB, 2, is_covered=False, credits=0, misses=1, pay_factor=0),
        possession.types.Judged(2, hosts=2, missed=1, leaves=100, leaves_missed=50, is_excused=False),
    ]
    world.refuse(possession.types.RoundClosed, possession.calls.prove, BOB, late)
    assert possession.get_judgement(world.state) == Judgement(2, deadline, 2, (BOB,), False, ())
    assert (get_window(world, ALICE), get_window(world, BOB)) == (b"p", b"m")
    assert possession.get_pay_factor(world.state, ALICE) == PPM
    world.go_to_height(first + EPOCH_BLOCKS - 1)
    assert (get_window(world, ALICE), get_window(world, BOB)) == (b"p", b"m")


def test_who_holds_nothing_is_not_judged() -> None:
    """An epoch without holdings leaves no mark, and there is nothing to be paid for."""
    world = build_world(ALICE)
    world.prove(ALICE)
    world.call(hosting.calls.register_subset, ALICE, hosting.RegisterSubset((), (SONGS.datum, FILMS.datum)))
    world.go_to_epoch(3)
    world.prove(ALICE)
    world.go_to_epoch(6)
    assert get_window(world, ALICE) == b"pp"
    assert possession.get_pay_factor(world.state, ALICE) == 0


def test_the_window_forgets() -> None:
    """Only the last `window_epochs` judged epochs count."""
    world = build_world(ALICE, window_epochs=3)
    run_epochs(world, ALICE, "mpppm")
    assert get_window(world, ALICE) == b"ppm"


def test_a_mass_miss_counts_for_nobody() -> None:
    """If more than the share of hosts and leaves miss, who missed is not paid, and not punished either."""
    world = build_world(ALICE, BOB, CAROL, DAVE, mass_miss_ppm=500_000, mass_miss_hosts_min=3)
    world.prove(ALICE)
    assert world.go_to_deadline()[-1] == possession.types.Judged(2, 4, 3, 200, 150, is_excused=True)
    assert [get_window(world, who) for who in (ALICE, BOB)] == [b"p", b"c"]
    assert possession.get_pay_factor(world.state, BOB) == 0
    assert possession.get_record(world.state, BOB).misses_in_row == 0
    assert possession.is_proven(world.state, ALICE, 2)
    assert not possession.is_proven(world.state, BOB, 2)
    world.go_to_epoch(3)
    for who in (ALICE, BOB):
        world.prove(who)
    world.go_to_deadline()
    assert [get_window(world, who) for who in (ALICE, CAROL)] == [b"pp", b"cm"]


def test_few_epochs_of_an_era_are_excused() -> None:
    """Beyond `excused_epochs_max` a mass miss counts like any other; the next era has its own excuses."""
    world = build_world(
        ALICE, BOB, CAROL, DAVE, mass_miss_ppm=500_000, mass_miss_hosts_min=3, excused_epochs_max=1
    )
    excused = []
    for epoch in range(2, 6):
        world.go_to_epoch(epoch)
        world.prove(ALICE)
        excused.append(world.go_to_deadline()[-1].is_excused)
    assert excused == [True, False, True, False]
    assert get_window(world, BOB) == b"cmcm"


def build_totals(*leaves: int) -> tuple[tuple[Address, hosting.SubsetTotals], ...]:
    return tuple(
        (account(number), hosting.SubsetTotals(1, count, count)) for number, count in enumerate(leaves, 1)
    )


@pytest.mark.parametrize(
    ("leaves", "missed", "is_excused"),
    [
        ((5,) * 10, (5,), False),  # exactly the share
        ((5,) * 10, (5, 5), True),
        ((5,) * 3, (5,), False),  # one host is no mass
        ((900, *(1,) * 99), (1,) * 60, False),  # many hosts that hold next to nothing
        ((900, *(1,) * 99), (900, 1), False),  # much data in two hands
        ((900, *(1,) * 99), (900, *(1,) * 10), True),
        ((100, 100, *(1,) * 18), (100, 100), False),  # exactly the share of hosts
        ((90, *(1,) * 10), (1,) * 10, False),  # exactly the share of leaves
        ((), (), False),
    ],
)
def test_a_mass_has_many_hosts_and_much_data(
    leaves: tuple[int, ...], missed: tuple[int, ...], is_excused: bool
) -> None:
    """More than 10 % of the hosts, at least two, with more than 10 % of the leaves: nobody makes it alone."""
    parameters = replace(POSSESSION, mass_miss_ppm=100_000, mass_miss_hosts_min=2)
    assert (
        possession.judging.is_mass_miss(parameters, build_totals(*leaves), build_totals(*missed))
        is is_excused
    )


def test_credits_keep_misses_from_jail_but_not_from_pay() -> None:
    """Every third proven epoch earns a credit, at most two; a covered miss lowers the pay all the same."""
    world = build_world(ALICE, credit_proven_epochs=3, credits_max=2, window_epochs=20)
    run_epochs(world, ALICE, "p" * 9)
    assert possession.get_record(world.state, ALICE).credits == 2
    run_epochs(world, ALICE, "mmm")
    record = possession.get_record(world.state, ALICE)
    assert record == History(b"p" * 9 + b"ccm", 0, 0, misses_in_row=3, last_proven=10, proven_in_era=9)
    assert possession.count_misses(record) == 1
    assert possession.get_pay_factor(world.state, ALICE) == 0
    run_epochs(world, ALICE, "p")
    assert possession.get_record(world.state, ALICE).misses_in_row == 0


def test_a_restarted_window_still_lowers_pay() -> None:
    """Punished misses do not lead to jail again, but still lower the pay."""
    world = build_world(ALICE)
    run_epochs(world, ALICE, "ppppppm")
    before = possession.get_pay_factor(world.state, ALICE)
    world.run(possession.restart_window, ALICE)
    record = possession.get_record(world.state, ALICE)
    assert (possession.count_misses(record), record.misses_in_row) == (0, 0)
    assert possession.get_pay_factor(world.state, ALICE) == before == Fraction(PPM * (6 * 5 - 7 * 4), 7) // 1


@given(st.binary(max_size=96), st.integers(0, PPM - 1))
def test_the_pay_factor_is_the_exact_curve_rounded_down(course: bytes, floor: int) -> None:
    """A' = max(0, (A - floor) / (1 - floor)) to the millionth; nothing judged is worth nothing."""
    window = course.translate(bytes(b"pmc"[value % 3] for value in range(256)))
    parameters = replace(POSSESSION, pay_floor_ppm=floor)
    factor = possession.history.compute_pay_factor(parameters, History(window))
    if not window:
        assert factor == 0
        return
    share = Fraction(window.count(b"p"), len(window))
    exact = max(Fraction(0), (share - Fraction(floor, PPM)) / (1 - Fraction(floor, PPM)))
    assert factor == exact * PPM // 1
    assert 0 <= factor <= PPM


def test_hiding_one_percent_costs_a_fifth_of_the_pay() -> None:
    """4 misses of 100 epochs, which hiding 1 % leads to, leave 80 % of the pay."""
    assert possession.history.compute_pay_factor(POSSESSION, History(b"p" * 96 + b"m" * 4)) == 800_000


def demand(world: ContentWorld, host: Address = ALICE, datum: Hash = SONGS.datum) -> None:
    world.call(possession.calls.challenge, MEMBER, Challenge(host, datum))


def test_the_fee_of_a_demand_met_is_burned() -> None:
    """The member pays now; four more leaves of the datum are due in the next epoch; nobody earns by it."""
    world = build_world(ALICE)
    before = world.balance(MEMBER), world.balance(ALICE)
    burned = balances.get_supply(world.state).burned
    events = world.call(possession.calls.challenge, MEMBER, Challenge(ALICE, SONGS.datum))
    assert events == [possession.types.Demanded(MEMBER, ALICE, SONGS.datum, 3, FEE)]
    assert world.balance(possession.types.POT) == FEE
    assert possession.get_challenges(world.state, ALICE, 2, SONGS.datum) == ()
    world.go_to_epoch(3)
    places = possession.get_challenges(world.state, ALICE, 3, SONGS.datum)
    assert [place.datum for place in places] == [SONGS.datum] * 4
    assert world.prove(ALICE, SONGS.datum) == [possession.types.DemandProven(ALICE, SONGS.datum, 3, FEE)]
    assert not possession.is_proven(world.state, ALICE, 3)
    world.refuse(
        possession.types.NothingAsked,
        possession.calls.prove,
        ALICE,
        Prove(ALICE, 3, (), demanded=SONGS.datum),
    )
    assert world.balance(MEMBER) == before[0] - FEE
    assert world.balance(ALICE) == before[1] and balances.get_supply(world.state).burned == burned + FEE


def test_a_host_that_is_there_and_fails_a_demand_is_at_fault() -> None:
    """The fee returns, and failures of the datum are counted."""
    world = build_world(ALICE)
    before = world.balance(MEMBER)
    for count in (1, 2):
        demand(world)
        epoch = world.epoch + 1
        world.go_to_epoch(epoch)
        world.prove(ALICE)
        failed = possession.types.DemandFailed(ALICE, SONGS.datum, epoch, MEMBER, FEE, count)
        assert failed in world.go_to_deadline()
        judgement = possession.get_judgement(world.state)
        assert judgement is not None
        assert judgement.failures == (possession.types.FailedDemand(ALICE, SONGS.datum, MEMBER, count),)
        assert world.balance(MEMBER) == before
    assert possession.history.get_failed_demands(world.state, ALICE, SONGS.datum) == 2
    possession.clear_failed_demands(world.state, ALICE, SONGS.datum)
    assert possession.history.get_failed_demands(world.state, ALICE, SONGS.datum) == 0


def test_a_demand_of_an_absent_host_just_returns() -> None:
    """A host that proves nothing is judged for the miss; the open demand adds no fault and nobody gains."""
    world = build_world(ALICE)
    before = world.balance(MEMBER)
    demand(world)
    world.go_to_epoch(3)
    assert possession.types.DemandReturned(ALICE, SONGS.datum, 3, MEMBER, FEE) in world.go_to_deadline()
    assert world.balance(MEMBER) == before
    assert possession.history.get_failed_demands(world.state, ALICE, SONGS.datum) == 0
    assert list(possession.types.DEMANDS.items(world.state)) == []


def test_a_demand_returns_when_the_epoch_counts_for_nobody() -> None:
    """In a mass miss no demand is failed, even by a host that proved."""
    world = build_world(ALICE, BOB, CAROL, DAVE)
    demand(world)
    world.go_to_epoch(3)
    world.prove(ALICE)
    assert possession.types.DemandReturned(ALICE, SONGS.datum, 3, MEMBER, FEE) in world.go_to_deadline()


def test_a_demand_returns_when_the_holding_ends() -> None:
    """What was unregistered meanwhile is not asked for, nor failed."""
    world = build_world(ALICE)
    demand(world)
    world.run(hosting.unregister, ALICE, SONGS.datum)
    world.go_to_epoch(3)
    assert possession.get_challenges(world.state, ALICE, 3, SONGS.datum) == ()
    world.prove(ALICE)
    assert possession.types.DemandReturned(ALICE, SONGS.datum, 3, MEMBER, FEE) in world.go_to_deadline()


def test_demands_are_refused_that_can_not_be_met() -> None:
    """Only members, only what is held in the next epoch, once, and a bounded number per host."""
    world = build_world(ALICE, BOB, demands_per_host_max=1)
    songs = Challenge(ALICE, SONGS.datum)
    world.refuse(membership.NotMember, possession.calls.challenge, DAVE, songs)
    world.refuse(hosting.NotHeld, possession.calls.challenge, MEMBER, Challenge(CAROL, SONGS.datum))
    world.refuse(hosting.NotHeld, possession.calls.challenge, MEMBER, Challenge(ALICE, b"?" * 32))
    demand(world)
    world.refuse(possession.types.AlreadyDemanded, possession.calls.challenge, MEMBER, songs)
    world.refuse(
        possession.types.TooManyDemands, possession.calls.challenge, MEMBER, Challenge(ALICE, FILMS.datum)
    )
    demand(world, BOB, FILMS.datum)
    world.go_to_epoch(3)
    demand(world, ALICE, FILMS.datum)
    world.run(balances.transfer, MEMBER, DAVE, world.balance(MEMBER) - FEE + 1)
    world.refuse(
        balances.InsufficientBalance, possession.calls.challenge, MEMBER, Challenge(BOB, SONGS.datum)
    )


def test_a_node_sees_what_it_still_owes() -> None:
    """Open duties are those of the epoch and of demands, each until it is done, none from the deadline on."""
    world = build_world(ALICE)
    demand(world)
    world.go_to_epoch(3)
    deadline = 3 * EPOCH_BLOCKS + 1 + POSSESSION.deadline_blocks
    asked = [possession.get_challenges(world.state, ALICE, 3, one) for one in (None, SONGS.datum)]
    both = (
        possession.Duty(3, deadline, None, asked[0]),
        possession.Duty(3, deadline, SONGS.datum, asked[1]),
    )
    assert world.get_duties(ALICE) == both
    assert world.get_duties(BOB) == ()
    world.prove(ALICE)
    assert world.get_duties(ALICE) == both[1:]
    world.go_to_height(deadline - 1)
    assert world.get_duties(ALICE) == both[1:]
    world.end_block()
    assert possession.list_open_duties(world.state, ALICE) == ()
    world.start_block()
    assert world.get_duties(ALICE) == ()


SPECS = [
    {"deadline_blocks": EPOCH_BLOCKS - 1, "sale_pause_blocks": 1},
    {"deadline_blocks": 0},
    {"deadline_blocks": EPOCH_BLOCKS},
    {"leaves_per_epoch": 0},
    {"leaves_per_epoch": possession.types.LEAVES_MAX + 1},
    {"window_epochs": 0},
    {"window_epochs": possession.types.WINDOW_EPOCHS_MAX + 1},
    {"pay_floor_ppm": PPM},
    {"credit_proven_epochs": 0},
]


@pytest.mark.parametrize("changes", SPECS)
def test_genesis_refuses_parameters_that_defeat_the_purpose(changes: dict[str, int]) -> None:
    """Among them: an epoch in which no chunk is ever sold."""
    with pytest.raises(InvalidChainSpec):
        ContentWorld((ALICE,), **changes)


class CountingState:
    """A state that counts how often it is read and how far it is walked."""

    def __init__(self, base: StateReader) -> None:
        self.base = base
        self.reads = 0
        self.walked = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.base.get(key)

    def scan(self, prefix: bytes):
        for pair in self.base.scan(prefix):
            self.walked += 1
            yield pair


def test_asking_costs_the_same_for_one_datum_and_for_many() -> None:
    """Challenges of a host with 90 datums read as many keys as those of one with a single datum."""
    counts = []
    for number in (1, 90):
        world = ContentWorld((ALICE,))
        datums = [world.list_content(Content(one, LEAF_BYTES, has_bytes=False)) for one in range(number)]
        world.host(ALICE, *datums)
        world.go_to_epoch(2)
        counting = CountingState(world.state)
        assert len(possession.get_challenges(counting, ALICE, 2)) == 4
        counts.append((counting.reads, counting.walked))
    assert counts[0] == counts[1]
    assert counts[0][1] == 0


def test_proofs_with_oversized_leaves_do_not_decode() -> None:
    """A leaf beyond 1 KiB is refused before any hashing."""

    proof = SONGS.prove(0)
    check_bounds(Prove(ALICE, 2, (proof,)))
    with pytest.raises(DecodeError):
        check_bounds(Prove(ALICE, 2, (ProvenLeaf(proof.leaf + b"+", proof.proof),)))
