"""Dry run of an unsigned transaction on a layer over the head: its fee, its events, or why it fails.

The block's own hooks are not run, so a result right before the end of an epoch may differ.
"""

from typing import NamedTuple

from chain import runtime
from chain.block import Receipt
from chain.errors import InvalidTransaction
from chain.modules import balances, fees
from chain.primitives.codec import encode, replace
from chain.primitives.types import NO_HASH, SIGNATURE_BYTES, Amount, Hash, TimeMs, Weight
from chain.state import StateReader
from chain.transaction import SignedTransaction, Transaction
from node.ledger.ledger import LedgerView

NO_SIGNATURE = bytes(SIGNATURE_BYTES)
FEE_MARGIN = 2
"""The base fee doubles in six full blocks."""


class Trial(NamedTuple):
    """What a transaction would do in the next block; `refusal` is why it could not even be in it."""

    size_bytes: int
    weight: Weight
    base_fee: Amount
    fee: Amount
    receipt: Receipt | None
    refusal: InvalidTransaction | None
    balance: Amount
    """Free balance of the sender afterwards; the present one if it is refused."""


def try_transaction(view: LedgerView, genesis_hash: Hash, time_ms: TimeMs, transaction: Transaction) -> Trial:
    """Tries the transaction as if it were in the next block.

    A fee bound of 0 means whatever it costs. A nonce above the account's is taken as if it were the next.
    """
    state = view.state
    before = balances.get_account(state, transaction.sender)
    prepared = replace(transaction, nonce=min(transaction.nonce, before.nonce))
    try:
        weight, fee, size = _measure(state, prepared)
        if not transaction.fee_max and fee:
            prepared = replace(prepared, fee_max=fee)
            weight, fee, size = _measure(state, prepared)
            prepared = replace(prepared, fee_max=fee)
    except InvalidTransaction as refusal:
        size = len(encode(SignedTransaction(transaction, NO_SIGNATURE)))
        return Trial(size, 0, fees.get_base_fee(state), 0, None, refusal, before.free)
    run = runtime.start_block(state, genesis_hash, view.height + 1, time_ms, NO_HASH)
    trial = Trial(size, weight, fees.get_base_fee(state), fee, None, None, before.free)
    try:
        runtime.process_transaction(run, SignedTransaction(prepared, NO_SIGNATURE), check=lambda signed: None)
    except InvalidTransaction as refusal:
        return trial._replace(refusal=refusal)
    balance = balances.get_account(run.ctx.state, transaction.sender).free
    return trial._replace(receipt=run.receipts[-1], balance=balance)


def _measure(state: StateReader, transaction: Transaction) -> tuple[Weight, Amount, int]:
    """(weight, fee, bytes) of the transaction once it is signed; raises InvalidTransaction."""
    calls = runtime.decode_calls(transaction)
    is_duty = runtime.check_kind(transaction, calls)
    size = len(encode(SignedTransaction(transaction, NO_SIGNATURE)))
    weight = runtime.compute_weight(state, calls, size)
    return weight, 0 if is_duty else fees.compute_fee(state, weight), size
