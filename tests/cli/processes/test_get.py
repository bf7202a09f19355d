"""`vidya get` looks at everything that can be known before it opens a session, and never buys twice."""

from pathlib import Path

import pytest

from cli.content.purchase import Folder
from tests.e2e.harness import Json, Network, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(300)]


def find_datum(network: Network, title: str) -> Json:
    (found,) = [one for one in network.summary["datums"] if one["title"] == title]
    return found


def get_nonce(network: Network, name: str) -> int:
    return int(network.nodes[0].get(f"accounts/{network.get_address(name)}")["nonce"])


def test_a_datum_that_is_there_is_not_bought_again(network: Network, tmp_path: Path) -> None:
    """The second run reads the files, says so, and sends no transaction."""
    datum = find_datum(network, "Almanac of Port Lattice")
    command = ("get", datum["id"], "--to", str(tmp_path / "almanac"), "--from", "alice", "-y")
    first = network.run(*command)
    before = get_nonce(network, "alice")
    second = network.run(*command)
    assert first.data["paid"] > 0 == second.data["paid"] and "nothing was bought" in second.stderr
    (tmp_path / "almanac" / "README.txt").write_text("changed")
    assert network.try_run(*command).code == "target_not_empty"
    assert get_nonce(network, "alice") == before


def test_the_deposit_is_back_within_a_few_blocks(network: Network, tmp_path: Path) -> None:
    """The command says when at the latest; the host releases at once, so nothing is left in the pot."""
    datum, node = find_datum(network, "Almanac of Port Lattice"), network.nodes[0]
    first = node.height
    got = network.run("get", datum["id"], "--to", str(tmp_path / "got"), "--from", "dave", "-y")
    assert "the rest of the deposit returns within a few blocks" in got.stderr
    (opened,) = node.find_events("sessions.SessionOpened", first, payer=network.get_address("dave"))
    session = opened.fields["session"]
    found = {"session": session}
    (ended,) = wait_for("the end", lambda: node.find_events("sessions.SessionEnded", first, **found), 60)
    (closing,) = node.find_events("sessions.SessionClosing", first, session=session)
    assert ended.height <= closing.height + 10 < closing.fields["ends_at"]
    assert ended.fields["refunded"] == opened.fields["deposit"] - got.data["paid"]
    refused = network.try_run("query", "session", session)
    assert refused.code == "not_found"


def test_a_target_that_cannot_be_written_is_refused_before_anything_is_bought(
    network: Network, tmp_path: Path
) -> None:
    """A file, a folder below a file, a folder with other files: each has its code; no session is opened."""
    datum, file, full = find_datum(network, "Moire patterns"), tmp_path / "file", tmp_path / "full"
    file.write_text("a file")
    full.mkdir()
    (full / "other").write_text("something else")
    before = get_nonce(network, "bob")
    for target, code in (
        (file, "not_a_folder"),
        (file / "below", "not_writable"),
        (full, "target_not_empty"),
    ):
        refused = network.try_run("get", datum["id"], "--to", str(target), "--from", "bob", "-y")
        assert (refused.code, refused.stdout) == (code, ""), refused.stderr
    assert get_nonce(network, "bob") == before


def test_what_another_command_downloads_is_not_bought_twice(network: Network, tmp_path: Path) -> None:
    """The second `get` of a datum is told so before it opens a session; once the first is over, it works."""
    datum = find_datum(network, "Pentatonic walks")
    command = ("get", datum["id"], "--to", str(tmp_path / "walks"), "--from", "alice", "-y")
    before = get_nonce(network, "alice")
    with Folder(network.devnet.path / "downloads" / datum["id"]).lock():
        refused = network.try_run(*command)
    assert (refused.exit, refused.code, refused.stdout) == (1, "busy", "") and refused.stderr.count("\n") == 1
    assert get_nonce(network, "alice") == before
    assert network.run(*command).data["paid"] > 0


def test_the_price_is_known_before_buying(network: Network) -> None:
    """`--dry-run` says what it costs, what is deposited and who would deliver, and buys nothing."""
    datum = find_datum(network, "Moire patterns")
    before = get_nonce(network, "carol")
    quote = network.run("get", datum["id"], "--dry-run", "--from", "carol").data
    price = network.get_parameters()["sessions"]["price_per_gib"]
    assert quote["paid"] == -(-datum["bytes"] * price // 2**30) <= quote["deposit"]
    assert (quote["hosts_reached"], quote["hosts_listed"]) == (1, 1)
    assert quote["membership"] > 0 and get_nonce(network, "carol") == before


def test_hosts_that_do_not_answer_are_seen_before_anything_is_bought(
    network: Network, tmp_path: Path
) -> None:
    """Where the only host cannot be reached, no session is opened, and the error says whom it tried."""
    datum, node = find_datum(network, "Moire patterns"), network.nodes[0]
    (host,) = node.get(f"datums/{datum['id']}")["hosts"]
    record = ("tx", "register-host", host["peer_id"], "10MiB", "--from", "node0", "-y", "--addresses")
    network.run(*record, f"/ip4/127.0.0.1/tcp/1/p2p/{host['peer_id']}")
    before = get_nonce(network, "dave")
    command = ("get", datum["id"], "--to", str(tmp_path / "got"), "--from", "dave", "-y")
    refused = network.try_run(*command)
    assert refused.code == "no_host" and host["address"] in refused.stderr
    assert get_nonce(network, "dave") == before
    network.run(*record, *host["addresses"])
    network.run(*command)


def test_single_files_of_a_folder_cost_their_chunks_alone(network: Network, tmp_path: Path) -> None:
    """One picture is written and paid; a path that is not there is named, and nothing is paid."""
    datum, target = find_datum(network, "Moire patterns"), tmp_path / "got"
    command = ("get", datum["id"], "--to", str(target), "--from", "alice", "-y", "--file")
    got = network.run(*command, "moire-2.png").data
    assert [path.name for path in target.iterdir()] == ["moire-2.png"]
    source = Path(datum["source"]) / "moire-2.png"
    assert (target / "moire-2.png").read_bytes() == source.read_bytes()
    fetched = sum(host["bytes"] for host in got["hosts"])
    assert source.stat().st_size <= fetched <= source.stat().st_size + 2 * 2**18 < datum["bytes"]
    assert network.try_run(*command, "moire-2.png").code == "export_conflict"
    refused = network.try_run(*command, "moire-9.png")
    assert refused.exit != 0 and "moire-9.png" in refused.stderr and "moire-1.png" in refused.stderr
