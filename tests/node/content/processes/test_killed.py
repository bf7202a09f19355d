"""Processes on a real network that are killed with SIGKILL in the middle of a paid download."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.download import HOST, SESSIONS
from chain.content import CHUNK_BYTES, compute_datum_id
from node.content.debts import DEBT_BYTES_MAX
from node.content.downloads import PaymentBook
from node.content.prepayment import PREPAID_BYTES_MAX
from node.content.vouchers import VoucherBook
from storage.content.store import ContentStore
from storage.content.tree import build_datum
from storage.kv import LevelDbStore
from tests.node.content.processes.trader import SIZE, write_source

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[4]


class Side:
    """A process that prints JSON lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def read(self) -> Any:
        """The next line; fails the test if the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"ended with {self._process.wait()}"
        return json.loads(line)

    def read_until(self, bytes_done: int) -> None:
        """Reads progress up to so many bytes."""
        while self.read() < bytes_done:
            pass

    def read_result(self) -> dict[str, Any]:
        """Reads progress up to the result."""
        while not isinstance(value := self.read(), dict):
            pass
        return value

    def kill(self) -> None:
        """SIGKILL: nothing that the process would do at its end is done."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running(side: str, folder: Path, argument: str) -> Iterator[Side]:
    """One side, killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.node.content.processes.trader", side, str(folder), argument]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Side(process)
        finally:
            process.kill()


def count_unwritten(folder: Path) -> int:
    """Bytes that a killed buyer had verified and paid, and that were not on its disk yet."""
    payments = LevelDbStore(folder / "payments")
    with closing(payments), ContentStore(folder / "buyer", 2**30) as store:
        known = PaymentBook(payments).get(SESSIONS[0], HOST)
        held = int.from_bytes(store.get_bitmap(store.datums()[0]), "little").bit_count()
        assert known is not None
        return max(0, known.verified - held * CHUNK_BYTES)


@pytest.mark.parametrize("killed", [("host",), ("buyer",), ("host", "buyer"), ("buyer", "host", "host")])
def test_a_killed_side_resumes_and_nobody_pays_twice(tmp_path: Path, killed: tuple[str, ...]) -> None:
    """After each kill in the middle the side is started again on its disk: the datum is complete, and both
    books say that its price was paid once, but for chunks that waited for the killed buyer's own disk, and
    for those that the killed host had not noted as sent.
    """
    write_source(tmp_path)
    unwritten = 0
    with ExitStack() as stack:
        host = stack.enter_context(running("host", tmp_path, "0"))
        address = host.read()
        port = address.split("/")[4]
        buyer = stack.enter_context(running("buyer", tmp_path, address))
        for number, side in enumerate(killed):
            buyer.read_until((number + 1) * SIZE // (len(killed) + 2))
            if side == "host":
                host.kill()
                host = stack.enter_context(running("host", tmp_path, port))
                assert host.read() == address
            else:
                buyer.kill()
                unwritten += count_unwritten(tmp_path)
                buyer = stack.enter_context(running("buyer", tmp_path, address))
        result = buyer.read_result()
        host.kill()
    assert result["is_complete"] and result["outcome"] == "done"
    forgotten = killed.count("host") * PREPAID_BYTES_MAX
    assert SIZE - forgotten <= result["paid_bytes"] <= SIZE + unwritten and result["lost_bytes"] == 0
    signed = VoucherBook(LevelDbStore(tmp_path / "vouchers"), HOST).get(SESSIONS[0])
    assert signed is not None and signed.voucher.bytes == result["paid_bytes"]
    assert result["chunks"] * CHUNK_BYTES <= SIZE + DEBT_BYTES_MAX + len(killed) * 2**20
    with ContentStore(tmp_path / "buyer", 2**30) as store:
        store.export(compute_datum_id(build_datum(tmp_path / "source").manifest), tmp_path / "out")
    assert (tmp_path / "out" / "data").read_bytes() == (tmp_path / "source" / "data").read_bytes()
