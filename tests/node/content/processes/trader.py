"""One side of a paid download as a process of its own, for tests that kill it: real network, real disks.

    python -m tests.node.content.processes.trader host FOLDER PORT
    python -m tests.node.content.processes.trader buyer FOLDER ADDRESS

Both print a JSON value per line: the host its address and datum, the buyer its progress and its result. The
chain is the one of the download benchmark: a session that stays open.
"""

import json
import sys
from pathlib import Path
from typing import Any

import trio

from bench.download import GENESIS, HOST, LIMIT, PRICE_PER_GIB, QUOTA_BYTES, SESSIONS, VOUCHER_KEY
from bench.download import OpenSessions as BenchSessions
from chain.content import CHUNK_BYTES, compute_datum_id
from chain.modules import catalogue
from chain.primitives.types import Hash
from node.content.debts import DebtBook
from node.content.downloads import (
    BuyerMemory,
    DownloadJob,
    DownloadLimits,
    LossBook,
    PaymentBook,
    SessionHost,
    download,
)
from node.content.lane import ContentLane
from node.content.service import ContentService, ServiceLimits
from node.content.vouchers import VoucherBook
from p2p.tcp.host import open_network
from storage.content.store import ContentStore
from storage.content.tree import build_datum
from storage.kv import LevelDbStore

SIZE = 48 * CHUNK_BYTES - 1000
BYTES_PER_SECOND = 4 * 2**20
"""Slow enough that a kill hits the middle."""


class OpenSessions(BenchSessions):
    """The benchmark's chain with a datum of SIZE bytes."""

    def __init__(self, datum: Hash, root: Hash) -> None:
        super().__init__(datum, root)
        listed = catalogue.Datum(root, SIZE, "title", "label", (), "", HOST, 1, 0, 0, 0, 0)
        catalogue.DATUMS.set(self.state, listed, datum)


def write_source(folder: Path) -> None:
    """The datum's file."""
    (folder / "source").mkdir()
    words = (number.to_bytes(8, "big") for number in range(SIZE // 8 + 1))
    (folder / "source" / "data").write_bytes(b"".join(words)[:SIZE])


def say(value: Any) -> None:
    """One line for the test."""
    print(json.dumps(value), flush=True)


async def serve(folder: Path, port: str) -> None:
    """The host, until it is killed."""
    with ContentStore(folder / "host", QUOTA_BYTES) as store:
        manifest = store.publish(folder / "source")
        datum = compute_datum_id(manifest)
        vouchers = LevelDbStore(folder / "vouchers")
        book, debts = VoucherBook(vouchers, HOST), DebtBook(vouchers, HOST)
        limits = ServiceLimits(bytes_per_second_max=BYTES_PER_SECOND, streams_per_session_max=8)
        async with open_network(b"s" * 32, GENESIS, f"/ip4/127.0.0.1/tcp/{port}") as network:
            chain = OpenSessions(datum, manifest.root)
            ContentService(network, chain, ContentLane(store), book, debts, limits)
            say(network.addresses[0])
            await trio.sleep_forever()


async def buy(folder: Path, address: str) -> None:
    """The buyer, until it has all or is killed."""
    manifest = build_datum(folder / "source").manifest
    job = DownloadJob(
        session=SESSIONS[0],
        opened_at=1,
        datum=compute_datum_id(manifest),
        root=manifest.root,
        size_bytes=SIZE,
        price_per_gib=PRICE_PER_GIB,
        voucher_key=VOUCHER_KEY,
        hosts=(SessionHost(HOST, (address,), LIMIT),),
    )
    limits = DownloadLimits(attempts_per_host_max=60, attempt_pause_seconds=0.05)
    memory = BuyerMemory(PaymentBook(LevelDbStore(folder / "payments")), LossBook(folder / "losses"))
    with ContentStore(folder / "buyer", QUOTA_BYTES) as store:
        async with open_network(b"c" * 32, GENESIS, "/ip4/127.0.0.1/tcp/0") as network:
            lane = ContentLane(store)
            result = await download(network, lane, job, lambda one: say(one.bytes_done), limits, memory)
    (report,) = result.hosts
    figures = {"paid_bytes": report.paid_bytes, "lost_bytes": report.lost_bytes, "chunks": report.chunks}
    say({"is_complete": result.is_complete, "outcome": report.outcome.value, **figures})


if __name__ == "__main__":
    side, place, argument = sys.argv[1:]
    trio.run({"host": serve, "buyer": buy}[side], Path(place), argument)
