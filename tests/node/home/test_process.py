"""The note that names a node's process is believed only if that process runs the node of that folder."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.home.process import find_process

SLEEP = "import time; time.sleep(60)"


@contextmanager
def process_noted(folder: Path, *arguments: str, **details: object) -> Iterator[int]:
    """A process with these arguments, named by the folder's note; it ends with the block."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", SLEEP, *arguments]
    with subprocess.Popen(command, **details) as process:  # type: ignore[call-overload]
        (folder / "data" / "pid").write_text(f"{process.pid}\n")
        try:
            yield process.pid
        finally:
            process.kill()


def test_a_process_of_the_folder_is_found_however_it_was_told(tmp_path: Path) -> None:
    """By --home in both forms, absolute and relative, by VIDYA_HOME, and by being the usual home."""
    folder = tmp_path / ".vidya"
    for arguments, variables in (
        (("start", "--home", str(folder)), {}),
        (("start", f"--home={folder}"), {}),
        (("start", "--home", ".vidya"), {}),
        (("start",), {"VIDYA_HOME": str(folder)}),
        (("start",), {"HOME": str(tmp_path)}),
    ):
        with process_noted(folder, *arguments, cwd=tmp_path, env=variables) as pid:
            assert find_process(folder) == pid
        assert find_process(folder) is None, "it has ended, and its note is still there"


@pytest.mark.parametrize("arguments", [("start", "--home", "other"), ("status", "--home", "home"), ()])
def test_another_process_of_that_number_is_not_believed(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A note outlives a node that was killed; what has its number since is left alone."""
    with process_noted(tmp_path / "home", *arguments, cwd=tmp_path, env={}):
        assert find_process(tmp_path / "home") is None


@pytest.mark.parametrize("note", [b"", b"x\n", b"-1\n", b"99999999\n", b"\xff\xfe"])
def test_a_damaged_note_names_nobody(tmp_path: Path, note: bytes) -> None:
    """Whatever it says, no process is taken for the node."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pid").write_bytes(note)
    assert find_process(tmp_path) is None
