"""What one host delivers to one member over real libp2p, with proofs, vouchers, verification and disk.

Two processes on loopback. The client first reads as many bytes from a bare stream of ours, then downloads the
datum into a store: the ratio shows the cost of everything above the stream. The host's bytes are in its page
cache; the client's store syncs as always. Runs alternate, so that a busy machine slows both.

    python -m bench.download
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import trio

from chain.content import CHUNK_BYTES, compute_datum_id
from chain.modules import catalogue, possession, sessions, system
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from chain.state import MemoryState, Overlay
from node.home.profiles import load_profile

DATUM_BYTES = 256 * 2**20
RUNS = 3
GENESIS: Hash = bytes(32)
SESSIONS: tuple[Hash, ...] = tuple(bytes((number,)) * 32 for number in range(RUNS))
HOST = b"h" * 32
VOUCHER_KEY = KeyPair(b"v" * 32)
LISTEN = "/ip4/127.0.0.1/tcp/0"
PRICE_PER_GIB = 10**10
LIMIT = 10**11
QUOTA_BYTES = 2**32


class OpenSessions:
    """A chain with one open session per run, as the content service reads it."""

    genesis_hash = GENESIS
    height = 10

    def __init__(self, datum: Hash, root: Hash) -> None:
        self.state = Overlay(MemoryState())
        public = load_profile("public")
        system.PARAMETERS.set(self.state, public.system.parameters)
        possession.types.PARAMETERS.set(self.state, public.possession.parameters)
        system.POSITION.set(self.state, system.Position(self.height, 0, 1))
        listed = catalogue.Datum(root, DATUM_BYTES, "title", "label", (), "", HOST, 1, 0, 0, 0, 0)
        catalogue.DATUMS.set(self.state, listed, datum)
        key = VOUCHER_KEY.public_key
        session = sessions.types.Session(HOST, datum, key, PRICE_PER_GIB, 1000, 2000, unreleased=1)
        for session_id in SESSIONS:
            sessions.types.SESSIONS.set(self.state, session, session_id)
            sessions.ALLOTMENTS.set(self.state, sessions.types.Allotment(LIMIT), HOST, session_id)


def _build_raw_protocol() -> Any:
    from p2p.network import ProtocolSpec

    return ProtocolSpec("bench", 1, CHUNK_BYTES, 4, 10**6, 2**40)


async def _pour(stream: Any) -> None:
    frame = bytes(CHUNK_BYTES)
    for _ in range(DATUM_BYTES // CHUNK_BYTES):
        await stream.send(frame)


async def _serve(folder: str) -> None:
    from node.content.debts import DebtBook
    from node.content.lane import ContentLane
    from node.content.service import ContentService
    from node.content.vouchers import VoucherBook
    from p2p.tcp.host import open_network
    from storage.content.store import ContentStore
    from storage.kv import LevelDbStore

    source = Path(folder) / "source"
    with ContentStore(Path(folder) / "host", QUOTA_BYTES) as store:
        manifest = store.publish(source)
        datum = compute_datum_id(manifest)
        async with open_network(b"s" * 32, GENESIS, LISTEN) as network:
            vouchers = LevelDbStore(Path(folder) / "vouchers")
            book, debts = VoucherBook(vouchers, HOST), DebtBook(vouchers, HOST)
            network.serve(_build_raw_protocol(), _pour)
            ContentService(network, OpenSessions(datum, manifest.root), ContentLane(store), book, debts)
            print(json.dumps([network.addresses[0], datum.hex(), manifest.root.hex()]), flush=True)
            await trio.sleep_forever()


async def _fetch(folder: str, address: str, datum: str, root: str, session: str) -> dict[str, float]:
    from node.content.downloads import (
        BuyerMemory,
        DownloadJob,
        LossBook,
        PaymentBook,
        SessionHost,
        download,
    )
    from node.content.lane import ContentLane
    from p2p.tcp.host import open_network
    from storage.content.store import ContentStore
    from storage.kv import LevelDbStore

    job = DownloadJob(
        session=bytes.fromhex(session),
        opened_at=1,
        datum=bytes.fromhex(datum),
        root=bytes.fromhex(root),
        size_bytes=DATUM_BYTES,
        price_per_gib=PRICE_PER_GIB,
        voucher_key=VOUCHER_KEY,
        hosts=(SessionHost(HOST, (address,), LIMIT),),
    )
    with TemporaryDirectory(dir=folder) as target, ContentStore(Path(target), QUOTA_BYTES) as store:
        async with open_network(b"c" * 32, GENESIS, LISTEN) as network:
            raw = await _drain(network, await network.connect(address))
            begun, used = perf_counter(), process_time()
            memory = BuyerMemory(PaymentBook(LevelDbStore(Path(target) / "payments")), LossBook())
            result = await download(network, ContentLane(store), job, memory=memory)
            seconds, cpu = perf_counter() - begun, process_time() - used
            assert result.is_complete, result
            assert result.paid == sessions.compute_price(DATUM_BYTES, PRICE_PER_GIB)
    return {"raw": raw, "download": DATUM_BYTES / seconds / 1e6, "client_cpu": cpu / seconds}


async def _drain(network: Any, peer: bytes) -> float:
    """MB/s of a bare stream."""
    stream = await network.open(peer, _build_raw_protocol())
    await stream.receive()
    begun = perf_counter()
    for _ in range(DATUM_BYTES // CHUNK_BYTES - 1):
        await stream.receive()
    return (DATUM_BYTES - CHUNK_BYTES) / (perf_counter() - begun) / 1e6


def _measure(folder: Path) -> list[dict[str, float]]:
    command = [sys.executable, "-m", "bench.download"]
    measured = []
    with subprocess.Popen([*command, "serve", str(folder)], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        try:
            address, datum, root = json.loads(host.stdout.readline())
            for session in SESSIONS:
                fetch = [*command, "fetch", str(folder), address, datum, root, session.hex()]
                done = subprocess.run(fetch, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
                measured.append(json.loads(done.stdout.splitlines()[-1]))
        finally:
            host.kill()
    return measured


def run() -> list[dict[str, Any]]:
    """Rates of the bare stream and of the whole download, and their ratio."""
    from random import Random

    with TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        random = Random(1)
        with (source / "data").open("wb") as file:
            for _ in range(DATUM_BYTES // CHUNK_BYTES):
                file.write(random.randbytes(CHUNK_BYTES))
        measured = _measure(Path(folder))
    figures: list[dict[str, Any]] = []
    for kind in ("raw", "download"):
        rates = sorted(one[kind] for one in measured)
        spread = [round(rates[0], 1), round(rates[-1], 1)]
        name = f"download_{'stream' if kind == 'raw' else 'whole'}"
        figures.append({"figure": name, "mb_per_second": round(median(rates), 1), "spread": spread})
    ratios = sorted(one["download"] / one["raw"] for one in measured)
    figures.append({"figure": "download_ratio", "ratio": round(median(ratios), 2)})
    return figures


def main() -> None:
    """One side in a child process, or the whole measurement."""
    sides: dict[str, Any] = {"serve": _serve, "fetch": _fetch}
    if len(sys.argv) > 1:
        print(json.dumps(trio.run(sides[sys.argv[1]], *sys.argv[2:])))
        return
    for figure in run():
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
