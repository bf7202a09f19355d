"""The peer manager: hellos, refusals, pings, dialling again, shared addresses."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing

from chain.primitives.types import PeerId
from p2p.errors import PeerFault, RefusalCode, Refused
from p2p.memory import MemoryHub
from p2p.network import PeerDisconnected, Stream
from p2p.peers.liveness import PingTimes
from p2p.peers.manager import ConnectedPeer, PeerCallbacks, PeerManager, run_peers
from p2p.switch.switch import Switch
from p2p.wire.messages import Hello
from p2p.wire.protocols import PING
from tests.p2p.support import ECHO, GENESIS, OpenNetwork, echo, watch


def build_hello(network: Switch, height: int = 0) -> Hello:
    """A node's hello."""
    return Hello(network.genesis_hash, "test", 1, height, bytes(32), 0, network.addresses)


@asynccontextmanager
async def open_manager(
    network: Switch,
    wanted: tuple[str, ...] = (),
    check: Callable[[PeerId, Hello], None] = lambda peer, hello: None,
    hello: Callable[[], Hello] | None = None,
    ping_times: PingTimes = PingTimes(),  # noqa: B008 immutable
    peers_wanted: int = 0,
) -> AsyncIterator[tuple[PeerManager, trio.MemoryReceiveChannel[ConnectedPeer]]]:
    """A running manager and the peers that it runs."""
    send, receive = trio.open_memory_channel[ConnectedPeer](100)

    async def run_peer(peer: ConnectedPeer) -> None:
        send.send_nowait(peer)
        await trio.sleep_forever()

    callbacks = PeerCallbacks(
        build_hello=hello or (lambda: build_hello(network)),
        check_hello=check,
        run_peer=run_peer,
        get_wanted=lambda: wanted,
        ping_times=ping_times,
        peers_wanted=peers_wanted,
    )
    manager = PeerManager(network, callbacks)
    async with trio.open_nursery() as nursery:
        await nursery.start(run_peers, manager)
        yield manager, receive
        nursery.cancel_scope.cancel()


async def test_both_sides_run_the_peer_after_hello(open_network: OpenNetwork) -> None:
    """A wanted address is dialled, and both sides get the other's hello."""
    async with open_network(1) as first, open_network(2) as second:
        with trio.fail_after(30):
            async with (
                open_manager(second, hello=lambda: build_hello(second, 7)) as (_, seen_by_second),
                open_manager(first, wanted=second.addresses) as (_, seen_by_first),
            ):
                there = await seen_by_first.receive()
                assert (there.peer, there.hello.height, there.is_outbound) == (second.peer_id, 7, True)
                back = await seen_by_second.receive()
                assert (back.peer, back.is_outbound) == (first.peer_id, False)


async def test_a_refused_hello_ends_the_connection_with_its_reason(open_network: OpenNetwork) -> None:
    """The refusing side gives the reason, and neither side runs the peer."""

    def refuse(peer: PeerId, hello: Hello) -> None:
        raise Refused(RefusalCode.NOT_MEMBER, "members only")

    async with open_network(1) as first, open_network(2) as second:
        heard = watch(first)
        with trio.fail_after(30):
            async with (
                open_manager(second, check=refuse),
                open_manager(first, wanted=second.addresses) as (manager, _),
            ):
                while not isinstance(await heard.receive(), PeerDisconnected):
                    pass
                assert "members only" in manager.reasons[second.peer_id]
                assert not manager.peers


async def test_a_hello_of_another_network_is_a_fault(open_network: OpenNetwork) -> None:
    """It costs all points: the protocol's name has only the first bytes of the genesis hash."""
    async with open_network(1) as first, open_network(2) as second:
        heard = watch(first)
        hello = Hello(GENESIS[:4] + b"x" * 28, "stranger", 1, 0, bytes(32), 0, ())
        with trio.fail_after(30):
            async with (
                open_manager(second),
                open_manager(first, wanted=second.addresses, hello=lambda: hello),
            ):
                while not second.bans():
                    await heard.receive()
        assert [ban.reason for ban in second.bans()] == ["hello of another network"]


async def test_a_lost_connection_is_dialled_again(open_network: OpenNetwork) -> None:
    """A wanted peer that went away and came back is run again."""
    async with open_network(1) as first, open_network(2) as second:
        with trio.fail_after(30):
            async with open_manager(second), open_manager(first, wanted=second.addresses) as (_, seen):
                for _ in range(3):
                    assert (await seen.receive()).peer == second.peer_id
                    await second.disconnect(first.peer_id, "test")


async def test_addresses_spread(autojump_clock: trio.testing.MockClock) -> None:
    """A node that knows one peer learns that peer's peers and connects to them."""
    hub = MemoryHub()
    async with (
        hub.open_network(b"1" * 32, GENESIS) as first,
        hub.open_network(b"2" * 32, GENESIS) as second,
        hub.open_network(b"3" * 32, GENESIS) as third,
        open_manager(third),
        open_manager(second, wanted=third.addresses) as (_, seen_by_second),
    ):
        await seen_by_second.receive()
        async with open_manager(first, wanted=second.addresses, peers_wanted=8) as (_, seen):
            assert {(await seen.receive()).peer for _ in range(2)} == {second.peer_id, third.peer_id}


async def test_a_silent_peer_is_disconnected(autojump_clock: trio.testing.MockClock) -> None:
    """A peer that never answers pings is disconnected after two misses."""

    async def swallow(stream: Stream) -> None:
        await trio.sleep_forever()

    hub = MemoryHub()
    async with (
        hub.open_network(b"1" * 32, GENESIS) as first,
        hub.open_network(b"2" * 32, GENESIS) as second,
        open_manager(second),
    ):
        second.serve(PING, swallow)
        heard = watch(first)
        times = PingTimes(interval_seconds=1, answer_seconds_max=2)
        async with open_manager(first, wanted=second.addresses, ping_times=times) as (_, seen):
            await seen.receive()
            begun = trio.current_time()
            while not isinstance(await heard.receive(), PeerDisconnected):
                pass
            assert trio.current_time() - begun <= 2 * 3 + 1


async def test_a_living_peer_is_not(autojump_clock: trio.testing.MockClock) -> None:
    """A peer that answers its pings stays for an hour."""
    hub = MemoryHub()
    async with (
        hub.open_network(b"1" * 32, GENESIS) as first,
        hub.open_network(b"2" * 32, GENESIS) as second,
        open_manager(second),
        open_manager(first, wanted=second.addresses) as (manager, seen),
    ):
        await seen.receive()
        await trio.sleep(3600)
        assert second.peer_id in manager.peers
        assert seen.statistics().current_buffer_used == 0


async def test_a_bug_in_run_peer_costs_one_connection(open_network: OpenNetwork) -> None:
    """What `run_peer` raises ends that peer's connection only; faults are blamed."""
    async with open_network(1) as first, open_network(2) as second:
        first.serve(ECHO, echo)

        async def run_peer(peer: ConnectedPeer) -> None:
            raise PeerFault("it looked at us", points=30)

        callbacks = PeerCallbacks(lambda: build_hello(second), lambda peer, hello: None, run_peer, tuple)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                await nursery.start(run_peers, PeerManager(second, callbacks))
                heard = watch(second)
                async with open_manager(first, wanted=second.addresses):
                    while not isinstance(await heard.receive(), PeerDisconnected):
                        pass
                assert second.scores.get_score(first.peer_id) == 70
                nursery.cancel_scope.cancel()
