"""Sending transactions, trying them, and finding out what became of them."""

from typing import Annotated

import trio
from fastapi import APIRouter, Body, Query

from chain.errors import ChainError, InvalidTransaction
from chain.primitives.codec import decode
from chain.primitives.types import Hash
from chain.transaction import (
    TRANSACTION_BYTES_MAX,
    Transaction,
    decode_transaction,
)
from node.api.context import Api, ApiOf, HashPath, ViewOf
from node.api.dry_run import FEE_MARGIN, Trial, try_transaction
from node.api.errors import BadRequest, Gone
from node.api.forms import Json, format_events, format_failure, format_receipt, format_transaction
from node.api.schemas import DryRun, Failure, Submitted, SubmittedBatch, TransactionStatus
from node.ledger.ledger import LedgerView

router = APIRouter(prefix="/v1/transactions", tags=["transactions"])

BATCH_MAX = 1_000
SLICE = 50
"""Transactions admitted at a time, so that the node's loop stays free for votes in between."""
CODES_OF_EXPIRY = frozenset(("expired",))
HexText = Annotated[str, Body(max_length=2 * TRANSACTION_BYTES_MAX)]
Batch = Annotated[list[HexText], Body(max_length=BATCH_MAX)]


@router.post("")
async def submit_transactions(api: ApiOf, body: Annotated[HexText | Batch, Body()]) -> SubmittedBatch:
    """Hand in signed transactions: one as hex, or a list. Each is judged by itself, in order."""
    batch = [_parse_hex(text) for text in ([body] if isinstance(body, str) else body)]
    await trio.to_thread.run_sync(_verify_all, api, batch, limiter=api.threads)
    results: list[tuple[Hash, InvalidTransaction | None]] = []
    for start in range(0, len(batch), SLICE):
        results += await api.loop.run(api.services.pool.submit, batch[start : start + SLICE])
    view = api.services.ledger.view
    return SubmittedBatch(results=[_judge(view, tx_id, error) for tx_id, error in results])


def _verify_all(api: Api, batch: list[bytes]) -> None:
    """Fill the memory of good signatures here, so that the node's loop does not have to verify."""
    for data in batch:
        try:
            api.services.signatures.check(decode_transaction(data))
        except ChainError:  # the pool finds the same and says so
            continue


def _judge(view: LedgerView, tx_id: Hash, error: InvalidTransaction | None) -> Submitted:
    """The verdict on one transaction; sending it twice is no error."""
    text = tx_id.hex()
    if error is None or error.code == "already_pooled":
        return Submitted(id=text, status="pooled", error=None)
    if view.chain.get_tx_place(tx_id) is not None:
        return Submitted(id=text, status="final", error=None)
    return Submitted(id=text, status="rejected", error=Failure(code=error.code, message=str(error)))


@router.post("/dry-run")
async def try_out(
    api: ApiOf, view: ViewOf, body: Annotated[str, Body(max_length=2 * TRANSACTION_BYTES_MAX)]
) -> DryRun:
    """Try an unsigned transaction (hex of its canonical encoding) on the head. A fee bound of 0 stands for
    whatever it costs.
    """
    transaction = decode(Transaction, _parse_hex(body), TRANSACTION_BYTES_MAX)
    services = api.services
    time_ms = max(services.clock.now_ms(), view.head.time_ms + 1)
    trial = try_transaction(view, services.ledger.genesis_hash, time_ms, transaction)
    return _format_trial(view, trial, api.prefix)


def _format_trial(view: LedgerView, trial: Trial, prefix: str) -> DryRun:
    error: Json | None = None
    if trial.refusal is not None:
        error = {"code": trial.refusal.code, "message": str(trial.refusal), "call": None}
    elif trial.receipt is not None:
        error = format_failure(trial.receipt)
    outcome = "invalid" if trial.refusal else "refused" if error else "ok"
    return DryRun(
        outcome=outcome,
        height=view.height,
        size_bytes=trial.size_bytes,
        weight=trial.weight,
        base_fee=trial.base_fee,
        fee=trial.fee,
        fee_max_suggested=FEE_MARGIN * trial.fee,
        balance=trial.balance,
        error=error,
        events=format_events(trial.receipt.events, prefix) if trial.receipt else [],
    )


@router.get("/{tx_id}")
async def get_transaction(
    api: ApiOf,
    tx_id: HashPath,
    valid_until: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
) -> TransactionStatus:
    """What became of a transaction. With the height it was valid until, `expired` is certain."""
    wanted = bytes.fromhex(tx_id)
    # The pool first: what leaves it for a block between the two looks is then found in the chain.
    pooled, refusal = api.services.mempool.get(wanted), api.services.mempool.get_refusal(wanted)
    view = api.services.ledger.view
    final = _find_final(view, wanted, api.prefix)
    is_over = valid_until is not None and view.height >= valid_until
    if final is not None:
        return final
    if pooled is not None and not is_over:
        waiting = format_transaction(pooled.signed, api.prefix)
        return _build_status(wanted, "pooled", transaction=waiting)
    if is_over or refusal in CODES_OF_EXPIRY:
        return _build_status(
            wanted, "expired", error=Failure(code="expired", message="can be in no later block")
        )
    if refusal is not None:
        return _build_status(wanted, "rejected", error=Failure(code=refusal, message="left this node's pool"))
    return _build_status(wanted, "unknown")


def _find_final(view: LedgerView, tx_id: Hash, prefix: str) -> TransactionStatus | None:
    place = view.chain.get_tx_place(tx_id)
    if place is None:
        return None
    block, receipts = view.get_block(place.height), view.get_receipts(place.height)
    if block is None or receipts is None:
        raise Gone("pruned", f"final in block {place.height}, whose body is not kept here")
    receipt = receipts.transactions[place.index]
    failure = format_failure(receipt)
    return TransactionStatus(
        id=tx_id.hex(),
        status="final",
        height=place.height,
        index=place.index,
        transaction=format_transaction(block.transactions[place.index], prefix),
        receipt=format_receipt(receipt, prefix),
        error=Failure(code=failure["code"], message=failure["message"]) if failure else None,
    )


def _build_status(
    tx_id: Hash, status: str, *, transaction: Json | None = None, error: Failure | None = None
) -> TransactionStatus:
    return TransactionStatus(
        id=tx_id.hex(),
        status=status,
        height=None,
        index=None,
        transaction=transaction,
        receipt=None,
        error=error,
    )


def _parse_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise BadRequest("not_hex", "a transaction is written in hex") from error
