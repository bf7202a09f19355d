"""Periods of the chain, and what genesis refuses about them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.block import BLOCK_BYTES_MAX, TRANSACTIONS_MAX
from chain.errors import InvalidChainSpec
from chain.module import Context
from chain.modules import system
from chain.primitives.codec import encode, replace
from chain.state import MemoryState, Overlay
from chain.transaction import TRANSACTION_BYTES_MAX
from p2p.wire import messages
from tests.chain.support.worlds import GENESIS_HASH, SYSTEM


def build(**changes: int) -> Overlay:
    """The state after genesis with these parameters changed."""
    ctx = Context(
        Overlay(MemoryState()),
        genesis_hash=GENESIS_HASH,
        height=0,
        time_ms=5,
        epoch=0,
        era=0,
        proposer=bytes(32),
    )
    system.build_genesis(ctx, system.GenesisConfig(replace(SYSTEM, **changes)))
    return ctx.state


@given(st.integers(1, 50), st.integers(1, 9), st.integers(1, 3_000))
def test_epochs_and_eras_tile_the_heights(epoch_blocks: int, era_epochs: int, height: int) -> None:
    """Each height is in one epoch; only the last of an epoch ends it; eras end with epochs."""
    parameters = replace(SYSTEM, epoch_blocks=epoch_blocks, era_epochs=era_epochs)
    epoch = system.compute_epoch(parameters, height)
    first = system.compute_first_height(parameters, epoch)
    assert first <= height < system.compute_first_height(parameters, epoch + 1)
    is_last = height + 1 == system.compute_first_height(parameters, epoch + 1)
    assert system.is_epoch_end(parameters, height) == is_last
    following = system.compute_era(parameters, height + 1)
    assert system.is_era_end(parameters, height) == (following != system.compute_era(parameters, height))
    assert system.is_epoch_end(parameters, height) or not system.is_era_end(parameters, height)


def test_genesis_counts_to_the_first_epoch() -> None:
    """Height 0 has no block of its own."""
    assert system.compute_epoch(SYSTEM, 0) == system.compute_epoch(SYSTEM, 1) == 0
    assert system.compute_first_height(SYSTEM, 0) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"block_ms": 0},
        {"epoch_blocks": 0},
        {"era_epochs": 0},
        {"transaction_lifetime_blocks_max": 0},
        {"propose_timeout_ms": 0},
        {"vote_timeout_ms": 0},
        {"propose_timeout_delta_ms": 0},
        {"vote_timeout_delta_ms": 0},
        {"message_delay_delta_ms": 0},
        {"block_weight_max": system.BLOCK_WEIGHT_MIN - 1},
        {"block_bytes_max": TRANSACTION_BYTES_MAX - 1},
        {"block_bytes_max": BLOCK_BYTES_MAX + 1},
        {"block_transactions_max": 0},
        {"block_transactions_max": TRANSACTIONS_MAX + 1},
    ],
    ids=str,
)
def test_a_chain_that_could_not_run_is_refused(changes: dict[str, Any]) -> None:
    """No period, no growth of a timeout, or blocks that nothing carries."""
    with pytest.raises(InvalidChainSpec, match="system: "):
        build(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"block_weight_max": system.BLOCK_WEIGHT_MIN},
        {"block_bytes_max": TRANSACTION_BYTES_MAX},
        {"block_bytes_max": BLOCK_BYTES_MAX},
        {"block_transactions_max": TRANSACTIONS_MAX},
    ],
    ids=str,
)
def test_the_bounds_themselves_are_allowed(changes: dict[str, Any]) -> None:
    """Genesis sets the parameters and its own place."""
    state = build(**changes)
    assert system.get_parameters(state) == replace(SYSTEM, **changes)
    assert system.get_position(state) == system.Position(0, 5, system.SPEC_VERSION)


def test_the_largest_block_fits_into_a_frame() -> None:
    """Transactions, inherents, header and what binds them; and so does its short form."""
    largest = BLOCK_BYTES_MAX + messages.INHERENTS_BYTES_MAX + messages.HEADER_BYTES_MAX
    overhead = len(encode((None, None, None))) + len(encode((None,) * TRANSACTIONS_MAX)) - TRANSACTIONS_MAX
    assert largest + overhead <= messages.BLOCK_BYTES_MAX
    assert TRANSACTIONS_MAX <= messages.TRANSACTIONS_PER_BLOCK_MAX
