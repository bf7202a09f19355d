"""A session: what is paid, who has not released yet, and when the deposit returns at the latest."""

from collections.abc import Mapping
from typing import Any

from cli.context.readable import Reader
from cli.terminal.cells import Cell
from cli.terminal.wording import format_count


def build_session(reader: Reader, found: Mapping[str, Any]) -> dict[str, Any]:
    """The session in words, and its allotments."""
    session, allotments = found["session"], found["allotments"]
    is_running = found["is_running"]
    left = sum(one["limit"] - one["amount"] for one in allotments)
    return {
        "payer": reader.read(session["payer"]),
        "datum": reader.read(session["datum"], "datum"),
        "price_per_gib": reader.read(session["price_per_gib"], "price_per_gib"),
        "paid": reader.read(session["amount"], "paid"),
        "bytes": reader.read(session["bytes"], "bytes"),
        "rest": reader.read(left, "amount"),
        "state": "running" if is_running else "ended: hosts settle and release",
        **({"expires_at": reader.read(session["expires_at"], "expires_at")} if is_running else {}),
        "rest returns": describe_return(reader, session),
        "allotments": [build_allotment(reader, one) for one in allotments],
    }


def describe_return(reader: Reader, session: Mapping[str, Any]) -> Cell:
    """When the rest of the deposit is back."""
    latest = reader.read(session["ends_at"], "ends_at")
    count = session["unreleased"]
    if count == 0:
        return Cell("with the next block")
    verb = "has" if count == 1 else "have"
    return Cell(f"when {format_count(count, 'host')} {verb} released; block {latest.text} at the latest")


def build_allotment(reader: Reader, one: Mapping[str, Any]) -> dict[str, Any]:
    """The host's row."""
    return {
        "host": reader.build_name(one["host"]),
        **{name: reader.read(one[name], name) for name in ("limit", "bytes", "amount")},
        "released": Cell("yes", "good") if one["is_released"] else "not yet",
    }
