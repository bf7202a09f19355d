"""Offences: each fault on the real modules, its slash to the unit, its consequences, and no second time."""

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.content import LeafProof, compute_content_root, compute_listed_id
from chain.content.tree import compute_chunk_node
from chain.errors import InvalidChainSpec
from chain.modules import (
    balances,
    beacon,
    catalogue,
    hosting,
    membership,
    offences,
    possession,
    rewards,
    staking,
    system,
    validators,
)
from chain.modules.offences import DeclareLoss, Report, Unjail
from chain.primitives.codec import Record, replace
from chain.primitives.types import PPM
from chain.validator_set import get_validator
from chain.votes import (
    DuplicateProposal,
    DuplicateVote,
    Proposal,
    SignedProposal,
    Vote,
    VoteKind,
    build_duplicate_proposal,
    build_duplicate_vote,
    get_proposal_signing_bytes,
)
from tests.chain.support.market_worlds import REWARDS
from tests.chain.support.worlds import (
    DATUM,
    EPOCH_BLOCKS,
    GENESIS_HASH,
    HOSTING,
    OFFENCES,
    POSSESSION,
    SYSTEM,
    VIDYA,
    World,
    account,
    build_certificate,
    build_collective,
    consensus_key,
    run_block,
    sign_vote,
)

ONE, TWO, THREE, FOUR, MEMBER = (account(number) for number in (1, 2, 3, 4, 9))
CONTENT = bytes(range(100))
ROOT = compute_content_root(compute_chunk_node(CONTENT), len(CONTENT))
FILES_HASH = b"f" * 32
SMALL = compute_listed_id(FILES_HASH, len(CONTENT), ROOT)


def build_evidence(number: int, height: int, kind: VoteKind = VoteKind.PRECOMMIT) -> DuplicateVote:
    """Two votes of a validator for different blocks."""
    votes = (Vote(kind, height, 0, block, account(number)) for block in (b"x" * 32, b"y" * 32))
    one, other = (sign_vote(vote, consensus_key(number)) for vote in votes)
    return build_duplicate_vote(one, other)


def build_hosting_world() -> World:
    """A datum of one leaf, held by all four validators from epoch 2 on; here epoch 1 has ended."""
    world = build_collective()
    run_block(world)
    datum = catalogue.ListDatum(FILES_HASH, ROOT, len(CONTENT), "title", "text", (), "")
    world.call(catalogue.list_datum, MEMBER, datum)
    for who in (ONE, TWO, THREE, FOUR):
        world.call(hosting.calls.register_host, who, hosting.RegisterHost(who[:8], (), 1))
        world.call(hosting.calls.register_subset, who, hosting.RegisterSubset((SMALL,), ()))
    while world.height < 2 * EPOCH_BLOCKS:
        run_block(world)
    return world


def run_epoch(world: World, provers: Collection[bytes]) -> list[Record]:
    """An epoch in which these hosts prove what is asked; returns the events of the hooks."""

    def prove(world: World) -> None:
        for host in provers:
            if possession.get_challenges(world.state, host, world.context().epoch):
                leaf = possession.ProvenLeaf(CONTENT, LeafProof(()))
                leaves = (leaf,) * POSSESSION.leaves_per_epoch
                call = possession.Prove(host, world.context().epoch, leaves)
                world.call(possession.calls.prove, host, call)

    events = run_block(world, prove)
    for _ in range(EPOCH_BLOCKS - 1):
        events += run_block(world)
    return events


def build_proposal_evidence(number: int, height: int) -> DuplicateProposal:
    """Two proposals of a validator for different blocks in one round."""
    blocks = (b"x" * 32, b"y" * 32)
    key = consensus_key(number)
    proposals = (Proposal(height, 0, block, None, account(number)) for block in blocks)
    one, other = (
        SignedProposal(proposal, key.sign(get_proposal_signing_bytes(GENESIS_HASH, proposal)))
        for proposal in proposals
    )
    return build_duplicate_proposal(one, other)


