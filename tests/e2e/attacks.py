"""Attacks on the real port of a node: bytes that no node of ours would send, under a new identity each time.

What they are is in the tests of p2p, which show why each of them is harmless to a switch; here they are fired
at processes. The frames below break the bounds of each protocol that a node serves.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.abc import ISecureConn
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.io.exceptions import IOException
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.utils.varint import encode_varint_prefixed

from chain.primitives.types import Hash
from node.network.light_peer import open_light_network
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.identity import parse_address
from p2p.network import ProtocolSpec
from p2p.tcp.channel import TcpChannel
from p2p.tcp.negotiation import propose_protocol
from p2p.wire.protocols import CONSENSUS, CONTENT, HELLO, PEERS, PING, POOL, SYNC
from tests.p2p.gossip.test_head_topic import build_rsa_message
from tests.p2p.tcp import test_hazards
from tests.p2p.tcp.test_hazards import DATA, SYN, WINDOW_UPDATE, frame, line

ANSWER_SECONDS_MAX = 1.0
"""Some attacks are answered by silence: the victim reads them and goes on."""
PROTOCOLS = (HELLO, PING, CONSENSUS, POOL, SYNC, PEERS, CONTENT)


def list_attacks(test: Callable[..., Any]) -> list[bytes]:
    """Those that a test of p2p is run with."""
    (mark,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    return list(mark.args[1])


def list_raw() -> list[bytes]:
    """Sent on a TCP connection, before anybody has said who he is."""
    attacks = list_attacks(test_hazards.test_bad_bytes_before_authentication)
    return [*attacks, line(b"/multistream/1.0.0") + b"\x80\x80\x80\x80\x08", secrets.token_bytes(4096)]


def list_muxed() -> list[bytes]:
    """Sent as frames of the muxer, by an authenticated stranger."""
    opened = frame(WINDOW_UPDATE, SYN, 1, 0)
    lines = list_attacks(test_hazards.test_bad_bytes_in_a_streams_negotiation)
    return [
        *list_attacks(test_hazards.test_odd_muxer_frames),
        *(opened + frame(DATA, 0, 1, len(text)) + text for text in lines),
        opened + (frame(DATA, 0, 1, 65000) + bytes(65000)) * 8,
        b"".join(frame(WINDOW_UPDATE, SYN, 1 + 2 * number, 0) for number in range(500)),
        secrets.token_bytes(4096),
    ]


def list_framed(genesis_hash: Hash) -> Iterator[tuple[str, bytes]]:
    """(protocol id, bytes) on a stream that was negotiated in order."""
    for protocol in PROTOCOLS:
        for attack in list_frames(protocol):
            yield protocol.build_id(genesis_hash), attack
    topic = f"/vidya/{genesis_hash[:4].hex()}/heads/1"
    for attack in (
        encode_varint_prefixed(b"\xff\xff\xff\xff"),
        encode_varint_prefixed(build_rsa_message(topic)),
        b"\xff" * 11,
        b"\xff\xff\xff\x7f",
    ):
        yield str(PROTOCOL_ID_V11), attack


def list_frames(protocol: ProtocolSpec) -> list[bytes]:
    """Lengths that are none, bodies that are none, kinds that are none."""
    bodies = (b"\xc1", b"\x90", b"\x92\x7e\x00", b"\x91\x01", b"\xdf\xff\xff\xff\xff", b"\x93\x01\xff\xfe")
    return [
        (0).to_bytes(4),
        (protocol.frame_bytes_max + 1).to_bytes(4),
        (2**31).to_bytes(4),
        (2**32 - 1).to_bytes(4),
        *(len(body).to_bytes(4) + body for body in bodies),
    ]


@asynccontextmanager
async def dial(address: str) -> AsyncIterator[trio.SocketStream]:
    """A TCP connection and nothing more."""
    place = parse_address(address)
    async with await trio.open_tcp_stream(place.host, place.port) as stream:
        yield stream


@asynccontextmanager
async def dial_yamux(address: str) -> AsyncIterator[ISecureConn]:
    """A connection up to the muxer, none of whose rules is kept, under an identity of its own."""
    async with dial(address) as stream:
        raw = RawConnection(TcpChannel(stream), initiator=True)
        await propose_protocol(raw, NOISE)
        keys = create_new_key_pair(secrets.token_bytes(32))
        noise = NoiseTransport(keys, create_x25519_key_pair().private_key)
        secure = await noise.secure_outbound(raw, ID(parse_address(address).peer))
        await propose_protocol(secure, YAMUX)
        yield secure


async def fire_raw(address: str, attack: bytes) -> None:
    """The bytes, and whatever comes back, for a while."""
    async with dial(address) as stream:
        with trio.move_on_after(ANSWER_SECONDS_MAX):
            try:
                await stream.send_all(attack)
                while await stream.receive_some(65536):
                    pass
            except trio.BrokenResourceError:
                return


async def fire_muxed(address: str, attack: bytes) -> None:
    """The same on an authenticated connection."""
    async with dial_yamux(address) as secure:
        with trio.move_on_after(ANSWER_SECONDS_MAX):
            try:
                await secure.write(attack)
                while True:
                    await secure.read(1)
            except IOException:
                return


async def fire_framed(address: str, genesis_hash: Hash, protocol: str, attack: bytes) -> None:
    """The same on a stream of one of the node's protocols, by a guest that has said hello in order.

    Fails if the bytes did not leave; a protocol that the node does not serve is refused.
    """
    async with open_light_network(secrets.token_bytes(32), genesis_hash) as network:
        await network.connect(address)
        try:
            stream = await network.open_bytes(parse_address(address).peer, protocol)
        except Refused as refused:
            if (refused.code, protocol) != (RefusalCode.PROTOCOL_UNKNOWN, str(PROTOCOL_ID_V11)):
                raise
            return
        await stream.write(attack)
        with trio.move_on_after(ANSWER_SECONDS_MAX):
            try:
                while await stream.read(65536):
                    pass
            except PeerGone:
                return
