"""What reaches py-libp2p's GossipSub of a peer's bytes: bounded, about our topic, at a bounded rate.

libp2p keeps what control messages say about topics for the life of the process, also about topics that
nobody subscribes to: a peer that invents topics fills memory. It starts a task per message. So each RPC is
read here, cut down to what this node needs, and refused where no honest peer would send it:

- subscriptions to other topics are dropped (another implementation announces all of its topics);
- control and published messages about other topics are faults: peers send them to subscribers only;
- more items than a node of one topic can need are a fault;
- peer records, peer exchange and the control messages of later versions than 1.1 are dropped.

Not here: whether a head is right (`head_topic`).
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError
from libp2p.exceptions import ParseError
from libp2p.io.exceptions import MessageTooLarge
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from p2p.errors import PeerFault
from p2p.switch.rate_limiter import RateLimiter

RPC_BYTES_MAX = 256 * 2**10
RPCS_PER_SECOND_MAX = 50
BYTES_PER_SECOND_MAX = 2**20
MESSAGES_MAX = 16
ITEMS_MAX = 16
"""Of each kind of control message; a peer of one topic needs one of each."""
IDS_MAX = 256
SUBSCRIPTIONS_MAX = 256
BACK_OFF_SECONDS_MAX = 3600
WANTED_BYTES = 16 * 2**10
"""What one wanted message is charged as: it makes this node send as much."""
OTHER_TOPIC_POINTS = 34
COUNT_POINTS = 50
FORM_POINTS = 50
LENGTH_POINTS = 100


class RpcReader:
    """Reads the RPCs of one stream."""

    def __init__(self, stream: Any, topic: str) -> None:
        self._stream = stream
        self._topic = topic
        self._rpcs = RateLimiter(RPCS_PER_SECOND_MAX)
        self._bytes = RateLimiter(BYTES_PER_SECOND_MAX, IDS_MAX * WANTED_BYTES)

    async def receive(self) -> rpc_pb2.RPC:
        """The next RPC, fit for GossipSub; raises PeerFault, StreamEOF."""
        await self._rpcs.take(1)
        try:
            data = await read_varint_prefixed_bytes_limited(self._stream, RPC_BYTES_MAX)
        except MessageTooLarge as error:
            raise PeerFault(f"gossip: {error}", LENGTH_POINTS) from error
        except ParseError as error:
            raise PeerFault(f"gossip: {error}", FORM_POINTS) from error
        await self._bytes.take(len(data))
        rpc = parse(data)
        clean(rpc, self._topic)
        await self._bytes.take(WANTED_BYTES * sum(len(one.messageIDs) for one in rpc.control.iwant))
        return rpc


def parse(data: bytes) -> rpc_pb2.RPC:
    """The RPC; raises PeerFault."""
    rpc = rpc_pb2.RPC()
    try:
        rpc.ParseFromString(data)
    except (ProtobufError, UnicodeDecodeError) as error:
        raise PeerFault(f"gossip: {error}", FORM_POINTS) from error
    return rpc


def clean(rpc: rpc_pb2.RPC, topic: str) -> None:
    """Drops what is not needed; raises PeerFault for what no honest peer sends."""
    rpc.ClearField("senderRecord")
    _check_count("subscriptions", rpc.subscriptions, SUBSCRIPTIONS_MAX)
    own = [one for one in rpc.subscriptions if one.topicid == topic][-1:]
    del rpc.subscriptions[:]
    rpc.subscriptions.extend(own)
    _check_count("messages", rpc.publish, MESSAGES_MAX)
    for message in rpc.publish:
        _check_topic(topic, message.topicIDs)
    if rpc.HasField("control"):
        kept = build_control(rpc.control, topic)
        rpc.control.CopyFrom(kept)


def build_control(control: Any, topic: str) -> Any:
    """The control messages of GossipSub 1.1 without peer exchange; raises PeerFault."""
    for kind in ("ihave", "iwant", "graft", "prune"):
        _check_count(kind, getattr(control, kind), ITEMS_MAX)
    _check_topic(topic, [one.topicID for one in (*control.ihave, *control.graft, *control.prune)])
    for kind in (control.ihave, control.iwant):
        _check_count("ids", [name for one in kind for name in one.messageIDs], IDS_MAX)
    kept = rpc_pb2.ControlMessage(ihave=control.ihave, iwant=control.iwant, graft=control.graft)
    for prune in control.prune:
        kept.prune.append(
            rpc_pb2.ControlPrune(topicID=topic, backoff=min(prune.backoff, BACK_OFF_SECONDS_MAX))
        )
    return kept


def _check_count(kind: str, items: Sequence[Any], count_max: int) -> None:
    if len(items) > count_max:
        raise PeerFault(f"gossip: {len(items)} {kind} in one message", COUNT_POINTS)


def _check_topic(topic: str, named: Sequence[str]) -> None:
    if any(name != topic for name in named):
        raise PeerFault("gossip: about a topic that this node does not subscribe to", OTHER_TOPIC_POINTS)
