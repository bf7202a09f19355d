"""What the tests of p2p share: a protocol, a handler, the type of the fixtures."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from chain.primitives.types import PeerId
from p2p.boundary import run_for_peer
from p2p.network import NetworkEvent, ProtocolSpec, Stream
from p2p.switch.switch import Switch

GENESIS = b"\x07" * 32

ECHO = ProtocolSpec(
    name="echo",
    version=1,
    frame_bytes_max=2**20,
    streams_per_peer_max=4,
    frames_per_second_max=10_000,
    bytes_per_second_max=2**30,
)

OpenNetwork = Callable[..., AbstractAsyncContextManager[Switch]]


async def echo(stream: Stream) -> None:
    """Sends back every frame."""
    while True:
        await stream.send(await stream.receive())


def watch(network: Switch) -> trio.MemoryReceiveChannel[NetworkEvent]:
    """The events of a network as a channel."""
    send, receive = trio.open_memory_channel[NetworkEvent](1000)
    network.watch(send.send_nowait)
    return receive


async def ignore(stream: Stream) -> None:
    """Reads and drops every frame."""
    while True:
        await stream.receive()


@asynccontextmanager
async def taking_part(
    run_peer: Callable[[PeerId], Awaitable[None]], own: Switch, other: Switch, protocol: ProtocolSpec
) -> AsyncIterator[None]:
    """A node runs the other as a peer that takes part in the protocol, and of which it gets messages."""
    other.serve(protocol, ignore)
    peer = other.peer_id
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_for_peer, peer, lambda: run_peer(peer), own.blame)
        yield
        nursery.cancel_scope.cancel()
