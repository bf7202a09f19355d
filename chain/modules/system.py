"""System: the current height and time, and the lengths of blocks, epochs and eras.

Height 0 is genesis; blocks start at height 1. Epoch e holds the heights e*epoch_blocks+1 ..
(e+1)*epoch_blocks, era r the epochs r*era_epochs .. (r+1)*era_epochs-1. Weight is microseconds on the
reference machine.
"""

from chain.block import BLOCK_BYTES_MAX, TRANSACTIONS_MAX
from chain.errors import InvalidChainSpec
from chain.module import Context, Module
from chain.primitives.codec import Record
from chain.primitives.types import Amount, Epoch, Era, Height, TimeMs, Uint, Uint32, Weight
from chain.state import StateReader, StorageValue
from chain.transaction import TRANSACTION_BYTES_MAX

MODULE = Module("system", index=0)


class Parameters(Record):
    """Time and size of the chain."""

    block_ms: Uint32
    """Intended interval between blocks."""
    epoch_blocks: Uint32
    era_epochs: Uint32
    block_weight_max: Weight
    """Weight of all transactions of a block; a quarter is kept for duties."""
    block_bytes_max: Uint32
    block_transactions_max: Uint32
    transaction_lifetime_blocks_max: Uint32
    """How many blocks ahead `valid_until` may lie."""
    precision_ms: Uint32
    """Bound on the difference between two honest clocks (proposer-based timestamps)."""
    message_delay_ms: Uint32
    """Bound on the delivery of a proposal in round 0 (proposer-based timestamps)."""
    evidence_age_blocks: Uint32
    """Evidence older than this in blocks, and than `evidence_age_ms` in time, is expired."""
    evidence_age_ms: Uint
    message_delay_delta_ms: Uint32 = 500
    """Growth of that bound per round."""
    propose_timeout_ms: Uint32 = 3_000
    propose_timeout_delta_ms: Uint32 = 500
    vote_timeout_ms: Uint32 = 1_000
    """Timeout of prevotes and of precommits, each in round 0; the next field is its growth per round."""
    vote_timeout_delta_ms: Uint32 = 500


class Position(Record):
    """The last executed block."""

    height: Height
    time_ms: TimeMs
    spec_version: Uint32


PARAMETERS = StorageValue(MODULE.index, 0, Parameters)
POSITION = StorageValue(MODULE.index, 1, Position)

BLOCK_WEIGHT_MIN = 400_000
"""A call that weighs more than its lane can never be in a block. The heaviest duty, a report of equivocation
against a host of thousands of datums, takes more than half of the duties lane of such a block.
"""

SPEC_VERSION = 1
"""Version of the rules in this program; a header that names another is not executed."""


class GenesisConfig(Record):
    """System at genesis."""

    parameters: Parameters


def on_block_end(ctx: Context) -> None:
    """Store height and time of the block."""
    POSITION.set(ctx.state, Position(ctx.height, ctx.time_ms, SPEC_VERSION))


def build_genesis(ctx: Context, config: GenesisConfig) -> None:
    """Set the parameters and the time of height 0; raises InvalidChainSpec for unusable parameters."""
    _check_periods(config.parameters)
    _check_sizes(config.parameters)
    PARAMETERS.set(ctx.state, config.parameters)
    POSITION.set(ctx.state, Position(0, ctx.time_ms, SPEC_VERSION))


def _check_periods(parameters: Parameters) -> None:
    periods = (
        parameters.block_ms,
        parameters.epoch_blocks,
        parameters.era_epochs,
        parameters.transaction_lifetime_blocks_max,
        parameters.propose_timeout_ms,
        parameters.vote_timeout_ms,
    )
    if 0 in periods:
        raise InvalidChainSpec("system: block_ms, epochs, eras, lifetimes and timeouts at least 1")
    growths = (parameters.propose_timeout_delta_ms, parameters.vote_timeout_delta_ms)
    if 0 in (*growths, parameters.message_delay_delta_ms):
        raise InvalidChainSpec("system: timeouts and message delay must grow from round to round")


def _check_sizes(parameters: Parameters) -> None:
    if parameters.block_weight_max < BLOCK_WEIGHT_MIN:
        raise InvalidChainSpec(f"system: block_weight_max at least {BLOCK_WEIGHT_MIN}")
    if not TRANSACTION_BYTES_MAX <= parameters.block_bytes_max <= BLOCK_BYTES_MAX:
        raise InvalidChainSpec(f"system: {TRANSACTION_BYTES_MAX} <= block_bytes_max <= {BLOCK_BYTES_MAX}")
    if not 1 <= parameters.block_transactions_max <= TRANSACTIONS_MAX:
        raise InvalidChainSpec(f"system: 1 <= block_transactions_max <= {TRANSACTIONS_MAX}")


def get_parameters(state: StateReader) -> Parameters:
    """Time and size of the chain."""
    return PARAMETERS.require(state)


def get_position(state: StateReader) -> Position:
    """The last executed block."""
    return POSITION.require(state)


def compute_epoch(parameters: Parameters, height: Height) -> Epoch:
    """The epoch of a block; genesis belongs to epoch 0."""
    return max(height - 1, 0) // parameters.epoch_blocks


def compute_era(parameters: Parameters, height: Height) -> Era:
    """The era of a block."""
    return compute_epoch(parameters, height) // parameters.era_epochs


def is_epoch_end(parameters: Parameters, height: Height) -> bool:
    """Whether this block is the last of its epoch."""
    return height % parameters.epoch_blocks == 0


def is_era_end(parameters: Parameters, height: Height) -> bool:
    """Whether this block is the last of its era."""
    return height % (parameters.epoch_blocks * parameters.era_epochs) == 0


def compute_first_height(parameters: Parameters, epoch: Epoch) -> Height:
    """The first block of an epoch."""
    return epoch * parameters.epoch_blocks + 1


def compute_duty_weight_max(block_weight_max: Amount) -> Weight:
    """Weight of a block that is kept for duties."""
    return block_weight_max // 4
