"""Nodes as processes of this machine: start, find, watch, stop; each by its process id and no other way.

A node has a session of its own, so that Ctrl-C in a terminal reaches only the command that watches it. A
process id from a file is used only if the process says that it runs the node of that folder.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cli.context.client import Client
from cli.context.urls import build_url
from cli.errors import CliError
from cli.exits import ExitCode
from cli.signals import uninterrupted
from cli.terminal import output
from node.home.config import load_config
from node.home.home import Home
from node.home.process import find_process, is_node

ROOT = Path(__file__).parent.parent.parent
"""Where our packages lie, for the processes that are started."""
POLL_SECONDS = 0.1
STOP_SECONDS_MAX = 20.0
LOG_LINES_SHOWN = 12
LOG_BYTES_READ = 16 * 2**10


def start_node(home: Home) -> int:
    """Starts the node of a folder in the background; its process id. Does nothing if it runs."""
    running = find_process(home.path)
    if running is not None:
        return running
    environment = {**os.environ, "PYTHONPATH": join_path(ROOT, os.environ.get("PYTHONPATH"))}
    # Not interrupted between start and note: nobody would find the process.
    with home.log_file.open("ab") as log, uninterrupted():
        process = subprocess.Popen(
            build_start_command(home.path),
            cwd=home.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        # At once, so that it is found and can be stopped while it still opens its keys.
        home.note_process(process.pid)
    return process.pid


def build_start_command(home: Path) -> list[str]:
    """How another process is told to run the node of a folder."""
    return [sys.executable, "-m", "cli.main", "node", "start", "--home", str(home)]


def join_path(first: Path, rest: str | None) -> str:
    """A search path."""
    return os.pathsep.join([str(first), *([rest] if rest else [])])


def get_url(home: Home) -> str:
    """Where the node's API is."""
    config = load_config(home.config_file)
    if config.api_port == 0 and home.api_url_file.is_file():
        return home.api_url_file.read_text().strip()
    return build_url(config.api_host, config.api_port)


def connect_home(home: Home) -> Client:
    """The API of a node of this machine, with its token."""
    return Client(get_url(home), home.load_token())


def try_status(home: Home) -> dict[str, Any] | None:
    """Where the node is; None if it does not answer."""
    try:
        status: dict[str, Any] = connect_home(home).get("/v1/status")
    except CliError:
        return None
    return status


def wait_until(what: str, homes: Iterable[Home], is_met: Callable[[], bool], seconds_max: float) -> None:
    """Waits for a condition while the nodes live; raises CliError with the log's end, or at the deadline."""
    homes, deadline = list(homes), time.monotonic() + seconds_max
    while not is_met():
        for home in homes:
            if find_process(home.path) is None:
                raise CliError(
                    "node_stopped",
                    f"the node in {home.path} stopped\n{read_log_end(home)}",
                    str(home.log_file),
                )
        if time.monotonic() > deadline:
            raise CliError(
                "timed_out", f"waited {seconds_max:.0f} s for {what}", status=ExitCode.OUTCOME_UNKNOWN
            )
        output.show_line(f"waiting for {what}")
        time.sleep(POLL_SECONDS)
    output.end_line()


def read_log_end(home: Home, lines: int = LOG_LINES_SHOWN) -> str:
    """The last lines of a node's log."""
    if not home.log_file.is_file():
        return "(no log)"
    with home.log_file.open("rb") as file:
        file.seek(max(0, home.log_file.stat().st_size - LOG_BYTES_READ))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def stop_nodes(homes: Iterable[Home]) -> int:
    """Asks the nodes to stop and waits until they have; how many there were. Raises CliError."""
    found = {home.path: (home, pid) for home in homes if (pid := find_process(home.path)) is not None}
    for _, pid in found.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    left = dict(found)
    while left and time.monotonic() < deadline:
        reap_children()
        left = {path: (home, pid) for path, (home, pid) in left.items() if is_node(pid, home.path)}
        time.sleep(POLL_SECONDS)
    if left:
        pids = ", ".join(str(pid) for _, pid in left.values())
        raise CliError("still_running", f"still running after {STOP_SECONDS_MAX:.0f} s: process {pids}")
    return len(found)


def reap_children() -> None:
    """Forgets nodes that this process has started and that ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
