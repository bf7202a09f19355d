"""What an operator or a disk can do to a node: each is refused with a clear message, and nothing is lost."""

from pathlib import Path

import pytest

from node.home.config import format_config, load_config
from tests.e2e.audit.signatures import Audit
from tests.e2e.harness import Network, Node, Outcome, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

FAILURE, NOT_ALLOWED = 1, 9
FLIP_EVERY_BYTES = 64
QUOTA_BYTES = 2**20
WATCH_SECONDS_MAX = 240.0


def try_start(network: Network, node: Node) -> Outcome:
    """`node start`, which must not stay."""
    return network.try_run("node", "start", "--home", str(node.home.path))


def check_back(network: Network, node: Node) -> None:
    """Started again it goes on with the same chain, as a validator."""
    node.start()
    network.wait_blocks(3)
    network.check_agreement()
    assert node.get("status")["is_validator"]


def flip_bytes(folder: Path, ending: str) -> list[str]:
    """Damages all files of a kind, as a bad disk would; their names."""
    files = sorted(path for path in folder.iterdir() if path.name.endswith(ending) and path.stat().st_size)
    for path in files:
        data = bytearray(path.read_bytes())
        for place in range(FLIP_EVERY_BYTES // 2, len(data), FLIP_EVERY_BYTES):
            data[place] ^= 0x55
        path.write_bytes(data)
    return [path.name for path in files]


@pytest.fixture
def node(network: Network) -> Node:
    """The node that things happen to; the others are enough to go on without it."""
    found = network.nodes[3]
    assert found.pid is not None
    return found


def test_a_second_node_on_the_same_folder_is_refused(network: Network, node: Node) -> None:
    """By the note of the first, and by the lock where there is no note; the first goes on."""
    pid, note = node.pid, node.home.pid_file.read_bytes()
    second = try_start(network, node)
    assert (second.exit, second.code) == (FAILURE, "already_running") and str(pid) in second.stderr
    node.home.pid_file.unlink()
    third = try_start(network, node)
    assert (third.exit, third.code) == (FAILURE, "store_in_use") and str(pid) in third.stderr
    node.home.pid_file.write_bytes(note)
    assert node.pid == pid
    network.wait_blocks(2)


def test_a_missing_sign_state_is_refused(network: Network, node: Node) -> None:
    """Without it nobody knows what was signed; with it back, or made again after a watch, it goes on."""
    node.stop()
    kept = node.home.sign_state.rename(node.home.path / "kept")
    refused = try_start(network, node)
    assert (refused.exit, refused.code) == (FAILURE, "sign_state_missing")
    assert str(node.home.sign_state) in refused.stderr and not node.home.sign_state.exists()
    kept.rename(node.home.sign_state)
    check_back(network, node)
    assert node.get("status")["signing"] == "signing"

    node.stop()
    node.home.sign_state.unlink()
    assert "forget-signatures" in try_start(network, node).stderr
    network.run("validator", "forget-signatures", "--home", str(node.home.path))
    check_back(network, node)
    assert node.get("status")["signing"] == "watching"
    wait_for("the watch to be over", lambda: node.get("status")["signing"] == "signing", WATCH_SECONDS_MAX)


def test_an_older_sign_state_signs_nothing_twice(network: Network, node: Node) -> None:
    """Put back from a backup it is found out by log and chain: the node watches, no slot is signed twice."""
    node.stop()
    old, audit = node.home.sign_state.read_bytes(), Audit()
    node.start()
    network.wait_blocks(4)
    node.stop()
    audit.read_sign_state(node)
    audit.read_log(node)
    first = max(one.height for one in network.nodes)
    node.home.sign_state.write_bytes(old)
    check_back(network, node)
    assert node.get("status")["signing"] == "watching"
    node.stop()
    audit.read_sign_state(node)
    audit.read_log(node)
    check_back(network, node)
    for one in network.nodes:
        audit.read_chain(one, first - 8)
    assert audit.find_conflicts() == {}
    assert not network.nodes[0].find_events("offences.EquivocationProven", first - 8)


@pytest.mark.parametrize("ending", [".log", ".ldb"])
def test_a_damaged_store_is_refused(network: Network, node: Node, ending: str) -> None:
    """It says so and stops; moved away, as the message advises, the node has all of it from its peers."""
    node.stop()
    node.start()  # opened again, the store writes what was in its log into a table
    network.wait_blocks(2)
    node.stop()
    damaged = flip_bytes(node.home.store, ending)
    assert damaged, f"no {ending} in the store"
    refused = try_start(network, node)
    assert (refused.exit, refused.code) == (FAILURE, "corrupt_store"), refused
    assert "vidya node resync" in refused.stderr
    network.run("node", "resync", "--home", str(node.home.path))
    check_back(network, node)
    network.check_supply(node)


def test_wrong_passwords_are_refused(network: Network, node: Node) -> None:
    """Of a node's own keys, and of an account's: nothing starts, nothing is sent."""
    wrong = network.folder / "wrong"
    wrong.write_text("not the password\n")
    alice = network.get_address("alice")
    before = network.nodes[0].get(f"accounts/{alice}")["nonce_next"]
    sent = network.try_run("tx", "send", "bob", "1", "--from", "alice", "-y", "--password-file", str(wrong))
    assert (sent.exit, sent.code) == (NOT_ALLOWED, "wrong_password")
    assert network.nodes[0].get(f"accounts/{alice}")["nonce_next"] == before
    node.stop()
    kept = node.home.password_file.read_text()
    node.home.password_file.write_text("not the password\n")
    refused = try_start(network, node)
    assert (refused.exit, refused.code) == (NOT_ALLOWED, "wrong_password")
    node.home.password_file.write_text(kept)
    check_back(network, node)


def test_a_full_quota_is_refused(network: Network, node: Node) -> None:
    """What does not fit is neither read in nor bought: no listing, the deposit returns; the rest stays."""
    folder = network.folder / "large"
    folder.mkdir()
    (folder / "bytes").write_bytes(b"x" * 2**25)
    config, wallet = load_config(node.home.config_file), ["--from", node.name, "-y"]
    held = network.run("host", "list", "--home", str(node.home.path)).data
    node.stop()
    lines = [line for line in format_config(config).splitlines() if not line.startswith("disk_bytes")]
    node.home.config_file.write_text("\n".join([*lines, f"disk_bytes = {QUOTA_BYTES}"]) + "\n")
    check_back(network, node)
    first = network.nodes[0].height
    home = ["--api", node.url, "--home", str(node.home.path)]
    published = network.try_run("publish", str(folder), "--title", "Large", *home, *wallet)
    assert published.exit != 0 and published.code == "quota_exceeded", published
    assert not network.nodes[0].find_events("catalogue.Listed", first)
    assert network.run("host", "list", "--home", str(node.home.path)).data == held
    node.stop()
    node.home.config_file.write_text(format_config(config))
    check_back(network, node)
