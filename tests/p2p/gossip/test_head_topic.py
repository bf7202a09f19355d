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

from p2p.gossip.head_topic import EVENTS_MAX, HEAD_BYTES_MAX, HeadTopic, run_head_topic
from p2p.network import PeerDisconnected
from p2p.switch.switch import Switch
from tests.p2p.support import ECHO, OpenNetwork, echo


@asynccontextmanager
async def open_heads(network: Switch, number: int) -> AsyncIterator[HeadTopic]:
    """The running topic of a node, opened by that number."""
    heads = HeadTopic(network, bytes([number]) * 32, is_wrong=lambda data: data.startswith(b"wrong"))
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
    """An announcement reaches the other node once the mesh has formed; a wrong one does not, and one
    above the bound is not sent.
    """
    async with open_network(1) as first, open_network(2) as second:
        with trio.fail_after(40):
            async with open_heads(first, 1) as mine, open_heads(second, 2) as theirs:
                await first.connect(second.addresses[0])
                assert (await announce_until_heard(mine, theirs, b"head")).startswith(b"head")
                await mine.announce(b"wrong")
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


@pytest.mark.parametrize("attack", ["protobuf", "rsa", "varint", "large"])
async def test_one_message_killers(open_network: OpenNetwork, attack: str) -> None:
    """A broken protobuf, RSA key, length or size leaves node, topic and other streams alive."""
    async with open_network(1) as first, open_network(2) as second, open_network(3) as third:
        second.serve(ECHO, echo)
        with trio.fail_after(60):
            async with open_heads(second, 2) as theirs, open_heads(third, 3) as honest:
                while theirs._pubsub is None:
                    await trio.testing.wait_all_tasks_blocked()
                attacks = {
                    "protobuf": encode_varint_prefixed(b"\xff\xff\xff\xff"),
                    "rsa": encode_varint_prefixed(build_rsa_message(theirs.topic)),
                    "varint": b"\xff" * 11,
                    "large": b"\xff\xff\xff\x7f",
                }
                await first.connect(second.addresses[0])
                raw = await first.open_bytes(second.peer_id, PROTOCOL_ID_V11)
                pubsub = theirs._pubsub
                await raw.write(attacks[attack])
                await raw.finish()
                await third.connect(second.addresses[0])
                await announce_until_heard(honest, theirs, b"head")
                assert theirs._pubsub is pubsub
                assert (second.scores.get_score(first.peer_id) == 50) == (attack == "protobuf")
                stream = await third.open(second.peer_id, ECHO)
                await stream.send(b"alive")
                assert await stream.receive() == b"alive"
