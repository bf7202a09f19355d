"""Free ports of this machine, reserved until this process ends: by then a node listens on them.

Between the choice of a port and the moment in which a node listens, seconds pass; two commands that are
started together would choose the same. A reservation is an abstract Unix socket (unix(7)): it has the same
scope as ports, the network namespace, and no crash leaves one behind.
"""

import atexit
import itertools
import socket
from contextlib import ExitStack

from cli.errors import CliError
from cli.terminal.wording import format_count

LOOPBACK = "127.0.0.1"
PORT_MAX = 65535
_reservations: dict[int, socket.socket] = {}
"""Port -> what reserves it; kept alive by standing here."""


def find_port(wanted: int) -> int:
    """The port if it is free here, else the next one that is; 0: any free one."""
    return find_ports(wanted, 1)[0]


def find_ports(first: int, count: int) -> list[int]:
    """So many different free ports, the first ones from `first` on; 0: any free ones. Raises CliError."""
    found: list[int] = []
    candidates = itertools.repeat(0, 2 * count) if first == 0 else range(first, PORT_MAX + 1)
    with ExitStack() as stack:
        for candidate in candidates:
            if len(found) == count:
                break
            probe = stack.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, candidate))
            except OSError:
                continue
            port = int(probe.getsockname()[1])
            if reserve(port):
                found.append(port)
    if len(found) < count:
        raise CliError("no_port", f"this machine has no {format_count(count, 'free port')} from {first} on")
    return found


def reserve(port: int) -> bool:
    """Whether the port is this process's to give away: no other command that runs has reserved it."""
    if port in _reservations:
        return True
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0vidya/port/{port}")
    except OSError:
        holder.close()
        return False
    _reservations[port] = holder
    atexit.register(holder.close)
    return True
