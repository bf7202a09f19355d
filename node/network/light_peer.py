"""A light peer: says hello, answers pings and downloads content; relays nothing and keeps nothing.

`vidya get` is one to the hosts that it buys from. Not here: dialling them (`node.content.downloads`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from chain.modules import system
from chain.primitives.types import NO_HASH, Hash, PeerId
from node.version import SOFTWARE
from p2p.network import Network
from p2p.peers.manager import ConnectedPeer, PeerCallbacks, PeerManager, run_peers
from p2p.tcp.host import open_network
from p2p.wire.messages import Hello, PeerRole

LISTEN = "/ip4/127.0.0.1/tcp/0"
"""Nobody needs to dial a light peer."""


@asynccontextmanager
async def open_light_network(seed: bytes, genesis_hash: Hash) -> AsyncIterator[Network]:
    """The network as a light peer with this identity, until the block ends."""
    async with open_network(seed, genesis_hash, LISTEN) as network, trio.open_nursery() as nursery:
        await nursery.start(partial(run_peers, PeerManager(network, build_callbacks(genesis_hash))))
        yield network
        nursery.cancel_scope.cancel()


def build_callbacks(genesis_hash: Hash) -> PeerCallbacks:
    """Answers hello and pings; serves nothing."""
    hello = Hello(
        genesis_hash=genesis_hash,
        software=SOFTWARE,
        spec_version=system.SPEC_VERSION,
        height=0,
        head_hash=NO_HASH,
        roles=int(PeerRole.LIGHT),
        listen_addresses=(),
    )
    return PeerCallbacks(
        build_hello=lambda: hello,
        check_hello=_accept,
        run_peer=_stay,
        get_wanted=tuple,
        peers_wanted=0,
    )


def _accept(peer: PeerId, hello: Hello) -> None:
    """Any peer will do: what it sends is verified."""


async def _stay(connected: ConnectedPeer) -> None:
    await trio.sleep_forever()
