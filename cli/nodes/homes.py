"""Folders of nodes: made, described, run in this process.

Keys are opened before the event loop starts, for that takes time on purpose. While it runs, a node's folder
holds its process id and where its API listens (`data/pid`, `data/api-url`).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.context.urls import build_url
from cli.errors import CliError
from cli.nodes.ports import LOOPBACK, find_port
from cli.terminal import output

if TYPE_CHECKING:
    from node.app import Node
    from node.home.config import NodeConfig
    from node.home.home import Home

P2P_PORT = 7700


def build_config(
    spec: Any, listen: str | None, api_port: int | None, changes: dict[str, Any]
) -> "NodeConfig":
    """The settings of a new node: reachable on the network it joins."""
    from cli.context.network import API_PORT
    from node.home.config import NodeConfig
    from p2p.identity import parse_listen_address

    listen = listen or f"/ip4/{LOOPBACK if is_local(spec) else '0.0.0.0'}/tcp/{find_port(P2P_PORT)}"  # noqa: S104
    parse_listen_address(listen)
    port = find_port(API_PORT) if api_port is None else api_port
    return NodeConfig(p2p_listen=listen, api_port=port, **changes)


def is_local(spec: Any) -> bool:
    """Whether the network lives on this machine: all it says of addresses is loopback."""
    known = [*spec.seeds, *(address for _, host in spec.hosting.hosts for address in host.addresses)]
    return all(address.startswith(("/ip4/127.", "/ip6/::1/")) for address in known)


def create_home(
    path: Path, spec_json: bytes, config: "NodeConfig", secrets_of: dict[Any, bytes] | None = None
) -> "Home":
    """A node's folder with its settings; raises HomeError if there is one, ConfigError before it is made."""
    from node.home.config import format_config, parse_config
    from node.home.home import Home

    home, text = Home(path), format_config(config)
    parse_config(text, home.config_file)
    home.create(spec_json, secrets_of)
    home.config_file.write_text(text)
    return home


def describe_home(home: "Home") -> dict[str, Any]:
    """What a new node is known by."""
    from node.home.config import load_config
    from node.keys import keystore
    from node.keys.derivation import KeyRole
    from p2p.identity import compute_peer_id, format_peer

    config = load_config(home.config_file)
    network_key = keystore.load(home.keys, KeyRole.NETWORK.value).address
    return {
        "home": str(home.path),
        "account": config.account or None,
        "api": build_url(config.api_host, config.api_port) if config.api_port else None,
        "p2p": f"{config.p2p_listen}/p2p/{format_peer(compute_peer_id(network_key))}",
        "consensus_key": keystore.load(home.keys, KeyRole.CONSENSUS.value).public_key,
    }


def run_home(home: "Home") -> None:
    """The node of a folder, in this process."""
    from functools import partial

    import trio

    from cli.nodes.crash import arm_crash
    from node.app import run_node
    from node.home.config import load_config
    from node.home.node_keys import load_keys
    from node.logs import configure_logs
    from node.recovery import OnReady, run_with_recovery
    from node.stopping import run_until_stopped

    arm_crash()
    spec, config = home.load_spec(), load_config(home.config_file)
    if not home.config_file.exists():
        output.warn(f"there is no {home.config_file}: the node observes, with the usual settings")
    configure_logs(config.log_level, is_json=config.log_json, name=config.name)
    keys = load_keys(home, config, spec)

    async def attempt(on_up: OnReady) -> None:
        def on_node_ready(node: "Node", api_port: int) -> None:
            on_up()
            on_ready(home, node, api_port)

        home.api_url_file.unlink(missing_ok=True)
        home.note_process(os.getpid())
        await run_node(home, config, spec, keys, on_ready=on_node_ready)

    check_unclaimed(home)
    try:
        trio.run(run_until_stopped, partial(run_with_recovery, attempt, home.data))
    except BaseExceptionGroup as group:
        raise find_cause(group) from group
    finally:
        home.pid_file.unlink(missing_ok=True)
        home.api_url_file.unlink(missing_ok=True)


def check_unclaimed(home: "Home") -> None:
    """Raises CliError if another process runs the node.

    What keeps two nodes apart for certain is the lock on the data; this keeps the note about the first.
    """
    from node.home.process import find_process

    other = find_process(home.path)
    if other not in (None, os.getpid()):
        raise CliError("already_running", f"process {other} runs the node in {home.path}")


def find_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one expected failure or interruption that ended a node; else the group itself, which is a bug."""
    from cli.errors import list_expected

    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, (KeyboardInterrupt, *list_expected())) else group


def on_ready(home: "Home", node: "Node", api_port: int) -> None:
    """The node serves: say so, to people and to other commands."""
    url = build_url(node.config.api_host, api_port)
    home.api_url_file.write_text(url + "\n")
    output.say(f"node of {node.spec.name} at height {node.ledger.height}: {url}")
    output.say("Ctrl-C stops it")
