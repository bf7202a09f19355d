"""Which node is asked, and what `doctor` finds: a stopped node, lost content, jail."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Network, Outcome, open_network, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(300)]


def list_wrong(outcome: Outcome) -> dict[str, Any]:
    """Check -> line, of those that failed."""
    return {row["check"]: row for row in outcome.data if not row["ok"]}


def test_a_devnet_of_its_own_is_well(network: Network) -> None:
    """`doctor` for the devnet's folder looks at its nodes, and finds nothing."""
    outcome = network.run("doctor")
    assert list_wrong(outcome) == {} and {row["node"] for row in outcome.data} == {"-", "node0"}


def test_a_stopped_node_is_said_to_be_stopped(network: Network) -> None:
    """No other node answers for it, though VIDYA_API names one that is well."""
    home = str(network.folder / "stopped")
    network.run("node", "init", "--chain", str(network.devnet.chain_file), "--home", home, "--api-port", "0")
    outcome = network.try_run("doctor", "--home", home)
    (wrong,) = list_wrong(outcome).values()
    assert outcome.exit == 1 and (wrong["check"], wrong["found"]) == ("node runs", "stopped")
    assert f"vidya node start --home {home}" in wrong["next"]
    assert network.try_run("status", "--home", home).code == "not_running"
    assert network.nodes[0].url in network.run("status", "--verbose").stderr


def test_a_jailed_host_is_told_everywhere(tmp_path: Path) -> None:
    """A host whose content is away is found by `doctor`, jailed, told so by log, `status` and `host status`,
    and kept in jail until it can prove; then `unjail` works.
    """
    with open_network(tmp_path, "--validators", "2", "--block-ms", "250") as network:
        node = network.nodes[0]
        home = ("--home", str(node.home.path))
        content, away = network.path / "content", tmp_path / "away"
        content.rename(away)
        wrong = list_wrong(network.try_run("doctor", *home))
        assert "content is readable" in wrong, wrong
        wait_for("the jail", lambda: node.get(f"accounts/{node.account}")["standing"]["is_jailed"], 120)
        assert "not jailed" in list_wrong(network.try_run("doctor", *home))
        for command in (("status",), ("host", "status")):
            assert "vidya tx unjail" in network.run(*command, *home).stderr
        log = node.home.log_file.read_text()
        assert "staking.Jailed" in log and "error" in log.split("staking.Jailed")[0].splitlines()[-1]
        unjail = ("tx", "unjail", "--from", "node0", *home, "-y")
        refused = network.try_run(*unjail)
        assert refused.exit != 0 and refused.code == "host_not_ready"
        away.rename(content)
        wait_for("the end of its time", lambda: network.try_run(*unjail).exit == 0, 120)
        assert not node.get(f"accounts/{node.account}")["standing"]["is_jailed"]
