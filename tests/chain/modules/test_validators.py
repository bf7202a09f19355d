"""Validators: standing, election, the walk of the sets, the last commit, and what is remembered of it."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import InvalidBlock, InvalidChainSpec
from chain.modules import beacon, possession, staking, validators
from chain.modules.staking import Bond
from chain.modules.validators import Validate
from chain.modules.validators.calls import Chill, SetCommission
from chain.primitives.codec import replace
from chain.primitives.types import NO_HASH
from chain.validator_set import (
    ValidatorChange,
    ValidatorSet,
    build_validator_set,
    check_continuity,
    compute_total_power,
    rotate,
    update,
)
from chain.votes import CommitCertificate
from tests.chain.support.worlds import (
    EPOCH_BLOCKS,
    ERA_BLOCKS,
    GENESIS_HASH,
    VALIDATORS,
    VIDYA,
    World,
    account,
    build_candidacy,
    build_certificate,
    build_collective,
    consensus_key,
)

ONE, TWO, THREE, FOUR, NEWCOMER = (account(number) for number in (1, 2, 3, 4, 5))


def members(validator_set: ValidatorSet) -> dict[bytes, int]:
    return {member.address: member.power for member in validator_set.validators}


def step(world: World, blocks: int = 1) -> None:
    """Finish so many blocks."""
    for _ in range(blocks):
        if world.height % ERA_BLOCKS == 0:
            world.run(validators.on_era_end)
        world.run(validators.on_block_end)
        world.height += 1


def elect(world: World) -> validators.types.Elected:
    """Hold the election of the present era."""
    world.height = (world.height // ERA_BLOCKS + 1) * ERA_BLOCKS
    (event,) = world.run(validators.on_era_end)
    assert isinstance(event, validators.types.Elected)
    return event


def stand(world: World, number: int, vidya: int) -> None:
    """Bond, commit to a beacon chain and stand."""
    who = account(number)
    world.call(staking.calls.bond, who, Bond(vidya * VIDYA))
    world.call(beacon.commit_chain, who, beacon.CommitChain(b"t" * 32, 100))
    world.call(validators.calls.validate, who, build_candidacy(number))


def test_genesis_elects_who_is_named() -> None:
    """The first sets have the genesis validators with power by stake; NEXT is one selection ahead."""
    world = build_collective()
    expected = {ONE: 100, TWO: 100, THREE: 100, FOUR: 100}
    assert members(validators.get_current(world.state)) == expected
    assert validators.get_next(world.state) == rotate(validators.get_current(world.state))


@pytest.mark.parametrize(
    ("error", "handler", "who", "arguments"),
    [
        (validators.types.BondTooSmall, validators.calls.validate, NEWCOMER, build_candidacy(5)),
        (validators.types.UnusableKey, validators.calls.validate, ONE, Validate(NO_HASH, 0, bytes(64))),
        (validators.types.KeyTaken, validators.calls.validate, ONE, build_candidacy(2, ONE)),
        (validators.types.CommissionOutOfBounds, validators.calls.validate, ONE, build_candidacy(1, ONE, 1)),
        (validators.types.CommissionOutOfBounds, validators.calls.set_commission, ONE, SetCommission(1)),
        (validators.types.NotCandidate, validators.calls.chill, NEWCOMER, Chill()),
        (validators.types.NotCandidate, validators.calls.set_commission, NEWCOMER, SetCommission(1)),
    ],
)
def test_refusals(error, handler, who, arguments) -> None:
    """Every call that may not happen is refused for its reason and leaves no trace."""
    build_collective().refuse(error, handler, who, arguments)


def test_commission_moves_one_step_per_era() -> None:
    """From the era after the last change on it may move by a step, by either call, and then no more."""
    world = build_collective()
    world.go_to_era(1)
    step_ppm = VALIDATORS.commission_step_ppm
    too_far = SetCommission(step_ppm + 1)
    world.refuse(validators.types.CommissionOutOfBounds, validators.calls.set_commission, ONE, too_far)
    world.call(validators.calls.set_commission, ONE, SetCommission(step_ppm))
    world.refuse(validators.types.CommissionOutOfBounds, validators.calls.validate, ONE, build_candidacy(1))
    assert validators.get_commission(world.state, ONE) == step_ppm


def test_tombstoned_can_not_stand() -> None:
    """A tombstoned account cannot stand again, with any key."""
    world = build_collective()
    world.run(staking.tombstone, ONE)
    world.refuse(staking.HostTombstoned, validators.calls.validate, ONE, build_candidacy(9, ONE))


def test_a_key_stands_only_for_the_account_that_it_signed() -> None:
    """Without the key's own signature of account and network nobody stands with it, its owner too."""
    world = build_collective()
    world.call(staking.calls.bond, NEWCOMER, Bond(200 * VIDYA))
    key = consensus_key(5)
    foreign_network = validators.sign_candidacy(key, b"o" * 32, NEWCOMER, 0)
    foreign_account = validators.sign_candidacy(key, GENESIS_HASH, account(6), 0)
    other_key = replace(build_candidacy(6, NEWCOMER), consensus_key=key.public_key)
    unsigned = Validate(key.public_key, 0, bytes(64))
    for call in (foreign_network, foreign_account, other_key, unsigned):
        world.refuse(validators.types.KeyNotProven, validators.calls.validate, NEWCOMER, call)
    world.call(validators.calls.validate, NEWCOMER, build_candidacy(5))


