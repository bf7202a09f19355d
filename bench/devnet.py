"""A devnet for benchmarks: started by the CLI in a temporary folder, read over HTTP, stopped at the end."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from cli.devnet.plan import Devnet

ROOT = Path(__file__).parent.parent
POLL_SECONDS = 0.1
SECONDS_PER_BLOCK_MAX = 10.0
HEADERS_PER_PAGE = 100


class RunningDevnet:
    """A running network, read through the API of its first node."""

    def __init__(self, devnet: Devnet, client: httpx.Client) -> None:
        self.summary = devnet.load_summary()
        self._client = client
        self._url = self.summary["nodes"][0]["api"]

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at a path of the API."""
        answer = self._client.get(f"{self._url}/v1/{path}", params=parameters)
        answer.raise_for_status()
        return answer.json()

    def wait(self, what: str, is_met: Callable[[], bool], seconds_max: float) -> None:
        """Waits until a condition holds; raises TimeoutError."""
        deadline = time.monotonic() + seconds_max
        while not is_met():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds_max:.0f} s for {what}")
            time.sleep(POLL_SECONDS)

    def wait_height(self, height: int) -> None:
        """Waits until a block is final."""
        patience = SECONDS_PER_BLOCK_MAX * (height - self.get("status")["height"])
        self.wait(f"block {height}", lambda: self.get("status")["height"] >= height, patience)

    def list_headers(self, first: int, last: int) -> list[dict[str, Any]]:
        """Headers in ascending order."""
        headers: list[dict[str, Any]] = []
        for top in range(last, first - 1, -HEADERS_PER_PAGE):
            count = min(HEADERS_PER_PAGE, top - first + 1)
            headers += self.get("blocks", **{"from": top, "count": count})["blocks"]
        return headers[::-1]

    def count_proven(self, datum: str) -> int:
        """Hosts that hold the datum in effect and have proven what they hold."""
        hosts = self.get(f"datums/{datum}")["hosts"]
        records = (self.get(f"hosts/{host['address']}")["possession"] for host in hosts)
        return sum(record["last_proven"] is not None for record in records)


@contextmanager
def open_devnet(*options: str) -> Iterator[RunningDevnet]:
    """Four validator-hosts, ready; stopped and deleted when the block ends."""
    with tempfile.TemporaryDirectory(prefix="vidya-bench-") as folder, httpx.Client(timeout=30) as client:
        path = Path(folder) / "net"
        try:
            run_vidya("devnet", "up", "--dir", str(path), "--detach", *options)
            yield RunningDevnet(Devnet(path), client)
        finally:
            if Devnet(path).exists:
                run_vidya("devnet", "down", "--dir", str(path))


def run_vidya(*arguments: str) -> None:
    """Runs a command; its output goes to stderr, because stdout is for figures."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=True)
