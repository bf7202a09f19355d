"""Fees: weight times a base fee that follows demand (the rule of EIP-1559), burned; tips go to the proposer.

Per block the base fee moves by at most 1/8: up if the paying transactions weighed more than half of their
lane, down if less; it never falls below the floor. Duties pay nothing and are not counted.
"""

from chain.errors import InvalidChainSpec, InvalidTransaction
from chain.module import Context, Module
from chain.modules import balances, system
from chain.primitives.codec import Record
from chain.primitives.types import Amount, Uint32, Weight
from chain.state import StateReader, StorageValue
from chain.transaction import Transaction

MODULE = Module("fees", index=2)

CHANGE_DENOMINATOR = 8
"""EIP-1559, BASE_FEE_MAX_CHANGE_DENOMINATOR."""


class Parameters(Record):
    """The fee market."""

    base_fee_min: Amount
    """Floor, base units per unit of weight; at least 1."""
    transaction_weight: Weight
    """Weight of decoding, checking signature and nonce, and charging: all that comes before the calls."""
    byte_weight_ppm: Uint32
    """Weight of storing and sending a byte, in millionths."""


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
BASE_FEE = StorageValue(MODULE.index, 1, int)
WEIGHT_USED = StorageValue(MODULE.index, 2, int)


class GenesisConfig(Record):
    """Fees at genesis."""

    parameters: Parameters


def charge(ctx: Context, transaction: Transaction, weight: Weight) -> Amount:
    """Burn the sender's fee and pay its tip to the proposer; returns the fee.

    Raises InvalidTransaction and changes nothing if `fee_max` is below the fee, or the balance is below
    `fee_max` plus tip.
    """
    fee = compute_fee(ctx.state, weight)
    if transaction.fee_max < fee:
        raise InvalidTransaction("fee_too_low", f"needs {fee}, bound is {transaction.fee_max}")
    free = balances.get_balance(ctx.state, transaction.sender)
    if free < transaction.fee_max + transaction.tip:
        needed = transaction.fee_max + transaction.tip
        raise InvalidTransaction("insufficient_balance", f"needs {needed} for the fee, has {free}")
    balances.burn(ctx, transaction.sender, fee, balances.BurnCause.FEES)
    balances.transfer(ctx, transaction.sender, ctx.proposer, transaction.tip)
    WEIGHT_USED.set(ctx.state, get_weight_used(ctx.state) + weight)
    return fee


def on_block_end(ctx: Context) -> None:
    """Set the next base fee by how full the block was."""
    block_weight_max = system.get_parameters(ctx.state).block_weight_max
    paying_max = block_weight_max - system.compute_duty_weight_max(block_weight_max)
    floor = PARAMETERS.require(ctx.state).base_fee_min
    base_fee = compute_next_base_fee(get_base_fee(ctx.state), get_weight_used(ctx.state), paying_max // 2)
    BASE_FEE.set(ctx.state, max(base_fee, floor))
    WEIGHT_USED.delete(ctx.state)


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Start at the floor. With a floor or an envelope weight of 0, filling blocks could cost nothing."""
    if config.parameters.base_fee_min == 0 or config.parameters.transaction_weight == 0:
        raise InvalidChainSpec("fees: base_fee_min and transaction_weight at least 1")
    PARAMETERS.set(ctx.state, config.parameters)
    BASE_FEE.set(ctx.state, config.parameters.base_fee_min)


def compute_next_base_fee(base_fee: Amount, weight_used: Weight, weight_target: Weight) -> Amount:
    """EIP-1559: move by (used - target) / target / 8; upwards by at least 1."""
    if weight_used == weight_target:
        return base_fee
    if weight_used > weight_target:
        delta = base_fee * (weight_used - weight_target) // weight_target // CHANGE_DENOMINATOR
        return base_fee + max(delta, 1)
    return base_fee - base_fee * (weight_target - weight_used) // weight_target // CHANGE_DENOMINATOR


def compute_envelope_weight(parameters: Parameters, size_bytes: int) -> Weight:
    """Weight of a transaction before its calls."""
    return parameters.transaction_weight + size_bytes * parameters.byte_weight_ppm // 1_000_000


def compute_fee(state: StateReader, weight: Weight) -> Amount:
    """The fee in base units for `weight` at the current base fee."""
    return weight * get_base_fee(state)


def get_base_fee(state: StateReader) -> Amount:
    """Base units per unit of weight, for the next block."""
    return BASE_FEE.require(state)


def get_weight_used(state: StateReader) -> Weight:
    """Weight of the paying transactions of the running block so far."""
    return WEIGHT_USED.get(state) or 0


def get_parameters(state: StateReader) -> Parameters:
    """The parameters of the fee market."""
    return PARAMETERS.require(state)
