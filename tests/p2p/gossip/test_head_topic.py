"""The announcement topic: heads arrive, and bytes that end a stock pubsub do not end a node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.pb import crypto_pb2
from libp2p.peer.envelope import seal_record
from libp2p.peer.id import ID
from libp2p.peer.peer_record import PeerRecord
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed

from p2p.gossip.guarded import HEAD_BYTES_MAX, HeadVerdict
from p2p.gossip.head_topic import EVENTS_MAX, HeadTopic, run_head_topic
from p2p.gossip.rpc_filter import clean
from p2p.network import PeerDisconnected
from p2p.switch.switch import Switch
from tests.p2p.support import ECHO, OpenNetwork, echo


def judge(announcement: bytes) -> HeadVerdict:
    """Announcements say what they are."""
    return HeadVerdict.WRONG if announcement.startswith(b"wrong") else HeadVerdict.RELAYED


@asynccontextmanager
async def open_heads(network: Switch, number: int) -> AsyncIterator[HeadTopic]:
    """The running topic of a node, opened by that number."""
    heads = HeadTopic(network, bytes([number]) * 32, judge)
    async with trio.open_nursery() as nursery:
        await nursery.start(run_head_topic, heads)
        yield heads
        nursery.cancel_scope.cancel()


async def announce_until_heard(sender: HeadTopic, receiver: HeadTopic, announcement: bytes) -> bytes:
    """Repeats an announcement with a new number until it arrives: it may be lost while the mesh forms."""
    heard = b""
    number = 0
    while not heard:
        number += 1
        await sender.announce(announcement + number.to_bytes(4))
        with trio.move_on_after(0.2):
            heard = await receiver.received.receive()
    return heard


async def test_heads_arrive(open_network: OpenNetwork) -> None:
    """An announcement reaches the other node once the mesh has formed; one above the bound is not sent."""
    async with open_network(1) as first, open_network(2) as second:
        with trio.fail_after(40):
            async with open_heads(first, 1) as mine, open_heads(second, 2) as theirs:
                await first.connect(second.addresses[0])
                assert (await announce_until_heard(mine, theirs, b"head")).startswith(b"head")
                await mine.announce(bytes(HEAD_BYTES_MAX + 1))
                await mine.announce(b"last")
                while (heard := await theirs.received.receive()) != b"last":
                    assert heard.startswith(b"head")


async def test_more_events_than_fit_restart_the_topic(open_network: OpenNetwork) -> None:
    """Peers that come and go faster than GossipSub takes note restart the topic; the node goes on."""
    async with open_network(1) as first, open_network(2) as second:
        with trio.fail_after(40):
            async with open_heads(first, 1) as mine, open_heads(second, 2) as theirs:
                for _ in range(EVENTS_MAX + 2):
                    first._notify(PeerDisconnected(b"stranger", "gone"))
                await first.connect(second.addresses[0])
                assert (await announce_until_heard(mine, theirs, b"head")).startswith(b"head")


def build_rsa_message(topic: str) -> bytes:
    """A message whose author, named by a hash, brings an invalid RSA key."""
    key = crypto_pb2.PublicKey(key_type=crypto_pb2.KeyType.RSA, data=b"no key").SerializeToString()
    keys = create_new_key_pair(b"\x01" * 32)
    peer = ID.from_pubkey(keys.public_key)
    message = rpc_pb2.Message(
        data=b"x", topicIDs=[topic], from_id=b"\x12\x20" + bytes(32), seqno=b"1", key=key, signature=b"s"
    )
    record = seal_record(PeerRecord(peer, []), keys.private_key)
    return rpc_pb2.RPC(publish=[message], senderRecord=record.marshal_envelope()).SerializeToString()


def build_rpc(**fields: object) -> bytes:
    """An RPC as bytes on a stream."""
    return encode_varint_prefixed(rpc_pb2.RPC(**fields).SerializeToString())


def build_control(**fields: object) -> bytes:
    """An RPC with these control messages."""
    return build_rpc(control=rpc_pb2.ControlMessage(**fields))


def sign(topic: str, data: bytes, signer: int = 1, author: int = 1) -> rpc_pb2.Message:
    """A message of one node under the signature of another or its own."""
    keys, signing = (create_new_key_pair(bytes([number]) * 32) for number in (author, signer))
    peer = ID.from_pubkey(keys.public_key)
    message = rpc_pb2.Message(data=data, topicIDs=[topic], from_id=peer.to_bytes(), seqno=bytes(8))
    message.signature = signing.private_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
    return message


def build_attacks(topic: str) -> dict[str, tuple[bytes, int]]:
    """What no honest peer sends, and the points that it costs."""
    prune, ihave, graft = rpc_pb2.ControlPrune, rpc_pb2.ControlIHave, rpc_pb2.ControlGraft
    ids = [bytes([number % 256]) * 32 for number in range(300)]
    subscriptions = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=str(number)) for number in range(300)]
    return {
        "protobuf": (encode_varint_prefixed(b"\xff\xff\xff\xff"), 50),
        "rsa": (encode_varint_prefixed(build_rsa_message(topic)), 50),
        "varint": (b"\xff" * 11, 50),
        "large": (b"\xff\xff\xff\x7f", 100),
        "prune of another topic": (build_control(prune=[prune(topicID="other")]), 34),
        "ihave of another topic": (build_control(ihave=[ihave(topicID="other")]), 34),
        "graft of another topic": (build_control(graft=[graft(topicID="other")]), 34),
        "many prunes": (build_control(prune=[prune(topicID=topic)] * 17), 50),
        "many ids": (build_control(ihave=[ihave(topicID=topic, messageIDs=ids)]), 50),
        "many wanted": (build_control(iwant=[rpc_pb2.ControlIWant(messageIDs=ids)]), 50),
        "many subscriptions": (build_rpc(subscriptions=subscriptions), 50),
        "message of another topic": (build_rpc(publish=[sign("other", b"head")]), 34),
        "many messages": (build_rpc(publish=[sign(topic, b"head")] * 17), 50),
        "wrong head": (build_rpc(publish=[sign(topic, b"wrong")]), 50),
        "another's name": (build_rpc(publish=[sign(topic, b"head", author=3)]), 50),
        "the receiver's name": (build_rpc(publish=[sign(topic, b"head", 2, 2)]), 50),
        "unsigned": (build_rpc(publish=[rpc_pb2.Message(data=b"head", topicIDs=[topic])]), 50),
    }


@pytest.mark.parametrize("attack", build_attacks(""))
async def test_one_message_killers(open_network: OpenNetwork, attack: str) -> None:
    """What no honest peer sends costs points, and leaves node, topic and other streams alive."""
    async with open_network(1) as first, open_network(2) as second, open_network(3) as third:
        second.serve(ECHO, echo)
        with trio.fail_after(60):
            async with open_heads(second, 2) as theirs, open_heads(third, 3) as honest:
                while theirs._pubsub is None:
                    await trio.testing.wait_all_tasks_blocked()
                data, points = build_attacks(theirs.topic)[attack]
                await first.connect(second.addresses[0])
                raw = await first.open_bytes(second.peer_id, PROTOCOL_ID_V11)
                pubsub = theirs._pubsub
                await raw.write(data)
                await raw.finish()
                await third.connect(second.addresses[0])
                await announce_until_heard(honest, theirs, b"head")
                assert theirs._pubsub is pubsub
                assert (points == 100) == (second.scores.get_ban(first.peer_id) is not None)
                assert points == 100 or second.scores.get_score(first.peer_id) == 100 - points
                stream = await third.open(second.peer_id, ECHO)
                await stream.send(b"alive")
                assert await stream.receive() == b"alive"


def test_foreign_subscriptions_and_later_versions_are_dropped() -> None:
    """Of an honest peer of another implementation only what is about our topic reaches the router."""
    subscriptions = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=name) for name in ("other", "ours")]
    prune = rpc_pb2.ControlPrune(topicID="ours", backoff=2**63, peers=[rpc_pb2.PeerInfo(peerID=b"x")])
    control = rpc_pb2.ControlMessage(prune=[prune], idontwant=[rpc_pb2.ControlIDontWant(messageIDs=[b"x"])])
    rpc = rpc_pb2.RPC(subscriptions=subscriptions, control=control, senderRecord=b"record")
    clean(rpc, "ours")
    kept = rpc_pb2.ControlMessage(prune=[rpc_pb2.ControlPrune(topicID="ours", backoff=3600)])
    assert rpc == rpc_pb2.RPC(subscriptions=subscriptions[1:], control=kept)
