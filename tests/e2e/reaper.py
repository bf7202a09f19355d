"""Ends what a run left behind, whatever ended the run: `kill -9`, a time limit, a bug in the clean-up.

    python -m tests.e2e.reaper FOLDER    a process of its own; waits for the end of its standard input

The run holds the other end of that pipe and says nothing; when it is gone, every process of ours that was
told to work in the folder is killed, by its id. Nodes are found by what they were told to run, not by the
note they leave in their folder: a node that is on its way out has removed it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OURS = b"cli.main"
SWEEP_SECONDS = 0.5
QUIET_SWEEPS = 3
"""A command may be starting nodes at the moment."""


def list_processes(folder: Path) -> list[int]:
    """Processes of ours that have a path in the folder among their arguments."""
    return [pid for pid in _iterate_pids() if _works_in(pid, os.fsencode(folder))]


def _iterate_pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _works_in(pid: int, folder: bytes) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    is_inside = any(one == folder or one.startswith(folder + b"/") for one in arguments)
    return OURS in arguments and is_inside and state != "Z"


def kill_processes(folder: Path) -> int:
    """Kills them once; how many there were."""
    found = list_processes(folder)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


@contextmanager
def reaped(folder: Path) -> Iterator[None]:
    """Nothing of ours works in the folder after the block, and none after the end of this process."""
    command = [sys.executable, "-m", "tests.e2e.reaper", str(folder)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, start_new_session=True):
        yield


def main(folder: Path) -> None:
    """Waits, then sweeps until nothing has been there for a while."""
    sys.stdin.buffer.read()
    quiet = 0
    while quiet < QUIET_SWEEPS:
        quiet = 0 if kill_processes(folder) else quiet + 1
        time.sleep(SWEEP_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