def test_key_change_takes_effect_by_election_and_the_old_key_stays_taken() -> None:
    """A new key signs two heights after the election; nobody else can ever use the old one."""
    world = build_collective()
    new_key = consensus_key(11).public_key
    world.call(validators.calls.validate, ONE, build_candidacy(11, ONE))
    elect(world)
    step(world, 3)
    keys = {member.address: member.consensus_key for member in validators.get_current(world.state).validators}
    assert keys[ONE] == new_key
    world.refuse(validators.types.KeyTaken, validators.calls.validate, TWO, build_candidacy(1, TWO))


def test_sets_move_by_one_selection_per_block() -> None:
    """Without changes each block's NEXT is the one before, rotated once, and the others follow it."""
    world = build_collective()
    expected = validators.get_next(world.state)
    for _ in range(7):
        current = validators.get_current(world.state)
        step(world)
        assert validators.get_previous(world.state) == current
        assert validators.get_current(world.state) == expected
        expected = rotate(expected)
        assert validators.get_next(world.state) == expected


def test_election_takes_effect_two_blocks_later() -> None:
    """Block H elects; the old set still decides H + 1, the new one H + 2."""
    world = build_collective()
    stand(world, 5, 200)
    world.height = ERA_BLOCKS
    assert NEWCOMER in [who for who, _ in elect_here(world).validators]
    step_without_election(world)
    assert NEWCOMER not in members(validators.get_current(world.state))
    step_without_election(world)
    assert members(validators.get_current(world.state))[NEWCOMER] == 200
    assert NEWCOMER not in members(validators.get_members_at(world.state, ERA_BLOCKS + 1))
    assert NEWCOMER in members(validators.get_members_at(world.state, ERA_BLOCKS + 2))


def elect_here(world: World) -> validators.types.Elected:
    (event,) = world.run(validators.on_era_end)
    assert isinstance(event, validators.types.Elected)
    return event


def step_without_election(world: World) -> None:
    world.run(validators.on_block_end)
    world.height += 1


def test_most_powerful_are_elected_ties_by_address() -> None:
    """Of five with room for four the weakest is left out; among equals the largest address."""
    world = build_collective(validators_max=4)
    stand(world, 5, 100)
    assert [who for who, _ in elect(world).validators] == [ONE, TWO, THREE, FOUR]
    world.call(staking.calls.bond, NEWCOMER, Bond(VIDYA))
    assert [who for who, _ in elect(world).validators] == [ONE, TWO, THREE, NEWCOMER]


@pytest.mark.parametrize("fault", ["jail", "chill", "bond", "tombstone"])
def test_who_may_not_be_elected_is_not(fault: str) -> None:
    """In jail, chilled, below the minimum bond or tombstoned: not elected while enough others are."""
    world = build_collective()
    if fault == "jail":
        world.run(staking.jail, FOUR, 9)
    elif fault == "chill":
        world.call(validators.calls.chill, FOUR, Chill())
    elif fault == "bond":
        world.call(staking.calls.unbond, FOUR, staking.calls.Unbond(91 * VIDYA))
    else:
        world.run(staking.tombstone, FOUR)
    event = elect(world)
    assert [who for who, _ in event.validators] == [ONE, TWO, THREE]
    assert event.unpaid == ()


def test_no_beacon_chain_no_election() -> None:
    """A candidate that could not reveal in the next epoch is passed over."""
    world = build_collective()
    world.call(staking.calls.bond, NEWCOMER, Bond(200 * VIDYA))
    world.call(validators.calls.validate, NEWCOMER, build_candidacy(5))
    assert NEWCOMER not in [who for who, _ in elect(world).validators]


