"""The attacks of docs/spec/wire.md against the libp2p network.

The attacker is written on plain sockets and parts of libp2p, so that it can break every rule. After each
attack an honest peer must still be served.
"""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from libp2p import new_host
from libp2p.abc import ISecureConn
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.rsa import create_new_key_pair as create_rsa_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
from libp2p.io.exceptions import IOException
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.identity import PeerAddress, compute_peer_id_of_seed, parse_address
from p2p.network import Limits, Stream
from p2p.switch.switch import Switch
from p2p.tcp import libp2p_setup
from p2p.tcp.channel import TcpChannel
from p2p.tcp.host import open_network
from p2p.tcp.libp2p_setup import WrongLibp2pVersion, prepare_libp2p
from p2p.tcp.negotiation import propose_protocol
from tests.p2p.support import ECHO, GENESIS, echo

LISTEN = "/ip4/127.0.0.1/tcp/0"
DATA, WINDOW_UPDATE, PING, SYN, FIN, RST = 0, 1, 2, 1, 4, 8
ATTACKER = b"a" * 32


@asynccontextmanager
async def open_victim(**limits: float) -> AsyncIterator[Switch]:
    """A node under attack; afterwards an honest peer must be served."""
    with trio.fail_after(60):
        async with open_network(b"v" * 32, GENESIS, LISTEN, limits=Limits(**limits)) as victim:
            victim.serve(ECHO, echo)
            yield victim
            await check_serves(victim)


async def check_serves(victim: Switch) -> None:
    """An honest newcomer connects and gets its echo."""
    async with open_network(b"h" * 32, GENESIS, LISTEN) as honest:
        await honest.connect(victim.addresses[0])
        stream = await honest.open(victim.peer_id, ECHO)
        await stream.send(b"honest")
        assert await stream.receive() == b"honest"


async def dial(victim: Switch) -> trio.SocketStream:
    """A TCP connection."""
    place = parse_address(victim.addresses[0])
    return await trio.open_tcp_stream(place.host, place.port)


@asynccontextmanager
async def dial_noise(victim: Switch, keys: KeyPair | None = None) -> AsyncIterator[ISecureConn]:
    """An attacker's encrypted connection, before a muxer is negotiated."""
    async with await dial(victim) as stream:
        raw = RawConnection(TcpChannel(stream), initiator=True)
        await propose_protocol(raw, NOISE)
        noise = NoiseTransport(keys or create_new_key_pair(ATTACKER), create_x25519_key_pair().private_key)
        yield await noise.secure_outbound(raw, ID(victim.peer_id))


@asynccontextmanager
async def dial_yamux(victim: Switch) -> AsyncIterator[ISecureConn]:
    """The same with yamux negotiated, once the victim has the connection in its table."""
    async with dial_noise(victim) as secure:
        await propose_protocol(secure, YAMUX)
        while not victim.connections():
            await trio.testing.wait_all_tasks_blocked()
        yield secure


