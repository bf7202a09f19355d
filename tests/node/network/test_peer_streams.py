"""Outboxes and peer streams: nothing waits, the oldest is dropped, each peer has its own outbox."""

from collections.abc import Iterator
from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from node.mempool.batches import split_batches
from node.network.peer_streams import UNGREETED_POINTS, Outbox, PeerStreams
from p2p.boundary import run_for_peer
from p2p.errors import PeerGone
from p2p.memory import MemoryHub
from p2p.network import ProtocolSpec
from p2p.switch.switch import Switch
from p2p.wire.messages import TRANSACTIONS_MAX, PoolMessage, TransactionIds
from p2p.wire.protocols import POOL
from p2p.wire.requests import open_stream, send_message

GENESIS = bytes(32)


async def take_all(outbox: Outbox) -> list[bytes]:
    """The waiting frames, oldest first."""
    found = []
    with trio.move_on_after(1):
        while outbox._frames:
            found.append(await outbox.take())
    return found


async def test_an_outbox_drops_its_oldest() -> None:
    """It is bounded by number and by bytes; the newest frame is kept whatever its size."""
    outbox = Outbox(frames_max=3, bytes_max=10)
    for frame in (b"a", b"b", b"c", b"d"):
        outbox.put(frame)
    assert await take_all(outbox) == [b"b", b"c", b"d"]
    for frame in (b"four", b"four", b"four", b"larger than all"):
        outbox.put(frame)
    assert await take_all(outbox) == [b"larger than all"]
    outbox.put(b"four")
    assert await take_all(outbox) == [b"four"]


async def test_taking_waits_for_putting() -> None:
    """A waiting task wakes up at the next frame."""
    outbox = Outbox(3, 10)
    async with trio.open_nursery() as nursery:
        taken: list[bytes] = []

        async def take() -> None:
            taken.append(await outbox.take())

        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        assert taken == []
        outbox.put(b"a")
    assert taken == [b"a"]


class Node:
    """A network with streams of the pool protocol, which keeps what it receives."""

    def __init__(self, network: Switch, protocol: ProtocolSpec = POOL) -> None:
        self.network = network
        self.received: list[tuple[bytes, PoolMessage]] = []
        self.streams: PeerStreams[PoolMessage] = PeerStreams(network, protocol, PoolMessage, self.receive)

    async def receive(self, peer: bytes, message: PoolMessage) -> None:
        """Keeps the message."""
        self.received.append((peer, message))


def build_message(number: int) -> TransactionIds:
    """A message that differs by number."""
    return TransactionIds((bytes((number,)) * 32,))


async def test_messages_go_to_all_or_one_or_all_but_some() -> None:
    """A peer without an outbox gets nothing; a peer that leaves loses its outbox."""
    hub = MemoryHub()
    async with (
        hub.open_network(b"1" * 32, GENESIS) as one,
        hub.open_network(b"2" * 32, GENESIS) as two,
        hub.open_network(b"3" * 32, GENESIS) as three,
        trio.open_nursery() as nursery,
    ):
        center, left, right = Node(one), Node(two), Node(three)
        for other in (left, right):
            await one.connect(other.network.addresses[0])
            serve_one = partial(other.streams.run_peer, one.peer_id)
            nursery.start_soon(run_for_peer, one.peer_id, serve_one, other.network.blame)
        assert not await center.streams.wait_for(two.peer_id, 0.0)
        nursery.start_soon(center.streams.run_peer, two.peer_id)
        assert await center.streams.wait_for(two.peer_id, 5.0)
        center.streams.broadcast(build_message(1))
        serve_three = partial(center.streams.run_peer, three.peer_id)
        nursery.start_soon(run_for_peer, three.peer_id, serve_three, one.blame)
        assert await center.streams.wait_for(three.peer_id, 5.0)
        assert set(center.streams.peers) == {two.peer_id, three.peer_id}
        center.streams.broadcast(build_message(2), but=(two.peer_id,))
        center.streams.post(two.peer_id, build_message(3))
        center.streams.post(b"nobody", build_message(4))
        await trio.testing.wait_all_tasks_blocked()
        assert left.received == [(one.peer_id, build_message(1)), (one.peer_id, build_message(3))]
        assert right.received == [(one.peer_id, build_message(2))]
        await three.disconnect(one.peer_id, "done")
        center.streams.broadcast(build_message(5))
        await trio.testing.wait_all_tasks_blocked()
        assert center.streams.peers == (two.peer_id,)
        nursery.cancel_scope.cancel()


async def test_a_peer_that_does_not_take_part_is_not_heard(autojump_clock: trio.testing.MockClock) -> None:
    """What a peer sends before its hello, or as a light peer, is not read: it costs points."""
    hub = MemoryHub()
    async with hub.open_network(b"1" * 32, GENESIS) as one, hub.open_network(b"2" * 32, GENESIS) as two:
        node = Node(one)
        await two.connect(one.addresses[0])
        async with open_stream(two, one.peer_id, POOL) as stream:
            await send_message(stream, build_message(1))
            with pytest.raises(PeerGone):
                await stream.receive()
        assert node.received == []
        assert one.scores.get_score(two.peer_id) == 100 - UNGREETED_POINTS


async def test_running_a_peer_ends_with_the_connection() -> None:
    """It raises PeerGone, for the boundary around it."""
    hub = MemoryHub()
    async with hub.open_network(b"1" * 32, GENESIS) as one, hub.open_network(b"2" * 32, GENESIS) as two:
        center, other = Node(one), Node(two)
        with pytest.raises(PeerGone):
            await center.streams.run_peer(two.peer_id)
        await one.connect(two.addresses[0])
        with pytest.raises(BaseExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(center.streams.run_peer, two.peer_id)
                assert await center.streams.wait_for(two.peer_id, 5.0)
                await two.disconnect(one.peer_id, "done")
                center.streams.post(two.peer_id, build_message(1))
        assert caught.group_contains(PeerGone)
        assert center.streams.peers == ()
        assert other.received == []


@given(st.lists(st.binary(max_size=9)), st.integers(1, 20))
def test_batches_hold_everything_in_order_and_within_bounds(items: list[bytes], bytes_max: int) -> None:
    """A transaction that is longer than a batch is sent alone."""
    batches = list(split_batches(iter(items), bytes_max))
    assert [item for batch in batches for item in batch] == items
    assert all(batch for batch in batches)
    assert all(sum(map(len, batch)) <= bytes_max or len(batch) == 1 for batch in batches)


def test_batches_are_bounded_in_number_too() -> None:
    """A message holds at most TRANSACTIONS_MAX transactions, however short: above it an honest node
    would be blamed.
    """

    def tiny() -> Iterator[bytes]:
        yield from (b"x" for _ in range(TRANSACTIONS_MAX + 1))

    assert [len(batch) for batch in split_batches(tiny(), 2**20)] == [TRANSACTIONS_MAX, 1]
