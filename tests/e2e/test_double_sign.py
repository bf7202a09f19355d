"""A consensus key in two places: copied by its operator, who is guarded, or stolen, which costs the bond."""

import shutil
from pathlib import Path

import pytest

from chain.primitives.addresses import decode_address
from cli.nodes.ports import find_ports
from node.home.config import format_config, load_config
from node.home.home import Home
from node.keys import keystore
from node.keys.derivation import KeyRole
from storage.sign_log import load_signatures
from tests.e2e.audit.observer import observe, run_beside
from tests.e2e.audit.signatures import Audit
from tests.e2e.audit.thief import Thief
from tests.e2e.harness import STOP_SECONDS_MAX, Network, Node, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

PPM = 10**6
FOUND_SECONDS_MAX = 240.0
WATCH_SECONDS_MAX = 240.0
BLOCKS_AFTER = 25
NEW_SEED = b"t" * 32


def build_twin(network: Network, original: Node) -> Node:
    """A node with the keys of another on another port: its own network key, and an empty data directory."""
    home = Home(network.folder / "twin")
    shutil.copytree(original.home.path, home.path, ignore=shutil.ignore_patterns("data", "node.log"))
    home.data.mkdir()
    (home.keys / "network.json").unlink()
    keystore.create(
        home.keys, "network", NEW_SEED, home.load_password(), role=KeyRole.NETWORK,
        profile=keystore.Profile.DEVNET,
    )  # fmt: skip
    p2p_port, api_port = find_ports(0, 2)
    lines = format_config(load_config(home.config_file)).splitlines()
    kept = [line for line in lines if not line.startswith(("api_port", "p2p_listen", "name"))]
    kept += [f"api_port = {api_port}", f'p2p_listen = "/ip4/127.0.0.1/tcp/{p2p_port}"', 'name = "twin"']
    home.config_file.write_text("\n".join(kept) + "\n")
    twin = Node(home)
    network.guests.append(twin)
    return twin


def test_a_key_copied_to_a_second_node_only_watches(network: Network) -> None:
    """The copy follows the chain and signs nothing, the original goes on, and nobody is punished."""
    *honest, original = network.nodes
    addresses, audit = [node.address for node in network.nodes], Audit()
    twin = build_twin(network, original)
    with observe([*addresses, twin.address], network.genesis_hash, audit):
        twin.start()
        network.wait_height(honest[0].height + BLOCKS_AFTER, [*network.nodes, twin])
    assert list(load_signatures(twin.home.sign_log)) == []
    assert "watching_before_signing" in twin.home.log_file.read_text()
    assert "signing_stopped" not in original.home.log_file.read_text()
    offender = decode_address(str(honest[0].get("status")["prefix"]), original.account)
    assert audit.find_conflicts() == {} and audit.count_slots(offender) > BLOCKS_AFTER
    twin.close()


def test_a_validator_moves_and_comes_back(network: Network) -> None:
    """By export and import, while the network goes on: it signs where it is, nowhere else, no slot twice."""
    *honest, original = network.nodes
    there, back = network.folder / "there", network.folder / "back"
    target = Node(Home(network.folder / "target"))
    init = ("node", "init", "--chain", str(original.home.chain_file), "--account", original.account)
    network.run(*init, "--home", str(target.home.path))
    network.guests.append(target)
    original.stop()
    move(network, original, target, there)

    refused = original.launch()
    assert refused.wait(STOP_SECONDS_MAX) != 0 and "validator import" in original.read_log()
    target.stop()
    move(network, target, original, back)
    audit = network.run(
        "validator", "audit", str(target.home.sign_log), "--home", str(original.home.path)
    ).data
    assert audit["signed_twice"] == 0 and audit["signatures"] > 0
    network.check_agreement([*honest, original])


def move(network: Network, source: Node, target: Node, file: Path) -> None:
    """Takes a stopped validator and what it hosts to another folder, and waits until it signs there."""
    network.run("validator", "export", str(file), "--weak", "--home", str(source.home.path))
    network.run("validator", "import", str(file), "--home", str(target.home.path))
    for name in ("content", "vouchers"):
        shutil.rmtree(target.home.data / name, ignore_errors=True)
        shutil.copytree(source.home.data / name, target.home.data / name)
    target.start()
    assert target.get("status")["signing"] in ("starting", "watching")
    wait_for("the watch to be over", lambda: target.get("status")["signing"] == "signing", WATCH_SECONDS_MAX)
    last = target.height
    target.wait_height(last + 3)
    assert max(record.height for record in load_signatures(target.home.sign_log)) > last


def test_a_stolen_key_costs_the_bond_once(network: Network) -> None:
    """A second vote comes on chain by itself; slash and tombstone follow, once; blocks go on. The validator
    itself notices, and stops signing.
    """
    *honest, original = network.nodes
    witness, account = honest[0], original.account
    prefix = witness.get("status")["prefix"]
    offender = decode_address(prefix, account)
    bond, started_at = witness.get(f"accounts/{account}")["bond"]["active"], witness.height
    audit, key = Audit(), original.home.load_key(KeyRole.CONSENSUS)
    addresses = [node.address for node in network.nodes]
    with run_beside(Thief(addresses, network.genesis_hash, audit, offender, key)):
        wait_for(
            "the evidence on chain",
            lambda: witness.find_events("offences.EquivocationProven", started_at),
            FOUND_SECONDS_MAX,
        )
        wait_for(
            "the validator to stop signing",
            lambda: "signing_stopped" in original.home.log_file.read_text(),
            FOUND_SECONDS_MAX,
        )
    (proven,) = witness.find_events("offences.EquivocationProven", started_at)
    ppm = max(
        network.get_parameters()["offences"]["equivocation_ppm_min"], 9 * PPM // len(network.nodes) ** 2
    )
    assert (proven.fields["validator"], proven.fields["ppm"]) == (account, ppm)
    (slashed,) = witness.find_events("staking.Slashed", started_at, host=account)
    assert (slashed.height, slashed.fields["reason"]) == (proven.height, "equivocation")
    assert slashed.fields["bond"] == bond * ppm // PPM
    total = sum(slashed.fields[part] for part in ("bond", "unlocking", "delegated", "leaving", "escrow"))
    reward = total * network.get_parameters()["staking"]["slash_reporter_ppm"] // PPM
    assert slashed.fields["reporter"] == reward
    assert witness.get(f"accounts/{proven.fields['reporter']}")["balance"] >= reward

    network.wait_height(proven.height + BLOCKS_AFTER, honest)
    stored = witness.get(f"accounts/{account}")
    assert stored["standing"]["is_tombstoned"] and stored["bond"]["active"] == bond - slashed.fields["bond"]
    assert account not in [one["address"] for one in witness.get("validators")["validators"]]
    assert len(witness.find_events("offences.EquivocationProven", started_at)) == 1
    assert len(witness.find_events("staking.Slashed", started_at, host=account)) == 1
    network.check_agreement(honest)
    network.check_supply(witness)

    assert {slot.validator for slot in audit.find_conflicts()} == {offender}, (
        "the audit sees what the chain punished"
    )
    refused = network.try_run("tx", "unjail", "--from", original.name, "-y")
    assert refused.exit != 0 and refused.code.startswith("offences.")
