"""Records of the chain as the API writes them: JSON by `chain.jsonable`, with names in place of numbers."""

from collections.abc import Iterator
from typing import Any

from chain import runtime
from chain.block import Block, BlockReceipts, EventRecord, Header, Receipt, compute_header_hash
from chain.errors import ChainError
from chain.jsonable import to_json
from chain.primitives.codec import encode
from chain.transaction import Call, SignedTransaction

Json = dict[str, Any]


def format_record(record: object, prefix: str) -> Json:
    """A record's fields by name."""
    value: Json = to_json(record, prefix)
    return value


def format_event(event: EventRecord, prefix: str) -> Json:
    """`{"name": "balances.Transferred", "fields": {...}}`."""
    name, record = runtime.decode_event(event)
    return {"name": name, "fields": format_record(record, prefix)}


def format_events(events: tuple[EventRecord, ...], prefix: str) -> list[Json]:
    """The events, in order."""
    return [format_event(event, prefix) for event in events]


def format_failure(receipt: Receipt) -> Json | None:
    """Why the calls of an included transaction had no effect; None if they had."""
    if receipt.error is None:
        return None
    code, sentence = runtime.get_error_code(receipt.error)
    return {"code": code, "message": sentence, "call": receipt.error[2]}


def format_receipt(receipt: Receipt, prefix: str) -> Json:
    """A transaction's receipt."""
    return {
        "error": format_failure(receipt),
        "fee": receipt.fee,
        "tip": receipt.tip,
        "weight": receipt.weight,
        "events": format_events(receipt.events, prefix),
    }


def format_call(call: Call, prefix: str) -> Json:
    """`{"name": "balances.send", "arguments": {...}}`."""
    try:
        decoded = runtime.decode_call(call)
    except (
        ChainError
    ):  # waits in nobody's pool and stands in no block; shown when somebody asks for a dry run
        return {"name": f"{call.module}.{call.index}", "arguments": call.arguments.hex()}
    return {
        "name": f"{decoded.module.name}.{decoded.spec.name}",
        "arguments": format_record(decoded.arguments, prefix),
    }


def format_transaction(signed: SignedTransaction, prefix: str) -> Json:
    """A transaction with its id and its calls by name."""
    transaction = signed.transaction
    fields = format_record(transaction, prefix)
    return {
        "id": signed.id.hex(),
        "size_bytes": len(encode(signed)),
        **fields,
        "calls": [format_call(call, prefix) for call in transaction.calls],
        "signature": signed.signature.hex(),
    }


def format_header(header: Header, prefix: str) -> Json:
    """A header with its hash."""
    return {"hash": compute_header_hash(header).hex(), **format_record(header, prefix)}


def format_block_summary(header: Header, transactions: int, prefix: str) -> Json:
    """A header and how many transactions it binds."""
    return {**format_header(header, prefix), "transactions": transactions}


def format_page_of_transactions(
    block: Block, receipts: BlockReceipts, offset: int, limit: int, prefix: str
) -> Iterator[Json]:
    """Some of a block's transactions, each with its receipt."""
    page = slice(offset, offset + limit)
    for signed, receipt in zip(block.transactions[page], receipts.transactions[page], strict=True):
        yield {**format_transaction(signed, prefix), "receipt": format_receipt(receipt, prefix)}
