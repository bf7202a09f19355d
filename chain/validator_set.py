"""The validators of one height, with power and proposer priority (deterministic weighted round robin).

Invariants: validators are sorted by address, addresses and consensus keys are unique, every power is
positive, the total is at most POWER_TOTAL_MAX. The stored set of height H is the one *before* its first
selection: the proposer of round r is the validator chosen by selection r + 1 on a copy, and the set of height
H + 1 is `rotate` of it.

One selection, in this order (divisions round towards minus infinity, except the ratio, which rounds up):
  1. scale   if highest - lowest priority > 2 * P, divide each priority by ceil((highest - lowest) / (2 * P))
  2. centre  subtract floor(sum of priorities / count) from each
  3. add     each validator's power to its priority
  4. choose  the highest priority, on a tie the smaller address
  5. subtract P, the total power, from the chosen one's priority
After CometBFT's ProposerPriority, which scales and centres once per call where we do it once per selection,
so that the sequence does not depend on how selections are grouped. A new validator starts at -(P + P >> 3), P
being the total after the change, so that leaving and returning does not jump the queue.

Priorities can be negative, but the codec has no negative numbers: a record holds priority + PRIORITY_BIAS,
and only `get_priority` and `_with_priority` know that. This file does not decide who is elected or when a
set takes effect.

ChainError
└── InvalidValidatorSet   a change that would empty, overflow or otherwise break the set
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from chain.primitives.codec import Record
from chain.primitives.errors import ChainError
from chain.primitives.fixed_point import div_up
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import Address, Hash, PublicKey, Round, Uint

VALIDATORS_MAX = 256
PRIORITY_BIAS = 2**62
POWER_TOTAL_MAX = 2**60
"""A centred priority is within 2 * P of zero, after a selection within 3 * P, which is below the bias."""

Power = Annotated[int, Meta(ge=0, le=POWER_TOTAL_MAX)]


class InvalidValidatorSet(ChainError):
    """The members or the change break an invariant of the set."""


class Validator(Record):
    """A member of a set: `address` is its account, `consensus_key` signs its votes and proposals."""

    address: Address
    consensus_key: PublicKey
    power: Power
    priority_biased: Uint = PRIORITY_BIAS


class ValidatorChange(Record):
    """A member's key and power from now on; power 0 removes it, an unknown address joins."""

    address: Address
    consensus_key: PublicKey
    power: Power


class Roster(Record):
    """The validators that decide a height, with keys and powers, sorted by address; without priorities.

    Headers name it by its hash, which stays the same while nobody joins, leaves or changes power.
    """

    validators: Annotated[tuple[ValidatorChange, ...], Meta(max_length=VALIDATORS_MAX)]


class ValidatorSet(Record):
    """The members, sorted by address."""

    validators: Annotated[tuple[Validator, ...], Meta(max_length=VALIDATORS_MAX)]


def build_validator_set(members: Iterable[ValidatorChange]) -> ValidatorSet:
    """A set in which all priorities are 0; raises InvalidValidatorSet."""
    ordered = sorted(members, key=lambda member: member.address)
    validators = tuple(Validator(m.address, m.consensus_key, m.power) for m in ordered)
    check_validator_set(ValidatorSet(validators))
    return ValidatorSet(validators)


def check_validator_set(validator_set: ValidatorSet) -> None:
    """Raises InvalidValidatorSet unless the set's invariants hold."""
    members = validator_set.validators
    if not 0 < len(members) <= VALIDATORS_MAX:
        raise InvalidValidatorSet(f"{len(members)} validators, from 1 to {VALIDATORS_MAX} allowed")
    if any(left.address >= right.address for left, right in pairwise(members)):
        raise InvalidValidatorSet("addresses are not strictly ascending")
    if len({member.consensus_key for member in members}) != len(members):
        raise InvalidValidatorSet("two validators share a consensus key")
    if any(member.power <= 0 for member in members):
        raise InvalidValidatorSet("a validator has no power")
    if compute_total_power(validator_set) > POWER_TOTAL_MAX:
        raise InvalidValidatorSet("the total power overflows")


def compute_total_power(validator_set: ValidatorSet) -> int:
    """The sum of all powers."""
    return sum(member.power for member in validator_set.validators)


def is_quorum(power: int, total: int) -> bool:
    """Whether `power` is more than two thirds of `total`: two such groups share an honest validator."""
    return 3 * power > 2 * total


def has_honest_member(power: int, total: int) -> bool:
    """Whether `power` is more than one third of `total`: at least one of the group is honest."""
    return 3 * power > total


def get_position(validator_set: ValidatorSet, address: Address) -> int | None:
    """The index of the validator with this address, None if it is not in the set."""
    members = validator_set.validators
    position = bisect_left(members, address, key=lambda member: member.address)
    return position if position < len(members) and members[position].address == address else None


def get_validator(validator_set: ValidatorSet, address: Address) -> Validator | None:
    """The validator with this address, None if it is not in the set."""
    position = get_position(validator_set, address)
    return None if position is None else validator_set.validators[position]


