"""Ceasing to be a validator-host: stop standing, drop the content, unbond, withdraw.

Each run does what the chain allows now, in one transaction, and says what is left and from when on. Bond that
stands for hosted bytes is free only when the holdings have ended; until then the node has to prove them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chain.modules.hosting import RegisterSubset
from chain.modules.staking.calls import Unbond, Withdraw
from chain.modules.validators.calls import Chill
from cli.content.catalogue import get_if_there
from cli.content.holdings import SUBSET_CHANGES_MAX
from cli.context.network import NetworkContext


class HostPosition(NamedTuple):
    """What an account still has on the chain as a validator-host."""

    epoch: int
    era: int
    is_candidate: bool
    holdings: Sequence[dict[str, Any]]
    active: int
    committed: int
    unlocking: Sequence[dict[str, Any]]

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.is_candidate or self.holdings or self.active or self.unlocking)


class LeavingStep(NamedTuple):
    """Something that waits, and for what."""

    step: str
    state: str


def load_position(network: NetworkContext, account: str) -> HostPosition:
    """By the newest final block."""
    status, stored = network.get_status(), network.client.get(f"/v1/accounts/{account}")
    host = get_if_there(network, f"/v1/hosts/{account}", limit=1)
    candidates = {one["address"]: one for one in network.list_pages("/v1/validators", "candidates")}
    own = candidates.get(account)
    return HostPosition(
        epoch=status["epoch"],
        era=status["era"],
        is_candidate=own is not None and not own["is_chilled"],
        holdings=list(network.list_pages(f"/v1/hosts/{account}", "holdings")) if host is not None else (),
        active=stored["bond"]["active"],
        committed=stored["bond"]["committed"],
        unlocking=stored["bond"]["unlocking"],
    )


def list_calls(position: HostPosition) -> list[Any]:
    """What can be done now."""
    calls: list[Any] = [Chill()] if position.is_candidate else []
    kept = [bytes.fromhex(one["datum"]) for one in position.holdings if one["until_epoch"] is None]
    if kept:
        calls.append(RegisterSubset((), tuple(kept[:SUBSET_CHANGES_MAX])))
    if position.active > position.committed:
        calls.append(Unbond(position.active - position.committed))
    if any(chunk["unlocks_in"] <= position.era for chunk in position.unlocking):
        calls.append(Withdraw())
    return calls


def list_steps(network: NetworkContext, position: HostPosition) -> list[LeavingStep]:
    """What waits, with the time it waits for."""
    steps = []
    if any(one["until_epoch"] is None for one in position.holdings):
        steps.append(LeavingStep("drop content", "now: run it again"))
    elif position.holdings:
        until = max(one["until_epoch"] for one in position.holdings)
        when = f"epoch {until} ({network.clock.describe_epoch(until)})"
        steps.append(LeavingStep("prove content", f"until {when}: keep the node running"))
    if position.active:
        steps.append(LeavingStep("unbond", f"{network.amount(position.active)} when the content is over"))
    for chunk in position.unlocking:
        when = f"era {chunk['unlocks_in']} ({network.clock.describe_era(chunk['unlocks_in'])})"
        steps.append(LeavingStep("withdraw", f"{network.amount(chunk['amount'])} from {when} on"))
    return steps
