"""Which ports a new node or devnet gets, and what a new node is said to be reached at."""

import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chain.genesis import format_chain_spec
from cli.commands.operations import list_peers
from cli.errors import CliError
from cli.main import app
from cli.nodes.homes import build_config, create_home, describe_home
from cli.nodes.ports import PORT_MAX, find_port, find_ports
from node.home.config import ConfigError
from tests.node.cluster import build_cluster_spec


def test_a_taken_port_is_passed_over() -> None:
    """The wanted one if it is free, else the next; 0 means any, and none is given twice."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        following = find_ports(port, 3)
        assert len(set(following)) == 3 and min(following) > port and following == sorted(following)
        assert find_port(port) == following[0]
    assert find_port(port) == port
    assert len(set(find_ports(0, 5))) == 5


def test_two_commands_at_once_get_different_ports() -> None:
    """A port that another running command was given is passed over, though nobody listens on it yet."""
    script = "from cli.nodes.ports import find_ports; print(*find_ports(7700, 4), flush=True); input()"
    command = [sys.executable, "-c", script]
    with ExitStack() as stack:
        chosen = []
        for _ in range(3):
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            assert process.stdout is not None
            chosen += process.stdout.readline().split()
        assert len(chosen) == len(set(chosen)) == 12
    assert set(map(str, find_ports(7700, 4))) & set(chosen), "what ended holds no port"


@pytest.mark.network
@pytest.mark.parametrize("setting", ["api_port", "p2p_listen"])
def test_a_node_names_the_port_that_is_taken(tmp_path: Path, setting: str) -> None:
    """It ends with one error that says which address is taken and which setting to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"/ip4/127.0.0.1/tcp/{port if setting == 'p2p_listen' else 0}"
        spec = build_cluster_spec(1)
        config = build_config(spec, listen, port if setting == "api_port" else 0, {})
        home = create_home(tmp_path / "home", format_chain_spec(spec), config)
        command = [sys.executable, "-m", "cli.main", "node", "start", "--home", str(home.path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    assert str(port) in ended.stderr and setting in ended.stderr and "[listen_failed]" in ended.stderr


@pytest.mark.parametrize("disk", ["5", "99999999PB", "1PiB"])
def test_a_disk_that_cannot_be_meant_makes_no_home(tmp_path: Path, disk: str) -> None:
    """Too small to hold anything, or more than there is: refused before the folder is made."""
    (tmp_path / "chain.json").write_bytes(format_chain_spec(build_cluster_spec(1)))
    words = ["node", "init", "--chain", str(tmp_path / "chain.json"), "--home", str(tmp_path / "home")]
    result = CliRunner().invoke(app, [*words, "--disk", disk])
    assert result.exit_code == 2 and "--disk" in result.stderr and not (tmp_path / "home").exists()


def test_settings_that_cannot_be_read_make_no_home(tmp_path: Path) -> None:
    """What a node could not start with is refused before the folder is made."""
    spec = build_cluster_spec(1)
    config = build_config(spec, None, 0, {"disk_bytes": 2**60})
    with pytest.raises(ConfigError):
        create_home(tmp_path / "home", format_chain_spec(spec), config)
    assert not (tmp_path / "home").exists()


def test_more_ports_than_there_are_is_an_error() -> None:
    """It names how many were wanted."""
    with pytest.raises(CliError, match="no 3 free ports"):
        find_ports(PORT_MAX - 1, 3)


def test_a_port_that_is_chosen_at_each_start_is_not_shown_as_zero(tmp_path: Path) -> None:
    """No URL is said, since none is known yet."""
    spec = build_cluster_spec(1)
    home = create_home(tmp_path / "home", format_chain_spec(spec), build_config(spec, None, 0, {}))
    assert describe_home(home)["api"] is None
    other = create_home(tmp_path / "other", format_chain_spec(spec), build_config(spec, None, 7799, {}))
    assert describe_home(other)["api"] == "http://127.0.0.1:7799"


def test_a_peer_has_one_line_however_often_it_is_connected() -> None:
    """The connection that is shown is one that is accepted, and one that was dialled from here."""
    connections = [
        {"peer_id": "a", "is_accepted": False, "is_outbound": True, "address": "1"},
        {"peer_id": "b", "is_accepted": True, "is_outbound": False, "address": "2"},
        {"peer_id": "a", "is_accepted": True, "is_outbound": True, "address": "3"},
    ]
    shown = [(one["peer_id"], one["address"], one["connections"]) for one in list_peers(connections)]
    assert shown == [("a", "3", 2), ("b", "2", 1)]
