"""The validator set rotates fairly, changes by the written rule, and refuses what would break it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.primitives.codec import decode, encode
from chain.validator_set import (
    POWER_TOTAL_MAX,
    PRIORITY_BIAS,
    VALIDATORS_MAX,
    InvalidValidatorSet,
    Roster,
    Validator,
    ValidatorChange,
    ValidatorSet,
    build_roster,
    build_validator_set,
    check_continuity,
    check_validator_set,
    compute_hash,
    compute_kept_power,
    compute_priorities_hash,
    compute_proposer,
    compute_roster_hash,
    compute_total_power,
    get_position,
    get_priority,
    get_validator,
    has_honest_member,
    is_quorum,
    rotate,
    update,
)

powers_lists = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def change(number: int, power: int) -> ValidatorChange:
    """Validator `number` (from 1): addresses sort as numbers do."""
    return ValidatorChange(bytes([number]) * 32, bytes([100 + number]) * 32, power)


def build(*powers: int) -> ValidatorSet:
    return build_validator_set(change(number, power) for number, power in enumerate(powers, 1))


def take_turns(validator_set: ValidatorSet, count: int) -> list[int]:
    """The numbers of the proposers of round 0 over some heights."""
    turns = []
    for _ in range(count):
        turns.append(compute_proposer(validator_set, 0).address[0])
        validator_set = rotate(validator_set)
    return turns


def priorities(validator_set: ValidatorSet) -> list[int]:
    return [get_priority(validator) for validator in validator_set.validators]


def test_powers_one_and_three() -> None:
    """The published sequence for powers 1, 3: p2, p1, p2, p2, repeated (Tendermint specification)."""
    assert take_turns(build(1, 3), 12) == [2, 1, 2, 2] * 3


def test_powers_one_two_three() -> None:
    """In any six turns each is elected exactly its power times."""
    turns = take_turns(build(1, 2, 3), 30)
    for start in range(24):
        window = turns[start : start + 6]
        assert [window.count(number) for number in (1, 2, 3)] == [1, 2, 3]


@given(powers_lists)
def test_turns_are_exactly_proportional(powers: list[int]) -> None:
    """Over as many turns as there is power, each has exactly as many as its power, and all begins again."""
    validator_set = build(*powers)
    turns = take_turns(validator_set, sum(powers))
    assert [turns.count(number) for number in range(1, len(powers) + 1)] == powers
    for _ in range(sum(powers)):
        validator_set = rotate(validator_set)
    assert set(priorities(validator_set)) == {0}


@given(powers_lists, st.integers(0, 20))
def test_rounds_are_further_selections(powers: list[int], round: int) -> None:
    """Round r of a height has the proposer that round 0 would have r heights later."""
    validator_set = build(*powers)
    assert compute_proposer(validator_set, round).address[0] == take_turns(validator_set, round + 1)[-1]


def test_ties_go_to_the_smaller_address() -> None:
    """Equal validators take turns in the order of their addresses."""
    assert take_turns(build(5, 5, 5), 6) == [1, 2, 3, 1, 2, 3]


def test_rounding_of_negative_priorities() -> None:
    """Scaling and centring round towards minus infinity, the ratio up: worked through by hand.

    Powers 1, 1, 1: P = 3, window 6. Priorities -7, 0, 3: spread 10, ratio ceil(10 / 6) = 2; floored halves
    -4, 0, 1; sum -3, mean -1; centred -3, 1, 2; with power -2, 2, 3; the third is chosen and pays 3.
    """
    raw = zip((1, 2, 3), (-7, 0, 3), strict=True)
    members = tuple(
        Validator(bytes([n]) * 32, bytes([100 + n]) * 32, 1, priority + PRIORITY_BIAS) for n, priority in raw
    )
    validator_set = ValidatorSet(members)
    assert compute_proposer(validator_set, 0).address[0] == 3
    assert priorities(rotate(validator_set)) == [-2, 2, 0]


def test_mean_rounds_down() -> None:
    """A sum of -1 over two validators has the mean -1, not 0."""
    raw = zip((1, 2), (0, -1), strict=True)
    members = tuple(
        Validator(bytes([n]) * 32, bytes([100 + n]) * 32, 1, priority + PRIORITY_BIAS) for n, priority in raw
    )
    assert priorities(rotate(ValidatorSet(members))) == [0, 1]


def test_a_new_validator_does_not_jump_the_queue() -> None:
    """It starts at -(P + P >> 3), P being the total with it, before scaling and centring."""
    validator_set = update(rotate(build(1000, 2000, 3000)), [change(4, 500)])
    # P = 6500; priorities 1000, 2000, -3000, -7312: the spread 9312 fits 13000; the mean is floor(-7312 / 4).
    assert priorities(validator_set) == [2828, 3828, -1172, -5484]
    assert 4 not in take_turns(validator_set, 7)


def test_leaving_and_returning_gains_nothing() -> None:
    """A validator that proposes, leaves and returns at once proposes no earlier than if it had stayed."""
    stayed = rotate(rotate(build(10, 10, 10)))
    returned = update(update(stayed, [change(1, 0)]), [change(1, 10)])
    assert take_turns(returned, 4).index(1) >= take_turns(stayed, 4).index(1)


def test_update_changes_keys_and_powers_in_place() -> None:
    """A known validator keeps its priority; its key and power are replaced."""
    validator_set = rotate(build(1, 3))
    updated = update(validator_set, [ValidatorChange(bytes([1]) * 32, b"k" * 32, 5)])
    assert get_validator(updated, bytes([1]) * 32) == Validator(
        bytes([1]) * 32, b"k" * 32, 5, PRIORITY_BIAS + 1
    )
    assert compute_total_power(updated) == 8


@pytest.mark.parametrize(
    "changes",
    [
        [change(1, 0), change(2, 0)],
        [change(3, 0)],
        [change(1, 1), change(1, 2)],
        [change(3, POWER_TOTAL_MAX)],
        [change(3, POWER_TOTAL_MAX + 1)],
        [change(3, -1)],
        [ValidatorChange(bytes([3]) * 32, bytes([101]) * 32, 1)],
        [
            ValidatorChange(i.to_bytes(32, "big"), i.to_bytes(32, "big"), 1)
            for i in range(3, VALIDATORS_MAX + 2)
        ],
    ],
    ids=["empty", "unknown", "twice", "overflow", "too large", "negative", "key in use", "too many"],
)
def test_update_refuses(changes: list[ValidatorChange]) -> None:
    """A change that would break the set is refused as a whole."""
    validator_set = build(1, 3)
    with pytest.raises(InvalidValidatorSet):
        update(validator_set, changes)
    assert validator_set == build(1, 3)


def test_the_total_power_may_reach_its_bound() -> None:
    """At the largest total, priorities still fit: selections over many turns encode and decode."""
    validator_set = build(POWER_TOTAL_MAX - 2, 1)
    validator_set = update(validator_set, [change(3, 1)])
    for _ in range(20):
        validator_set = rotate(validator_set)
        assert decode(ValidatorSet, encode(validator_set)) == validator_set


@given(
    powers_lists, st.lists(st.tuples(st.integers(1, 10), st.integers(0, POWER_TOTAL_MAX // 20)), max_size=30)
)
def test_priorities_stay_within_their_bound(powers: list[int], changes: list[tuple[int, int]]) -> None:
    """Whatever joins, leaves and changes, a selection leaves priorities within 3 times the total power."""
    validator_set = build(*powers)
    for number, power in changes:
        try:
            validator_set = update(validator_set, [change(number, power)])
        except InvalidValidatorSet:
            continue
        validator_set = rotate(validator_set)
        check_validator_set(validator_set)
        bound = 3 * compute_total_power(validator_set)
        assert all(abs(priority) <= bound for priority in priorities(validator_set))


@pytest.mark.parametrize(
    "members",
    [
        (),
        (Validator(b"b" * 32, b"1" * 32, 1), Validator(b"a" * 32, b"2" * 32, 1)),
        (Validator(b"a" * 32, b"1" * 32, 1), Validator(b"a" * 32, b"2" * 32, 1)),
        (Validator(b"a" * 32, b"1" * 32, 1), Validator(b"b" * 32, b"1" * 32, 1)),
        (Validator(b"a" * 32, b"1" * 32, 0),),
        (Validator(b"a" * 32, b"1" * 32, POWER_TOTAL_MAX), Validator(b"b" * 32, b"2" * 32, 1)),
    ],
    ids=["empty", "order", "twice", "one key", "no power", "overflow"],
)
def test_a_set_from_outside_is_checked(members: tuple[Validator, ...]) -> None:
    """`check_validator_set` refuses a set that breaks an invariant."""
    with pytest.raises(InvalidValidatorSet):
        check_validator_set(ValidatorSet(members))


def test_looking_up() -> None:
    """Members are found by address at their position, others are absent."""
    validator_set = build(1, 2, 3)
    assert [get_position(validator_set, bytes([n]) * 32) for n in (0, 1, 2, 3, 4)] == [None, 0, 1, 2, None]
    assert get_validator(validator_set, bytes([9]) * 32) is None


def test_the_hashes_cover_keys_powers_and_priorities() -> None:
    """A roster's hash is the same while only priorities move; that of the priorities never is."""
    base = build(1, 3)
    others = [rotate(base), build(1, 4), update(base, [ValidatorChange(bytes([1]) * 32, b"k" * 32, 1)])]
    assert len({compute_priorities_hash(one) for one in (base, *others)}) == 4
    assert compute_hash(base) == compute_hash(rotate(base)) == compute_roster_hash(build_roster(base))
    assert len({compute_hash(one) for one in (base, *others)}) == 3


@given(powers_lists)
def test_a_roster_gives_its_set_again(powers: list[int]) -> None:
    """Only the priorities are lost; members in another order have another hash."""
    roster = build_roster(rotate(build(*powers)))
    assert build_validator_set(roster.validators) == build(*powers)
    turned = Roster(roster.validators[::-1])
    assert turned == roster or compute_roster_hash(turned) != compute_roster_hash(roster)


def test_thresholds() -> None:
    """More than two thirds is a quorum, more than one third has an honest member; exactly that is not."""
    assert [is_quorum(power, 9) for power in (6, 7)] == [False, True]
    assert [has_honest_member(power, 9) for power in (3, 4)] == [False, True]


def test_continuity() -> None:
    """A change that leaves two thirds of the old power passes, one that takes more at once does not."""
    old = build(3, 3, 3)
    assert compute_kept_power(old, update(old, [change(1, 1)])) == 7
    check_continuity(old, update(old, [change(1, 0), change(4, 100)]))
    with pytest.raises(InvalidValidatorSet):
        check_continuity(old, update(old, [change(1, 0), change(2, 2)]))