def frame(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """A yamux header (hashicorp/yamux spec.md)."""
    return struct.pack("!BBHII", 0, kind, flags, stream_id, length)


async def check_is_cut(victim: Switch, channel: ISecureConn) -> None:
    """Asserts that the victim ended this connection."""
    with pytest.raises(IOException):
        while True:
            await channel.read(1)
    while victim.connections():
        await trio.testing.wait_all_tasks_blocked()


async def wait_for_eof(stream: trio.SocketStream) -> None:
    """Reads until the victim closes."""
    try:
        while await stream.receive_some(65536):
            pass
    except trio.BrokenResourceError:
        return


def line(text: bytes) -> bytes:
    """A line of multistream-select."""
    size, prefix = len(text) + 1, b""
    while size >= 128:
        prefix += bytes([size & 127 | 128])
        size >>= 7
    return prefix + bytes([size]) + text + b"\n"


# Hazard 1: who is it?


@pytest.mark.parametrize(
    "protocol", [str(PLAINTEXT_PROTOCOL_ID), "/secio/1.0.0", "/tls/1.0.0", "/noise-early"]
)
async def test_only_noise_is_accepted(protocol: str) -> None:
    """Every other security protocol is answered with `na`."""
    async with open_victim() as victim:
        async with await dial(victim) as stream:
            raw = RawConnection(TcpChannel(stream), initiator=True)
            with pytest.raises(Refused) as caught:
                await propose_protocol(raw, protocol)
        assert caught.value.code == RefusalCode.PROTOCOL_UNKNOWN


async def test_only_yamux_is_accepted() -> None:
    """Mplex is answered with `na`."""
    async with open_victim() as victim, dial_noise(victim) as secure:
        with pytest.raises(Refused):
            await propose_protocol(secure, "/mplex/6.7.0")


async def test_another_peer_at_the_address_is_refused() -> None:
    """Dialling an address under a peer id that its owner cannot prove fails."""
    async with open_victim() as victim, open_network(b"d" * 32, GENESIS, LISTEN) as dialler:
        place = parse_address(victim.addresses[0])
        wrong = PeerAddress(place.host, place.port, compute_peer_id_of_seed(b"x" * 32))
        with pytest.raises(PeerGone):
            await dialler.connect(str(wrong))
        assert not dialler.connections()


async def test_other_key_types_are_refused() -> None:
    """A peer with an RSA identity gets no connection, although Noise would accept it."""
    async with open_victim() as victim, dial_noise(victim, create_rsa_key_pair()) as secure:
        await propose_protocol(secure, YAMUX)
        await check_is_cut(victim, secure)


# Hazard 2: one message ends the process


@pytest.mark.parametrize(
    "attack",
    [
        b"\x05\xff\xfe\xfd\xfc\n",
        line(b"/multistream/1.0.0") + b"\x05\xff\xfe\xfd\xfc\n",
        b"\x00",
        b"\xff" * 20,
        line(b"/multistream/1.0.0") + line(b"/noise") + b"\x00\x00",
        line(b"/multistream/1.0.0") + line(b"/noise") + b"\x00\x20" + bytes(32) + b"\xff\xff" + bytes(65535),
        line(b"/multistream/1.0.0") + line(b"ls") * 40,
    ],
)
async def test_bad_bytes_before_authentication(attack: bytes) -> None:
    """Invalid UTF-8, varints and Noise messages end their connection and nothing else."""
    async with open_victim(handshake_seconds_max=2.0) as victim:
        stream = await dial(victim)
        async with stream:
            await stream.send_all(attack)
            await wait_for_eof(stream)


@pytest.mark.parametrize(
    "attack", [b"\x05\xff\xfe\xfd\xfc\n", b"\xff" * 11, b"\x00", b"\x81\x80\x80\x80\x08"]
)
async def test_bad_bytes_in_a_streams_negotiation(attack: bytes) -> None:
    """Invalid UTF-8 in a stream's negotiation, which ended a stock host's process, resets the stream."""
    async with open_victim() as victim, dial_yamux(victim) as secure:
        await secure.write(frame(WINDOW_UPDATE, SYN, 1, 0))
        await secure.write(frame(DATA, 0, 1, len(attack)) + attack)
        flags = 0
        while not flags & RST:
            header = await secure.read(12)
            _, kind, flags, stream_id, length = struct.unpack("!BBHII", header)
            if kind == DATA and length:
                await secure.read(length)
        assert stream_id == 1
        assert victim.is_connected(compute_peer_id_of_seed(ATTACKER))


@pytest.mark.parametrize(
    "attack",
    [
        frame(9, 0, 0, 0),
        frame(DATA, 0, 77, 5) + b"ghost",
        frame(WINDOW_UPDATE, 0, 77, 2**32 - 1),
        frame(WINDOW_UPDATE, SYN | RST, 3, 0),
        frame(DATA, SYN | FIN, 5, 3) + b"abc",
        frame(PING, SYN, 0, 7),
        frame(3, 0, 0, 99),
        struct.pack("!BBHII", 7, 0, 0xFFFF, 1, 0),
    ],
)
async def test_odd_muxer_frames(attack: bytes) -> None:
    """Frames of unknown kinds, streams and versions leave the node alive."""
    async with open_victim() as victim, dial_yamux(victim) as secure:
        await secure.write(attack)
        await secure.write(frame(PING, SYN, 0, 1))


# Hazard 3: slots are given back


async def test_three_hundred_connections_one_after_the_other() -> None:
    """After 300 inbound connections a node holds no slot and still serves."""
    async with open_victim() as victim:
        async with open_network(b"a" * 32, GENESIS, LISTEN) as other:
            for _ in range(300):
                await other.connect(victim.addresses[0])
                await other.disconnect(victim.peer_id, "again")
        while victim.connections():
            await trio.testing.wait_all_tasks_blocked()
        assert victim.admission.slots_used == (0, 0)


# Hazard 4: before authentication


async def test_a_long_negotiation_line_is_not_read() -> None:
    """A stated length of 2^31 ends the connection at once, without a byte of it."""
    async with open_victim() as victim, await dial(victim) as stream:
        await stream.send_all(line(b"/multistream/1.0.0") + b"\x80\x80\x80\x80\x08")
        with trio.fail_after(5):
            await wait_for_eof(stream)


async def test_idle_connections_of_one_host_do_not_lock_out() -> None:
    """Above the handshakes per host connections end at once; silent ones end at the deadline."""
    async with open_victim(handshakes_per_host_max=4, handshake_seconds_max=1.0) as victim:
        idle = [await dial(victim) for _ in range(20)]
        with trio.fail_after(10):
            for stream in idle:
                await wait_for_eof(stream)
                await stream.aclose()
        while victim.admission.slots_used != (0, 0):
            await trio.testing.wait_all_tasks_blocked()


async def test_trusted_hosts_are_exempt() -> None:
    """A known validator's host gets its handshake however many strangers wait."""
    limits = Limits(handshakes_max=0, handshakes_per_host_max=0)
    options = {"limits": limits, "is_trusted_host": lambda host: host == "127.0.0.1"}
    async with open_network(b"v" * 32, GENESIS, LISTEN, **options) as victim:
        victim.serve(ECHO, echo)
        with trio.fail_after(10):
            await check_serves(victim)


# Hazard 5: the muxer


async def test_data_above_the_window_cuts_the_connection() -> None:
    """A peer that sends more than it may on a stream is cut when it does."""
    async with open_victim() as victim, dial_yamux(victim) as secure:
        await secure.write(frame(WINDOW_UPDATE, SYN, 1, 0))
        blob = frame(DATA, 0, 1, 65000) + bytes(65000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_many, secure, blob, 8)
            await check_is_cut(victim, secure)


async def test_data_within_the_window_does_not() -> None:
    """Data within the 256 KiB window is accepted."""
    hello = line(b"/multistream/1.0.0") + line(ECHO.build_id(GENESIS).encode())
    body = hello + (2**17).to_bytes(4) + bytes(2**17)
    async with open_victim() as victim, dial_yamux(victim) as secure:
        await secure.write(frame(WINDOW_UPDATE, SYN, 1, 0))
        await secure.write(frame(DATA, 0, 1, len(body)) + body)
        await secure.write(frame(PING, SYN, 0, 5))
        await read_until_ping(secure)
        assert victim.connections()


async def test_a_flood_of_streams_cuts_the_connection() -> None:
    """A peer that opens more streams than it may is cut when it does."""
    async with open_victim(streams_per_connection_max=32) as victim, dial_yamux(victim) as secure:
        blob = b"".join(frame(WINDOW_UPDATE, SYN, 1 + 2 * number, 0) for number in range(500))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_many, secure, blob, 1)
            await check_is_cut(victim, secure)


