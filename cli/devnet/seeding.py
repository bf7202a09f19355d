"""Content on a running devnet: proven by its first nodes, fetched and registered by the others.

The first half of the nodes hold the library from genesis on (`library`). The other half fetch it by paid
sessions, like any host that joins later. Every step looks first whether it is done.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cli.content import actions
from cli.context.keys import Account
from cli.context.network import NetworkContext
from cli.devnet.library import Source
from cli.devnet.plan import Devnet, list_founders
from cli.nodes.processes import connect_home, wait_until
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.terminal.options import Settings
from node.home.home import Home
from node.keys import keystore

EFFECT_SECONDS_SPARE = 60.0
"""Beyond the blocks that something takes by the rules."""


class Crew(NamedTuple):
    """A node and the key of its account."""

    home: Home
    network: NetworkContext
    account: Account


def gather(devnet: Devnet, settings: Settings) -> list[Crew]:
    """All nodes with their accounts."""
    crews = []
    for home in devnet.list_homes():
        network = NetworkContext(settings, connect_home(home))
        crews.append(Crew(home, network, Account(settings, keystore.load(devnet.wallet, home.path.name))))
    return crews


def seed_library(devnet: Devnet, settings: Settings) -> None:
    """The library of genesis on all nodes, and proven by those that held it from the start."""
    crews = gather(devnet, settings)
    founders = list_founders(crews)
    ids = [datum["id"] for datum in devnet.load_summary()["datums"]]
    wait_proven(founders)
    spread(crews[len(founders) :], ids)
    devnet.seeded_file.touch()


def seed(devnet: Devnet, settings: Settings, sources: Sequence[Source]) -> list[dict[str, Any]]:
    """More content on a running devnet: published by the first nodes, fetched by the others, proven."""
    crews = gather(devnet, settings)
    founders = list_founders(crews)
    datums = publish_all(founders, sources)
    ids = [datum["id"] for datum in datums]
    output.say(f"listed {len(ids)} datums; {', '.join(crew.account.name for crew in founders)} host them")
    for crew in founders:
        actions.ensure_registered(crew.network, crew.account, [bytes.fromhex(one) for one in ids])
    wait_in_effect(crews[0], founders, ids)
    spread(crews[len(founders) :], ids)
    wait_proven(founders)
    return datums


def spread(crews: Sequence[Crew], ids: Sequence[str]) -> None:
    """Each of these nodes fetches the datums from their hosts and registers them."""
    for crew in crews:
        output.say(f"{crew.account.name} fetches them from the other hosts, paid chunk by chunk")
        actions.fetch_into_node(crew.network, crew.account, ids)
        actions.ensure_registered(crew.network, crew.account, [bytes.fromhex(one) for one in ids])


def publish_all(crews: Sequence[Crew], sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Each folder on each of the nodes, listed by the first."""
    datums, listings = [], []
    for source in sources:
        for crew in crews:
            output.show_line(f"{crew.account.name} reads {source.path}")
            published = actions.publish(crew.network, source.path)
        output.end_line()
        size = format_size(published["size_bytes"])
        output.say(f"published {source.title}: {published['files']} files, {size}, {published['datum']}")
        listings.append(actions.build_listing(published, source.title, source.category, source.tags))
        datums.append(
            {
                "id": published["datum"],
                "title": source.title,
                "bytes": published["size_bytes"],
                "source": str(source.path),
            }
        )
    actions.ensure_listed(crews[0].network, crews[0].account, listings)
    return datums


def wait_in_effect(witness: Crew, hosts: Sequence[Crew], ids: Sequence[str]) -> None:
    """Until what was registered counts, `delay_epochs` later."""
    spec = witness.network.spec
    wait = spec.hosting.parameters.delay_epochs * spec.system.parameters.epoch_blocks
    output.say(f"in effect within {wait} blocks, when the next epochs begin")

    def is_met() -> bool:
        entries = [witness.network.client.get(f"/v1/datums/{one}") for one in ids]
        return all(len(entry["hosts"]) >= len(hosts) for entry in entries)

    wait_until("the holdings to count", [witness.home], is_met, compute_patience(witness.network, wait))


def wait_proven(hosts: Sequence[Crew]) -> None:
    """Until each of the hosts has proven what it holds."""

    def is_met() -> bool:
        found = [
            crew.network.client.get(f"/v1/hosts/{crew.network.address(crew.account.address)}")
            for crew in hosts
        ]
        return all(one["possession"]["last_proven"] is not None for one in found)

    blocks = 2 * hosts[0].network.spec.system.parameters.epoch_blocks
    wait_until(
        "proofs of possession",
        [crew.home for crew in hosts],
        is_met,
        compute_patience(hosts[0].network, blocks),
    )
    output.say(f"proven by {', '.join(crew.account.name for crew in hosts)}")


def compute_patience(network: NetworkContext, blocks: int) -> float:
    """Seconds that so many blocks may take at most."""
    return EFFECT_SECONDS_SPARE + 3 * blocks * network.spec.system.parameters.block_ms / 1000
