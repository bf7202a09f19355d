"""Peers that ask for as much as they may and read none of it: what waits for them fills memory."""

from functools import partial

import trio

from p2p.switch.switch import Switch
from p2p.wire.messages import BlocksRequest
from p2p.wire.protocols import SYNC
from p2p.wire.requests import open_stream, send_message
from tests.attacks.target import Target, keep_coming

BREAKS_RULES = False
SECONDS = 40.0
CONNECTIONS = 30
STREAMS = 4
COUNT = 128


async def attack(target: Target) -> None:
    """All connections at once."""
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(keep_coming, target, target.get_host(number, number), partial(_visit, target))


async def _visit(target: Target, peer: Switch) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(STREAMS):
            nursery.start_soon(_ask, peer, target)


async def _ask(peer: Switch, target: Target) -> None:
    async with open_stream(peer, target.place.peer, SYNC) as stream:
        while True:
            await send_message(stream, BlocksRequest(1, COUNT))
            await trio.sleep(0.02)
