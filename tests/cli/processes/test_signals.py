"""Signals and closed pipes end long commands: no traceback, no orphan, and a line on what is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.home.home import Home
from node.home.process import find_process
from tests.e2e.accounts import compute_price
from tests.e2e.harness import ROOT, Network, wait_for
from tests.e2e.reaper import list_processes, reaped

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(300)]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STORED_BYTES_MIN = 2**20
SMALL = ("--validators", "1", "--first-port", "0")


@contextmanager
def running(network: Network, *arguments: str, **pipes: int) -> Iterator[subprocess.Popen[str]]:
    """A command in the background, killed at the end if it still runs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("VIDYA_")}
    variables = network.devnet.get_variables() if network.devnet.exists else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=network.folder,
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        stdin=subprocess.DEVNULL,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes},  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def end(process: subprocess.Popen[str], by: signal.Signals) -> tuple[int, str]:
    """Sends the signal; the exit code and all that was said."""
    process.send_signal(by)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said, said
    return process.returncode, said


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What is said up to a line with these words."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended without {words!r}:\n{said}")


@pytest.mark.parametrize("by", SIGNALS, ids=lambda one: one.name)
def test_get_stops_with_one_line_and_goes_on_later(
    network: Network, by: signal.Signals, tmp_path: Path
) -> None:
    """It says how far it came, keeps what was paid for, and the next run pays only for the rest."""
    datum = network.get_largest_datum()
    store = network.path / "downloads" / datum["id"] / "store" / "data" / datum["id"]
    command = ("get", datum["id"], "--to", str(tmp_path / "got"), "--from", "alice", "-y")
    with running(network, *command, "--rate", "500KB") as process:
        wait_for("some chunks", lambda: store.is_file() and store.stat().st_size > STORED_BYTES_MIN, 60)
        exit_code, said = end(process, by)
    assert exit_code == 128 + by
    last = said.splitlines()[-1]
    assert last.startswith("stopped at ") and "run it again" in last, said
    done = network.run(*command).data
    assert sum(host["bytes"] for host in done["hosts"]) < datum["bytes"]
    price = network.get_parameters()["sessions"]["price_per_gib"]
    assert done["paid"] == compute_price(datum["bytes"], price)


@pytest.mark.parametrize("by", SIGNALS, ids=lambda one: one.name)
def test_devnet_up_stops_its_nodes(tmp_path: Path, by: signal.Signals) -> None:
    """However it is asked to end, also while it comes up, it leaves no node behind."""
    network = Network(tmp_path)
    with reaped(tmp_path):
        for moment, options in (("process ", SMALL), ("Ctrl-C stops", ())):
            with running(network, "devnet", "up", *options, "--dir", "net") as process:
                read_until(process, moment)
                exit_code, _ = end(process, by)
            assert exit_code == (0 if moment.startswith("Ctrl") else 128 + by)
            assert list_processes(tmp_path) == []


def test_devnet_up_whose_reader_is_gone_stops_its_nodes(tmp_path: Path) -> None:
    """`vidya devnet up 2>&1 | head -3` ends, and so do its nodes."""
    network = Network(tmp_path)
    with reaped(tmp_path), running(network, "devnet", "up", *SMALL, "--dir", "net") as process:
        read_until(process, "process ")
        assert process.stderr is not None and process.stdout is not None
        process.stderr.close()
        process.stdout.close()
        process.wait(timeout=90)
        assert list_processes(tmp_path) == []


def test_devnet_up_that_fails_while_it_is_made_leaves_nothing(tmp_path: Path) -> None:
    """Content that cannot be published ends it before anything is in the folder; the next try succeeds."""
    network = Network(tmp_path)
    (tmp_path / "empty").mkdir()
    outcome = network.try_run("devnet", "up", *SMALL, "--dir", "net", "--content", "empty")
    assert outcome.exit != 0 and not (tmp_path / "net").exists(), outcome.stderr


def test_second_devnet_up_leaves_the_nodes_of_the_first_alone(network: Network) -> None:
    """It shows the running network, says so, and its end is not the end of what another command started."""
    before = [node.pid for node in network.nodes]
    with running(network, "devnet", "up", "--dir", str(network.path)) as process:
        said = read_until(process, "Ctrl-C")
        assert "devnet down" in said
        exit_code, _ = end(process, signal.SIGINT)
    assert exit_code == 0
    assert [node.pid for node in network.nodes] == before != [None]


@pytest.mark.parametrize("by", SIGNALS, ids=lambda one: one.name)
def test_interrupted_join_says_that_its_node_runs(
    network: Network, tmp_path: Path, by: signal.Signals
) -> None:
    """The node it started goes on; the last line names the process and the command that stops it."""
    home = Home(tmp_path / "fred")
    network.run("wallet", "new", "fred", "--home", str(home.path))
    chain = str(network.devnet.chain_file)
    command = ("join", "--chain", chain, "--stake", "50000", "--home", str(home.path), "--from", "fred", "-y")
    with reaped(tmp_path), running(network, *command) as process:
        read_until(process, "started")
        exit_code, said = end(process, by)
        pid = find_process(home.path)
        assert exit_code == 128 + by and pid is not None
        assert f"process {pid}" in said.splitlines()[-1] and "vidya node stop" in said, said
        network.run("node", "stop", "--home", str(home.path))
        assert find_process(home.path) is None


@pytest.mark.parametrize("by", SIGNALS, ids=lambda one: one.name)
def test_a_node_ends_cleanly_at_any_moment(network: Network, tmp_path: Path, by: signal.Signals) -> None:
    """While it opens its keys, and when it is up: no traceback, and no note of a process is left."""
    home = Home(tmp_path / "observer")
    chain = str(network.devnet.chain_file)
    network.run("node", "init", "--chain", chain, "--home", str(home.path), "--api-port", "0")
    with running(network, "node", "start", "--home", str(home.path)) as process:
        wait_for("the process to run the command", lambda: has_handlers(process.pid), 30)
        exit_code, _ = end(process, by)
        assert exit_code in (0, 128 + by)
    with running(network, "node", "start", "--home", str(home.path)) as process:
        read_until(process, "Ctrl-C stops it")
        exit_code, _ = end(process, by)
    assert exit_code == 0
    assert not home.pid_file.exists() and not home.api_url_file.exists()


def has_handlers(pid: int) -> bool:
    """Whether the program has its handlers: the signals are no longer those of a fresh interpreter."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line)
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_watching_the_status_ends_with_its_reader(network: Network) -> None:
    """Blocks go to stdout, one line each, and `| head -2` ends it without a word."""
    with running(network, "status", "--watch") as process:
        assert process.stdout is not None and process.stderr is not None
        assert [int(process.stdout.readline().split()[1]) for _ in range(2)]
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == ""
