"""Summaries and requests for blocks as fast as a node reads them: each makes it look through its votes and
blocks, and send what is asked for.
"""

import secrets
from functools import partial

import trio

from chain.primitives.codec import encode
from consensus.catchup import VoteSummary
from consensus.types import Step
from p2p.switch.switch import Switch
from p2p.wire.messages import BlockTransactionsWanted, BlockWanted, Summary
from p2p.wire.protocols import CONSENSUS
from p2p.wire.requests import open_stream, send_message
from tests.attacks.target import Target, fetch_height, keep_coming

SECONDS = 20.0
CONNECTIONS = 4
AT_ONCE = 50


async def attack(target: Target) -> None:
    """All connections at once; a cut one comes back under a new identity."""
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(keep_coming, target, target.get_host(number), partial(_ask, target))


async def _ask(target: Target, peer: Switch) -> None:
    async with open_stream(peer, target.place.peer, CONSENSUS) as stream:
        while True:
            height = await fetch_height(target)
            summary = Summary(encode(VoteSummary(height + 1, 0, Step.PROPOSE, ())))
            unknown = secrets.token_bytes(32)
            for _ in range(AT_ONCE):
                await send_message(stream, summary)
                await send_message(stream, BlockWanted(height, unknown))
                await send_message(stream, BlockTransactionsWanted(unknown, (unknown,)))
