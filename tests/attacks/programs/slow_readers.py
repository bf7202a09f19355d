"""Peers that ask for as much as they may and read none of it: what waits for them fills memory."""

import trio

from p2p.errors import NetworkError
from p2p.switch.switch import Switch
from p2p.wire.messages import BlocksRequest
from p2p.wire.protocols import SYNC
from p2p.wire.requests import open_stream, send_message
from tests.attacks.target import Target, open_peer

BREAKS_RULES = False
SECONDS = 40.0
CONNECTIONS = 30
STREAMS = 4
COUNT = 128


async def attack(target: Target) -> None:
    """All connections at once."""
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(_visit, target, target.get_host(number, number))


async def _visit(target: Target, host: str) -> None:
    while True:
        try:
            async with open_peer(target.genesis_hash, host) as peer:
                await peer.connect(target.address)
                async with trio.open_nursery() as nursery:
                    for _ in range(STREAMS):
                        nursery.start_soon(_ask, peer, target)
        except* NetworkError as group:
            target.note_cut(group)
        await trio.sleep(0.1)


async def _ask(peer: Switch, target: Target) -> None:
    async with open_stream(peer, target.place.peer, SYNC) as stream:
        while True:
            await send_message(stream, BlocksRequest(1, COUNT))
            await trio.sleep(0.02)