async def send_many(secure: ISecureConn, blob: bytes, count: int) -> None:
    """An attacker's writes; the last ones may meet a closed socket."""
    try:
        for _ in range(count):
            await secure.write(blob)
    except IOException:
        return


async def test_a_flood_of_frames_is_read_slowly_and_answered() -> None:
    """Ten thousand pings at once leave time for an honest peer, and are answered in the end."""
    async with open_victim() as victim, dial_yamux(victim) as secure:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_many, secure, frame(PING, SYN, 0, 5) * 1000, 10)
            await check_serves(victim)
            for _ in range(10_000):
                await secure.read(12)
        assert victim.is_connected(compute_peer_id_of_seed(ATTACKER))


# Hazard 7: cancelled and blocked writes


async def test_a_cancelled_send_spares_the_connection() -> None:
    """A send that is cancelled while the socket is full costs its stream; the cipher stays in step."""
    scope, cancelled = trio.CancelScope(), trio.Event()

    async def pour(stream: Stream) -> None:
        with scope:
            while True:
                await stream.send(bytes(2**20))
        with pytest.raises(PeerGone):
            await stream.send(b"x")
        cancelled.set()

    hello = line(b"/multistream/1.0.0") + line(ECHO.build_id(GENESIS).encode())
    async with open_victim() as victim, dial_yamux(victim) as secure:
        victim.serve(ECHO, pour)
        await secure.write(frame(WINDOW_UPDATE, SYN, 1, 2**30))
        await secure.write(frame(DATA, 0, 1, len(hello)) + hello)
        await trio.testing.wait_all_tasks_blocked(0.1)
        scope.cancel()
        await secure.write(frame(PING, SYN, 0, 5))
        await read_until_ping(secure)
        await cancelled.wait()
        victim.serve(ECHO, echo)