def find(events: list[Record], kind: type[Record]) -> list[Record]:
    return [event for event in events if isinstance(event, kind)]


def test_equivocation_is_slashed_and_tombstoned_once() -> None:
    """One of four alone: (3/4)^2 of all that answers; out of the set, out for good, no second slash."""
    world = build_collective()
    run_block(world)
    evidence = build_evidence(4, 1)
    events = world.call(offences.report, MEMBER, Report(evidence))
    (proven,) = find(events, offences.EquivocationProven)
    (slashed,) = find(events, staking.types.Slashed)
    assert (proven.offenders, proven.validators, proven.ppm) == (1, 4, 562_500)
    assert slashed.bond == 100 * VIDYA * 562_500 // PPM
    assert world.balance(MEMBER) == 1_000 * VIDYA + slashed.bond // 10
    assert staking.is_tombstoned(world.state, FOUR)
    world.refuse(offences.AlreadyPunished, offences.report, MEMBER, Report(evidence))
    other = build_evidence(4, 1, VoteKind.PREVOTE)
    world.refuse(offences.AlreadyPunished, offences.report, MEMBER, Report(other))
    for _ in range(3):
        run_block(world)
    assert FOUR not in [member.address for member in validators.get_current(world.state).validators]


def test_two_proposals_cost_what_two_votes_cost() -> None:
    """An equivocating proposer is slashed and tombstoned, once, like an equivocating voter."""
    world = build_collective()
    run_block(world)
    events = world.call(offences.report, MEMBER, Report(build_proposal_evidence(4, 1)))
    (proven,) = find(events, offences.EquivocationProven)
    assert (proven.ppm, proven.stake_ppm) == (562_500, PPM)
    assert staking.get_bond(world.state, FOUR) == 100 * VIDYA * (PPM - 562_500) // PPM
    assert staking.is_tombstoned(world.state, FOUR)
    world.refuse(offences.AlreadyPunished, offences.report, MEMBER, Report(build_evidence(4, 1)))


