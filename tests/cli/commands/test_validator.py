"""`vidya validator`, through the command itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chain.genesis import format_chain_spec
from cli.main import app
from node.home.config import NodeConfig, format_config
from node.home.home import Home
from node.keys.derivation import KeyRole
from storage.sign_log import SignLog
from storage.sign_state import LastSignState, SignStep
from tests.node.home.test_home import SPEC

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `vidya -o json validator ...` in the folder of that name, with a password file."""
    for name in ("VIDYA_API", "VIDYA_HOME", "VIDYA_FROM", "VIDYA_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("wrong horse\n")

    def invoke(home: str, *arguments: str, password: str = "password", exit_code: int = 0) -> Any:
        fixed = ["-o", "json", "--home", str(tmp_path / home), "--password-file", str(tmp_path / password)]
        result = CliRunner().invoke(app, [*fixed, "validator", *arguments])
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout) if exit_code == 0 else json.loads(result.stderr.splitlines()[-1])

    for name in ("source", "target"):
        home = Home(tmp_path / name)
        home.create(format_chain_spec(SPEC))
        home.config_file.write_text(format_config(NodeConfig()))
    key = Home(tmp_path / "source").load_key(KeyRole.CONSENSUS)
    state = LastSignState.load(Home(tmp_path / "source").sign_state, key.public_key, create=True)
    state.check_and_record(7, 1, SignStep.PREVOTE, b"block", key.sign)
    state.close()
    return invoke


def test_validator_moves_by_two_commands(run: Run, tmp_path: Path) -> None:
    """Export and import say what was moved; a wrong password and an older file are told with their codes."""
    file = str(tmp_path / "moved")
    out = run("source", "export", file, "--weak")
    assert (out["signed_height"], out["signed_round"]) == (7, 1)
    assert run("target", "import", file, password="wrong", exit_code=9)["error"]["code"] == "wrong_password"
    moved = run("target", "import", file)
    assert moved["consensus_key"] == out["consensus_key"]
    assert Home(tmp_path / "target").load_key(KeyRole.CONSENSUS).public_key.hex() == out["consensus_key"]
    assert run("source", "forget-signatures", exit_code=9)["error"]["code"] == "validator_moved"


def test_audit_finds_what_two_logs_contradict(run: Run, tmp_path: Path) -> None:
    """Each log alone is clean; together they show that one slot has two messages."""
    key = Home(tmp_path / "source").load_key(KeyRole.CONSENSUS)
    other = tmp_path / "other.log"
    for path, block in ((Home(tmp_path / "source").sign_log, b"one"), (other, b"two")):
        with SignLog(path, key.public_key) as log:
            log.append(7, 1, SignStep.PREVOTE, block, key.sign(block))
    assert run("source", "audit") == {
        "signatures": 1, "first_height": 7, "last_height": 7, "signed_twice": 0
    }  # fmt: skip
    assert run("source", "audit", str(other), exit_code=1)["error"]["code"] == "signed_twice"
    assert run("target", "audit")["signatures"] == 0


def test_files_are_made_anew_where_they_lack(run: Run, tmp_path: Path) -> None:
    """A missing log is made again, what is whole stays; a claim about the past is confirmed first."""
    assert run("source", "forget-signatures")["set_aside"] == []
    assert run("source", "forget-signatures", exit_code=1)["error"]["code"] == "nothing_to_forget"
    claim = ("forget-signatures", "--signed-up-to", "9")
    assert run("source", *claim, exit_code=2)["error"]["code"] == "usage"
    run("source", *claim, "--yes")
    key = Home(tmp_path / "source").load_key(KeyRole.CONSENSUS)
    state = LastSignState.load(Home(tmp_path / "source").sign_state, key.public_key)
    state.close()
    assert state.state.slot == (9, 2**31 - 1, 3)
