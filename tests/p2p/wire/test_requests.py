"""Requests and replies: answers, refusals, time limits, concurrency."""

import pytest
import trio
import trio.testing

from chain.primitives.codec import Record
from chain.primitives.types import PeerId
from p2p.errors import PeerFault, PeerGone, PeerSlow, RefusalCode, Refused
from p2p.memory import MemoryHub
from p2p.wire.messages import Ping, Refusal, Status, StatusRequest
from p2p.wire.protocols import PING, SYNC
from p2p.wire.requests import ask, build_answerer, open_stream, request
from tests.p2p.support import GENESIS, OpenNetwork

REPLY = Status(7, bytes(32), 1)


async def answer(peer: PeerId, message: Record) -> Record:
    """Answers with a fixed status."""
    return REPLY


async def test_a_request_is_answered(open_network: OpenNetwork) -> None:
    """`request` returns the reply; several requests share a stream."""
    async with open_network(1) as first, open_network(2) as second:
        second.serve(SYNC, build_answerer(StatusRequest, answer, 4))
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            assert await request(first, second.peer_id, SYNC, StatusRequest(), Status, 5) == REPLY
            async with open_stream(first, second.peer_id, SYNC) as stream:
                for _ in range(3):
                    assert await ask(stream, StatusRequest(), Status, 5) == REPLY


async def test_refusals_travel(open_network: OpenNetwork) -> None:
    """Refused raised by the answering side is raised on the asking side, with its code and reason."""

    async def refuse(peer: PeerId, message: Record) -> Record:
        raise Refused(RefusalCode.NOT_MEMBER, "members only")

    async with open_network(1) as first, open_network(2) as second:
        second.serve(SYNC, build_answerer(StatusRequest, refuse, 4))
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            with pytest.raises(Refused) as caught:
                await request(first, second.peer_id, SYNC, StatusRequest(), Status, 5)
            assert (caught.value.code, caught.value.reason) == (RefusalCode.NOT_MEMBER, "members only")


@pytest.mark.parametrize("reply", [StatusRequest(), Refusal(200)])
async def test_wrong_replies_are_faults(open_network: OpenNetwork, reply: Record) -> None:
    """A reply of another kind, or a refusal of no known code, is the peer's fault."""

    async def lie(peer: PeerId, message: Record) -> Record:
        return reply

    async with open_network(1) as first, open_network(2) as second:
        second.serve(SYNC, build_answerer(StatusRequest, lie, 4))
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            with pytest.raises(PeerFault):
                await request(first, second.peer_id, SYNC, StatusRequest(), Status, 5)


async def test_undecodable_requests_cost_points(open_network: OpenNetwork) -> None:
    """Bytes that are not a request lower the score and end the stream."""
    async with open_network(1) as first, open_network(2) as second:
        second.serve(PING, build_answerer(Ping, answer, 4))
        with trio.fail_after(20):
            await first.connect(second.addresses[0])
            stream = await first.open(second.peer_id, PING)
            await stream.send(b"\xc1\xc1")
            with pytest.raises(PeerGone):
                await stream.receive()
            assert [info.score for info in second.connections()] == [50]


async def test_late_answers_and_busy_answerers(autojump_clock: trio.testing.MockClock) -> None:
    """A late answer is PeerSlow; requests above the answerer's bound are BUSY at once."""

    async def sleep(peer: PeerId, message: Record) -> Record:
        await trio.sleep(60)
        return REPLY

    hub = MemoryHub()
    async with hub.open_network(b"1" * 32, GENESIS) as first, hub.open_network(b"2" * 32, GENESIS) as second:
        second.serve(SYNC, build_answerer(StatusRequest, sleep, 1))
        await first.connect(second.addresses[0])

        async def be_late() -> None:
            with pytest.raises(PeerSlow):
                await request(first, second.peer_id, SYNC, StatusRequest(), Status, 5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(be_late)
            await trio.sleep(1)
            with pytest.raises(Refused) as caught:
                await request(first, second.peer_id, SYNC, StatusRequest(), Status, 5)
            assert caught.value.code == RefusalCode.BUSY
