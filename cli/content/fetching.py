"""Datums fetched by the own node, in sessions that the wallet opens and pays.

Datums are independent: one that cannot be opened or fetched is named, and the others go on.
"""

import time
from collections.abc import Sequence
from typing import Any

from cli.content.catalogue import require_datum
from cli.content.sessions import Opened, close_sessions, open_sessions, say_lost
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import RequestRefused
from cli.terminal import output
from cli.terminal.progress import Transfer, describe_sources, show_transfer

SESSIONS_AT_ONCE = 8
POLL_SECONDS = 0.2
OF_ONE_DATUM = frozenset(
    ("catalogue.not_listed", "sessions.not_hosting", "sessions.price_above_limit", "download_failed")
)
"""Refusals that say nothing about the other datums of a batch."""

Failures = dict[str, str]
"""Datum -> why it was not fetched."""


def fetch_into_node(network: NetworkContext, account: WalletAccount, datums: Sequence[str]) -> Failures:
    """The node fetches what is missing of the datums, in sessions that the account pays; what failed, why.

    Raises RequestRefused for what concerns all of them, such as an account without money.
    """
    entries, failures = list_missing(network, datums)
    for start in range(0, len(entries), SESSIONS_AT_ONCE):
        opened, refused = open_each(network, account, entries[start : start + SESSIONS_AT_ONCE])
        failures |= refused
        try:
            jobs = [(entry, begin_download(network, session)) for entry, session in opened]
            for entry, job in jobs:
                if (reason := wait_download(network, entry["datum"]["title"], job)) is not None:
                    failures[entry["id"]] = reason
        except KeyboardInterrupt:
            output.end_line()
            output.say("stopped; what was fetched stays, run it again. Closing the sessions: deposits return")
            raise
        finally:
            close_sessions(network, account, [session.session for _, session in opened])
    for datum, reason in failures.items():
        output.say(f"not fetched: {datum}: {reason}")
    return failures


def list_missing(network: NetworkContext, datums: Sequence[str]) -> tuple[list[dict[str, Any]], Failures]:
    """The entries of the datums that the node has not whole, and those that the catalogue does not have."""
    entries: list[dict[str, Any]] = []
    failures: Failures = {}
    for datum in datums:
        try:
            if not is_complete(network, datum):
                entries.append(require_datum(network, datum))
        except RequestRefused as error:
            failures[datum] = get_reason(error)
    return entries, failures


def get_reason(error: RequestRefused) -> str:
    """Why one datum of a batch failed; raises the error if it concerns all of them."""
    if error.code not in OF_ONE_DATUM:
        raise error
    return error.message


def open_each(
    network: NetworkContext, account: WalletAccount, entries: Sequence[dict[str, Any]]
) -> tuple[list[tuple[dict[str, Any], Opened]], Failures]:
    """A session for each entry that can have one, in one transaction if none is refused."""
    if not entries:
        return [], {}
    try:
        return list(zip(entries, open_sessions(network, account, entries), strict=True)), {}
    except RequestRefused as error:
        reason = get_reason(error)
        if len(entries) == 1:
            return [], {entries[0]["id"]: reason}
    parts = [open_each(network, account, [entry]) for entry in entries]
    failures: Failures = {}
    for _, refused in parts:
        failures |= refused
    return [one for opened, _ in parts for one in opened], failures


def begin_download(network: NetworkContext, opened: Opened) -> str:
    """The job of a node that fetches a session's datum."""
    order = {"session": opened.session, "voucher_secret": opened.voucher_secret.hex()}
    return str(network.client.post("/v1/content/download", order)["job"])


def wait_download(network: NetworkContext, title: str, job: str) -> str | None:
    """Returns when the node's job is over: None if it has all of the datum, else why not."""
    progress = network.client.get(f"/v1/content/download/{job}")
    while progress["state"] == "running":
        show_transfer(describe_progress(network, title, progress))
        time.sleep(POLL_SECONDS)
        progress = network.client.get(f"/v1/content/download/{job}")
    output.end_line()
    for host in progress["hosts"]:
        say_lost(network, host["host"], host["lost_bytes"], host["lost"], host["failure"])
    if progress["state"] == "complete":
        return None
    tried = "; ".join(f"{host['host']}: {host['failure']}" for host in progress["hosts"] if host["failure"])
    return str(progress["failure"] or tried or "no host gave it")


def is_complete(network: NetworkContext, datum: str) -> bool:
    """Whether the node has all of a datum."""
    local = network.client.get("/v1/content")["datums"]
    return any(one["datum"] == datum and one["is_complete"] for one in local)


def describe_progress(network: NetworkContext, title: str, progress: dict[str, Any]) -> Transfer:
    """How far a download of a node is."""
    left, rate = progress["bytes_total"] - progress["bytes_held"], progress["bytes_per_second"]
    return Transfer(
        title=title,
        bytes_done=progress["bytes_held"],
        bytes_total=progress["bytes_total"],
        bytes_per_second=rate,
        seconds_left=left // rate if rate else None,
        paid=network.amount(progress["paid"]),
        remark=describe_sources(
            len(progress["hosts"]), progress["unsold_chunks"], progress["unsold_seconds"]
        ),
    )


def build_failure(failures: Failures, count: int) -> RequestRefused:
    """How a command ends in which some datums of a batch failed."""
    told = "; ".join(f"{datum}: {reason}" for datum, reason in failures.items())
    hint = "run it again; it goes on where it is"
    return RequestRefused(
        "download_failed", f"{len(failures)} of {count} datums were not fetched: {told}", hint
    )
