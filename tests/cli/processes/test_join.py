"""`vidya join` checks before it bonds, and a second run takes the settings that were typed then."""

import pytest

from cli.nodes.locks import hold
from node.home.home import Home
from node.home.process import find_process
from tests.e2e.harness import Network, Node, Outcome, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(300)]

STAKE = 50_000
UNIT = 10**9


@pytest.fixture(scope="module")
def fred(network: Network) -> Home:
    """A home with the wallet of fred, who has some money; its node ends with the tests."""
    home = Home(network.folder / "fred")
    address = network.run("wallet", "new", "fred", "--home", str(home.path)).data["address"]
    network.run("tx", "send", address, "60000", "--from", "treasury", "-y")
    network.guests.append(Node(home))
    return home


def join(network: Network, home: Home, *options: str, stake: int = STAKE) -> Outcome:
    chain = str(network.devnet.chain_file)
    command = ("join", "--chain", chain, "--stake", str(stake), "--home", str(home.path), "--from", "fred")
    return network.try_run(*command, "-y", *options)


def get_account(network: Network, home: Home) -> dict[str, object]:
    address = network.run("wallet", "show", "fred", "--home", str(home.path), "--prefix", "vdev").data[
        "address"
    ]
    return network.nodes[0].get(f"accounts/{address}")


def test_what_cannot_work_is_refused_before_a_node_is_made(network: Network, fred: Home) -> None:
    """A stake below the minimum, a disk larger than the machine's: the limit is named, nothing is made."""
    outcome = join(network, fred, stake=1)
    assert outcome.code == "validators.bond_too_small" and "at least" in outcome.stderr
    assert join(network, fred, "--disk", "5000TB").code == "usage"
    assert not fred.chain_file.exists()


def test_nothing_is_bonded_for_a_disk_that_nothing_fits(network: Network, fred: Home) -> None:
    """The smallest datum does not fit: no transaction is sent, and a larger disk goes on from there."""
    outcome = join(network, fred, "--disk", "10KB")
    assert outcome.code == "nothing_fits", outcome.stderr
    assert get_account(network, fred)["nonce"] == 0


def test_two_commands_do_not_join_with_one_node(network: Network, fred: Home) -> None:
    """The second is told so before it pays for anything."""
    with hold(fred.path / "join.lock", "tests this", ""):
        outcome = join(network, fred, "--disk", "20MB")
    assert (outcome.exit, outcome.code) == (1, "busy"), outcome.stderr
    assert get_account(network, fred)["nonce"] == 0


def test_a_second_run_takes_the_new_settings(network: Network, fred: Home) -> None:
    """The node of the first run is started again with the larger disk; then there is a host."""
    before = find_process(fred.path)
    outcome = join(network, fred, "--disk", "20MB")
    assert outcome.exit == 0, outcome.stderr
    assert find_process(fred.path) not in (None, before)
    assert "lost if" in outcome.stderr and "locked until" in outcome.stderr
    content = network.run("host", "list", "--home", str(fred.path))
    assert len(content.data) == 3 and all(one["registered"] for one in content.data)
    assert get_account(network, fred)["bond"]["active"] == STAKE * UNIT  # type: ignore[index]


def test_what_can_be_deleted_is_deleted_though_another_cannot(network: Network, fred: Home) -> None:
    """Of two datums the registered one stays and is named; the other one is gone from the disk."""
    home = ("--home", str(fred.path), "--from", "fred", "-y")
    (network.folder / "note").write_text("a note of some words")
    extra = network.run("publish", "note", "--no-host", *home).data["datum"]
    kept = network.summary["datums"][0]["id"]
    outcome = network.try_run("host", "drop", kept, extra, "--forget", *home)
    assert outcome.code == "not_deleted" and kept in outcome.stderr
    assert [one["datum"] for one in outcome.data] == [extra]
    assert extra not in [one["datum"] for one in network.run("host", "list", *home[:2]).data]


def test_leaving_goes_step_by_step(network: Network, fred: Home) -> None:
    """The first run drops and unbonds what is free, a later one the rest of the bond; `steps` says when."""
    command = ("leave", "--home", str(fred.path), "--from", "fred", "-y")
    first = network.run(*command).data
    assert not first["is_over"] and "prove content" in [one["step"] for one in first["steps"]]
    kept = get_account(network, fred)["bond"]["active"]  # type: ignore[index]
    assert 0 < kept < STAKE * UNIT

    def is_unbonded() -> bool:
        network.run(*command)
        return get_account(network, fred)["bond"]["active"] == 0  # type: ignore[index]

    wait_for("the bond to be free", is_unbonded, 180)
    last = network.run(*command).data
    steps = {one["step"] for one in last["steps"]}
    assert "withdraw" in steps and not steps & {"unbond", "drop content"} and not last["is_over"]
    unlocking = get_account(network, fred)["bond"]["unlocking"]  # type: ignore[index]
    assert sum(one["amount"] for one in unlocking) == STAKE * UNIT
