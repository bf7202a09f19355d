"""Content on a running devnet: proven by its first nodes, fetched and registered by the others.

The first half of the nodes hold content from genesis on (`genesis_content`). The other half fetch it by paid
sessions, like any host that joins later. Every step looks first whether it is done.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cli.content.catalogue import build_listing, ensure_listed, publish
from cli.content.fetching import build_failure, fetch_into_node
from cli.content.holdings import ensure_registered
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.devnet.genesis_content import Publication
from cli.devnet.plan import Devnet, list_founders
from cli.nodes.processes import connect_home, wait_until
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.terminal.options import Settings
from cli.terminal.wording import format_count
from node.home.home import Home
from node.keys import keystore

EFFECT_SECONDS_SPARE = 60.0
"""Beyond the blocks that something takes by the rules."""


class OwnedNode(NamedTuple):
    """A node and the key of its account."""

    home: Home
    network: NetworkContext
    account: WalletAccount


def gather(devnet: Devnet, settings: Settings) -> list[OwnedNode]:
    """All nodes with their accounts."""
    nodes = []
    for home in devnet.list_homes():
        network = NetworkContext(settings, connect_home(home))
        nodes.append(
            OwnedNode(home, network, WalletAccount(settings, keystore.load(devnet.wallet, home.path.name)))
        )
    return nodes


def spread_genesis_content(devnet: Devnet, settings: Settings) -> None:
    """The content of genesis on all nodes, and proven by those that held it from the start."""
    nodes = gather(devnet, settings)
    founders = list_founders(nodes)
    ids = [datum["id"] for datum in devnet.load_summary()["datums"]]
    wait_proven(founders)
    spread(nodes[len(founders) :], ids)
    devnet.seeded_file.touch()


def seed(devnet: Devnet, settings: Settings, sources: Sequence[Publication]) -> list[dict[str, Any]]:
    """More content on a running devnet: published by the first nodes, fetched by the others, proven."""
    nodes = gather(devnet, settings)
    founders = list_founders(nodes)
    datums = publish_all(founders, sources)
    ids = [datum["id"] for datum in datums]
    names = ", ".join(node.account.name for node in founders)
    output.say(f"listed {format_count(len(ids), 'datum')}, hosted by {names}")
    for node in founders:
        ensure_registered(node.network, node.account, [bytes.fromhex(one) for one in ids])
    wait_in_effect(nodes[0], founders, ids)
    spread(nodes[len(founders) :], ids)
    wait_proven(founders)
    return datums


def spread(nodes: Sequence[OwnedNode], ids: Sequence[str]) -> None:
    """Each of these nodes fetches the datums from their hosts and registers them."""
    for node in nodes:
        output.say(f"{node.account.name} fetches them from the other hosts, paid chunk by chunk")
        failures = fetch_into_node(node.network, node.account, ids)
        if failures:
            raise build_failure(failures, len(ids))
        ensure_registered(node.network, node.account, [bytes.fromhex(one) for one in ids])


def publish_all(nodes: Sequence[OwnedNode], sources: Sequence[Publication]) -> list[dict[str, Any]]:
    """Each folder on each of the nodes, listed by the first."""
    datums, listings = [], []
    for source in sources:
        for node in nodes:
            output.show_line(f"{node.account.name} reads {source.path}")
            published = publish(node.network, source.path)
        output.end_line()
        files, size = format_count(published["files"], "file"), format_size(published["size_bytes"])
        output.say(f"published {source.title}: {files}, {size}, {published['datum']}")
        listings.append(build_listing(published, source.title, source.category, source.tags))
        datums.append(
            {
                "id": published["datum"],
                "title": source.title,
                "bytes": published["size_bytes"],
                "source": str(source.path),
            }
        )
    ensure_listed(nodes[0].network, nodes[0].account, listings)
    return datums


def wait_in_effect(witness: OwnedNode, hosts: Sequence[OwnedNode], ids: Sequence[str]) -> None:
    """Until what was registered counts, `delay_epochs` later."""
    spec = witness.network.spec
    wait = spec.hosting.parameters.delay_epochs * spec.system.parameters.epoch_blocks
    output.say(f"in effect within {format_count(wait, 'block')}, when the next epochs begin")

    def is_met() -> bool:
        entries = [witness.network.client.get(f"/v1/datums/{one}") for one in ids]
        return all(len(entry["hosts"]) >= len(hosts) for entry in entries)

    wait_until("the holdings to count", [witness.home], is_met, compute_patience(witness.network, wait))


def wait_proven(hosts: Sequence[OwnedNode]) -> None:
    """Until each of the hosts has proven what it holds."""

    def is_met() -> bool:
        found = [
            node.network.client.get(f"/v1/hosts/{node.network.address(node.account.address)}")
            for node in hosts
        ]
        return all(one["possession"]["last_proven"] is not None for one in found)

    blocks = 2 * hosts[0].network.spec.system.parameters.epoch_blocks
    wait_until(
        "proofs of possession",
        [node.home for node in hosts],
        is_met,
        compute_patience(hosts[0].network, blocks),
    )
    output.say(f"proven by {', '.join(node.account.name for node in hosts)}")


def compute_patience(network: NetworkContext, blocks: int) -> float:
    """Seconds that so many blocks may take at most."""
    return EFFECT_SECONDS_SPARE + 3 * blocks * network.spec.system.parameters.block_ms / 1000
