"""What the tests of p2p share: a protocol, a handler, the type of the fixtures."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import trio

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