@given(own=st.integers(1, 300), delegated=st.integers(1, 300), leaving=st.integers(1, 99))
@settings(max_examples=30, deadline=None)
def test_slash_is_of_the_stake_of_the_offence(own: int, delegated: int, leaving: int) -> None:
    """Stake that left since the offence is slashed, stake that came since adds nothing to the slash."""
    world = build_collective()
    run_block(world)
    world.call(staking.calls.unbond, FOUR, staking.calls.Unbond(leaving * VIDYA))
    world.call(staking.calls.bond, FOUR, staking.Bond(own * VIDYA))
    world.call(staking.calls.delegate, MEMBER, staking.calls.Delegate(FOUR, delegated * VIDYA))
    world.run(staking.on_era_end)
    events = world.call(offences.report, MEMBER, Report(build_evidence(4, 1)))
    (proven,) = find(events, offences.EquivocationProven)
    (slashed,) = find(events, staking.types.Slashed)
    total = (100 + own + delegated) * VIDYA
    behind = 101 * VIDYA - 1
    assert (proven.ppm, proven.stake_ppm) == (562_500, min(PPM, PPM * behind // total))
    assert slashed.ppm == proven.ppm * proven.stake_ppm // PPM
    assert slashed.unlocking == leaving * VIDYA * slashed.ppm // PPM > 0
    taken = slashed.bond + slashed.unlocking + slashed.delegated + slashed.leaving
    assert taken <= behind * 562_500 // PPM


def test_power_on_its_way_out_is_backed_by_all_of_its_stake() -> None:
    """A validator whose power is being taken away block by block answers with what it was elected with."""
    world = build_collective()
    run_block(world)
    validators.types.TARGET.set(world.state, validators.queries.get_target(world.state)[:1])
    for _ in range(3):
        run_block(world)
    member = get_validator(validators.get_members_at(world.state, world.height), THREE)
    assert 0 < member.power < 100
    assert validators.get_stake_behind(world.state, THREE, world.height) == 101 * VIDYA - 1


def test_equivocation_together_costs_everything() -> None:
    """The second of four within the window is slashed by (6/4)^2, capped at everything."""
    world = build_collective()
    run_block(world)
    world.call(offences.report, MEMBER, Report(build_evidence(3, 1)))
    events = world.call(offences.report, MEMBER, Report(build_evidence(4, 1)))
    (proven,) = find(events, offences.EquivocationProven)
    assert (proven.offenders, proven.ppm) == (2, PPM)
    assert staking.get_bond(world.state, FOUR) == 0


def test_equivocations_far_apart_count_alone() -> None:
    """An equivocation older than the window does not raise the slash of a later one."""
    world = build_collective()
    run_block(world)
    world.call(offences.report, MEMBER, Report(build_evidence(3, 1)))
    world.go_to_era(3)
    events = world.call(offences.report, MEMBER, Report(build_evidence(4, world.height)))
    (proven,) = find(events, offences.EquivocationProven)
    assert proven.offenders == 1


def test_bad_evidence_is_refused() -> None:
    """The future, equal votes, strangers and forged signatures show nothing."""
    world = build_collective()
    run_block(world)
    good = build_evidence(4, 1)
    forged = replace(good.second, signature=good.first.signature)
    for error, evidence in (
        (offences.EvidenceExpired, build_evidence(4, 2)),
        (offences.EvidenceRejected, DuplicateVote(good.first, good.first)),
        (offences.EvidenceRejected, DuplicateVote(good.second, good.first)),
        (offences.EvidenceRejected, build_evidence(7, 1)),
        (offences.EvidenceRejected, DuplicateVote(good.first, forged)),
    ):
        world.refuse(error, offences.report, MEMBER, Report(evidence))
    world.call(offences.report, MEMBER, Report(good))


def test_evidence_expires_by_blocks_and_time() -> None:
    """Evidence is good until both ages have passed since its epoch ended, and not a block longer."""
    world = build_collective()
    report = Report(build_evidence(4, 3))
    while world.height < EPOCH_BLOCKS + 20:
        run_block(world)
    offences.report(world.context().fork(), MEMBER, report)
    run_block(world)
    world.refuse(offences.EvidenceExpired, offences.report, MEMBER, report)


def test_evidence_expires_by_blocks_alone_never_sooner() -> None:
    """Where its time has long passed, evidence is good for `evidence_age_blocks` blocks, to the block."""
    world = build_collective()
    system.PARAMETERS.set(world.state, replace(SYSTEM, evidence_age_ms=0))
    report = Report(build_evidence(4, 3))
    while world.height < 3 + 20:
        run_block(world)
    offences.report(world.context().fork(), MEMBER, report)
    run_block(world)
    world.refuse(offences.EvidenceExpired, offences.report, MEMBER, report)


@given(st.integers(1, 200), st.integers(1, 200))
def test_equivocation_slash_is_bounded_and_grows(offenders: int, count: int) -> None:
    """The slash is between the minimum and all, never falls with more offenders, and is all at a third."""
    ppm = offences.compute_equivocation_slash(50_000, offenders, count)
    assert 50_000 <= ppm <= PPM
    assert ppm <= offences.compute_equivocation_slash(50_000, offenders + 1, count)
    assert (3 * offenders < count) or ppm == PPM


def test_misses_lead_to_jail_slash_and_removal() -> None:
    """Half of the window missed: jailed, slashed, out of the set; unjailed and proving, elected again."""
    world = build_hosting_world()
    others = (ONE, TWO, THREE)
    for _ in range(3):
        assert find(run_epoch(world, others), offences.MissesPunished) == []
    bond = staking.get_bond(world.state, FOUR)
    events = run_epoch(world, others)
    epoch = world.context().epoch
    (punished,) = find(events, offences.MissesPunished)
    assert punished == offences.MissesPunished(FOUR, 4, 8, 0, 1_000, epoch + 3)
    assert staking.get_bond(world.state, FOUR) == bond - bond // 1_000
    assert FOUR not in [member.address for member in validators.queries.get_target(world.state)]
    world.refuse(offences.StillJailed, offences.unjail, FOUR, Unjail())
    while world.context().epoch < punished.until:
        run_epoch(world, others)
    world.call(offences.unjail, FOUR, Unjail())
    for _ in range(10):
        assert find(run_epoch(world, (*others, FOUR)), offences.MissesPunished) == []
    assert FOUR in [member.address for member in validators.queries.get_target(world.state)]


def test_unjailed_host_starts_afresh() -> None:
    """What a host missed while it was in jail does not put it back there at the first miss after."""
    world = build_hosting_world()
    others = (ONE, TWO, THREE)
    for _ in range(8):
        run_epoch(world, others)
    world.call(offences.unjail, FOUR, Unjail())
    assert find(run_epoch(world, others), offences.MissesPunished) == []


def test_old_jailings_are_forgiven() -> None:
    """A jailing outside the window of eras does not make the next one longer."""
    world = build_hosting_world()
    offences.PARAMETERS.set(world.state, replace(OFFENCES, jailing_window_eras=2))
    events: list[Record] = []
    for _ in range(7):
        events += run_epoch(world, (ONE, TWO, THREE))
    world.call(offences.unjail, FOUR, Unjail())
    for _ in range(4):
        events += run_epoch(world, (ONE, TWO, THREE))
    punished = find(events, offences.MissesPunished)
    assert [(event.jailings, event.ppm) for event in punished] == [(0, 1_000), (0, 1_000)]


def test_epoch_that_most_missed_counts_for_nobody() -> None:
    """However long three of four miss together, nobody is jailed; but who did not prove is not elected."""
    world = build_hosting_world()
    everybody = (ONE, TWO, THREE, FOUR)
    for _ in range(8):
        run_epoch(world, everybody)
    events: list[Record] = []
    for _ in range(8):
        events += run_epoch(world, (ONE,))
    assert find(events, offences.MissesPunished) == []
    elected = find(events, validators.types.Elected)[-1]
    assert (elected.candidates, elected.unpaid) == (1, (TWO, THREE, FOUR))
    assert possession.get_pay_factor(world.state, FOUR) == 0


def test_excused_epoch_is_no_occasion_to_jail() -> None:
    """Even a host with too many misses before is not jailed in an epoch that counts for nobody."""
    world = build_hosting_world()
    run_epoch(world, (ONE, TWO, THREE))
    run_epoch(world, (ONE, TWO, THREE))
    offences.PARAMETERS.set(world.state, replace(OFFENCES, miss_jail_ppm=250_000))
    assert find(run_epoch(world, (ONE,)), offences.MissesPunished) == []
    (punished,) = find(run_epoch(world, (ONE, TWO, THREE)), offences.MissesPunished)
    assert punished.missed == 3


def test_equivocator_hosts_nothing_any_more() -> None:
    """With the tombstone everything it registered ends with the epoch, so that it can unbond."""
    world = build_hosting_world()
    run_epoch(world, ())
    assert hosting.get_subset_totals(world.state, FOUR).leaves == 1
    world.call(offences.report, MEMBER, Report(build_evidence(4, 1)))
    run_epoch(world, ())
    assert hosting.get_subset_totals(world.state, FOUR).leaves == 0
    world.call(staking.calls.unbond, FOUR, staking.calls.Unbond(staking.get_bond(world.state, FOUR)))


def test_jailings_double_up_to_the_cap() -> None:
    """0.1 % for the first, twice as much for each further one, never above 5 %."""
    slashes = [offences.compute_miss_slash(OFFENCES, jailings) for jailings in range(9)]
    assert slashes == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 50_000, 50_000, 50_000]


def test_repeated_jailing_is_dearer() -> None:
    """A host that leaves jail and goes on missing is slashed twice as much."""
    world = build_hosting_world()
    events: list[Record] = []
    for _ in range(7):
        events += run_epoch(world, (ONE, TWO, THREE))
    world.call(offences.unjail, FOUR, Unjail())
    for _ in range(4):
        events += run_epoch(world, (ONE, TWO, THREE))
    punished = find(events, offences.MissesPunished)
    assert [(event.jailings, event.ppm) for event in punished] == [(0, 1_000), (1, 2_000)]


def test_absent_host_loses_its_data() -> None:
    """After so many misses in a row what the host registered counts for nothing from the next epoch on."""
    world = build_hosting_world()
    events: list[Record] = []
    for _ in range(14):
        events += run_epoch(world, (ONE, TWO, THREE))
    assert [event.host for event in find(events, offences.WentOffline)] == [FOUR]
    assert hosting.get_subset_totals(world.state, FOUR).leaves == 0
    assert staking.get_ledger(world.state, FOUR).committed == 0


def build_paying_world(supply: int = 0) -> World:
    """A collective in which validators are paid as in the market worlds, out of so large a supply."""
    world = build_collective()
    rewards.types.PARAMETERS.set(world.state, REWARDS)
    rewards.types.SUPPLY.set(world.state, supply)
    return world


def withhold(world: World, links: int) -> list[Record]:
    """TWO proposes so many blocks of the epoch without a link; what its end does."""
    epoch = world.context().epoch
    for _ in range(links):
        world.run(beacon.process_reveal, None)
    world.height = (epoch + 1) * EPOCH_BLOCKS
    return world.run(offences.on_epoch_end)


def test_the_third_withheld_link_ends_a_candidacy() -> None:
    """Over epochs, too; whoever stands again begins at none."""
    world = build_paying_world()
    world.proposer, world.height = TWO, 1
    assert find(withhold(world, 2), validators.types.Chilled) == []
    world.height += 1
    events = withhold(world, 1)
    (told,) = find(events, offences.RevealsWithheld)
    assert (told.links, told.total, told.is_over) == (1, 3, True)
    assert find(events, validators.types.Chilled) == [validators.types.Chilled(TWO)]
    assert find(events, validators.types.Removed) == [validators.types.Removed(TWO)]
    world.height += 1
    (told,) = find(withhold(world, 1), offences.RevealsWithheld)
    assert told.total == 1


def test_a_withheld_link_costs_an_eras_pay_at_least() -> None:
    """Where the pool pays more in an era than 0.5 % of the bond, that is the price."""
    world = build_paying_world(supply=10**18)
    world.proposer, world.height = TWO, 1
    (told,) = find(withhold(world, 1), offences.RevealsWithheld)
    pay = rewards.get_era_pay(world.state, TWO)
    assert told.per_link == told.era_pay == pay > VIDYA // 2
    assert staking.get_bond(world.state, TWO) == 100 * VIDYA - pay


def test_withheld_reveals_cost_per_link_and_the_pay() -> None:
    """Two blocks without a link in one epoch: twice 0.5 % of the bond, no pay, and nothing for the others."""
    world = build_paying_world()
    world.height = 1
    world.proposer = TWO
    for _ in range(2):
        run_block(world)
        world.run(validators.process_last_commit, build_certificate(world, [1, 2, 3]))
        world.run(beacon.process_reveal, None)
    world.height = EPOCH_BLOCKS
    events = world.run(offences.on_epoch_end)
    weights = [entry.weight for entry in validators.get_participation(world.state, 0)]
    assert weights == [200, 0, 200, 0]
    assert find(events, offences.RevealsWithheld) == [
        offences.RevealsWithheld(TWO, 0, 2, 5_000, 0, VIDYA // 2, 2, False)
    ]
    assert staking.get_bond(world.state, TWO) == 99 * VIDYA
    assert staking.get_bond(world.state, ONE) == 100 * VIDYA


def test_failed_demands_end_in_a_slash_of_the_pledge_behind_the_datum() -> None:
    """Each failure returns the fee, and nothing more; the third costs 5 % of what stands behind the datum."""
    world = build_hosting_world()
    world.call(membership.join, MEMBER, membership.Join())
    run_epoch(world, (ONE, TWO, THREE, FOUR))
    before, bond = world.balance(MEMBER), staking.get_bond(world.state, FOUR)
    events: list[Record] = []
    for _ in range(3):
        world.call(possession.calls.challenge, MEMBER, possession.calls.Challenge(FOUR, SMALL))
        events += run_epoch(world, (ONE, TWO, THREE, FOUR))
    events += run_epoch(world, (ONE, TWO, THREE, FOUR))
    assert world.balance(MEMBER) == before
    holding = hosting.get_holding(world.state, FOUR, SMALL)
    assert holding is not None
    pledge = holding.pledge
    assert find(events, offences.DemandsFailed) == [offences.DemandsFailed(FOUR, SMALL, 3, pledge, 50_000)]
    assert staking.get_bond(world.state, FOUR) == bond - pledge // 20
    assert possession.history.get_failed_demands(world.state, FOUR, SMALL) == 0


def test_declared_loss_costs_half_and_drops_the_datum() -> None:
    """A host that says what it lost pays 2.5 % of the pledge behind it, and holds it no more next epoch."""
    world = build_collective(is_listed=True)
    datum = catalogue.ListDatum(b"o" * 32, b"r" * 32, 30 * 2**20, "title", "text", (), "")
    other = catalogue.compute_datum_id(datum)
    run_block(world)
    world.call(catalogue.list_datum, MEMBER, datum)
    world.call(hosting.calls.register_host, FOUR, hosting.RegisterHost(b"peer", (), 1))
    world.call(hosting.calls.register_subset, FOUR, hosting.RegisterSubset((DATUM, other), ()))
    world.refuse(offences.NotHeld, offences.declare_loss, FOUR, DeclareLoss(DATUM))
    while world.height < 2 * EPOCH_BLOCKS + 1:
        run_block(world)
    events = world.call(offences.declare_loss, FOUR, DeclareLoss(DATUM))
    (declared,) = find(events, offences.LossDeclared)
    pledge = hosting.queries.compute_pledge(HOSTING.pledge_per_gib_min, 10 * 2**20)
    assert declared == offences.LossDeclared(FOUR, DATUM, pledge, 25_000)
    assert staking.get_bond(world.state, FOUR) == 100 * VIDYA - pledge * 25_000 // PPM
    world.go_to_epoch(3)
    assert not hosting.is_holding(world.state, FOUR, DATUM, 3)
    assert hosting.is_holding(world.state, FOUR, other, 3)


def test_only_the_jailed_can_unjail() -> None:
    """A host that is free or tombstoned cannot leave jail."""
    world = build_collective()
    world.refuse(offences.NotJailed, offences.unjail, ONE, Unjail())
    world.run(staking.jail, ONE, 0)
    world.run(staking.tombstone, ONE)
    world.refuse(offences.StillJailed, offences.unjail, ONE, Unjail())


def test_burns_are_part_of_every_slash() -> None:
    """Half of a slash and the share of the missing reporter leave the supply."""
    world = build_hosting_world()
    burned = balances.get_supply(world.state).burned
    for _ in range(4):
        run_epoch(world, (ONE, TWO, THREE))
    assert balances.get_supply(world.state).burned - burned == 100 * VIDYA // 1_000 * 6 // 10


@pytest.mark.parametrize(
    "change", [{"equivocation_ppm_min": 1_000_001}, {"miss_jail_ppm": 0}, {"offline_epochs": 0}]
)
def test_nonsense_parameters_are_refused(change: dict[str, int]) -> None:
    """A chain spec that slashes more than everything, or jails for nothing, starts no chain."""
    config = offences.GenesisConfig(replace(OFFENCES, **change))
    with pytest.raises(InvalidChainSpec):
        offences.build_genesis(build_collective().context(), config)
