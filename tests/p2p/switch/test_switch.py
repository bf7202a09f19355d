"""What every network implementation must do; run over memory and over libp2p."""

import contextlib

import pytest
import trio

from chain.primitives.types import PeerId
from p2p.errors import MessageTooLarge, PeerFault, PeerGone, RefusalCode, Refused, StreamEnded
from p2p.identity import compute_peer_id_of_seed, parse_address
from p2p.network import Limits, PeerConnected, PeerDisconnected, ProtocolSpec, Stream
from p2p.switch.switch import Switch
from tests.p2p.support import ECHO, GENESIS, OpenNetwork, echo, watch

Pair = tuple[Switch, Switch]


async def test_identity_is_the_key(open_network: OpenNetwork) -> None:
    """A node's peer id follows from its seed, and its address carries it."""
    async with open_network(1) as network:
        assert network.peer_id == compute_peer_id_of_seed(b"\x01" * 32)
        assert [parse_address(address).peer for address in network.addresses] == [network.peer_id]


async def test_frames_arrive_whole_and_in_order(pair: Pair) -> None:
    """Frames of any allowed size come back equal and in order."""
    first, second = pair
    stream = await first.open(second.peer_id, ECHO)
    frames = [bytes([size % 251]) * size for size in (1, 2, 255, 65_536, 262_144, 1, ECHO.frame_bytes_max)]
    for frame in frames:
        await stream.send(frame)
        assert await stream.receive() == frame
    assert stream.peer == second.peer_id


async def test_an_own_frame_above_the_bound_is_not_sent(pair: Pair) -> None:
    """Sending too much is an error that the sender may catch; the stream goes on."""
    first, second = pair
    stream = await first.open(second.peer_id, ECHO)
    for frame in (bytes(ECHO.frame_bytes_max + 1), b""):
        with pytest.raises(MessageTooLarge):
            await stream.send(frame)
    await stream.send(b"x")
    assert await stream.receive() == b"x"
    await stream.close()


async def test_both_sides_may_open(pair: Pair) -> None:
    """The side that was dialled opens streams over the same connection."""
    first, second = pair
    stream = await second.open(first.peer_id, ECHO)
    await stream.send(b"back")
    assert await stream.receive() == b"back"
    assert len(second.connections()) == 1


async def test_close_is_heard_between_frames(open_network: OpenNetwork) -> None:
    """After `close` the other side gets every sent frame, then StreamEnded."""
    received: list[bytes] = []
    ended = trio.Event()

    async def collect(stream: Stream) -> None:
        try:
            while True:
                received.append(await stream.receive())
        except StreamEnded:
            ended.set()

    async with open_network(1) as first, open_network(2) as second:
        second.serve(ECHO, collect)
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            stream = await first.open(second.peer_id, ECHO)
            for frame in (b"a", b"bb", b"c" * 100_000):
                await stream.send(frame)
            await stream.close()
            await ended.wait()
    assert received == [b"a", b"bb", b"c" * 100_000]


async def test_reset_ends_both_sides(pair: Pair) -> None:
    """A reset stream raises PeerGone at once and its connection lives on."""
    first, second = pair
    stream = await first.open(second.peer_id, ECHO)
    await stream.reset()
    with pytest.raises(PeerGone):
        await stream.receive()
    with pytest.raises(PeerGone):
        await stream.send(b"x")
    other = await first.open(second.peer_id, ECHO)
    await other.send(b"alive")
    assert await other.receive() == b"alive"


async def test_unknown_protocol_is_refused(pair: Pair) -> None:
    """Opening a protocol that the peer does not serve is Refused."""
    first, second = pair
    unknown = ProtocolSpec("unknown", 1, 10, 1, 10, 10)
    with pytest.raises(Refused) as caught:
        await first.open(second.peer_id, unknown)
    assert caught.value.code == RefusalCode.PROTOCOL_UNKNOWN


async def test_networks_do_not_mix(open_network: OpenNetwork) -> None:
    """The same protocol of another genesis hash is an unknown protocol."""
    async with open_network(1) as first, open_network(2, genesis_hash=b"\x08" * 32) as second:
        second.serve(ECHO, echo)
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            with pytest.raises(Refused):
                await first.open(second.peer_id, ECHO)


