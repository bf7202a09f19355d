"""The server in its own thread, over real sockets on loopback: life, the live feed, and bad connections."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import trio

from chain.genesis import ChainSpec
from chain.modules import balances
from node.api import server
from node.api.guards import BODY_BYTES_DISCARDED_MAX, BODY_BYTES_MAX, BODY_SECONDS_MAX
from node.api.server import CONNECTIONS_MAX, run_api
from node.home.config import NodeConfig
from p2p.errors import ListenFailed
from p2p.memory import MemoryHub
from tests.node.api.world import ALICE, BOB, VALIDATOR, World, encode_hex

pytestmark = pytest.mark.network


@asynccontextmanager
async def open_server(spec: ChainSpec | None = None) -> AsyncIterator[tuple[World, int]]:
    """A world whose API listens; the test fails if it does not end when it is cancelled."""
    async with MemoryHub().open_network(VALIDATOR.keys.network_seed, b"g" * 32) as network:
        world = World(network, spec=spec)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                port = await nursery.start(run_api, world.services, NodeConfig())
                yield world, port
                nursery.cancel_scope.cancel()


def client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)


async def talk(port: int, request: bytes) -> bytes:
    """All that the server answers to these bytes until it closes the connection."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(request)
        answer = b""
        while part := await receive(stream):
            answer += part
        return answer


async def receive(stream: trio.SocketStream) -> bytes:
    try:
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError:
        return b""


async def test_requests_cross_to_the_node_and_back() -> None:
    """Over a real port: reads, and a transaction that enters the node's pool in the node's own loop."""
    async with open_server() as (world, port), client(port) as http:
        status = (await http.get("/v1/status")).json()
        assert status["height"] == 0
        signed = world.sign(ALICE, balances.Send(BOB.address, 1))
        sent = await http.post("/v1/transactions", json=encode_hex(signed))
        assert sent.json()["results"][0]["status"] == "pooled" and len(world.mempool) == 1
        assert (await http.get("/v1/peers")).json()["peers"] == []
        world.make_block()
        assert (await http.get("/v1/status")).json()["height"] == 1


class Follower:
    """A client of the live feed on a plain socket."""

    def __init__(self, stream: trio.SocketStream, begun: bytes) -> None:
        self._stream = stream
        self._buffer = begun

    async def read(self, count: int) -> list[tuple[str, str, dict]]:
        """(id, kind, content) of the next messages."""
        found, fields = [], {}
        while len(found) < count:
            key, _, value = (await self._read_line()).partition(": ")
            if key in ("id", "event", "data"):
                fields[key] = value
            if key == "data":
                found.append((fields["id"], fields["event"], json.loads(value)))
        return found

    async def _read_line(self) -> str:
        while b"\n" not in self._buffer:
            part = await receive(self._stream)
            assert part, "the feed ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()


@asynccontextmanager
async def follow(port: int, query: str = "", header: str = "") -> AsyncIterator[Follower]:
    """A connection to the feed whose answer has begun."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        request = f"GET /v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n"
        await stream.send_all(request.encode())
        head, _, begun = (await receive(stream)).partition(b"\r\n\r\n")
        assert b" 200 " in head and b"text/event-stream" in head
        yield Follower(stream, begun)


async def test_the_feed_tells_each_thing_once_and_resumes() -> None:
    """A reader sees each new block, transaction and event in order; one that returns goes on where it was."""
    async with open_server() as (world, port):
        world.make_block()
        async with follow(port) as follower:
            world.make_block(world.sign(ALICE, balances.Send(BOB.address, 1)))
            (place, kind, block), *rest = await follower.read(3)
            assert (place, kind, block["height"], block["transactions"]) == ("2.0", "block", 2, 1)
            (transaction,) = [content for _, kind, content in rest if kind == "transaction"]
            assert (transaction["height"], transaction["error"]) == (2, None)
            world.make_block()
            assert [(place, kind) for place, kind, _ in await follower.read(1)] == [("3.0", "block")]
        async with follow(port, "?kinds=block", "Last-Event-ID: 1.999\r\n") as follower:
            assert [place for place, _, _ in await follower.read(2)] == ["2.0", "3.0"]
        async with follow(port, "?since=2.0") as follower:
            assert await follower.read(2) == rest


async def test_it_ends_with_clients_connected() -> None:
    """The API ends with the node while one client follows the feed and another has said nothing yet."""
    async with AsyncExitStack() as clients:
        async with open_server() as (_, port):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            clients.push_async_callback(trio.aclose_forcefully, stream)
            follower = await trio.open_tcp_stream("127.0.0.1", port)
            clients.push_async_callback(trio.aclose_forcefully, follower)
            await follower.send_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in await receive(follower)
        while await receive(follower):
            pass
        assert await receive(stream) == b""


async def test_a_taken_port_is_told() -> None:
    """A port that is taken is refused with its number, before anything runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with MemoryHub().open_network(VALIDATOR.keys.network_seed, b"g" * 32) as network:
            with pytest.raises(ListenFailed, match=str(port)):
                await run_api(World(network).services, NodeConfig(api_port=port))


