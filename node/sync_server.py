"""Lets peers ask: `replica.answers` behind the sync protocol.

In threads of its own, so that reading blocks for others holds up neither the loop nor the lane.
"""

import trio

from chain.primitives.types import PeerId
from node.replica.answers import Answers
from p2p.messages import SyncReply, SyncRequest
from p2p.network import Network
from p2p.protocols import SYNC
from p2p.requests import build_answerer

READERS_MAX = 2
REQUESTS_MAX = 8


def serve_sync(network: Network, answers: Answers) -> None:
    """From now on the network's peers are answered."""
    readers = trio.CapacityLimiter(READERS_MAX)

    async def answer(peer: PeerId, message: SyncRequest) -> SyncReply:
        return await trio.to_thread.run_sync(answers.answer, message, limiter=readers)

    network.serve(SYNC, build_answerer(SyncRequest, answer, REQUESTS_MAX))
