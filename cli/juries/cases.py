"""Cases as a juror meets them: open ones with their phases, decided ones out of the events of their block."""

import time
from collections.abc import Iterator
from typing import Any

from chain.primitives.fixed_point import mul_ppm
from chain.primitives.types import Epoch
from cli.content.catalogue import get_if_there
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.errors import CliError
from cli.exits import ExitCode
from cli.screens.juries import ENDS
from cli.terminal import output
from cli.terminal.amounts import format_share

POLL_SECONDS = 0.5
EPOCHS_BACK_MAX = 2_000
"""So far back a verdict is looked for: three weeks of a public network."""

STEPS = {"commit": "vote", "reveal": "reveal"}
"""Phase -> what a juror does in it."""

Json = dict[str, Any]


def list_cases(network: NetworkContext, juror: str | None) -> Iterator[Json]:
    """All open cases; with the seats of an account if one is named."""
    parameters = {} if juror is None else {"juror": juror}
    return network.list_pages("/v1/juries", "cases", **parameters)


def find_case(network: NetworkContext, number: int) -> Json | None:
    """An open case with its seats; None if it is not open."""
    found: Json | None = get_if_there(network, f"/v1/juries/{number}")
    return found


def require_seat(network: NetworkContext, account: WalletAccount, found: Json) -> Json:
    """The account's seat in an open case; raises CliError."""
    address = network.address(account.address)
    for seat in found["seats"]:
        if seat["juror"] == address:
            return dict(seat)
    number = found["case"]["case"]
    raise CliError("juries.not_drawn", f"{account.name} is not in the jury of case {number}")


def describe_epoch(network: NetworkContext, epoch: Epoch) -> str:
    """`epoch 57 (in 2 min)`."""
    return f"epoch {epoch} ({network.clock.describe_epoch(epoch)})"


def require_phase(network: NetworkContext, number: int, phase: str, *, is_waiting: bool) -> Json:
    """An open case in this phase, if need be after waiting for it; raises CliError."""
    while True:
        found = require_case(network, number)
        case = found["case"]
        if case["phase"] == phase:
            return found
        order = list(ENDS)
        if order.index(case["phase"]) > order.index(phase):
            since = describe_epoch(network, case[ENDS[phase]])
            message = f"it is too late to {STEPS[phase]} in case {number}: since {since}"
            raise CliError("juries.wrong_phase", message)
        until = case[ENDS[case["phase"]]]
        if not is_waiting:
            when = describe_epoch(network, until)
            message = f"it is too early to {STEPS[phase]} in case {number}: from {when} on"
            raise CliError("juries.wrong_phase", message, "--wait waits for it")
        wait_for_epoch(network, until, f"case {number}")


def require_case(network: NetworkContext, number: int) -> Json:
    """An open case with its seats; raises CliError."""
    found = find_case(network, number)
    if found is None:
        message = f"case {number} is not open"
        raise CliError("juries.no_such_case", message, f"`vidya jury show {number}`", ExitCode.NOT_FOUND)
    return found


def wait_for_epoch(network: NetworkContext, epoch: Epoch, why: str) -> None:
    """Returns once the first block of the epoch is final."""
    first = epoch * network.spec.system.parameters.epoch_blocks + 1
    output.say(f"{why}: waiting for {describe_epoch(network, epoch)}")
    while network.get_status()["height"] < first:
        time.sleep(POLL_SECONDS)
    network.renew_clock()


def list_due(network: NetworkContext, account: WalletAccount) -> list[Json]:
    """The cases in which the account can reveal now, with its seat."""
    return [
        case
        for case in list_cases(network, network.address(account.address))
        if case["phase"] == "reveal" and case["seat"] is not None and case["seat"]["is_junk"] is None
    ]


def say_duty(network: NetworkContext, account: WalletAccount, case: Json) -> None:
    """On stderr: when a vote must be revealed, and what is lost without that."""
    first, last = (describe_epoch(network, case[name]) for name in ("reveals_from", "decided_in"))
    bond = get_bond(network, account, are_validators=case["are_validators"])
    share = network.spec.juries.parameters.silent_ppm
    lost = network.amount(mul_ppm(bond, share))
    output.say(f"reveal it from {first} on and before {last}: `vidya jury reveal {case['case']}`")
    output.say(f"a juror that reveals nothing loses {format_share(share)} of its bond, now {lost}")


def get_bond(network: NetworkContext, account: WalletAccount, *, are_validators: bool) -> int:
    """What a silent juror loses a share of: its bond as a validator or as a juror."""
    address = network.address(account.address)
    if are_validators:
        return int(network.client.get(f"/v1/accounts/{address}")["bond"]["active"])
    juror = network.client.get(f"/v1/juries/jurors/{address}")["juror"]
    return 0 if juror is None else int(juror["amount"])


def find_decision(network: NetworkContext, number: int) -> Json | None:
    """What a verdict did: its epoch and the events about the case; None if none is found.

    Cases are decided in the order of their numbers, at the start of an epoch.
    """
    if number >= network.client.get("/v1/juries", limit=1)["opened"]:
        return None
    newest = (network.get_status()["height"] - 1) // network.spec.system.parameters.epoch_blocks
    for epoch in range(newest, max(newest - EPOCHS_BACK_MAX, -1), -1):
        output.show_line(f"looking for the verdict in epoch {epoch}")
        events = list_jury_events(network, epoch)
        decided = [one["fields"]["case"] for one in events or () if one["name"] == "juries.CaseDecided"]
        if events is None or (decided and max(decided) < number):
            break
        if number in decided:
            output.end_line()
            return build_decision(epoch, [one for one in events if one["fields"].get("case") == number])
    output.end_line()
    return None


def list_jury_events(network: NetworkContext, epoch: Epoch) -> list[Json] | None:
    """What was decided at the start of an epoch; None if the node does not have its first block."""
    first = epoch * network.spec.system.parameters.epoch_blocks + 1
    block = get_if_there(network, f"/v1/blocks/{first}", limit=1)
    if block is None:
        return None
    return [one for one in block["events_start"] if one["name"].startswith("juries.")]


def build_decision(epoch: Epoch, events: list[Json]) -> Json:
    """The events of one verdict, sorted by what they say."""

    def pick(name: str) -> list[Json]:
        return [one["fields"] for one in events if one["name"] == f"juries.{name}"]

    (decided,) = pick("CaseDecided")
    return {
        **decided,
        "decided_in": epoch,
        "fines": pick("SilentJurorFined"),
        "withheld_burned": pick("WithheldBurned"),
    }
