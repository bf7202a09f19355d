"""What is wrong with an account as a host, and the next command: jail, misses, too little for the next
election, content that cannot be read.

Used by `status`, `host status`, `doctor` and before `unjail`, so that all of them say the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chain.modules.offences import Unjail
from cli.content.catalogue import get_if_there
from cli.context.network import NetworkContext, connect_own
from cli.errors import CliError
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.terminal.wording import format_count

SAMPLE_CHUNKS = 8
"""Read of each datum, spread over it; `--all` reads every chunk."""
CHECKED_MAX = 64
PAGE = 500


class Finding(NamedTuple):
    """One thing that was looked at."""

    check: str
    is_ok: bool
    found: str
    next: str
    """What to do where it is not well; shown only then."""


def describe_jail(network: NetworkContext, account: str, standing: dict[str, Any]) -> Finding:
    """Whether the account may be elected, as far as jail is concerned."""
    if standing["is_tombstoned"]:
        return Finding("not jailed", False, "jailed forever: its key signed two votes", "`vidya leave`")
    if not standing["is_jailed"]:
        return Finding("not jailed", True, "free", "")
    until, epoch = standing["jailed_until"], network.get_status()["epoch"]
    command = f"`vidya tx unjail --from {account}`"
    if epoch >= until:
        return Finding("not jailed", False, "jailed; its time is over", command)
    when = f"from epoch {until} on ({network.clock.describe_epoch(until)})"
    return Finding("not jailed", False, f"jailed; it may ask to leave {when}", command)


def describe_proofs(possession: dict[str, Any]) -> Finding:
    """How the last epochs were judged."""
    window, row = possession["window"], possession["misses_in_row"]
    missed = f"{window.count('m')} of the last {len(window)} epochs missed" if window else "none judged yet"
    next_step = "`vidya doctor` on its machine: is the node up, is the content there?"
    return Finding("proves what it hosts", not row, missed, next_step)


def describe_era(era: dict[str, Any]) -> Finding:
    """Whether a candidate can be elected for the next era, as far as its proofs are concerned."""
    check, asked = "eligible in the next era", format_size(era["asked_bytes"])
    if era["is_on_course"]:
        return Finding(
            check, True, f"asked to prove {asked}" if era["asked_bytes"] else "nothing is asked", ""
        )
    if era["held_bytes"] < era["asked_bytes"]:
        held = format_size(era["held_bytes"])
        found = f"not eligible in the next era: proves {held}, less than the {asked} that a validator must"
        return Finding(check, False, found, "`vidya host add`, with data of `vidya search`")
    proven, left, needed = era["proven_epochs"], era["left_epochs"], era["needed_epochs"]
    found = (
        f"not eligible in the next era: proved {proven} epochs of this one, {left} are left, {needed} needed"
    )
    return Finding(
        check, False, found, "`vidya doctor` on its machine: is the node up, is the content there?"
    )


def check_account(network: NetworkContext, account: str) -> list[Finding]:
    """Jail and proofs, as any node knows them."""
    stored = network.client.get(f"/v1/accounts/{account}")
    host = get_if_there(network, f"/v1/hosts/{account}", limit=1)
    findings = [describe_jail(network, account, stored["standing"])]
    if host is None:
        return findings
    findings.append(describe_proofs(host["possession"]))
    return findings if host["era"] is None else [*findings, describe_era(host["era"])]


def warn_of_account(network: NetworkContext, account: str | None) -> None:
    """Says on stderr what is wrong with the account of the node that was asked."""
    for one in [] if account is None else check_account(network, account):
        if not one.is_ok:
            output.warn(f"{one.found}. Next: {one.next}")


def check_content(network: NetworkContext, account: str, *, is_all: bool = False) -> list[Finding]:
    """Whether the own node has what the account has registered, and can read it."""
    path = f"/v1/hosts/{account}"
    if get_if_there(network, path, limit=1) is None:
        return []
    here = {one["datum"]: one for one in network.client.get("/v1/content")["datums"]}
    held = list(network.list_pages(path, "holdings", limit=PAGE))
    found = [check_datum(network, one["datum"], here.get(one["datum"]), is_all=is_all) for one in held]
    bad = [one for one in found if not one.is_ok]
    return bad or [Finding("content is readable", True, format_count(len(held), "datum"), "")]


def check_datum(
    network: NetworkContext, datum: str, local: dict[str, Any] | None, *, is_all: bool
) -> Finding:
    """One datum: whether it is here whole, and whether its chunks are read."""
    check, again = "content is readable", f"`vidya host add {datum}` fetches what is missing"
    if local is None:
        return Finding(check, False, f"{datum} is registered and not here", again)
    read, unreadable, reason = 0, 0, ""
    for first, count in list_ranges(local["chunks"], is_all=is_all):
        answer = network.client.post("/v1/content/check", {"datum": datum, "first": first, "count": count})
        read, unreadable = read + answer["checked"], unreadable + len(answer["unreadable"])
        reason = answer["reason"] or reason
    missing = local["chunks"] - local["chunks_held"]
    if not unreadable and not missing:
        return Finding(check, True, f"{datum}: {format_count(read, 'chunk')} read", "")
    told = f"{datum}: {unreadable} of {read} chunks read are unreadable, {missing} are missing"
    return Finding(
        check, False, f"{told}. {reason}".rstrip(". "), again if not reason else f"bring it back, or {again}"
    )


def list_ranges(chunks: int, *, is_all: bool) -> list[tuple[int, int]]:
    """(first, count) of the chunks to read."""
    if is_all:
        return [(first, min(CHECKED_MAX, chunks - first)) for first in range(0, chunks, CHECKED_MAX)]
    step = max(1, chunks // SAMPLE_CHUNKS)
    return [(first, 1) for first in range(0, chunks, step)][: SAMPLE_CHUNKS + 1]


def check_ready(network: NetworkContext, account: str, calls: Sequence[Any]) -> None:
    """Raises CliError if a call of these would only lead back to where the account was.

    Leaving jail with the node down, or without the content, ends in jail again, with twice the slash.
    """
    if not any(isinstance(call, Unjail) for call in calls):
        return
    from cli.nodes.reach import Target, find_unreachable

    host = get_if_there(network, f"/v1/hosts/{account}", limit=1)
    if host is None:
        return
    addresses = host["host"]["addresses"]
    unreachable = find_unreachable(network.genesis_hash, [Target(account, addresses)])
    if unreachable:
        message = f"the host does not answer at {', '.join(addresses)}: {unreachable[account]}"
        raise CliError("host_not_ready", message, "start its node first: it would be jailed again")
    for finding in check_own_content(network, account):
        if not finding.is_ok:
            raise CliError("host_not_ready", f"{finding.found}; it would be jailed again", finding.next)


def check_own_content(network: NetworkContext, account: str) -> list[Finding]:
    """What the account's own node can read, if it is the node of the home."""
    try:
        own = connect_own(network.settings)
    except CliError:
        return []
    return check_content(own, account) if own.get_status()["account"] == account else []
