"""The history of an account: what it sent, what it was sent, rewards, slashes; read off the newest blocks.

Nodes keep no index by account, so blocks are read one by one, the newest first, and no further than asked.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cli.context.network import NetworkContext
from cli.context.readable import Reader
from cli.errors import CliError
from cli.exits import ExitCode
from cli.terminal import output
from cli.terminal.cells import Cell
from cli.terminal.tables import Column
from cli.transactions.describing import Describer

COLUMNS = (Column("height", "block"), Column("time"), Column("what"), Column("outcome"), Column("fee"))
PAGE = 100
Record = dict[str, Any]


def iterate_history(network: NetworkContext, address: str, blocks: int) -> Iterator[Record]:
    """What concerns the account in the newest blocks, the newest first; raises CliError."""
    head = network.get_status()["height"]
    for height in range(head, max(head - blocks, 0), -1):
        output.show_line(f"reading block {height}")
        try:
            yield from _list_of_block(network, address, height)
        except CliError as error:
            if error.exit is ExitCode.NOT_FOUND:  # below what this node keeps
                output.say(f"this node keeps no block {height}, and none below")
                break
            raise
    output.end_line()


def _list_of_block(network: NetworkContext, address: str, height: int) -> Iterator[Record]:
    block = network.client.get(f"/v1/blocks/{height}", limit=PAGE)
    place = {"height": height, "time_ms": block["header"]["time_ms"]}
    for event in [*block["events_end"], *block["events_start"]]:
        if _names(event["fields"], address):
            yield {**place, "kind": "event", **event}
    for start in range(0, block["transaction_count"], PAGE):
        page = block if start == 0 else network.client.get(f"/v1/blocks/{height}", offset=start, limit=PAGE)
        for one in page["transactions"]:
            received = [event for event in one["receipt"]["events"] if _names(event["fields"], address)]
            if one["sender"] == address or received:
                told = {name: one[name] for name in ("id", "sender", "calls")}
                yield {**place, "kind": "transaction", **told, **one["receipt"]}


def _names(value: Any, address: str) -> bool:
    """Whether an address stands anywhere in the fields of an event."""
    if isinstance(value, Mapping):
        return any(_names(one, address) for one in value.values())
    if isinstance(value, list):
        return any(_names(one, address) for one in value)
    return bool(value == address)


def build_history(reader: Reader, describer: Describer, records: list[Record]) -> list[Record]:
    """A row per transaction and event."""
    return [_build_row(reader, describer, one) for one in records]


def _build_row(reader: Reader, describer: Describer, one: Record) -> Record:
    place = {"height": one["height"], "time": reader.read(one["time_ms"], "time_ms")}
    if one["kind"] == "event":
        event = reader.read([{"name": one["name"], "fields": one["fields"]}], "events")[0]
        return {**place, "what": f"{event['event']}: {event['details']}", "outcome": None, "fee": None}
    sender = reader.build_name(one["sender"]).text
    calls = (describer.describe_fields(call["name"], call["arguments"], sender) for call in one["calls"])
    outcome = Cell("done", "good") if one["error"] is None else Cell("refused", "bad")
    return {
        **place,
        "what": Cell("; ".join(calls)),
        "outcome": outcome,
        "fee": reader.read(one["fee"], "fee"),
    }
