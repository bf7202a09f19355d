"""`vidya chain`: a network founded by two operators, from their seats to a spec that a chain starts from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chain.genesis import build_genesis_state, compute_genesis_hash, parse_chain_spec
from chain.modules import hosting, membership, staking
from chain.state import MemoryState
from cli.main import app
from node.home.home import Home
from node.keys.derivation import KeyRole
from p2p.identity import compute_peer_id_of_seed

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `vidya ... -o json` with a password file; the data, or the error of a failed command."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VIDYA_PASSWORD_FILE", str(tmp_path / "password"))
    for name in ("VIDYA_API", "VIDYA_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "password").write_text("correct horse")

    def invoke(*arguments: object, exit_code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["-o", "json", *map(str, arguments)])
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout) if exit_code == 0 else json.loads(result.stderr)["error"]

    return invoke


@pytest.fixture
def seats(run: Run, tmp_path: Path) -> list[Path]:
    """The seats of two operators, each with a wallet and keys of a node."""
    files = []
    for number, name in enumerate(("ada", "ben")):
        home = tmp_path / name
        run("wallet", "new", name, "--weak", "--home", home)
        address = f"/ip4/203.0.113.{number + 1}/tcp/7700"
        made = run(
            *("chain", "seat", "--bond", "5000", "--p2p-address", address),
            *("--prefix", "club", "--home", home, "--from", name),
        )
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(made))
    return files


def build(run: Run, seats: list[Path], out: Path, *more: object, exit_code: int = 0) -> Any:
    arguments = [word for seat in seats for word in ("--seat", seat)]
    named = ("--name", "club", "--prefix", "club", "--symbol", "CLUB", "--out", out)
    return run("chain", "new", *named, *arguments, *more, exit_code=exit_code)


def test_seats_become_a_network(run: Run, seats: list[Path], tmp_path: Path) -> None:
    """Both are bonded, members and hosts at genesis, with the keys that lie in their homes."""
    out = tmp_path / "club.json"
    made = build(run, seats, out)
    spec = parse_chain_spec(out.read_bytes())
    assert made["chain_id"] == compute_genesis_hash(spec).hex()
    assert run("chain", "check", out)["is_valid"] is True
    assert run("chain", "show", out)["prefix"] == "club"
    state = MemoryState()
    state.apply(build_genesis_state(spec))
    for name, (who, key, _) in zip(("ada", "ben"), spec.validators.validators, strict=True):
        home, host = Home(tmp_path / name), hosting.get_host(state, who)
        assert staking.get_bond(state, who) == 5000 * 10**spec.decimals and membership.is_member(state, who)
        assert home.load_key(KeyRole.CONSENSUS).public_key == key
        assert host is not None and host.peer_id == compute_peer_id_of_seed(home.load_secret(KeyRole.NETWORK))


def test_a_seat_s_keys_become_its_node(run: Run, seats: list[Path], tmp_path: Path) -> None:
    """`node init` in the folder of a seat keeps the keys that the chain spec names."""
    out = tmp_path / "club.json"
    build(run, seats, out)
    account = json.loads(seats[0].read_text())["account"]
    home = tmp_path / "ada"
    made = run("node", "init", "--chain", out, "--home", home, "--account", account, "--api-port", "0")
    assert made["consensus_key"] == json.loads(seats[0].read_text())["consensus_key"]
    again = run("node", "init", "--chain", out, "--home", home, exit_code=1)
    assert again["code"] == "home_error"


def test_a_spec_is_never_overwritten(run: Run, seats: list[Path], tmp_path: Path) -> None:
    """The file of another network stays as it is."""
    out = tmp_path / "club.json"
    out.write_text("{}")
    assert build(run, seats, out, exit_code=1)["code"] == "system"
    assert out.read_text() == "{}"


@pytest.mark.parametrize("text", ["[]", "{}", '{"account": 5}', "not json"])
def test_what_is_no_seat_is_refused(run: Run, seats: list[Path], tmp_path: Path, text: str) -> None:
    """A seat that is cut or of another form is named, and no spec is written."""
    seats[1].write_text(text)
    assert build(run, seats, tmp_path / "club.json", exit_code=2)["code"] == "usage"
    assert not (tmp_path / "club.json").exists()


@pytest.mark.parametrize(
    "command",
    [
        "chain check FILE",
        "node init --chain FILE --home HOME",
        "join --chain FILE --stake 5 --home HOME --from ada",
    ],
)
def test_a_spec_that_breaks_a_rule_is_refused(
    run: Run, seats: list[Path], tmp_path: Path, command: str
) -> None:
    """The file and what is wrong with it are named, whether it parses or not; no node's home is made."""
    out, home = tmp_path / "club.json", tmp_path / "home"
    build(run, seats, out)
    (tmp_path / "ada" / "wallet").rename(tmp_path / "wallet")
    home.mkdir()
    (tmp_path / "wallet").rename(home / "wallet")
    document = json.loads(out.read_text())
    document["balances"]["accounts"] = []
    poor, cut = tmp_path / "poor.json", tmp_path / "cut.json"
    poor.write_text(json.dumps(document))
    cut.write_text(out.read_text()[:100])
    for file, why in ((poor, "balances.insufficient_balance has 0"), (cut, "not JSON")):
        words = command.replace("FILE", str(file)).replace("HOME", str(home)).split()
        error = run(*words, exit_code=1)
        assert error["code"] == "invalid_chain_spec"
        assert error["message"].startswith(f"{file}: ") and why in error["message"]
    assert not (home / "chain.json").exists()