async def test_events_tell_of_peers(open_network: OpenNetwork) -> None:
    """Both sides get events for the connection and for its end, with the reason."""
    async with open_network(1) as first, open_network(2) as second:
        heard_first, heard_second = watch(first), watch(second)
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            begun = await heard_first.receive()
            assert isinstance(begun, PeerConnected)
            assert (begun.peer, begun.is_outbound) == (second.peer_id, True)
            begun = await heard_second.receive()
            assert isinstance(begun, PeerConnected)
            assert (begun.peer, begun.is_outbound) == (first.peer_id, False)
            await first.disconnect(second.peer_id, "enough")
            assert await heard_first.receive() == PeerDisconnected(second.peer_id, "enough")
            assert (await heard_second.receive()).peer == first.peer_id
        assert not first.connections()
        assert not second.connections()


async def test_disconnect_ends_streams(pair: Pair) -> None:
    """A receiver whose connection is closed gets PeerGone and stops waiting."""
    first, second = pair
    stream = await first.open(second.peer_id, ECHO)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.disconnect, first.peer_id, "test")
        with pytest.raises(PeerGone):
            await stream.receive()


async def test_a_bug_in_a_handler_ends_its_stream_only(open_network: OpenNetwork) -> None:
    """An exception out of a handler leaves the node and the connection alive."""

    async def fail(stream: Stream) -> None:
        raise ZeroDivisionError("a bug")

    broken = ProtocolSpec("broken", 1, 10, 4, 10, 100)
    async with open_network(1) as first, open_network(2) as second:
        second.serve(broken, fail)
        second.serve(ECHO, echo)
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            stream = await first.open(second.peer_id, broken)
            with pytest.raises(PeerGone):
                await stream.receive()
            stream = await first.open(second.peer_id, ECHO)
            await stream.send(b"alive")
            assert await stream.receive() == b"alive"


async def test_a_fault_costs_points_and_then_the_connection(open_network: OpenNetwork) -> None:
    """PeerFault out of a handler lowers the score; at zero the peer is banned and its dial refused."""

    async def accuse(stream: Stream) -> None:
        await stream.receive()
        raise PeerFault("wrong answer", points=60)

    async with open_network(1) as first, open_network(2) as second:
        second.serve(ECHO, accuse)
        gone = watch(first)
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            stream = await first.open(second.peer_id, ECHO)
            await stream.send(b"x")
            with pytest.raises(PeerGone):
                await stream.receive()
            assert [info.score for info in second.connections()] == [40]
            stream = await first.open(second.peer_id, ECHO)
            await stream.send(b"x")
            while not isinstance(await gone.receive(), PeerDisconnected):
                pass
            assert [(ban.peer, ban.reason) for ban in second.bans()] == [(first.peer_id, "wrong answer")]
            with pytest.raises((PeerGone, Refused)):
                await first.connect(second.addresses[0])
                await first.open(second.peer_id, ECHO)
            with pytest.raises(Refused) as caught:
                await second.connect(first.addresses[0])
            assert caught.value.code == RefusalCode.BANNED


async def test_a_trusted_peer_is_never_banned_by_score(open_network: OpenNetwork) -> None:
    """Faults of a validator end its connection; it may come back."""

    async def accuse(stream: Stream) -> None:
        await stream.receive()
        raise PeerFault("wrong answer", points=100)

    async with open_network(1) as first, open_network(2, is_trusted_peer=lambda _: True) as second:
        second.serve(ECHO, accuse)
        heard = watch(first)
        with trio.fail_after(20):
            for _ in range(2):
                await first.connect(second.addresses[0])
                assert isinstance(await heard.receive(), PeerConnected)
                stream = await first.open(second.peer_id, ECHO)
                await stream.send(b"x")
                assert isinstance(await heard.receive(), PeerDisconnected)
            assert second.bans() == ()


async def test_frames_too_long_are_faults(open_network: OpenNetwork) -> None:
    """A frame above the receiver's bound is refused before its body is read, and costs all points."""
    generous = ProtocolSpec("echo", 1, 2**21, 4, 1000, 2**22)
    async with open_network(1) as first, open_network(2) as second:
        second.serve(ECHO, echo)
        heard = watch(first)
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            stream = await first.open(second.peer_id, generous)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_whatever_happens, stream, bytes(ECHO.frame_bytes_max + 1))
                while not isinstance(await heard.receive(), PeerDisconnected):
                    pass
            assert [ban.peer for ban in second.bans()] == [first.peer_id]