async def read_until_ping(secure: ISecureConn) -> None:
    """Reads whole frames until the answer to a ping."""
    kind = DATA
    while kind != PING:
        _, kind, _, _, length = struct.unpack("!BBHII", await secure.read(12))
        if kind == DATA and length:
            await secure.read(length)


async def test_a_peer_that_never_reads_is_cut() -> None:
    """A peer with an open window that leaves its socket full is cut at the write deadline."""

    async def pour(stream: Stream) -> None:
        while True:
            await stream.send(bytes(2**20))

    hello = line(b"/multistream/1.0.0") + line(ECHO.build_id(GENESIS).encode())
    async with open_victim(write_seconds_max=0.5) as victim, dial_yamux(victim) as secure:
        victim.serve(ECHO, pour)
        gone = trio.Event()
        victim.watch(lambda event: gone.set())
        await secure.write(frame(WINDOW_UPDATE, SYN, 1, 2**30))
        await secure.write(frame(DATA, 0, 1, len(hello)) + hello)
        await gone.wait()
        victim.serve(ECHO, echo)


# Hazard 10 and versions


def test_another_libp2p_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version than the one the defences were written for is refused at start."""
    monkeypatch.setattr(libp2p_setup, "version", lambda name: "0.8.2")
    with pytest.raises(WrongLibp2pVersion):
        prepare_libp2p()


async def test_a_stock_host_can_talk_to_us() -> None:
    """A stock py-libp2p host with Noise and yamux exchanges frames with this network."""
    async with open_victim() as victim:
        keys = create_new_key_pair(b"s" * 32)
        noise = NoiseTransport(keys, create_x25519_key_pair().private_key)
        host = new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_opt={YAMUX: Yamux})
        async with host.run(listen_addrs=[Multiaddr(LISTEN)]):
            peer = info_from_p2p_addr(Multiaddr(victim.addresses[0]))
            await host.connect(peer)
            stream = await host.new_stream(peer.peer_id, [ECHO.build_id(GENESIS)])
            await stream.write(b"\x00\x00\x00\x05stock")
            answer = b""
            while len(answer) < 9:
                answer += await stream.read(9 - len(answer))
            assert answer == b"\x00\x00\x00\x05stock"
            await host.disconnect(peer.peer_id)
