"""Every setting acts: each has a look at a node that differs by it, and a new setting needs one of its own.

One node runs as a process of its own, with a configuration that sets what a process shows; other settings are
looked at in the parts that they are for.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from chain.content import CHUNK_BYTES
from chain.genesis import compute_genesis_hash, format_chain_spec
from chain.primitives.addresses import encode_address
from node.app import Node, run_node
from node.home.config import ConfigError, NodeConfig, format_config, load_config
from node.home.home import Home
from node.home.node_keys import load_keys
from node.keys.derivation import KeyRole
from node.state_sync.errors import UnknownAnchor
from node.stores import open_stores
from p2p.identity import PeerAddress, compute_peer_id_of_seed
from p2p.memory import MemoryHub
from storage.content.store import ContentStore
from tests.node.cluster import Person, build_cluster_spec

pytestmark = pytest.mark.network

ROOT = Path(__file__).parents[3]
SPEC, PERSON = build_cluster_spec(1), Person(0)
SEED = str(PeerAddress("127.0.0.1", 1, compute_peer_id_of_seed(Person(1).keys.network_seed)))
QUOTA_BYTES = 2**30 + 7


def create_home(path: Path, config: NodeConfig, person: Person = PERSON) -> Home:
    """The person's folder."""
    home, keys = Home(path), person.keys
    secrets = {KeyRole.CONSENSUS: bytes((2, person.number)) * 16, KeyRole.BEACON: keys.beacon_secret}
    home.create(format_chain_spec(SPEC), secrets | {KeyRole.NETWORK: keys.network_seed})
    home.config_file.write_text(format_config(config))
    return home


