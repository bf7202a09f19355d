"""The question before something is done: shown in a terminal, answered there, and never skipped elsewhere."""

import os
import pty
import subprocess
import sys

import pytest

SCRIPT = """
import typer
from cli.terminal.options import command
from cli.terminal.confirmation import Confirmation, confirm
app = typer.Typer()
@command(app)
def run(settings):
    shown = Confirmation(["Send 5 VIDYA  a -> b"], "fee 1", ["era 9"], ["it signs twice"])
    confirm(settings, shown, "Send it?")
    settings.emit({"done": True})
app()
"""
SHOWN = ("Send 5 VIDYA  a -> b", "  fee 1", "  locked until era 9", "  lost if it signs twice")


@pytest.mark.parametrize(("answer", "exit_code"), [("y", 0), ("yes", 0), ("n", 9), ("", 9), ("no way", 9)])
def test_only_yes_is_yes(answer: str, exit_code: int) -> None:
    """All of it is shown first; whatever is not yes ends the command with nothing done."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
        env=environment,
    ) as process:
        os.close(follower)
        os.write(leader, f"{answer}\n".encode())
        assert process.stdout is not None
        result = process.stdout.read()
        assert process.wait() == exit_code
        told = os.read(leader, 2**16).decode().replace("\r\n", "\n")
    os.close(leader)
    assert all(line in told for line in SHOWN) and "Send it? [y/N]" in told
    assert (b"done" in result) == (exit_code == 0)


@pytest.mark.parametrize(("arguments", "exit_code"), [([], 2), (["-y"], 0)])
def test_where_nobody_can_answer(arguments: list[str], exit_code: int) -> None:
    """Without a terminal the command is refused, unless -y confirmed it; it is shown all the same."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], input="y\n", capture_output=True, text=True, check=False
    )
    assert ended.returncode == exit_code and all(line in ended.stderr for line in SHOWN)
