"""What one stream of our network carries, compared with a stream of a stock py-libp2p host: frames of 256
KiB.

Two processes on loopback: the server sends, the client receives; connecting is not counted. The stock host is
TCP + Noise + yamux too and writes and reads 256 KiB at a time. Runs alternate, so that a busy machine slows
both: the ratio is what counts.

    python -m bench.p2p_stream
"""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter, process_time
from typing import Any

import trio

FRAME_BYTES = 256 * 1024
FRAMES = 800
RUNS = 3
GENESIS = bytes(32)
LISTEN = "/ip4/127.0.0.1/tcp/0"
STOCK_PROTOCOL = "/bench/1"


async def _serve_ours() -> None:
    from p2p.tcp.host import open_network

    async def pour(stream: Any) -> None:
        for _ in range(FRAMES):
            await stream.send(bytes(FRAME_BYTES))

    async with open_network(b"s" * 32, GENESIS, LISTEN) as network:
        network.serve(_build_protocol(), pour)
        print(network.addresses[0], flush=True)
        await trio.sleep_forever()


async def _fetch_ours(address: str) -> dict[str, float]:
    from p2p.tcp.host import open_network

    async with open_network(b"c" * 32, GENESIS, LISTEN) as network:
        begun = perf_counter()
        peer = await network.connect(address)
        connected = perf_counter() - begun
        stream = await network.open(peer, _build_protocol())
        await stream.receive()
        begun, used = perf_counter(), process_time()
        for _ in range(FRAMES - 1):
            await stream.receive()
        return _build_figures(connected, perf_counter() - begun, process_time() - used)


async def _serve_stock() -> None:
    from multiaddr import Multiaddr

    async def pour(stream: Any) -> None:
        for _ in range(FRAMES):
            await stream.write(bytes(FRAME_BYTES))

    host = _build_stock_host(b"s" * 32)
    async with host.run(listen_addrs=[Multiaddr(LISTEN)]):
        host.set_stream_handler(STOCK_PROTOCOL, pour)
        print(host.get_addrs()[0], flush=True)
        await trio.sleep_forever()


async def _fetch_stock(address: str) -> dict[str, float]:
    from libp2p.peer.peerinfo import info_from_p2p_addr
    from multiaddr import Multiaddr

    host = _build_stock_host(b"c" * 32)
    async with host.run(listen_addrs=[Multiaddr(LISTEN)]):
        peer = info_from_p2p_addr(Multiaddr(address))
        begun = perf_counter()
        await host.connect(peer)
        connected = perf_counter() - begun
        stream = await host.new_stream(peer.peer_id, [STOCK_PROTOCOL])
        left = FRAMES * FRAME_BYTES - len(await stream.read(FRAME_BYTES))
        begun, used = perf_counter(), process_time()
        while left > 0:
            left -= len(await stream.read(FRAME_BYTES))
        return _build_figures(connected, perf_counter() - begun, process_time() - used)


def _build_protocol() -> Any:
    from p2p.network import ProtocolSpec

    return ProtocolSpec("bench", 1, FRAME_BYTES, 4, 10**6, 2**40)


def _build_stock_host(seed: bytes) -> Any:
    import logging

    from libp2p import new_host
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
    from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
    from libp2p.security.noise.transport import Transport
    from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
    from libp2p.stream_muxer.yamux.yamux import Yamux

    logging.getLogger("libp2p").setLevel(logging.CRITICAL + 1)
    keys = create_new_key_pair(seed)
    noise = Transport(keys, create_x25519_key_pair().private_key)
    return new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_opt={YAMUX: Yamux})


def _build_figures(connect_seconds: float, seconds: float, cpu_seconds: float) -> dict[str, float]:
    rate = (FRAMES - 1) * FRAME_BYTES / seconds / 1e6
    return {"mb_per_second": rate, "connect_ms": connect_seconds * 1e3, "receiver_cpu": cpu_seconds / seconds}


def _run_pair(kind: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.p2p_stream", kind]
    with subprocess.Popen([*command, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            client = subprocess.run(
                [*command, "fetch", address], stdout=subprocess.PIPE, text=True, timeout=120, check=True
            )
        finally:
            server.kill()
    figures: dict[str, float] = json.loads(client.stdout.splitlines()[-1])
    return figures


def run() -> list[dict[str, Any]]:
    """One line of figures per kind, and the ratio of their median rates."""
    lines: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    for _ in range(RUNS):
        for kind, measured in lines.items():
            measured.append(_run_pair(kind))
    figures: list[dict[str, Any]] = []
    for kind, measured in lines.items():
        rates = sorted(one["mb_per_second"] for one in measured)
        connects = median(one["connect_ms"] for one in measured)
        figures.append(
            {
                "figure": f"p2p_stream_{kind}",
                "mb_per_second": round(median(rates), 1),
                "spread": [round(rates[0], 1), round(rates[-1], 1)],
                "connect_ms": round(connects, 1),
            }
        )
    ratio = figures[0]["mb_per_second"] / figures[1]["mb_per_second"]
    figures.append({"figure": "p2p_stream_ratio", "ratio": round(ratio, 2)})
    return figures


def main() -> None:
    """One side of a pair in a child process, or the whole measurement."""
    sides: dict[tuple[str, str], Callable[..., Awaitable[Any]]] = {
        ("ours", "serve"): _serve_ours,
        ("ours", "fetch"): _fetch_ours,
        ("stock", "serve"): _serve_stock,
        ("stock", "fetch"): _fetch_stock,
    }
    if len(sys.argv) > 2:
        figures: Any = trio.run(sides[sys.argv[1], sys.argv[2]], *sys.argv[3:])
        print(json.dumps(figures))
        return
    for line in run():
        print(json.dumps(line))


if __name__ == "__main__":
    main()
