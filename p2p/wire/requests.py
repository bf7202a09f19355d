"""Records over streams: sending, receiving, requests and answers.

A record that does not decode, or is of another protocol, is the peer's fault. On the asking side a Refusal
becomes Refused; on the answering side Refused becomes a Refusal.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import trio

from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import PeerId
from p2p.errors import PeerFault, PeerSlow, RefusalCode, Refused, StreamEnded
from p2p.network import Network, ProtocolSpec, Stream, StreamHandler
from p2p.wire.answer_budget import AnswerBudget
from p2p.wire.messages import REASON_CHARACTERS_MAX, Refusal

UNDECODABLE_POINTS = 50

T = TypeVar("T", bound=Record)


async def send_message(stream: Stream, message: Record) -> None:
    """Sends one record as one frame."""
    await stream.send(encode(message))


async def receive_message(stream: Stream, kind: Any) -> Any:
    """The next record, a member of the union `kind`; raises PeerFault, PeerGone, StreamEnded."""
    frame = await stream.receive()
    try:
        return decode(kind, frame)
    except DecodeError as error:
        raise PeerFault(f"undecodable: {error}", UNDECODABLE_POINTS) from error


async def ask(stream: Stream, message: Record, reply: type[T], seconds_max: float) -> T:
    """Sends a request and returns the reply, on a stream where replies come in order.

    Raises Refused, PeerSlow after `seconds_max`, PeerFault, PeerGone.
    """
    answer: T | Refusal | None = None
    with trio.move_on_after(seconds_max):
        await send_message(stream, message)
        answer = await receive_message(stream, reply | Refusal)
    if answer is None:
        await stream.reset()
        raise PeerSlow(f"no answer to {type(message).__name__} in {seconds_max:g} s")
    if isinstance(answer, Refusal):
        raise build_refused(answer)
    return answer


async def request(
    network: Network,
    peer: PeerId,
    protocol: ProtocolSpec,
    message: Record,
    reply: type[T],
    seconds_max: float,
) -> T:
    """`ask` on a stream of its own."""
    async with open_stream(network, peer, protocol) as stream:
        return await ask(stream, message, reply, seconds_max)


@asynccontextmanager
async def open_stream(network: Network, peer: PeerId, protocol: ProtocolSpec) -> AsyncIterator[Stream]:
    """A stream that is closed when the block ends, and reset if the block raises."""
    stream = await network.open(peer, protocol)
    async with AsyncExitStack() as on_failure:
        on_failure.push_async_callback(stream.reset)
        yield stream
        await stream.close()
        on_failure.pop_all()


def build_refusal(refused: Refused) -> Refusal:
    """The message for a refusal."""
    return Refusal(int(refused.code), refused.reason[:REASON_CHARACTERS_MAX])


def build_refused(refusal: Refusal) -> Refused | PeerFault:
    """The exception for a received refusal; an unknown code is a fault."""
    try:
        return Refused(RefusalCode(refusal.code), refusal.reason)
    except ValueError:
        return PeerFault(f"refusal code {refusal.code}")


def build_answerer(
    kind: Any,
    answer: Callable[[PeerId, Any], Awaitable[Record]],
    requests_max: int,
    budget: AnswerBudget | None = None,
) -> StreamHandler:
    """A handler that answers the requests of a stream one after the other.

    `answer` may raise Refused, which is sent. While `requests_max` requests of all peers are under way,
    further ones are refused as BUSY and not queued. With a budget they wait, and the most bytes that a
    request can draw are charged before it does.
    """
    limiter = trio.CapacityLimiter(requests_max)

    async def handle(stream: Stream) -> None:
        while True:
            try:
                message = await receive_message(stream, kind)
            except StreamEnded:
                return
            if budget is None:
                await send_message(stream, await answer_or_refuse(stream.peer, message))
            else:
                await answer_within(budget, stream, message)

    async def answer_within(budget: AnswerBudget, stream: Stream, message: Record) -> None:
        """Waits for a place too: the budget lets one request of a group of hosts wait."""
        async with budget.hold(stream.peer, stream.host, budget.compute_cost(message)) as charge:
            async with limiter:
                reply = encode(await answer_one(stream.peer, message))
            charge.settle(len(reply))
            await stream.send(reply)

    async def answer_or_refuse(peer: PeerId, message: Record) -> Record:
        slot = object()
        try:
            limiter.acquire_on_behalf_of_nowait(slot)
        except trio.WouldBlock:
            return Refusal(int(RefusalCode.BUSY))
        try:
            return await answer_one(peer, message)
        finally:
            limiter.release_on_behalf_of(slot)

    async def answer_one(peer: PeerId, message: Record) -> Record:
        try:
            return await answer(peer, message)
        except Refused as refused:
            return build_refusal(refused)

    return handle
