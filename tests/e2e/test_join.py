"""A newcomer becomes a validator-host with one command, on a data directory of its own."""

import pytest

from chain.primitives.addresses import decode_address
from node.home.home import Home
from tests.e2e.audit.signatures import list_votes
from tests.e2e.harness import Network, Node, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]

STAKE = 50_000
UNIT = 10**9
ELECTED_SECONDS_MAX = 900.0


def find_signed_height(node: Node, account: str, first: int) -> int | None:
    """The first block from a height on that this account's precommit helped to make final."""
    prefix = node.get("status")["prefix"]
    who = decode_address(prefix, account)
    for height in range(first, node.height + 1):
        block = node.get_block(height)
        for certificate in (block["certificate"], block["inherents"]["last_commit"]):
            if who in [vote.validator for vote in list_votes(prefix, certificate)]:
                return int(certificate["height"])
    return None


def test_a_newcomer_syncs_bonds_hosts_and_signs(network: Network) -> None:
    """`join` begins at a snapshot and ends with a host, which proves, is elected and signs blocks."""
    witness, home = network.nodes[0], str(network.folder / "fred")
    largest = network.get_largest_datum()
    disk = largest["bytes"] * 10 // 9 + 2**20
    network.wait_height(30)
    fred = network.run("wallet", "new", "fred", "--home", home).data["address"]
    network.run("tx", "send", fred, "60000", "--from", "treasury", "-y")
    chain = str(network.devnet.chain_file)
    network.guests.append(Node(Home(network.folder / "fred")))
    joined = network.run(
        *("join", "--chain", chain, "--stake", str(STAKE), "--disk", str(disk)),
        *("--home", home, "--from", "fred", "-y"),
    ).data
    (newcomer,) = network.guests
    assert joined["account"] == newcomer.account == fred
    assert newcomer.height >= 30
    first = newcomer.get("blocks", count=100)["blocks"][-1]["height"]
    assert first >= 20, "it executed every block instead of beginning at a snapshot"
    network.check_agreement([*network.nodes, newcomer], first)

    account = witness.get(f"accounts/{fred}")
    assert account["bond"]["active"] == STAKE * UNIT and account["membership"]["locked"] > 0
    sizes = {one["id"]: one["bytes"] for one in network.summary["datums"]}
    hosted = {one["datum"] for one in witness.get(f"hosts/{fred}")["holdings"]}
    assert hosted == set(joined["datums"]) and hosted and sum(sizes[one] for one in hosted) <= disk
    assert hosted < set(sizes), "the disk holds all: not a part"

    wait_for(
        "the proof and the election",
        lambda: fred in [one["address"] for one in witness.get("validators")["validators"]],
        ELECTED_SECONDS_MAX,
    )
    assert witness.get(f"hosts/{fred}")["possession"]["last_proven"] is not None
    for datum in hosted:
        assert fred in [one["address"] for one in witness.get(f"datums/{datum}")["hosts"]]
    shown = network.run("query", "validators").data
    (standing,) = [one for one in shown["candidates"] if one["address"] == fred]
    assert standing["is_validator"] and standing["bond"] == STAKE * UNIT
    elected_at = witness.height
    wait_for("its signature", lambda: find_signed_height(witness, fred, elected_at), 120)
    network.check_agreement([*network.nodes, newcomer], first)
    network.check_supply(newcomer)
    before = witness.get(f"accounts/{fred}")["nonce"]
    network.run(
        *("join", "--chain", chain, "--stake", str(STAKE), "--disk", str(disk)),
        *("--home", home, "--from", "fred", "-y"),
    )
    assert witness.get(f"accounts/{fred}")["nonce"] == before, "joined already: nothing is sent again"
