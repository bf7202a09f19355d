"""The guides, run as they are printed: four real nodes, money sent, content bought, a host joined."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.context.client import Client
from cli.devnet.plan import Devnet
from cli.nodes.processes import stop_nodes
from node.home.home import Home
from node.home.process import find_process
from tests.cli.commands.transcripts import (
    WIDTH,
    Step,
    Terminal,
    build_environment,
    find_difference,
    find_overlong,
    list_blocks,
    prepare,
)

ROOT = Path(__file__).parents[3]
READ_ONLY = (
    "vidya status",
    "vidya query validators",
    "vidya query hosts",
    "vidya query hosts node0",
    "vidya query account alice",
    "vidya query block",
    "vidya query supply",
    "vidya query price --why",
    "vidya search",
    "vidya query datum 'Moire patterns'",
    "vidya host list --home demo/nodes/node0",
    "vidya host status --home demo/nodes/node0",
    "vidya devnet status --dir demo",
    "vidya peers",
)
SETTLED_SECONDS_MAX = 90.0
SOME_CHUNKS_BYTES = 2**20

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]


class Shell:
    """A bash with `vidya` on its path, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = build_environment(folder)

    def follow(self, block: list[Step], width: int = WIDTH) -> None:
        """Runs a block of a guide in a terminal; every command ends well and prints what the guide shows, in
        the width that there is.
        """
        terminal = Terminal(self.folder, self.environment, width)
        for command, expected in block:
            code, printed = terminal.run(command)
            assert code == 0, f"{command}\n" + "\n".join(printed)
            assert (difference := find_difference(expected, printed)) is None, f"{command}\n{difference}"
            assert find_overlong(printed, width) == [], command

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """The script's result; stops at the first command that fails."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, script: str) -> subprocess.Popen[str]:
        """The script, running."""
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def check(self, script: str) -> str:
        """What a script says on stdout; it must succeed."""
        result = self.run(script)
        assert result.returncode == 0, f"{script}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def export(self, file: Path) -> None:
        """As `export $(cat FILE)` does for the commands that follow."""
        self.environment.update(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in which the first block of the first guide has run; its nodes are stopped at the end."""
    folder = tmp_path_factory.mktemp("guide")
    made = Shell(folder)
    try:
        made.follow(list_blocks("first-run")[0])
        made.export(folder / "demo" / "env")
        yield made
    finally:
        homes = [Home(folder / "fred-home")]
        if Devnet(folder / "demo").exists:
            homes += Devnet(folder / "demo").list_homes()
        stop_nodes(homes)


def load(shell: Shell) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((shell.folder / "demo.json").read_text())
    return summary


def test_devnet_is_what_it_says(shell: Shell) -> None:
    """Four validators answer, content is registered by all of them and proven by those that brought it."""
    summary = load(shell)
    assert [account["name"] for account in summary["accounts"]][:4] == ["alice", "bob", "carol", "dave"]
    assert all(Path(account["keystore"]).is_file() for account in summary["accounts"])
    clients = [Client(node["api"]) for node in summary["nodes"]]
    assert [client.get("/v1/status")["is_validator"] for client in clients] == [True] * 4
    assert len({client.get("/v1/blocks/2")["header"]["hash"] for client in clients}) == 1
    for datum in summary["datums"]:
        entry = clients[0].get(f"/v1/datums/{datum['id']}")
        assert entry["datum"]["holdings"] == 4 and len(entry["hosts"]) >= 2
        assert entry["datum"]["size_bytes"] == datum["bytes"] and Path(datum["source"]).is_dir()
    proven = [clients[0].get(f"/v1/hosts/{node['account']}")["possession"] for node in summary["nodes"]]
    assert [one["last_proven"] is not None for one in proven[:2]] == [True, True]


def test_first_run_guide_works_as_printed(shell: Shell) -> None:
    """Sending, proving, getting: each command ends well, and what was bought is what was published."""
    for block in list_blocks("first-run")[1:-1]:
        shell.follow(block)
    source = shell.folder / "demo" / "content" / "almanac"
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    assert files and all(
        (shell.folder / "almanac" / path).read_bytes() == (source / path).read_bytes() for path in files
    )


def test_light_guide_works_as_printed(shell: Shell) -> None:
    """Headers, an account and possession proofs, verified without believing a node."""
    for block in list_blocks("light"):
        shell.follow(block)
    found = json.loads(shell.check("vidya light verify --chain demo/chain.json --height 5 -o json"))
    client = Client(load(shell)["nodes"][3]["api"])
    assert found["verified"] and found["header"] == client.get("/v1/blocks/5")["header"]["hash"]
    sample = json.loads(shell.check("vidya light sample --chain demo/chain.json --epochs 2 -o json"))
    assert [len(one["draws"]) for one in sample["epochs"]] == [16, 16] and sample["not_shown"] == 0


def test_paid_bytes_come_from_several_hosts_and_are_settled(shell: Shell) -> None:
    """A member who is no host gets all bytes; what each host was promised is settled, to the base unit."""
    (datum,) = [one for one in load(shell)["datums"] if one["title"] == "Pentatonic walks"]
    got = json.loads(shell.check(f"vidya get {datum['id']} --to tunes --from carol -y -o json"))
    assert len([host for host in got["hosts"] if host["chunks"]]) >= 2
    assert sum(host["paid"] for host in got["hosts"]) == got["paid"] > 0
    client, carol = Client(load(shell)["nodes"][0]["api"]), find_address(shell, "carol")
    wait_for(lambda: client.get(f"/v1/accounts/{carol}")["traffic"]["spent"] == got["paid"])
    supply = client.get("/v1/supply")
    assert supply["genesis"] + supply["minted"] - supply["burned"] == supply["total"]