def find_port() -> int:
    """One that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@dataclass
class Process:
    """A node that runs, and what it was told."""

    home: Home
    config: NodeConfig
    log: Path

    def get(self, path: str, **headers: str) -> httpx.Response:
        """What its API answers, at the address of its configuration."""
        url = f"http://{self.config.api_host}:{self.config.api_port}"
        return httpx.get(url + path, headers=headers, timeout=30)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Until it is so; fails the test after half a minute."""
        limit = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < limit, self.log.read_text()[-2_000:]
            time.sleep(0.05)

    def is_up(self) -> bool:
        """Whether the API answers."""
        try:
            return self.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def list_log(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One validator that hosts a datum."""
    folder = tmp_path_factory.mktemp("settings")
    config = NodeConfig(
        name="fred",
        account=encode_address(SPEC.prefix, PERSON.address),
        api_host="127.0.0.2",
        api_port=find_port(),
        unsafe_public_api=True,
        api_names=["vidya.lan"],
        p2p_listen=f"/ip4/127.0.0.3/tcp/{find_port()}",
        seeds=[SEED],
        disk_bytes=QUOTA_BYTES,
        scrub_bytes_per_second=2**30,
        blocks_kept=1,
        log_level="debug",
        log_json=True,
    )
    home = create_home(folder / "home", config)
    source = folder / "source"
    source.write_bytes(bytes(range(256)) * 1_024)
    with ContentStore(home.content, QUOTA_BYTES) as store:
        store.publish(source)
    log = folder / "log"
    command = [sys.executable, "-m", "cli.main", "node", "start", "--home", str(home.path)]
    with log.open("wb") as out:
        running = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            opened = Process(home, config, log)
            opened.wait_for(opened.is_up)
            yield opened
        finally:
            running.terminate()
            running.wait(30)


def test_every_setting_has_its_look() -> None:
    """A setting that nobody reads cannot be added unseen."""
    names = {field.name for field in msgspec.structs.fields(NodeConfig)}
    assert names == {*IN_A_PROCESS, *IN_PARTS}


# In a process.


def look_at_name(process: Process) -> None:
    assert {line["node"] for line in process.list_log()} == {"fred"}


def look_at_account(process: Process) -> None:
    assert process.get("/v1/status").json()["account"] == process.config.account


def look_at_address(process: Process) -> None:
    """The API answers there and nowhere else."""
    assert process.get("/v1/status").status_code == 200
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", process.config.api_port))


def look_at_names(process: Process) -> None:
    assert process.get("/v1/status", host="vidya.lan").status_code == 200
    assert process.get("/v1/status", host="other.lan").status_code == 403


def look_at_listening(process: Process) -> None:
    addresses = process.get("/v1/peers").json()["addresses"]
    assert addresses and all(one.startswith(process.config.p2p_listen) for one in addresses)


def look_at_seeds(process: Process) -> None:
    """The seed is dialled; nobody is there."""
    process.wait_for(lambda: any(line.get("address") == SEED for line in process.list_log()))


def look_at_quota(process: Process) -> None:
    answer = process.get("/v1/content", authorization=f"Bearer {process.home.load_token()}").json()
    assert answer["quota_bytes"] == QUOTA_BYTES


def look_at_scrub(process: Process) -> None:
    """The one chunk was read."""
    figure = f"vidya_host_scrubbed_bytes {float(CHUNK_BYTES)}"
    process.wait_for(lambda: figure in process.get("/metrics").text)


def look_at_blocks_kept(process: Process) -> None:
    """Old blocks go once there are more than every node keeps."""
    process.wait_for(lambda: process.get("/v1/blocks/1").status_code == 410)


def look_at_level(process: Process) -> None:
    process.wait_for(lambda: any(line["level"] == "debug" for line in process.list_log()))


def look_at_form(process: Process) -> None:
    assert process.list_log()


def look_at_trust(process: Process) -> None:
    """A node that joins this one and trusts a block that nobody has does not begin."""
    addresses = process.get("/v1/peers").json()["addresses"]
    config = NodeConfig(state_sync=True, trust=f"1:{'00' * 32}", seeds=addresses)
    home = create_home(process.log.with_name("trusting"), config, Person(1))
    keys = load_keys(home, config, SPEC)

    async def join() -> None:
        with trio.fail_after(60):
            await run_node(home, config, SPEC, keys, on_ready=lambda node, port: None)

    with pytest.RaisesGroup(UnknownAnchor, flatten_subgroups=True):
        trio.run(join)


IN_A_PROCESS: dict[str, Callable[[Process], None]] = {
    "name": look_at_name,
    "account": look_at_account,
    "api_host": look_at_address,
    "api_port": look_at_address,
    "api_names": look_at_names,
    "p2p_listen": look_at_listening,
    "seeds": look_at_seeds,
    "disk_bytes": look_at_quota,
    "scrub_bytes_per_second": look_at_scrub,
    "blocks_kept": look_at_blocks_kept,
    "trust": look_at_trust,
    "log_level": look_at_level,
    "log_json": look_at_form,
}


@pytest.mark.parametrize("setting", IN_A_PROCESS)
def test_a_process_acts_by_its_setting(process: Process, setting: str) -> None:
    """What the configuration says can be seen from outside."""
    IN_A_PROCESS[setting](process)


# In the parts.


async def build_node(path: Path, config: NodeConfig, look: Callable[[Node], None]) -> None:
    """Shows a node of this configuration, which does not run."""
    home = create_home(path, config)
    keys = load_keys(home, config, SPEC)
    with open_stores(home, keys.consensus.public_key, is_new=True) as stores:
        async with MemoryHub().open_network(keys.network_seed, compute_genesis_hash(SPEC)) as network:
            look(Node(home, config, SPEC, keys, stores, network))


async def look_at_rates(path: Path) -> None:
    """Both rates reach the parts that keep them (`test_service`, `test_downloads` show that they do)."""
    account = encode_address(SPEC.prefix, PERSON.address)

    def look(expected: tuple[int | None, int | None], node: Node) -> None:
        assert node.content.service is not None
        uploads, downloads = node.content.service.limits, node.content.downloads.limits
        assert (uploads.bytes_per_second_max, downloads.bytes_per_second_max) == expected

    limited = NodeConfig(account=account, upload_bytes_per_second=5, download_bytes_per_second=7)
    await build_node(path / "limited", limited, partial(look, (5, 7)))
    await build_node(path / "free", NodeConfig(account=account), partial(look, (None, None)))


async def look_at_public_api(path: Path) -> None:
    """Without it, an address that others reach is refused."""
    file = path.with_suffix(".toml")
    file.write_text('api_host = "0.0.0.0"\n')
    with pytest.raises(ConfigError, match="unsafe_public_api"):
        load_config(file)
    file.write_text('api_host = "0.0.0.0"\nunsafe_public_api = true\n')
    assert load_config(file).api_host == "0.0.0.0"


async def run_for(home: Home, config: NodeConfig, is_so: Callable[[], bool]) -> None:
    """A node runs until it is so."""
    keys = load_keys(home, config, SPEC)

    async def run() -> None:
        await run_node(home, config, SPEC, keys, on_ready=lambda node, port: None)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            while not is_so():  # noqa: ASYNC110 - a folder on disk appears
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()


async def look_at_state_sync(path: Path) -> None:
    """With it, a node without a store asks peers for a snapshot first."""
    with_sync, without = NodeConfig(state_sync=True), NodeConfig()
    home = create_home(path / "with", with_sync)
    await run_for(home, with_sync, home.state_sync.exists)
    assert not home.store.exists()
    home = create_home(path / "without", without)
    await run_for(home, without, home.store.exists)
    assert not home.state_sync.exists()


IN_PARTS = {
    "upload_bytes_per_second": look_at_rates,
    "download_bytes_per_second": look_at_rates,
    "unsafe_public_api": look_at_public_api,
    "state_sync": look_at_state_sync,
}


@pytest.mark.parametrize("setting", IN_PARTS)
async def test_a_part_acts_by_its_setting(tmp_path: Path, setting: str) -> None:
    """The part does something else with it than without."""
    await IN_PARTS[setting](tmp_path / "scene")
