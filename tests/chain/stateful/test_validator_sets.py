"""Validator sets under random use: who joins, leaves, is thrown out and comes back, in any block.

After each block: the set that decides the next height was known one block before (what block H decides takes
effect at H+2), no block takes more than a third of the power away, history names who decided every height
that can still be reported, and proposer turns are exact to the unit.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.modules import beacon, offences, staking, validators
from chain.modules.staking import Bond
from chain.modules.staking.calls import Unbond
from chain.modules.validators.calls import Chill
from chain.primitives.types import Address
from chain.validator_set import (
    ValidatorChange,
    ValidatorSet,
    build_roster,
    build_validator_set,
    check_continuity,
    check_validator_set,
    compute_proposer,
    compute_total_power,
    get_priority,
    rotate,
    update,
)
from tests.chain.modules.test_offences import build_evidence
from tests.chain.support.worlds import (
    ERA_BLOCKS,
    VIDYA,
    account,
    build_candidacy,
    build_collective,
    consensus_key,
    run_block,
)

NUMBERS = st.integers(1, 9)
REPORTER = account(9)


class SetMachine(RuleBasedStateMachine):
    """Four validators, five others who may become some."""

    def __init__(self) -> None:
        super().__init__()
        self.world = build_collective()
        self.decided: dict[int, ValidatorSet] = {1: validators.get_current(self.world.state)}
        """Height -> the set that decides it."""
        self._note_next()

    def _note_next(self) -> None:
        self.decided[self.world.height + 2] = validators.get_next(self.world.state)

    @rule(number=NUMBERS, coins=st.integers(10, 300))
    def join(self, number: int, coins: int) -> None:
        """Bond and stand; again, after having left."""
        who = account(number)
        if staking.is_tombstoned(self.world.state, who):
            return
        self.world.call(staking.calls.bond, who, Bond(coins * VIDYA // 10))
        if not beacon.has_links(self.world.state, who, self.world.context().epoch + 1):
            self.world.call(beacon.commit_chain, who, beacon.CommitChain(b"t" * 32, 1_000))
        if staking.get_bond(self.world.state, who) >= 10 * VIDYA:
            self.world.call(validators.calls.validate, who, build_candidacy(number))

    @rule(number=NUMBERS, share=st.sampled_from((1, 2, 10)))
    def leave(self, number: int, share: int) -> None:
        """Stand no more, and take out some or all of the bond."""
        who = account(number)
        candidate = validators.queries.get_candidate(self.world.state, who)
        if candidate is not None and not candidate.is_chilled:
            self.world.call(validators.calls.chill, who, Chill())
        bond = staking.get_bond(self.world.state, who)
        if bond >= share:
            self.world.call(staking.calls.unbond, who, Unbond(bond // share))

    @rule(number=NUMBERS)
    def leave_and_return(self, number: int) -> None:
        """Both within one block, which changes nothing."""
        who = account(number)
        candidate = validators.queries.get_candidate(self.world.state, who)
        if candidate is None or candidate.is_chilled or staking.is_tombstoned(self.world.state, who):
            return
        if staking.get_bond(self.world.state, who) < 10 * VIDYA:
            return
        before = validators.queries.get_target(self.world.state), validators.get_next(self.world.state)
        self.world.call(validators.calls.chill, who, Chill())
        self.world.call(validators.calls.validate, who, build_candidacy(number))
        assert before == (
            validators.queries.get_target(self.world.state),
            validators.get_next(self.world.state),
        )

    @precondition(lambda self: self.world.height > 0)
    @rule(turn=st.integers(0, 8), age=st.integers(0, 12))
    def equivocate(self, turn: int, age: int) -> None:
        """Evidence against somebody who was in the set at some height: slashed, out, and never back."""
        height = max(self.world.height - age, 1)
        members = self.decided[height].validators
        who = members[turn % len(members)].address
        if (
            staking.is_tombstoned(self.world.state, who)
            or len(validators.queries.get_target(self.world.state)) < 3
        ):
            return
        self.world.call(offences.report, REPORTER, offences.Report(build_evidence(who[0], height)))
        assert who not in [one.address for one in validators.queries.get_target(self.world.state)]

    @rule(blocks=st.sampled_from((1, 1, 2, 5, ERA_BLOCKS)))
    def pass_blocks(self, blocks: int) -> None:
        """Time goes by."""
        for _ in range(blocks):
            run_block(self.world)
            state, height = self.world.state, self.world.height
            assert validators.get_previous(state) == self.decided[height]
            assert validators.get_current(state) == self.decided[height + 1]
            self._note_next()
            check_step(self.decided[height + 1], self.decided[height + 2])
            check_turn(self.decided[height + 1], self.decided[height + 2])

    @invariant()
    def history_is_true(self) -> None:
        """For every height that can be reported, the members and powers that decided it are known."""
        state, now = self.world.state, self.world.context()
        for height in range(max(1, now.height - 30), now.height + 3):
            if not validators.is_expired(state, now.height, now.time_ms, height):
                known = validators.get_members_at(state, height)
                assert known is not None and build_roster(known) == build_roster(self.decided[height])

    @invariant()
    def nobody_out_for_good_is_elected(self) -> None:
        """The target has no tombstoned member, as long as there is anybody else."""
        target = validators.queries.get_target(self.world.state)
        gone = [one for one in target if staking.is_tombstoned(self.world.state, one.address)]
        assert not gone or len(target) == len(gone)

    def teardown(self) -> None:
        """Left alone, the last set gives turns by power: never three more or fewer than the share."""
        last = self.decided[max(self.decided)]
        total, turns = compute_total_power(last), dict.fromkeys((m.address for m in last.validators), 0)
        for count in range(1, 2 * total + 1):
            turns[compute_proposer(last, 0).address] += 1
            last = rotate(last)
            if count % 50 == 0:
                for member in last.validators:
                    assert abs(total * turns[member.address] - count * member.power) <= 3 * total


def check_step(before: ValidatorSet, after: ValidatorSet) -> None:
    """A valid set, which keeps two thirds of the power of the one before."""
    check_validator_set(after)
    check_continuity(before, after)
    lost = sum(get_powers(before).values()) - sum(
        min(power, get_powers(after).get(who, 0)) for who, power in get_powers(before).items()
    )
    assert 3 * lost <= compute_total_power(before)


def check_turn(before: ValidatorSet, after: ValidatorSet) -> None:
    """Between two validators of a set that does not change, one block moves by exactly power and turn."""
    priorities = [get_priority(member) for member in before.validators]
    total = compute_total_power(before)
    if build_roster(before) != build_roster(after) or max(priorities) - min(priorities) > 2 * total:
        return
    chosen = compute_proposer(before, 0).address
    gains = [
        get_priority(new) - get_priority(old) - old.power + total * (old.address == chosen)
        for old, new in zip(before.validators, after.validators, strict=True)
    ]
    assert len(set(gains)) == 1, "somebody was favoured"


def get_powers(validator_set: ValidatorSet) -> dict[Address, int]:
    """Power by address."""
    return {member.address: member.power for member in validator_set.validators}


TestSetMachine = SetMachine.TestCase
TestSetMachine.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_all_leave_and_others_join_in_one_era() -> None:
    """At the election nobody of the old set stands, and all of the new: the walk keeps 2/3 each block."""
    machine = SetMachine()
    for number in range(5, 9):
        machine.join(number, 200)
    for number in range(1, 5):
        machine.leave(number, 1)
    machine.pass_blocks(2 * ERA_BLOCKS)
    assert set(get_powers(machine.decided[machine.world.height + 2])) == {account(n) for n in range(5, 9)}
    machine.teardown()


def test_all_leave_but_one() -> None:
    """Where one alone stands, those who chilled go, block by block, and it decides alone."""
    machine = SetMachine()
    for number in (1, 2, 4):
        machine.leave(number, 1)
    machine.pass_blocks(2 * ERA_BLOCKS)
    assert get_powers(machine.decided[machine.world.height + 2]) == {account(3): 100}


def test_joined_and_left_in_one_era_was_never_there() -> None:
    """A candidate that chills before the election decides no height and has no turn."""
    machine = SetMachine()
    machine.join(5, 200)
    machine.pass_blocks(3)
    machine.leave(5, 1)
    machine.pass_blocks(2 * ERA_BLOCKS)
    assert all(account(5) not in get_powers(one) for one in machine.decided.values())


@pytest.mark.parametrize(
    ("powers", "steps"), [((1, 1, 1), 1), ((10, 10, 10), 1), ((10, 10, 11), 2), ((20, 1, 90), 5)]
)
def test_a_third_may_go_at_once_and_no_more(powers: tuple[int, ...], steps: int) -> None:
    """The last of the set leaves: a third of the power in one block, a unit more takes two."""
    changes = tuple(
        ValidatorChange(account(number), consensus_key(number).public_key, power)
        for number, power in enumerate(powers, start=1)
    )
    walk = [build_validator_set(changes)]
    while step := validators.sets.compute_step(walk[-1], changes[:2]):
        walk.append(update(rotate(walk[-1]), step))
        check_step(walk[-2], walk[-1])
    assert len(walk) - 1 == steps
    assert get_powers(walk[-1]) == {account(1): powers[0], account(2): powers[1]}
