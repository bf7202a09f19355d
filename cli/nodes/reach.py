"""Whether hosts answer at the addresses that the chain has of them, tried as their clients do."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import trio

from chain.primitives.types import Hash
from cli.nodes.homes import find_cause
from cli.signals import build_interruption
from node.logs import configure_logs
from node.network.light_peer import open_light_network
from node.stopping import run_until_stopped
from p2p.errors import NetworkError
from p2p.network import Network

DIAL_SECONDS_MAX = 8.0
DIALS_AT_ONCE = 16


class Target(NamedTuple):
    """A host's account as people write it, and where it says it is reached."""

    account: str
    addresses: Sequence[str]


def find_unreachable(genesis_hash: Hash, targets: Sequence[Target]) -> dict[str, str]:
    """Account -> why it was not reached, for those that were not. Raises KeyboardInterrupt."""
    configure_logs("error")  # what peers do is no part of what a command says
    failures: dict[str, str] = {}

    async def work() -> None:
        async with open_light_network(secrets.token_bytes(32), genesis_hash) as network:
            limiter = trio.CapacityLimiter(DIALS_AT_ONCE)
            async with trio.open_nursery() as nursery:
                for target in targets:
                    nursery.start_soon(_dial, network, target, limiter, failures)

    try:
        stopped = trio.run(run_until_stopped, work)
    except BaseExceptionGroup as group:
        raise find_cause(group) from group
    if stopped is not None:
        raise build_interruption(stopped)
    return failures


async def _dial(
    network: Network, target: Target, limiter: trio.CapacityLimiter, failures: dict[str, str]
) -> None:
    reason = "it names no address"
    async with limiter:
        for address in target.addresses:
            reason = f"no answer within {DIAL_SECONDS_MAX:.0f} s"
            with trio.move_on_after(DIAL_SECONDS_MAX):
                try:
                    await network.connect(address)
                    return
                except NetworkError as error:
                    reason = str(error)
    failures[target.account] = reason