def test_chain_is_not_elected_to_death() -> None:
    """If more than a third of the power fell out, those who did stay, unpaid, and come back as before."""
    world = build_collective()
    for who in (THREE, FOUR):
        world.run(staking.jail, who, 9)
    event = elect(world)
    assert [who for who, _ in event.validators] == [ONE, TWO, THREE, FOUR]
    assert event.unpaid == (THREE, FOUR)
    world.run(staking.unjail, THREE)
    event = elect(world)
    assert [who for who, _ in event.validators] == [ONE, TWO, THREE]
    assert event.unpaid == ()


def test_chilled_and_tombstoned_do_not_stay_even_in_need() -> None:
    """Of those who fell out only who still wants to and may serve is kept."""
    world = build_collective()
    world.call(validators.calls.chill, TWO, Chill())
    world.run(staking.tombstone, THREE)
    world.run(staking.jail, FOUR, 9)
    event = elect(world)
    assert [who for who, _ in event.validators] == [ONE, FOUR]
    assert event.unpaid == (FOUR,)


def test_if_nobody_stands_the_old_ones_stay() -> None:
    """A chain whose validators have all chilled goes on with them."""
    world = build_collective()
    for who in (ONE, TWO, THREE, FOUR):
        world.call(validators.calls.chill, who, Chill())
    assert [who for who, _ in elect(world).validators] == [ONE, TWO, THREE, FOUR]


def test_nothing_proven_counts_once_something_is_admitted() -> None:
    """With data admitted when an era began, hosts that proved none fall out together: all stay, unpaid."""
    world = build_collective(is_listed=True)
    assert elect(world).unpaid == ()
    world.run(possession.on_era_end)
    world.height += ERA_BLOCKS
    world.run(possession.on_era_end)
    (event,) = world.run(validators.on_era_end)
    assert event.candidates == 0
    assert event.unpaid == (ONE, TWO, THREE, FOUR)


def test_jailed_is_removed_while_enough_stay() -> None:
    """One of four goes two blocks later; a second would leave less than 2/3 and stays unpaid."""
    world = build_collective()
    world.run(staking.jail, FOUR, 9)
    assert world.run(validators.remove, FOUR) == [validators.types.Removed(FOUR)]
    world.run(staking.jail, THREE, 9)
    assert world.run(validators.remove, THREE) == [validators.types.RemovalDeferred(THREE)]
    step(world, 2)
    assert sorted(members(validators.get_current(world.state))) == [ONE, TWO, THREE]
    assert world.run(validators.remove, NEWCOMER) == []


def test_tombstoned_is_removed_unless_the_last() -> None:
    """Safety of the elected power is no reason to keep an equivocator, but a chain needs one validator."""
    world = build_collective()
    for who in (FOUR, THREE, TWO):
        world.run(staking.tombstone, who)
        assert world.run(validators.remove, who) == [validators.types.Removed(who)]
    world.run(staking.tombstone, ONE)
    assert world.run(validators.remove, ONE) == [validators.types.RemovalDeferred(ONE)]
    step(world, 8)
    assert sorted(members(validators.get_current(world.state))) == [ONE]


powers = st.dictionaries(st.integers(1, 30), st.integers(3, 10**9), min_size=1, max_size=12)


def build_changes(wanted: dict[int, int]) -> tuple[ValidatorChange, ...]:
    return tuple(ValidatorChange(account(n), consensus_key(n).public_key, wanted[n]) for n in sorted(wanted))


@settings(max_examples=60, deadline=None)
@given(powers, powers)
def test_walk_keeps_two_thirds_and_arrives(old: dict[int, int], new: dict[int, int]) -> None:
    """From any set to any other: each step keeps 2/3 of the power, and the walk ends at the target."""
    walk = [build_validator_set(build_changes(old))]
    target = build_changes(new)
    while changes := validators.sets.compute_step(walk[-1], target):
        walk.append(update(rotate(walk[-1]), changes))
        assert len(walk) < 100, "the walk does not arrive"
    for before, after in pairwise(walk):
        check_continuity(before, after)
    assert members(walk[-1]) == {account(n): power for n, power in new.items()}


def test_commit_is_counted_per_signer() -> None:
    """A signer gains weight by power, others only owe one commit more; the proposer has one block more."""
    world = build_collective()
    world.height = 1
    world.run(validators.process_last_commit, None)
    step(world)
    world.run(validators.process_last_commit, build_certificate(world, [1, 2, 3]))
    entries = {entry.validator: entry for entry in validators.get_participation(world.state, 0)}
    assert entries[ONE] == validators.Participation(ONE, due=1, signed=1, proposed=2, weight=100)
    assert entries[TWO] == validators.Participation(TWO, due=1, signed=1, weight=100)
    assert entries[FOUR] == validators.Participation(FOUR, due=1)
    world.run(validators.forfeit, ONE)
    assert validators.get_participation(world.state, 0)[0].weight == 0


