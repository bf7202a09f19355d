"""A batch of independent datums goes on past one that fails, and says which."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.home.home import Home
from tests.e2e.harness import Network, Node, open_network

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(300)]

STAKE = "50000"


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, str]]:
    """A devnet of one host that has lost the bytes of one of its three datums, and the id of that datum."""
    with open_network(tmp_path_factory.mktemp("batches"), "--validators", "1") as network:
        (datum,) = [one for one in network.summary["datums"] if one["title"].startswith("Almanac")]
        shutil.rmtree(Path(datum["source"]))
        yield network, datum["id"]


def test_a_datum_that_nobody_can_deliver_does_not_keep_a_newcomer_out(gone: tuple[Network, str]) -> None:
    """`join` registers what it could fetch, names the datum that it could not, and so does the next run."""
    network, lost = gone
    others = {one["id"] for one in network.summary["datums"]} - {lost}
    home = str(network.folder / "fred")
    fred = network.run("wallet", "new", "fred", "--home", home).data["address"]
    network.run("tx", "send", fred, "60000", "--from", "treasury", "-y")
    command = ("join", "--chain", str(network.devnet.chain_file), "--stake", STAKE, "--home", home)
    network.guests.append(Node(Home(network.folder / "fred")))
    for _ in range(2):
        joined = network.run(*command, "--from", "fred", "-y").data
        assert set(joined["datums"]) == others
        assert [one["id"] for one in joined["failed"]] == [lost] and joined["failed"][0]["reason"]
        held = network.nodes[0].get(f"hosts/{fred}")["holdings"]
        assert {one["datum"] for one in held} == others
    refused = network.try_run("host", "add", lost, *others, "--home", home, "--from", "fred", "-y")
    assert (refused.exit, refused.code) == (6, "download_failed") and lost in refused.stderr
    assert network.nodes[0].get("supply")["total"]
