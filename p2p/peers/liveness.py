"""Pings: a peer that misses two in a row is disconnected.

A stopped process keeps its TCP connections, and yamux's pings have no consequence; without these a dead
validator stays listed for minutes.
"""

from dataclasses import dataclass

import trio

from chain.primitives.types import PeerId
from p2p.errors import PeerFault, PeerSlow
from p2p.network import Network, Stream
from p2p.wire.messages import Ping
from p2p.wire.protocols import PING
from p2p.wire.requests import ask, build_answerer, open_stream

MISSES_MAX = 2


@dataclass(frozen=True, slots=True)
class PingTimes:
    """How often a peer is pinged, and how long its answer may take."""

    interval_seconds: float = 5.0
    answer_seconds_max: float = 5.0


async def _answer(peer: PeerId, ping: Ping) -> Ping:
    return ping


answer_pings = build_answerer(Ping, _answer, requests_max=1024)


async def run_pings(network: Network, peer: PeerId, times: PingTimes) -> None:
    """Pings until the connection ends (PeerGone) or MISSES_MAX answers in a row are late (PeerSlow)."""
    number, misses = 0, 0
    while True:
        try:
            async with open_stream(network, peer, PING) as stream:
                while True:
                    await trio.sleep(times.interval_seconds)
                    number = (number + 1) % 2**32
                    await _ping(stream, number, times.answer_seconds_max)
                    misses = 0
        except PeerSlow:
            misses += 1
            if misses >= MISSES_MAX:
                raise


async def _ping(stream: Stream, number: int, seconds_max: float) -> None:
    answer = await ask(stream, Ping(number), Ping, seconds_max)
    if answer.number != number:
        raise PeerFault("ping answered with another number")
