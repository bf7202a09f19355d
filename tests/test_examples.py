"""The examples do what they say, against a real node and on the real state machine."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

VARIABLES = re.compile(r"^\s*export (VIDYA_API=.*)$", re.MULTILINE)
STOP_SECONDS_MAX = 30.0
UNIT = 10**9


def run_example(repository: Path, script: str, *arguments: str, **variables: str) -> str:
    """What an example prints; raises CalledProcessError if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(repository), **variables}
    command = [sys.executable, str(repository / "examples" / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def dev_node(repository: Path) -> Iterator[dict[str, str]]:
    """`vidya node start --dev`; yields the variables that it tells a user to set."""
    command = [sys.executable, "-m", "cli.main", "node", "start", "--dev"]
    with subprocess.Popen(
        command, cwd=repository, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        try:
            while "Ctrl-C stops it" not in said:
                line = process.stdout.readline()
                assert line, f"the node ended: {said}"
                said += line
            (exports,) = VARIABLES.findall(said)
            yield dict(pair.split("=", 1) for pair in exports.split())
        finally:
            process.terminate()
            process.communicate(timeout=STOP_SECONDS_MAX)


def test_a_new_chain_module_runs_in_the_real_runtime(repository: Path) -> None:
    """Of two transactions that take one name in one block, the first succeeds and the second is refused."""
    lines = run_example(repository, "chain_module/run.py").splitlines()
    assert lines[0] == "alice: done: names.NameTaken"
    assert lines[1].startswith("bob: refused: names.already_taken")
    assert lines[2] == "alice has the name: True; invariants hold"


@pytest.mark.network
def test_an_api_client_sends_and_sees_finality(repository: Path, dev_node: dict[str, str]) -> None:
    """The transfer is final in a block, and the recipient has the amount afterwards."""
    said = run_example(repository, "api_client.py", "alice", "bob", "12", **dev_node).splitlines()
    assert re.fullmatch(r"final in block [1-9]\d*, fee [1-9]\d* base units", said[1]), said
    (balance,) = re.findall(r"bob has (\d+) base units", said[2])
    assert int(balance) % (1_000 * UNIT) == 12 * UNIT