def test_tally_starts_afresh_with_the_epoch() -> None:
    """The first block of an epoch counts for it, though its commit is of the epoch before."""
    world = build_collective()
    world.height = 1
    for _ in range(EPOCH_BLOCKS):
        certificate = build_certificate(world, [1, 2, 3, 4]) if world.height > 1 else None
        world.run(validators.process_last_commit, certificate)
        step(world)
    world.run(validators.process_last_commit, build_certificate(world, [1, 2, 3, 4]))
    assert validators.get_participation(world.state, 0) == ()
    assert [entry.due for entry in validators.get_participation(world.state, 1)] == [1, 1, 1, 1]


def test_unpaid_members_gather_no_weight() -> None:
    """Members that stay only because too few qualify earn nothing by signing."""
    world = build_collective()
    for who in (THREE, FOUR):
        world.run(staking.jail, who, 9)
    elect(world)
    step_without_election(world)
    world.run(validators.process_last_commit, build_certificate(world, [1, 2, 3, 4]))
    weights = [entry.weight for entry in validators.get_participation(world.state, world.context().epoch)]
    assert weights == [100, 100, 0, 0]


@pytest.mark.parametrize("wrong", ["missing", "height", "power", "unsigned"])
def test_wrong_commit_makes_the_block_invalid(wrong: str) -> None:
    """A missing, old, too light or forged commit of the last block is no commit."""
    world = build_collective()
    world.height = 1
    step(world)
    good = build_certificate(world, [1, 2, 3])
    first = replace(good.signatures[0], signature=good.signatures[1].signature)
    wrongs: dict[str, CommitCertificate | None] = {
        "missing": None,
        "height": replace(good, height=0),
        "power": build_certificate(world, [1, 2]),
        "unsigned": replace(good, signatures=(first, *good.signatures[1:])),
    }
    with pytest.raises(InvalidBlock):
        validators.process_last_commit(world.context(), wrongs[wrong])
    world.run(validators.process_last_commit, good)


def test_older_commit_is_refused() -> None:
    """A true commit of an earlier block does not stand in for that of the last one."""
    world = build_collective()
    world.height = 2
    old = build_certificate(world, [1, 2, 3])
    world.height = 3
    with pytest.raises(InvalidBlock):
        validators.process_last_commit(world.context(), old)


def test_first_block_has_no_commit() -> None:
    """Nobody decided height 0."""
    world = build_collective()
    world.height = 2
    certificate = build_certificate(world, [1, 2, 3])
    world.height = 1
    with pytest.raises(InvalidBlock):
        validators.process_last_commit(world.context(), certificate)


def test_history_lasts_as_long_as_evidence() -> None:
    """Members of a height are known until an offence there would be expired, then forgotten."""
    world = build_collective()
    stand(world, 5, 200)
    world.height = 1
    step(world, ERA_BLOCKS + 2)
    old = validators.get_members_at(world.state, 5)
    assert NEWCOMER not in members(old)
    for _ in range(40):
        height_now, time_now = world.height, world.context().time_ms
        is_expired = validators.is_expired(world.state, height_now, time_now, ERA_BLOCKS)
        assert is_expired or validators.get_members_at(world.state, ERA_BLOCKS) == old
        step(world)
    assert validators.get_members_at(world.state, 5) is None
    assert NEWCOMER in members(validators.get_members_at(world.state, world.height))
    assert len(list(validators.types.EPOCH_ENDS.items(world.state))) <= 20 // EPOCH_BLOCKS + 2


def test_step_at_the_target_is_nothing() -> None:
    """A set that has arrived is left alone."""
    world = build_collective()
    following = validators.get_next(world.state)
    assert validators.sets.compute_step(following, validators.queries.get_target(world.state)) == ()
    assert compute_total_power(following) == 400


@pytest.mark.parametrize(
    "change",
    [
        {"validators_min": 0},
        {"validators_min": 5, "validators_max": 4},
        {"validators_max": 129},
        {"power_unit": 999},
    ],
)
def test_nonsense_parameters_are_refused(change: dict[str, int]) -> None:
    """A chain spec whose sets could be empty or overflow starts no chain."""
    with pytest.raises(InvalidChainSpec):
        build_collective(**change)