def get_priority(validator: Validator) -> int:
    """The proposer priority; may be negative."""
    return validator.priority_biased - PRIORITY_BIAS


def build_roster(validator_set: ValidatorSet) -> Roster:
    """The set without priorities."""
    members = validator_set.validators
    return Roster(tuple(ValidatorChange(one.address, one.consensus_key, one.power) for one in members))


def compute_roster_hash(roster: Roster) -> Hash:
    """The hash by which headers name a roster."""
    return hash_record(Domain.VALIDATOR_SET, roster)


def compute_hash(validator_set: ValidatorSet) -> Hash:
    """The hash of the set's roster."""
    return compute_roster_hash(build_roster(validator_set))


def compute_priorities_hash(validator_set: ValidatorSet) -> Hash:
    """The hash of a set with priorities, for headers: otherwise wrong priorities would only cost liveness."""
    return hash_record(Domain.VALIDATOR_PRIORITIES, validator_set)


def rotate(validator_set: ValidatorSet) -> ValidatorSet:
    """The set after one selection: the set of the next height, if nobody joins, leaves or changes power."""
    return _select(validator_set)[0]


def compute_proposer(validator_set: ValidatorSet, round: Round) -> Validator:
    """The proposer of `round` at the height that this set is stored for. Costs `round` + 1 selections."""
    chosen = validator_set.validators[0]
    for _ in range(round + 1):
        validator_set, chosen = _select(validator_set)
    return chosen


def update(validator_set: ValidatorSet, changes: Sequence[ValidatorChange]) -> ValidatorSet:
    """The set with `changes` applied, scaled and centred; raises InvalidValidatorSet."""
    members = {member.address: member for member in validator_set.validators}
    _check_changes(members, changes)
    powers = {address: member.power for address, member in members.items()}
    powers.update((change.address, change.power) for change in changes)
    total = sum(powers.values())
    joining_priority = -(total + (total >> 3))
    for change in changes:
        old = members.get(change.address)
        priority = joining_priority if old is None else get_priority(old)
        members[change.address] = _build_validator(change, priority)
    updated = ValidatorSet(tuple(members[address] for address in sorted(members) if powers[address] > 0))
    check_validator_set(updated)
    return _with_priorities(updated, _compute_centred(updated))


def compute_kept_power(old: ValidatorSet, new: ValidatorSet) -> int:
    """The old set's power that the new one keeps: the sum of the smaller of each member's two powers."""
    powers = {member.address: member.power for member in new.validators}
    return sum(min(member.power, powers.get(member.address, 0)) for member in old.validators)


def check_continuity(old: ValidatorSet, new: ValidatorSet) -> None:
    """Raises InvalidValidatorSet if one block would take away more than a third of the old power.

    CometBFT has no such rule. It keeps skipping verification by light clients cheap.
    """
    if 3 * compute_kept_power(old, new) < 2 * compute_total_power(old):
        raise InvalidValidatorSet("more than a third of the power would leave at once")


def _select(validator_set: ValidatorSet) -> tuple[ValidatorSet, Validator]:
    """The set after one selection, and the chosen validator."""
    members = validator_set.validators
    centred = _compute_centred(validator_set)
    priorities = [priority + member.power for priority, member in zip(centred, members, strict=True)]
    # The first of the highest is the one with the smallest address, because members are sorted.
    chosen = priorities.index(max(priorities))
    priorities[chosen] -= compute_total_power(validator_set)
    return _with_priorities(validator_set, priorities), members[chosen]


def _compute_centred(validator_set: ValidatorSet) -> list[int]:
    """The priorities, scaled into a window of 2 * P and moved so that their mean is zero (rounded down)."""
    priorities = [get_priority(member) for member in validator_set.validators]
    window = 2 * compute_total_power(validator_set)
    spread = max(priorities) - min(priorities)
    if spread > window:
        ratio = div_up(spread, window)
        priorities = [priority // ratio for priority in priorities]
    mean = sum(priorities) // len(priorities)
    return [priority - mean for priority in priorities]


def _check_changes(members: Mapping[Address, Validator], changes: Sequence[ValidatorChange]) -> None:
    if len({change.address for change in changes}) != len(changes):
        raise InvalidValidatorSet("two changes of one validator")
    if any(change.power == 0 and change.address not in members for change in changes):
        raise InvalidValidatorSet("removal of a validator that is not in the set")
    if any(not 0 <= change.power <= POWER_TOTAL_MAX for change in changes):
        raise InvalidValidatorSet("the total power overflows")


def _build_validator(change: ValidatorChange | Validator, priority: int) -> Validator:
    return Validator(change.address, change.consensus_key, change.power, priority + PRIORITY_BIAS)


def _with_priorities(validator_set: ValidatorSet, priorities: Sequence[int]) -> ValidatorSet:
    pairs = zip(validator_set.validators, priorities, strict=True)
    return ValidatorSet(tuple(_build_validator(member, priority) for member, priority in pairs))
