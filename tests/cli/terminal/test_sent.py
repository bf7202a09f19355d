"""Once a signed transaction has left, a command never ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TX = "ab" * 32
SCRIPT = """
import sys, time, typer
from cli.terminal import output
from cli.terminal.options import command
from cli.terminal.streams import prepare_streams
from cli.errors import CliError
app = typer.Typer()
@command(app)
def run(settings):
    settings.sent.add("{tx}")
    {body}
prepare_streams()
app()
"""


def run(body: str, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tx=TX, body=body), *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "body",
    ["raise CliError('x', 'no')", "raise OSError(28, 'No space left')", "raise KeyboardInterrupt"],
)
def test_every_end_names_what_was_sent(body: str) -> None:
    """An error or an interruption after the transaction left: exit 7, and the id to look it up by."""
    ended = run(body)
    assert ended.returncode == 7 and f"vidya query tx {TX}" in ended.stderr


def test_a_bug_names_it_too() -> None:
    """A traceback is preceded by the id."""
    ended = run("raise ZeroDivisionError")
    assert ended.returncode != 0 and TX in ended.stderr and "ZeroDivisionError" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_name_it(number: int, tmp_path: Path) -> None:
    """SIGTERM, SIGHUP and Ctrl-C while the outcome is waited for."""
    marker = tmp_path / "waits"
    body = f"open({str(marker)!r}, 'w').close(); time.sleep(60)"
    command = [sys.executable, "-c", SCRIPT.format(tx=TX, body=body)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while not marker.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 7 and TX in told


def test_a_full_disk_under_stdout_does_not_say_failed() -> None:
    """The outcome was certain, but could not be written: exit 7 and the id, not exit 1."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        ended = run(f"settings.sent.settle('{TX}'); settings.emit({{'id': 1}})", stdout=full)
    finally:
        os.close(full)
    assert ended.returncode == 7 and TX in ended.stderr


def test_a_reader_of_stderr_that_has_gone_changes_nothing() -> None:
    """Remarks that cannot be written are dropped; the work goes on and the result is written."""
    reading, writing = os.pipe()
    os.close(reading)
    body = f"output.say('one'); output.say('two'); settings.sent.settle('{TX}'); settings.emit({{'id': 1}})"
    try:
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(tx=TX, body=body), "-o", "jsonl"],
            stdout=subprocess.PIPE,
            stderr=writing,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stdout) == (0, '{"id":1}\n')


def test_settled_transactions_leave_other_errors_alone() -> None:
    """What became of it was said; a later failure keeps its own code."""
    ended = run(f"settings.sent.settle('{TX}'); raise CliError('x', 'a later step')")
    assert ended.returncode == 1 and "later step" in ended.stderr and TX not in ended.stderr
