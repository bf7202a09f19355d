"""A devnet of real processes and what tests do with it: commands, the API, kills, waits with deadlines.

Every process that is started here is ended here, by its process id, and by `reaper` if the test was killed.
A test waits for what it needs to see and fails at a deadline, which is generous: how fast something is,
`bench/` measures.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx

from chain.genesis import compute_genesis_hash
from chain.primitives.codec import Record, encode
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from chain.runtime import build_call
from chain.transaction import Transaction, sign_transaction
from cli.devnet.plan import Devnet
from cli.nodes.processes import build_start_command
from node.home.config import load_config
from node.home.home import Home
from node.home.process import find_process, is_node
from node.keys import keystore
from node.keys.derivation import KeyRole
from p2p.identity import PeerAddress, compute_peer_id_of_seed, parse_listen_address
from tests.e2e.reaper import kill_processes, reaped

ROOT = Path(__file__).parent.parent.parent
POLL_SECONDS = 0.05
STOP_SECONDS_MAX = 30.0
COMMAND_SECONDS_MAX = 300.0
BLOCKS_SECONDS_EACH = 4.0
"""A block of one second may take so long when a validator is down and the machine is busy."""

FEE_MAX = 10**9

T = TypeVar("T")
Json = dict[str, Any]


class Event(NamedTuple):
    """One event of a final block; `sender` and `fee` are those of its transaction, if it has one."""

    height: int
    name: str
    fields: Json


class Outcome(NamedTuple):
    """How a command ended."""

    exit: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        """What it says on stdout, as JSON."""
        return json.loads(self.stdout)

    @property
    def code(self) -> str:
        """The code of the error that it ended with."""
        return str(json.loads(self.stderr.splitlines()[-1])["error"]["code"])


def wait_for(what: str, find: Callable[[], T | None], seconds_max: float) -> T:
    """What `find` finds, as soon as it finds something; fails at the deadline."""
    deadline = time.monotonic() + seconds_max
    while True:
        found = find()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds_max:.0f} s for {what}"
        time.sleep(POLL_SECONDS)


class Node:
    """A node of this machine: its folder, its process, its API."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.name = home.path.name
        self.client = httpx.Client(timeout=20)
        self._blocks: dict[int, Json] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self.exit_status: int | None = None
        """Of the last process that was started here and has ended."""

    def __repr__(self) -> str:
        return self.name

    @property
    def url(self) -> str:
        """Where the API is."""
        config = load_config(self.home.config_file)
        return f"http://{config.api_host}:{config.api_port}"

    @property
    def address(self) -> str:
        """Where peers reach it."""
        listen = load_config(self.home.config_file).p2p_listen
        peer = compute_peer_id_of_seed(self.home.load_secret(KeyRole.NETWORK))
        return str(PeerAddress(*parse_listen_address(listen), peer))

    @property
    def account(self) -> str:
        """The account that it validates and hosts for."""
        return load_config(self.home.config_file).account

    @property
    def pid(self) -> int | None:
        """Its process; None if it does not run. A note is believed only of one that was not started here."""
        self._reap()
        return self._process.pid if self._process is not None else find_process(self.home.path)

    def get(self, path: str, **parameters: Any) -> Json:
        """An answer of the API, which must be yes."""
        answer = self.client.get(f"{self.url}/v1/{path}", params=parameters)
        assert answer.status_code == 200, f"{self.name} {path}: {answer.status_code} {answer.text}"
        found: Json = answer.json()
        return found

    def try_get(self, path: str) -> Json | None:
        """An answer, None if the node does not answer or says no."""
        try:
            answer = self.client.get(f"{self.url}/v1/{path}")
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    @property
    def height(self) -> int:
        """Of the head; 0 if it does not answer."""
        status = self.try_get("status")
        return int(status["height"]) if status else 0

    def wait_height(self, height: int) -> None:
        """Until a block is final here."""
        blocks = max(height - self.height, 0)
        wait_for(
            f"{self.name} at height {height}",
            lambda: self.height >= height,
            60 + BLOCKS_SECONDS_EACH * blocks,
        )

    def get_block(self, height: int) -> Json:
        """A final block with all its transactions; asked for once."""
        if height not in self._blocks:
            self._blocks[height] = self._fetch_block(height)
        return self._blocks[height]

    def _fetch_block(self, height: int) -> Json:
        block = self.get(f"blocks/{height}", limit=500)
        while len(block["transactions"]) < block["transaction_count"]:
            more = self.get(f"blocks/{height}", limit=500, offset=len(block["transactions"]))
            block["transactions"] += more["transactions"]
        return block

    def list_events(self, first: int, last: int | None = None) -> Iterator[Event]:
        """Events of final blocks from `first` to `last` or the head, in their order."""
        for height in range(max(first, 1), (self.height if last is None else last) + 1):
            block = self.get_block(height)
            events = [*block["events_start"]]
            for transaction in block["transactions"]:
                events += transaction["receipt"]["events"]
            for event in (*events, *block["events_end"]):
                yield Event(height, event["name"], event["fields"])

    def find_events(self, name: str, first: int, **fields: Any) -> list[Event]:
        """Those of one kind with these fields."""
        return [
            event
            for event in self.list_events(first)
            if event.name == name and fields.items() <= event.fields.items()
        ]

    def start(self) -> None:
        """Starts its process, and waits until it answers."""
        self.launch()
        wait_for(f"{self.name} to answer", self._is_answering, 60)

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        """Starts its process, with these variables beside the usual, and notes it."""
        process = self.launch_unnoted(**environment)
        self.home.note_process(process.pid)
        return process

    def launch_unnoted(self, **environment: str) -> subprocess.Popen[bytes]:
        """Starts its process where nothing can be noted."""
        with self.home.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                build_start_command(self.home.path),
                cwd=self.home.path,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._process

    def _reap(self) -> None:
        """Takes note of the end of a process that was started here."""
        if self._process is not None and self._process.poll() is not None:
            self.exit_status = self._process.returncode
            self._process = None

    def _is_answering(self) -> bool:
        assert self.pid is not None, f"{self.name} stopped:\n{self.read_log()}"
        return self.try_get("status") is not None

    def send_signal(self, by: signal.Signals) -> int:
        """Sends a signal to its process, which must be there; the process."""
        pid = self.pid
        assert pid is not None, f"{self.name} does not run\n{self.read_log()}"
        os.kill(pid, by)
        return pid

    def end(self, by: signal.Signals) -> None:
        """Sends a signal, and waits until the process is gone."""
        self.wait_gone(self.send_signal(by))

    def wait_gone(self, pid: int) -> None:
        """Until the process has ended."""
        if self._process is not None and self._process.pid == pid:
            self._process.wait(STOP_SECONDS_MAX)
            self._reap()
        wait_for(
            f"process {pid} of {self.name} to end", lambda: not is_node(pid, self.home.path), STOP_SECONDS_MAX
        )

    def kill(self) -> None:
        """Ends the process as `kill -9` does."""
        self.end(signal.SIGKILL)

    def stop(self) -> None:
        """Asks the process to end."""
        self.end(signal.SIGTERM)

    def read_log(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.home.log_file.read_text(errors="replace").splitlines()[-20:])

    def close(self) -> None:
        """Ends the process whatever it does, and the connections to it.

        Also one that nobody has a note of: it may be on its way out, and stay there.
        """
        self.client.close()
        wait_for(f"{self.name} to end", lambda: not kill_processes(self.home.path), STOP_SECONDS_MAX)
        self._reap()


