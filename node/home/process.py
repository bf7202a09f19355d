"""Which process runs the node of a folder: the note that it leaves there, believed only if `/proc` agrees.

A process id may belong to another program now: a node that was killed leaves its notes behind.
"""

import os
from collections.abc import Sequence
from pathlib import Path

PID_FILE = "pid"


def find_process(folder: Path) -> int | None:
    """The process that runs the node of a folder; None if none does."""
    try:
        pid = int((folder / "data" / PID_FILE).read_text())
    except (OSError, ValueError):
        return None
    return pid if is_node(pid, folder) else None


def is_node(pid: int, folder: Path) -> bool:
    """Whether the process is alive and runs the node of this folder, by its arguments or variables."""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        variables = (process / "environ").read_bytes().split(b"\0")
        place = os.readlink(os.fsencode(process / "cwd"))
    except OSError:
        return False
    if state == "Z" or b"start" not in arguments:
        return False
    named = [*(one.removeprefix(b"--home=") for one in arguments), *_get_values(variables, b"VIDYA_HOME=")]
    named += [os.path.join(home, b".vidya") for home in _get_values(variables, b"HOME=")]
    return os.fsencode(folder) in [os.path.normpath(os.path.join(place, name)) for name in named]


def _get_values(variables: Sequence[bytes], name: bytes) -> list[bytes]:
    return [one.removeprefix(name) for one in variables if one.startswith(name)]
