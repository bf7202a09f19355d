"""What `vidya publish` and `vidya devnet fund` do on a running devnet, and what they refuse."""

from pathlib import Path

import pytest

from tests.e2e.harness import Network

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(300)]


def get_balance(network: Network, name: str) -> int:
    return int(network.nodes[0].get(f"accounts/{network.get_address(name)}")["balance"])


def test_what_is_listed_keeps_its_title(network: Network, tmp_path: Path) -> None:
    """Publishing it again under another name says so, shows the name that counts, and pays nothing."""
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "one").write_text("la")
    command = (
        "publish",
        str(tmp_path / "songs"),
        "--home",
        str(network.nodes[0].home.path),
        "--from",
        "node0",
    )
    first = network.run(*command, "--title", "Songs", "-y").data
    assert (first["title"], first["is_new"]) == ("Songs", True) and first["hosted_from_epoch"] is not None
    before = get_balance(network, "node0")
    second = network.run(*command, "--title", "Tunes", "-y")
    assert (second.data["title"], second.data["is_new"]) == ("Songs", False)
    assert second.data["hosted_from_epoch"] == first["hosted_from_epoch"]
    assert "listed already" in second.stderr and get_balance(network, "node0") >= before


def test_nothing_is_listed_for_an_account_that_cannot_host_it(network: Network, tmp_path: Path) -> None:
    """That the node is another account's is known before the bond of the listing is paid."""
    (tmp_path / "file").write_text("text of a file")
    before = get_balance(network, "alice")
    home = str(network.nodes[0].home.path)
    refused = network.try_run("publish", str(tmp_path / "file"), "--home", home, "--from", "alice", "-y")
    assert refused.code == "usage" and get_balance(network, "alice") == before


def test_nothing_that_opens_a_door_is_listed(network: Network, tmp_path: Path) -> None:
    """Keys, passwords and tokens of the node, a wallet, a folder with one in it: refused, and not hosted."""
    home = network.nodes[0].home
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "photo").write_text("a photo")
    (tmp_path / "photos" / "wallet").symlink_to(network.devnet.wallet)
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "copy").write_bytes((network.devnet.wallet / "alice.json").read_bytes())
    before = len(network.run("host", "list", "--home", str(home.path)).data)
    for path in (home.password_file, home.token_file, home.keys, network.devnet.wallet, tmp_path / "album"):
        refused = network.try_run("publish", str(path), "--home", str(home.path), "--from", "node0", "-y")
        assert refused.code == "private_file", refused.stderr
    assert len(network.run("host", "list", "--home", str(home.path)).data) == before


def test_the_faucet_gives_to_names_and_addresses(network: Network) -> None:
    """A key of the devnet by its name, and any address; nobody is asked."""
    before = get_balance(network, "bob")
    network.run("devnet", "fund", "bob", "12.5", "--dir", str(network.path))
    network.run("devnet", "fund", network.get_address("bob"), "--dir", str(network.path))
    assert get_balance(network, "bob") == before + 12_500_000_000 + 10_000 * 10**9
    refused = network.try_run("devnet", "fund", "nobody", "--dir", str(network.path))
    assert refused.exit != 0 and "nobody" in refused.stderr


def test_the_end_of_a_log_has_its_lines(network: Network) -> None:
    """So many as were asked for, one below the other."""
    shown = network.run("devnet", "logs", "-n", "3", "--dir", str(network.path), VIDYA_OUTPUT="table")
    assert len(shown.stdout.splitlines()) == 3
