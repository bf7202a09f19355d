"""The world over trio keeps the promises of `node.replica.ports`, with threads and streams."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from threading import Event, get_ident

import pytest
import trio
import trio.testing

from chain.primitives.types import PeerId
from node.clock import WallClock
from node.ledger.lane import Lane
from node.replica.trio_world import JOBS_MAX, ReplicaWorld
from p2p.boundary import run_for_peer
from p2p.errors import PeerFault, PeerGone
from p2p.memory import MemoryHub
from p2p.switch.switch import Switch
from p2p.wire.messages import BlockWanted, ConsensusMessage, Status, StatusRequest
from p2p.wire.protocols import CONSENSUS
from p2p.wire.requests import open_stream, send_message
from tests.node.forge import wait_until
from tests.p2p.support import taking_part

GENESIS = bytes(32)
BAD = BlockWanted(13, bytes(32))


@dataclass
class Listener:
    """Gossip and sync in one; a message about height 13 is a fault."""

    heard: list[ConsensusMessage] = field(default_factory=list)
    present: list[tuple[str, PeerId]] = field(default_factory=list)

    def connected(self, peer: PeerId) -> None:
        self.present.append(("connected", peer))

    def disconnected(self, peer: PeerId) -> None:
        self.present.append(("disconnected", peer))

    def on_message(self, peer: PeerId, message: ConsensusMessage) -> None:
        if message == BAD:
            raise PeerFault("unlucky", 30)
        self.heard.append(message)


@dataclass
class Scene:
    """An open world and one other network."""

    world: ReplicaWorld
    listener: Listener
    network: Switch
    other: Switch


@asynccontextmanager
async def open_scene() -> AsyncIterator[Scene]:
    """A scene that is open until the block ends."""
    hub, listener = MemoryHub(), Listener()
    async with (
        hub.open_network(b"w" * 32, GENESIS) as network,
        hub.open_network(b"o" * 32, GENESIS) as other,
        trio.open_nursery() as nursery,
    ):
        world = ReplicaWorld(network, Lane(), WallClock())
        await nursery.start(world.open, listener, listener)
        await other.connect(network.addresses[0])
        yield Scene(world, listener, network, other)
        nursery.cancel_scope.cancel()


async def test_jobs_run_in_a_thread_one_after_the_other_each_followed_by_its_continuation() -> None:
    """Jobs run in the order of the calls, also those that continuations ask for."""
    loop, seen = get_ident(), list[str]()
    async with open_scene() as scene:

        def job(name: str) -> str:
            assert get_ident() != loop
            seen.append(f"job {name}")
            return name

        def then(name: str) -> None:
            assert get_ident() == loop
            seen.append(f"then {name}")
            if name == "a":
                scene.world.run(lambda: job("d"), then)

        for name in "abc":
            scene.world.run(lambda name=name: job(name), then)  # type: ignore[misc]
        assert seen == []
        await wait_until(lambda: len(seen) == 8)
    assert seen == [f"{what} {name}" for name in "abcd" for what in ("job", "then")]


async def test_timers_act_in_a_later_turn_and_not_once_they_are_cancelled() -> None:
    """A timer acts in a later turn, unless it was cancelled, even if nothing is left to wait for."""
    acted: list[str] = []
    async with open_scene() as scene:
        scene.world.call_later(0, lambda: acted.append("now"))
        scene.world.call_later(3_600_000, lambda: acted.append("in an hour"))
        scene.world.call_later(0, lambda: acted.append("never")).cancel()
        late = scene.world.call_later(1, lambda: acted.append("never"))
        scene.world.call_later(0, late.cancel)
        assert acted == []
        begun_ms = scene.world.elapsed_ms()
        done = trio.Event()
        scene.world.call_later(20, done.set)
        await done.wait()
        assert scene.world.elapsed_ms() >= begun_ms + 19
    assert acted == ["now"]


class Bug(Exception):
    """An unexpected exception."""


def fail(*_: object) -> None:
    """Raises Bug."""
    raise Bug


@pytest.mark.parametrize("place", ["job", "continuation", "timer", "answer"])
async def test_what_fails_in_the_replica_ends_the_world(place: str) -> None:
    """An unexpected exception ends the world, and with it the node."""
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_scene() as scene:
            match place:
                case "job":
                    scene.world.run(fail, lambda _: None)
                case "continuation":
                    scene.world.run(lambda: None, fail)
                case "timer":
                    scene.world.call_later(0, fail)
                case _:
                    scene.world.ask(scene.other.peer_id, StatusRequest(), Status, 100, fail)
            await trio.sleep_forever()
    assert caught.group_contains(Bug)


async def test_what_a_peer_says_ends_at_that_peer() -> None:
    """Good messages arrive in order; a bad one costs points and its stream."""
    async with open_scene() as scene:
        good = [BlockWanted(height, bytes(32)) for height in range(3)]
        async with (
            taking_part(scene.world.run_peer, scene.network, scene.other, CONSENSUS),
            open_stream(scene.other, scene.network.peer_id, CONSENSUS) as stream,
        ):
            for message in (*good, BAD):
                await send_message(stream, message)
            await wait_until(lambda: scene.network.scores.get_score(scene.other.peer_id) == 70)
        assert scene.listener.heard == good


async def test_peers_are_not_read_while_the_lane_is_full() -> None:
    """While the lane is full no peer is read, and no message is lost."""
    release, done = Event(), list[None]()
    async with open_scene() as scene:
        try:
            scene.world.run(lambda: release.wait(20), lambda _: None)
            for _ in range(JOBS_MAX + 2):
                scene.world.run(lambda: None, done.append)
            async with (
                taking_part(scene.world.run_peer, scene.network, scene.other, CONSENSUS),
                open_stream(scene.other, scene.network.peer_id, CONSENSUS) as stream,
            ):
                await send_message(stream, BlockWanted(1, bytes(32)))
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert scene.listener.heard == []
                release.set()
                await wait_until(lambda: len(scene.listener.heard) == 1)
        finally:
            release.set()


async def test_who_is_attended_is_told_and_gets_what_is_posted() -> None:
    """A peer with two connections is gone when both are closed."""
    async with open_scene() as scene:
        peer, heard = scene.other.peer_id, list[bytes]()

        async def listen(stream: object) -> None:
            while True:
                heard.append(await stream.receive())  # type: ignore[attr-defined]

        scene.other.serve(CONSENSUS, listen)
        scopes = [trio.CancelScope(), trio.CancelScope()]

        async def run_peer(scope: trio.CancelScope) -> None:
            with scope:
                await run_for_peer(peer, lambda: scene.world.run_peer(peer), scene.network.blame)

        async with trio.open_nursery() as nursery:
            for scope in scopes:
                nursery.start_soon(run_peer, scope)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert scene.world.peers == (peer,)
            scene.world.post(peer, BAD)
            scene.world.broadcast(BAD)
            scene.world.broadcast(BAD, but=(peer,))
            await wait_until(lambda: len(heard) == 2)
            for scope in scopes:
                assert ("disconnected", peer) not in scene.listener.present
                scope.cancel()
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert scene.listener.present.count(("disconnected", peer)) == 2, "as gossip, and as sync"
        assert scene.world.peers == ()


async def test_a_question_to_nobody_is_answered_with_why() -> None:
    """A request to an unknown peer is answered with an error, in a later turn."""
    answers: list[object] = []
    async with open_scene() as scene:
        scene.world.ask(b"nobody", StatusRequest(), Status, 100, answers.append)
        assert answers == []
        await wait_until(lambda: bool(answers))
    assert isinstance(answers[0], PeerGone)
