"""The fee market: the rule of EIP-1559 on weight, and charging."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import InvalidChainSpec, InvalidTransaction
from chain.modules import balances, fees, system
from chain.primitives.codec import replace
from chain.transaction import Call, Transaction
from tests.chain.support.worlds import GENESIS_HASH, SYSTEM, World, account

ALICE, PROPOSER = account(2), account(1)
FEES = fees.Parameters(base_fee_min=100, transaction_weight=120, byte_weight_ppm=50_000)
TARGET = (SYSTEM.block_weight_max - system.compute_duty_weight_max(SYSTEM.block_weight_max)) // 2


def build_world() -> World:
    """Alice owns 10^9."""
    world = World({ALICE: 10**9})
    fees.build_genesis(world.context(), fees.GenesisConfig(FEES))
    return world


def build_transaction(fee_max: int, tip: int = 0) -> Transaction:
    """One of Alice's."""
    return Transaction(1, GENESIS_HASH, ALICE, 0, 10, fee_max, tip, (Call(1, 1, b""),))


def end_block(world: World, weight_used: int) -> int:
    """The base fee after a block of that weight."""
    fees.WEIGHT_USED.set(world.state, weight_used)
    world.run(fees.on_block_end)
    assert fees.get_weight_used(world.state) == 0
    return fees.get_base_fee(world.state)


@pytest.mark.parametrize(
    ("base_fee", "used", "target", "expected"),
    [
        (1_000, 500, 500, 1_000),
        (1_000, 1_000, 500, 1_125),  # a full block: an eighth more
        (1_000, 0, 500, 875),  # an empty one: an eighth less
        (1_000, 750, 500, 1_062),  # half of an eighth, rounded down
        (1_000, 250, 500, 938),  # what is taken off rounds down too
        (1, 501, 500, 2),  # upwards at least by one
        (1, 0, 500, 1),  # downwards not at all below eight: the state applies the floor
        (7, 0, 500, 7),
        (8, 0, 500, 7),
    ],
)
def test_next_base_fee(base_fee: int, used: int, target: int, expected: int) -> None:
    """EIP-1559, `calc_base_fee`, with a target of half."""
    assert fees.compute_next_base_fee(base_fee, used, target) == expected


@given(st.integers(1, 2**62), st.integers(0, 2_000), st.just(1_000))
def test_a_block_moves_the_base_fee_by_an_eighth_at_most(base_fee: int, used: int, target: int) -> None:
    """The base fee moves by at most 1/8, up with demand and down without it."""
    following = fees.compute_next_base_fee(base_fee, used, target)
    assert base_fee - base_fee // 8 <= following <= base_fee + max(base_fee // 8, 1)
    assert (following > base_fee) == (used > target)
    assert not (following < base_fee and used >= target)


def test_full_blocks_raise_and_empty_blocks_lower_to_the_floor() -> None:
    """The target is half of what paying transactions may weigh."""
    world = build_world()
    assert end_block(world, TARGET) == 100
    assert end_block(world, 2 * TARGET) == 112
    assert end_block(world, 2 * TARGET) == 126
    for _ in range(9):
        end_block(world, 0)
    assert fees.get_base_fee(world.state) == 100


def test_charge_burns_the_fee_and_passes_the_tip() -> None:
    """The fee is weight times base fee and is burned; `fee_max` is only a bound."""
    world = build_world()
    ctx = world.context()
    assert fees.charge(ctx, build_transaction(fee_max=10**6, tip=7), weight=300) == 30_000
    assert world.balance(ALICE) == 10**9 - 30_000 - 7
    assert world.balance(PROPOSER) == 7
    assert balances.get_supply(world.state).burned == 30_000
    assert fees.get_weight_used(world.state) == 300
    assert ctx.events == []


@pytest.mark.parametrize(
    ("fee_max", "tip", "weight", "code"),
    [
        (29_999, 0, 300, "fee_too_low"),
        (10**9, 1, 300, "insufficient_balance"),
        (2**63 - 1, 2**63 - 1, 300, "insufficient_balance"),
        (2**63 - 1, 0, 2**62, "fee_too_low"),
    ],
)
def test_charge_refuses_and_changes_nothing(fee_max: int, tip: int, weight: int, code: str) -> None:
    """A bound below the fee; a balance below bound and tip, so that calls cannot eat what the fee needs."""
    world = build_world()
    before = dict(world.state.changes)
    with pytest.raises(InvalidTransaction) as caught:
        fees.charge(world.context(), build_transaction(fee_max, tip), weight)
    assert caught.value.code == code
    assert world.state.changes == before


def test_the_last_unit_can_be_spent_on_a_fee() -> None:
    """`fee_max` and tip may add up to the whole balance."""
    world = build_world()
    fees.charge(world.context(), build_transaction(10**9 - 5, 5), weight=(10**9 - 5) // 100)
    assert world.balance(ALICE) == (10**9 - 5) % 100


def test_weight_of_an_envelope_grows_with_its_bytes() -> None:
    """A fixed part, and millionths per byte, rounded down."""
    assert fees.compute_envelope_weight(FEES, 0) == 120
    assert fees.compute_envelope_weight(FEES, 19) == 120
    assert fees.compute_envelope_weight(FEES, 20) == 121
    assert fees.compute_envelope_weight(FEES, 2**17) == 120 + 6_553


@pytest.mark.parametrize("field", ["base_fee_min", "transaction_weight"])
def test_genesis_without_a_price_is_refused(field: str) -> None:
    """A spec with which full blocks cost nothing is refused."""
    with pytest.raises(InvalidChainSpec, match="fees: "):
        fees.build_genesis(World({}).context(), fees.GenesisConfig(replace(FEES, **{field: 0})))