BAD_STARTS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /v1/status HTTP/1.1\r\nHost: loc",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000,
    b"POST /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


async def test_what_is_no_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Junk, other protocols, malformed and unfinished requests end their own connection, and no other."""
    monkeypatch.setattr(server, "HEADERS_SECONDS_MAX", 0.3)
    async with open_server() as (_, port), client(port) as http:
        for start in BAD_STARTS:
            answer = await talk(port, start)
            assert b" 200 " not in answer and b" 500 " not in answer, start
        assert (await http.get("/v1/status")).status_code == 200


@pytest.mark.parametrize(
    "offer",
    [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    ],
)
async def test_an_offered_upgrade_is_ignored(offer: str) -> None:
    """Clients that offer another protocol by themselves get their answer, and the next one too."""
    first = f"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n{offer}\r\n"
    last = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with open_server() as (_, port):
        answer = await talk(port, (first + last).encode())
        assert answer.count(b"HTTP/1.1 200") == 2 and answer.count(b'"chain_id"') == 2, answer


async def test_a_body_without_end_is_cut_off() -> None:
    """A client that sends more than anything needs is answered or cut off, and costs no memory."""
    async with open_server() as (_, port), client(port) as http:
        head = b"POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        piece = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(head)
            with pytest.raises(trio.BrokenResourceError):
                for _ in range(4 * BODY_BYTES_DISCARDED_MAX // 0x10000):
                    await stream.send_all(piece)
        large = await http.post("/v1/transactions", content=b" " * (10 * 2**20))
        assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("length", [BODY_BYTES_MAX + 1, 10**12, 10**19])
async def test_an_announced_body_that_is_too_large_is_refused_at_once(length: int) -> None:
    """The answer comes before any of the body, which its sender may never send."""
    head = f"POST /v1/transactions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    async with open_server() as (_, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(head.encode())
            with trio.fail_after(BODY_SECONDS_MAX / 2):
                answer = b""
                while b"}}" not in answer:
                    answer += await receive(stream)
        assert answer.startswith(b"HTTP/1.1 413 ") and b"body_too_large" in answer


async def test_too_many_connections() -> None:
    """Connections above the bound are closed; when others leave, new ones are served."""
    async with open_server() as (_, port):
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        async with client(port) as http:
            with pytest.raises(httpx.TransportError):
                await http.get("/v1/status")
        for stream in streams:
            await stream.aclose()
        async with client(port) as http:
            while True:
                try:
                    assert (await http.get("/v1/status")).status_code == 200
                    break
                except httpx.TransportError:  # the server has not seen all of them leave yet
                    await trio.lowlevel.checkpoint()


async def test_a_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks and does not read is cut off after a while, so that nothing waits for it."""
    monkeypatch.setattr(server, "SEND_SECONDS_MAX", 0.3)
    async with open_server() as (_, port):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            with pytest.raises(trio.BrokenResourceError):
                while True:
                    await stream.send_all(b"GET /v1/chain HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
