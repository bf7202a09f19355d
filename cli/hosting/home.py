"""The folder and the process of a host's node: made or changed as typed, started, synced."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from chain.genesis import ChainSpec, compute_genesis_hash
from cli.context.network import NetworkContext
from cli.errors import CliError, UsageFault
from cli.nodes.homes import build_config, create_home, is_local
from cli.nodes.processes import connect_home, start_node, stop_nodes, try_status, wait_until
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.terminal.options import Settings
from cli.terminal.wording import format_count
from node.home.config import ANCHOR, NodeConfig, format_config, load_config
from node.home.home import Home
from node.home.process import find_process
from p2p.identity import parse_listen_address

START_SECONDS_MAX = 60.0
SYNC_SECONDS_MAX = 24 * 3600.0
FRESH_MS_MIN = 30_000
FRESH_BLOCKS = 10
POLL_SECONDS = 0.2
DISK_BYTES_MIN = 2**10
"""A smaller size was meant with a unit: it does not hold a single leaf."""
SYNC_SETTINGS = ("state_sync", "trust")
"""How a node gets its store: without effect once it has one."""

Changes = dict[str, Any]
"""Setting -> value, for those that were typed."""


def check_reach(spec: ChainSpec, listen: str | None, address: str | None) -> None:
    """Raises UsageFault if others could not reach the host: its address is put on chain."""
    if is_local(spec) or address or (listen and not listen.startswith(("/ip4/0.0.0.0/", "/ip6/::/"))):
        return
    raise UsageFault(
        "say where others reach this host", "--p2p-address /ip4/203.0.113.5/tcp/7700 (or /dns/NAME/tcp/7700)"
    )


def check_trust(trust: str, full: bool) -> str:
    """The block to trust, as the node's settings name it; raises UsageFault."""
    if trust and full:
        raise UsageFault("--full executes every block and trusts none", "one of --full and --trust")
    if trust and ANCHOR.fullmatch(trust.lower()) is None:
        raise UsageFault(f"no block is named {trust}", "--trust HEIGHT:HASH, the hash as 64 hex digits")
    return trust.lower()


def prepare_home(path: Path, spec_json: bytes, spec: ChainSpec, account: str, changes: Changes) -> Home:
    """The node's folder with the changed settings, made or found; a running node is stopped if they changed.

    Raises CliError if the folder is of another network or account, UsageFault if the disk is too small,
    InvalidPeerAddress.
    """
    home = Home(path)
    if changes.get("p2p_listen"):
        parse_listen_address(changes["p2p_listen"])
    check_disk(home, changes.get("disk_bytes"))
    if not home.chain_file.exists():
        output.say(f"folder: making {path} for {account}")
        return create_home(path, spec_json, build_new_config(spec, account, changes))
    check_owner(home, spec, account)
    output.say(f"folder: {path} is there")
    change_settings(home, changes)
    return home


def build_new_config(spec: ChainSpec, account: str, changes: Changes) -> NodeConfig:
    """The settings of a new node."""
    rest = {name: value for name, value in changes.items() if name not in ("p2p_listen", "api_port")}
    listen, api_port = changes.get("p2p_listen"), changes.get("api_port")
    return build_config(spec, listen, api_port, {"account": account, **rest})


def check_disk(home: Home, disk_bytes: int | None) -> None:
    """Raises UsageFault if so much does not fit the disk, beside what the node's content takes already."""
    if disk_bytes is None:
        return
    if 0 < disk_bytes < DISK_BYTES_MIN:
        raise UsageFault(f"--disk {format_size(disk_bytes)} holds no datum", "write 500MB, 5GB or 5GiB")
    nearest = next(path for path in (home.path, *home.path.parents) if path.exists())
    held = sum(file.stat().st_blocks * 512 for file in home.content.rglob("*") if file.is_file())
    room = shutil.disk_usage(nearest).free + held
    if disk_bytes > room:
        raise UsageFault(
            f"--disk {format_size(disk_bytes)} is too much: {nearest} has {format_size(room)} free",
            "a smaller --disk, or --home on a larger disk",
        )


def check_owner(home: Home, spec: ChainSpec, account: str) -> None:
    """Raises CliError if the node is of another network or for another account."""
    if compute_genesis_hash(home.load_spec()) != compute_genesis_hash(spec):
        raise CliError("other_network", f"{home.path} is a node of another network", "--home DIR")
    if load_config(home.config_file).account != account:
        raise CliError(
            "other_account", f"the node in {home.path} is not for {account}", "--from NAME, or --home DIR"
        )


def change_settings(home: Home, changes: Changes) -> None:
    """Writes what is different, and stops the node so that it starts with it."""
    before = load_config(home.config_file)
    if home.store.exists():
        changes = {name: value for name, value in changes.items() if name not in SYNC_SETTINGS}
    after = replace(before, **changes)
    if after == before:
        return
    old, new = asdict(before), asdict(after)
    told = ", ".join(f"{name} {old[name]} -> {new[name]}" for name in new if old[name] != new[name])
    output.say(f"settings: {told}")
    if stop_nodes([home]):
        output.say("settings: the node was stopped, and starts with them")
    home.config_file.write_text(format_config(after))


def start(home: Home, settings: Settings) -> NetworkContext:
    """The node, running and answering; raises CliError with the end of its log."""
    found = find_process(home.path)
    pid = found or start_node(home)
    output.say(f"node: process {pid} {'runs already' if found else 'started'}, log {home.log_file}")
    limit = SYNC_SECONDS_MAX if load_config(home.config_file).state_sync else START_SECONDS_MAX
    wait_until("the node to answer", [home], lambda: try_status(home) is not None, limit)
    return NetworkContext(settings, connect_home(home))


def wait_synced(network: NetworkContext) -> None:
    """Until the node is at the head of the network; raises CliError at the deadline."""
    deadline = time.monotonic() + SYNC_SECONDS_MAX
    while True:
        status = network.get_status()
        if is_at_head(network, status):
            break
        if time.monotonic() > deadline:
            raise CliError("not_synced", f"not synced at height {status['height']}", "`vidya peers` says why")
        output.show_line(
            f"synced: {status['height']} of {status['sync_target']}, {format_count(status['peers'], 'peer')}"
        )
        time.sleep(POLL_SECONDS)
    output.end_line()
    output.say(f"synced: height {status['height']}, {format_count(status['peers'], 'peer')}")


def is_at_head(network: NetworkContext, status: dict[str, Any]) -> bool:
    """Whether the node takes part, its head is fresh, and half of its peers said no greater height at hello.

    A node also stops syncing where no peer answers it: on a young chain its head may be fresh even then.
    """
    age_max = max(FRESH_MS_MIN, FRESH_BLOCKS * network.spec.system.parameters.block_ms)
    is_fresh = time.time_ns() // 1_000_000 - status["head_time_ms"] < age_max
    if status["syncing"] or not status["height"] or not is_fresh:
        return False
    peers = network.client.get("/v1/peers")["peers"]
    heights = sorted(one["height_at_hello"] for one in peers if one["is_accepted"])
    return bool(heights) and status["height"] >= heights[(len(heights) - 1) // 2]


@contextmanager
def node_left_running(home: Home) -> Iterator[None]:
    """Says of a node that goes on after a failure or a signal where it is, and what stops it."""
    try:
        yield
    except BaseException:
        output.end_line()
        if (pid := find_process(home.path)) is not None:
            output.say(
                f"the node goes on running: process {pid}; `vidya node stop --home {home.path}` ends it"
            )
        raise
