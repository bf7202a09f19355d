"""The nodes of a devnet during `vidya devnet up`: started, shown, and stopped by whoever started them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.devnet.plan import Devnet
from cli.errors import CliError
from cli.nodes.processes import get_url, reap_children, start_node, stop_nodes, try_status
from cli.signals import uninterrupted
from cli.terminal import output
from cli.terminal.streams import is_reader_gone
from node.home.home import Home
from node.home.process import find_process

REFRESH_SECONDS = 1.0


@contextmanager
def running_nodes(devnet: Devnet, *, is_detached: bool) -> Iterator[list[Home]]:
    """Starts the nodes that do not run, and gives their homes. Stops these at the end of the block, but not
    if it is detached and went well.
    """
    started: list[Home] = []
    is_left = False
    try:
        for home in devnet.list_homes():
            if find_process(home.path) is None:
                started.append(home)
                start_node(home)
            output.say(
                f"{home.path.name}: process {find_process(home.path)}, {get_url(home)}, log {home.log_file}"
            )
        yield started
        is_left = is_detached
    finally:
        if not is_left:
            with uninterrupted():
                stop_nodes(started)


def describe_nodes(devnet: Devnet) -> list[dict[str, Any]]:
    """A line per node."""
    rows = []
    for home in devnet.list_homes():
        found = try_status(home) or {}
        state = "running" if found else "stopped" if find_process(home.path) is None else "starting"
        rows.append(
            {
                "name": home.path.name,
                "state": state,
                "height": found.get("height"),
                "peers": found.get("peers"),
                "validator": found.get("is_validator"),
                "process": find_process(home.path),
                "api": get_url(home),
                "home": str(home.path),
            }
        )
    return rows


def watch(devnet: Devnet, *, is_own: bool) -> None:
    """A live line on a terminal until a signal, or until whoever read it is gone.

    Raises CliError if all nodes have stopped.
    """
    hint = f"`vidya devnet down --dir {devnet.path}` stops them"
    own, foreign = "Ctrl-C stops the nodes", f"another command started the nodes; Ctrl-C leaves them, {hint}"
    try:
        # Within the block: whoever reads it may send the signal at once.
        output.say(own if is_own else foreign)
        while not is_reader_gone(sys.stderr):
            reap_children()
            rows = describe_nodes(devnet)
            shown = (f"{row['name']} {row['height'] or row['state']}" for row in rows)
            output.show_line(f"{time.strftime('%H:%M:%S')}  " + "  ".join(shown))
            if all(find_process(home.path) is None for home in devnet.list_homes()):
                hint = f"`vidya devnet logs --dir {devnet.path}`"
                raise CliError("nodes_stopped", "all nodes have stopped", hint)
            time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        output.end_line()
        if is_own:
            output.say("stopping the nodes")
