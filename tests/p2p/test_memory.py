"""What only the in-memory network can show: a clock that jumps, connections that are cut."""

import pytest
import trio
import trio.testing

from p2p.errors import PeerGone, PeerSlow
from p2p.memory import MemoryHub
from p2p.network import ProtocolSpec, Stream
from tests.p2p.support import ECHO, GENESIS, echo


async def test_the_receiver_sets_the_pace(autojump_clock: trio.testing.MockClock) -> None:
    """A peer above its rate is read more slowly and loses nothing."""
    slow = ProtocolSpec("slow", 1, 100, 4, frames_per_second_max=10, bytes_per_second_max=10_000)
    done = trio.Event()

    async def count(stream: Stream) -> None:
        for _ in range(30):
            await stream.receive()
        done.set()

    hub = MemoryHub()
    async with hub.open_network(bytes(32), GENESIS) as first, hub.open_network(b"2" * 32, GENESIS) as second:
        second.serve(slow, count)
        await first.connect(second.addresses[0])
        stream = await first.open(second.peer_id, slow)
        begun = trio.current_time()
        for _ in range(30):
            await stream.send(b"x")
        await done.wait()
        assert trio.current_time() - begun >= 2.0


async def test_slow_frames_and_idle_streams_end(autojump_clock: trio.testing.MockClock) -> None:
    """A stream with nothing received in time ends for the receiver; so does a send that the peer does
    not read.
    """
    impatient = ProtocolSpec("impatient", 1, 2**20, 4, 10, 2**20, frame_seconds_max=5, idle_seconds_max=9)
    ended = trio.Event()

    async def wait(stream: Stream) -> None:
        with pytest.raises(PeerSlow):
            await stream.receive()
        ended.set()
        await trio.sleep_forever()

    hub = MemoryHub()
    async with hub.open_network(bytes(32), GENESIS) as first, hub.open_network(b"2" * 32, GENESIS) as second:
        second.serve(impatient, wait)
        await first.connect(second.addresses[0])
        stream = await first.open(second.peer_id, impatient)
        begun = trio.current_time()
        await ended.wait()
        assert trio.current_time() - begun == pytest.approx(9)
        with pytest.raises(PeerSlow):
            await stream.send(bytes(2**20))
        assert trio.current_time() - begun == pytest.approx(14)


async def test_a_cut_connection_stays_cut_until_healed() -> None:
    """After `cut` the streams end and dials fail; after `heal` they work."""
    hub = MemoryHub()
    async with hub.open_network(bytes(32), GENESIS) as first, hub.open_network(b"2" * 32, GENESIS) as second:
        second.serve(ECHO, echo)
        await first.connect(second.addresses[0])
        stream = await first.open(second.peer_id, ECHO)
        await hub.cut(first.peer_id, second.peer_id)
        with pytest.raises(PeerGone):
            await stream.receive()
        with pytest.raises(PeerGone):
            await first.connect(second.addresses[0])
        hub.heal(first.peer_id, second.peer_id)
        await first.connect(second.addresses[0])
        stream = await first.open(second.peer_id, ECHO)
        await stream.send(b"again")
        assert await stream.receive() == b"again"
