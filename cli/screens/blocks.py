"""Blocks and transactions: what happened, in sentences; hashes and signatures are left to `-o json`."""

from collections.abc import Mapping
from typing import Any

from cli.context.readable import Reader
from cli.terminal.cells import Cell
from cli.terminal.wording import format_count
from cli.transactions.describing import Describer

_STYLES = {"final": "good", "pooled": "warning", "unknown": "warning", "expired": "bad", "rejected": "bad"}


def build_block(reader: Reader, describer: Describer, found: Mapping[str, Any]) -> dict[str, Any]:
    """A final block."""
    header, certificate = found["header"], found["certificate"]
    return {
        "block": header["height"],
        "hash": header["hash"],
        "time": reader.read(header["time_ms"], "time_ms"),
        "proposer": reader.build_name(header["proposer"]),
        "signed by": format_count(len(certificate["signatures"]), "validator") if certificate else None,
        "size": reader.read(found["size_bytes"], "size_bytes"),
        "state root": header["state_root"],
        "transactions": [build_row(reader, describer, one) for one in found["transactions"]] or "none",
        "events": reader.read([*found["events_start"], *found["events_end"]], "events") or "none",
    }


def build_row(reader: Reader, describer: Describer, one: Mapping[str, Any]) -> dict[str, Any]:
    """A transaction of a block on a line."""
    receipt = one["receipt"]
    error = receipt["error"]
    return {
        "id": one["id"],
        "outcome": Cell("done", "good") if error is None else Cell(_name_error(error), "bad"),
        "fee": reader.read(receipt["fee"], "fee"),
        "what": "; ".join(_list_sentences(reader, describer, one)),
    }


def _name_error(error: Any) -> str:
    return str(error.get("code", error)) if isinstance(error, Mapping) else str(error)


def _list_sentences(reader: Reader, describer: Describer, transaction: Mapping[str, Any]) -> list[str]:
    sender = reader.build_name(transaction["sender"]).text
    return [
        describer.describe_fields(call["name"], call["arguments"], sender) for call in transaction["calls"]
    ]


def build_transaction(reader: Reader, describer: Describer, found: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a transaction, and what it does."""
    transaction, receipt, error = found["transaction"], found["receipt"], found["error"]
    told: dict[str, Any] = {
        "transaction": found["id"],
        "status": Cell(found["status"], _STYLES.get(found["status"], "")),
        "error": Cell(f"{error['message']} [{error['code']}]", "bad") if error else None,
        "block": reader.read(found["height"], "listed_at"),
    }
    if transaction is not None:
        told["what"] = "; ".join(_list_sentences(reader, describer, transaction))
        told["sender"] = reader.build_name(transaction["sender"])
        told["valid until"] = None if receipt else reader.read(transaction["valid_until"], "valid_until")
    if receipt is not None:
        told["fee"] = reader.read(receipt["fee"], "fee")
        told["tip"] = reader.read(receipt["tip"], "tip") if receipt["tip"] else None
        told["events"] = reader.read(receipt["events"], "events") or None
    return {label: value for label, value in told.items() if value is not None}


def build_outcome(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a verb of `tx` ends with: the id, and what became of the transaction."""
    block = f" in block {found['height']}" if "height" in found else ""
    told: dict[str, Any] = {
        "transaction": found["id"],
        "status": Cell(f"{found['status']}{block}", _STYLES.get(found["status"], "")),
    }
    if "valid_until" in found:
        told["valid until"] = reader.read(found["valid_until"], "valid_until")
    if "fee" in found:
        told |= {"fee": reader.read(found["fee"], "fee"), "events": reader.read(found["events"], "events")}
    return told
