"""The attacker's process: `python -m tests.attacks.attacker NAME ADDRESS GENESIS NETWORK API`, until killed.

It ends by itself when its standard input ends, as it does with the parent."""

import logging
import sys
from collections.abc import Awaitable, Callable

import structlog
import trio

from tests.attacks.runner import load_program
from tests.attacks.target import Target


def main(name: str, address: str, genesis_hash: str, network: str, api: str) -> None:
    """Attacks."""
    silence_logs()
    target = Target(address, bytes.fromhex(genesis_hash), int(network), api)
    trio.run(_run, load_program(name).attack, target)


def silence_logs() -> None:
    """What a peer logs of its own connections is of no interest here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


async def _run(attack: Callable[[Target], Awaitable[None]], target: Target) -> None:
    print("begun", flush=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attack, target)
        await trio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