async def send_whatever_happens(stream: Stream, frame: bytes) -> None:
    """An attacker's send, which may break."""
    with contextlib.suppress(PeerGone):
        await stream.send(frame)


async def test_kinds_have_bounds_of_their_own(open_network: OpenNetwork) -> None:
    """A frame of a known kind passes up to that kind's bound; a longer one or an unknown kind is a fault."""
    kinds = ProtocolSpec("kinds", 1, 1000, 4, 1000, 2**20, kind_bytes_max={1: 4, 2: 100})
    async with open_network(1) as first, open_network(2) as second:
        second.serve(kinds, echo)
        heard = watch(first)
        with trio.fail_after(20):
            for bad in (b"\x91\x01abc", b"\x91\x03", b"\x91"):
                second.scores._standings.clear()
                await first.connect(second.addresses[0])
                stream = await first.open(second.peer_id, kinds)
                for good in (b"\x91\x01ab", b"\x91\x02" + bytes(98)):
                    await stream.send(good)
                    assert await stream.receive() == good
                await send_whatever_happens(stream, bad)
                while not isinstance(await heard.receive(), PeerDisconnected):
                    pass
                assert [ban.peer for ban in second.bans() if ban.peer] == [first.peer_id]


async def test_streams_per_peer_are_bounded(pair: Pair) -> None:
    """The stream above a protocol's bound is reset; the others go on."""
    first, second = pair
    streams = [await first.open(second.peer_id, ECHO) for _ in range(ECHO.streams_per_peer_max)]
    for stream in streams:
        await stream.send(b"one")
        assert await stream.receive() == b"one"
    extra = await first.open(second.peer_id, ECHO)
    with pytest.raises(PeerGone):
        await extra.send(b"x")
        await extra.receive()
    await streams[0].send(b"two")
    assert await streams[0].receive() == b"two"
    assert second.connections()[0].score < 100


async def test_slots_are_given_back(open_network: OpenNetwork) -> None:
    """Streams and connections that ended hold no slot."""
    async with open_network(1) as first, open_network(2) as second:
        second.serve(ECHO, echo)
        gone = watch(second)
        with trio.fail_after(30):
            for _ in range(10):
                await first.connect(second.addresses[0])
                stream = await first.open(second.peer_id, ECHO)
                await stream.send(b"x")
                assert await stream.receive() == b"x"
                await first.disconnect(second.peer_id, "again")
                while not isinstance(await gone.receive(), PeerDisconnected):
                    pass
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert second.admission.slots_used == (0, 0)


async def test_connections_are_bounded_but_for_trusted_peers(open_network: OpenNetwork) -> None:
    """A connection above the bound is refused; a trusted peer is admitted all the same."""

    def is_trusted(peer: PeerId) -> bool:
        return peer == compute_peer_id_of_seed(b"\x04" * 32)

    async with (
        open_network(1, limits=Limits(inbound_max=1), is_trusted_peer=is_trusted) as server,
        open_network(2) as second,
        open_network(3) as third,
        open_network(4) as fourth,
    ):
        server.serve(ECHO, echo)
        with trio.fail_after(20):
            await second.connect(server.addresses[0])
            with pytest.raises((PeerGone, Refused)):
                await third.connect(server.addresses[0])
                await third.open(server.peer_id, ECHO)
            await fourth.connect(server.addresses[0])
            await fourth.open(server.peer_id, ECHO)
            assert server.is_connected(second.peer_id)


async def test_dead_addresses_raise(open_network: OpenNetwork) -> None:
    """Dialling an address without a node is PeerGone; dialling oneself is Refused."""
    async with open_network(1) as first:
        async with open_network(2) as second:
            address = second.addresses[0]
        with trio.fail_after(20):
            with pytest.raises(PeerGone):
                await first.connect(address)
            with pytest.raises(Refused):
                await first.connect(first.addresses[0])
    assert first.genesis_hash == GENESIS