def test_get_goes_on_after_a_crash(shell: Shell) -> None:
    """Killed in the middle, it resumes on the same session: no second deposit, no chunk paid twice."""
    (datum,) = [one for one in load(shell)["datums"] if one["title"] == "Moire patterns"]
    command = f"vidya get {datum['id']} --to pictures --from dave -y -o json"
    store = shell.folder / "demo" / "downloads" / datum["id"] / "store" / "data" / datum["id"]
    with shell.start(f"exec {command} --rate 400KB") as process:
        # Blocks, not the size: the file is sparse, and its last chunk may come first.
        wait_for(lambda: store.is_file() and store.stat().st_blocks * 512 > SOME_CHUNKS_BYTES)
        process.kill()
    got = json.loads(shell.check(command))
    assert sum(host["bytes"] for host in got["hosts"]) < datum["bytes"]
    dave = json.loads(shell.check("vidya query account dave -o json"))
    assert dave["nonce"] == len(("join", "open", "close"))
    shell.check(f"vidya verify pictures {datum['id']}")


def wait_for(is_met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while not is_met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def find_address(shell: Shell, name: str) -> str:
    (found,) = [one["address"] for one in load(shell)["accounts"] if one["name"] == name]
    return str(found)


def test_wallet_guide_works_as_printed(shell: Shell) -> None:
    """Keys, transactions, a batch, and a key that is never near a network."""
    prepare(shell.folder)
    for block in list_blocks("wallet"):
        shell.follow(block)
    emma = json.loads(shell.check("vidya query account emma -o json"))
    assert emma["bond"]["active"] == 250 * 10**9 and emma["nonce"] == 4
    assert [one["host"] for one in emma["delegations"]] == [find_address(shell, "node1")]


@pytest.mark.parametrize("width", [60, 120])
def test_screens_fit_the_terminal(shell: Shell, width: int) -> None:
    """What is read every day fits a narrow and a wide terminal: no line is longer than it."""
    terminal = Terminal(shell.folder, shell.environment, width)
    for command in READ_ONLY:
        code, printed = terminal.run(command)
        assert code == 0 and printed and max(map(len, printed)) <= width, f"{command}\n" + "\n".join(printed)


def test_hosting_guide_works_as_printed(shell: Shell) -> None:
    """A newcomer syncs, bonds, hosts and stands for election; joining again changes nothing."""
    blocks = list_blocks("hosting")
    for block in blocks:
        shell.follow(block)
    validators = json.loads(shell.check("vidya query validators -o json"))
    fred = json.loads(shell.check("vidya wallet show fred --home fred-home -o json --prefix vdev"))["address"]
    assert fred in [one["address"] for one in validators["candidates"]]
    before = json.loads(shell.check("vidya query account fred --home fred-home -o json"))["nonce"]
    (join,) = [step.command for step in blocks[0] if step.command.startswith("vidya join")]
    shell.check(join)
    found = json.loads(shell.check("vidya host list --home fred-home -o json"))
    assert found and all(one["registered"] for one in found)
    assert json.loads(shell.check("vidya query account fred --home fred-home -o json"))["nonce"] == before


@pytest.mark.parametrize(
    ("command", "exit_code", "code"),
    [
        ("vidya tx send bob 99999999 --from alice -y", 5, "balances.insufficient_balance"),
        ("vidya tx send bob 1 --from alice", 2, "usage"),
        ("vidya tx withdraw --from alice -y", 6, "staking.nothing_unlocked"),
        ("vidya tx send bob 1 --from nobody -y", 8, "key_not_found"),
        (f"vidya tx open-session --datum {'00' * 32} --voucher-key {'00' * 32} --price-max-per-gib 1"
         " --expires-at 9 --from treasury -y", 9, "sessions.not_member"),
        (f"vidya get {'00' * 32} --from alice -y", 8, "catalogue.not_listed"),
        (f"vidya query session {'00' * 32}", 8, "not_found"),
        ("vidya publish demo/content --home demo --from alice -y", 1, "not_running"),
        ("vidya query account bob --prove --chain other.json", 10, "other_network"),
    ],
)  # fmt: skip
def test_refusals_have_their_exit_codes(shell: Shell, command: str, exit_code: int, code: str) -> None:
    """Each kind of no is told apart by the exit code, under the code that the chain or the API gave."""
    other = json.loads((shell.folder / "demo" / "chain.json").read_text())
    (shell.folder / "other.json").write_text(json.dumps({**other, "name": "other"}))
    result = shell.run(f"{command} -o json")
    told = json.loads(result.stderr.splitlines()[-1])["error"]
    assert (result.returncode, told["code"]) == (exit_code, code), result.stderr


def test_devnet_stops_and_starts_again(shell: Shell) -> None:
    """`down` ends every process it started; `up` goes on with the same chain."""
    devnet = Devnet(shell.folder / "demo")
    first = load(shell)["nodes"][0]["api"]
    before = Client(first).get("/v1/status")
    shell.follow(list_blocks("first-run")[-1])
    assert [find_process(home.path) for home in devnet.list_homes()] == [None] * 4
    shell.check("vidya devnet up --dir demo --detach")
    after = Client(first).get("/v1/status")
    assert after["chain_id"] == before["chain_id"] and after["height"] >= before["height"]
    shell.check("vidya devnet reset --dir demo -y")
    assert not (shell.folder / "demo").exists()