class Network:
    """A devnet that was brought up by the CLI."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "net"
        self.devnet = Devnet(self.path)
        self.nodes: list[Node] = []
        self.guests: list[Node] = []
        """Nodes that a test added."""

    # Commands.

    def try_run(self, *arguments: str, **environment: str) -> Outcome:
        """A `vidya` command in the test's folder, with the wallet of the devnet."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("VIDYA_")}
        variables = self.devnet.get_variables() if self.devnet.exists else {}
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), **variables, "VIDYA_OUTPUT": "json", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS_MAX,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str, **environment: str) -> Outcome:
        """A command that must succeed."""
        outcome = self.try_run(*arguments, **environment)
        assert outcome.exit == 0, f"vidya {' '.join(arguments)}\n{outcome.stdout}\n{outcome.stderr}"
        return outcome

    def up(self, *options: str) -> None:
        """`devnet up`, for the first time or again."""
        new = () if self.devnet.exists else ("--first-port", "0")
        self.run("devnet", "up", "--dir", str(self.path), "--detach", *new, *options)
        if not self.nodes:
            self.nodes = [Node(home) for home in self.devnet.list_homes()]

    # Facts.

    @property
    def summary(self) -> Json:
        """Nodes, accounts and datums, as `--json-out` gives them."""
        return self.devnet.load_summary()

    def get_address(self, name: str) -> str:
        """Of an account of the devnet."""
        (found,) = [one["address"] for one in self.summary["accounts"] if one["name"] == name]
        return str(found)

    def get_key(self, name: str) -> KeyPair:
        """Of an account of the devnet."""
        password = self.devnet.password_file.read_text().strip()
        return KeyPair(keystore.unlock(keystore.load(self.devnet.wallet, name), password))

    def get_largest_datum(self) -> Json:
        """That of the sample which is worth fetching from several hosts."""
        found: Json = max(self.summary["datums"], key=lambda one: one["bytes"])
        return found

    def get_parameters(self) -> Json:
        """Of every module."""
        return self.nodes[0].get("params")

    @cached_property
    def genesis_hash(self) -> Hash:
        """The name of the network."""
        return compute_genesis_hash(self.devnet.load_spec())

    # States of the whole network.

    def wait_height(self, height: int, nodes: Sequence[Node] | None = None) -> None:
        """Until the nodes, all if none are named, have a block."""
        for node in self.nodes if nodes is None else nodes:
            node.wait_height(height)

    def wait_blocks(self, count: int, nodes: Sequence[Node] | None = None) -> None:
        """Until so many more blocks are final."""
        chosen = list(self.nodes if nodes is None else nodes)
        self.wait_height(max(node.height for node in chosen) + count, chosen)

    def check_agreement(self, nodes: Sequence[Node] | None = None, first: int = 1) -> int:
        """All nodes have the same blocks and state roots up to the lowest head, which is returned."""
        chosen = list(self.nodes if nodes is None else nodes)
        last = min(node.height for node in chosen)
        for height in range(last, first - 1, -100):
            count = min(100, height - first + 1)
            pages = [node.get("blocks", **{"from": height, "count": count})["blocks"] for node in chosen]
            assert all(page == pages[0] for page in pages), f"different blocks below {height}"
        return last

    def check_supply(self, node: Node | None = None) -> Json:
        """genesis + minted - burned is what there is."""
        supply = (node or self.nodes[0]).get("supply")
        assert supply["genesis"] + supply["minted"] - supply["burned"] == supply["total"]
        return supply

    def close(self) -> None:
        """No process is left."""
        for node in (*self.nodes, *self.guests):
            node.close()


@contextmanager
def open_network(folder: Path, *options: str) -> Iterator[Network]:
    """A devnet of four validator-hosts whose sample content is hosted and proven; ends with the block."""
    network = Network(folder)
    with reaped(folder):
        try:
            network.up(*options)
            yield network
        finally:
            if not network.nodes and network.devnet.exists:
                network.nodes = [Node(home) for home in network.devnet.list_homes()]
            network.close()


def sign_calls(network: Network, key: KeyPair, nonce: int, valid_until: int, *calls: Record) -> bytes:
    """A signed transaction, encoded."""
    transaction = Transaction(
        version=1,
        genesis_hash=network.genesis_hash,
        sender=key.public_key,
        nonce=nonce,
        valid_until=valid_until,
        fee_max=FEE_MAX,
        tip=0,
        calls=tuple(build_call(call) for call in calls),
    )
    return encode(sign_transaction(key, transaction))
