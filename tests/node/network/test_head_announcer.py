"""Announcements of heads over real libp2p: sent by the proposer, believed by nobody; junk is recognised."""

from pathlib import Path

import pytest
import trio

from chain.genesis import compute_genesis_hash
from node.app import Node, start_announcements, start_services
from node.home.config import NodeConfig
from node.home.home import Home
from node.network.head_announcer import decode_announcement, is_wrong
from node.network.light_peer import open_light_network
from node.stores import open_stores
from p2p.gossip.head_topic import HeadTopic, run_head_topic
from p2p.tcp.host import open_network
from tests.node.cluster import Person, build_cluster_spec

LISTEN = "/ip4/127.0.0.1/tcp/0"


async def test_an_observer_hears_final_headers(tmp_path: Path) -> None:
    """A light peer that listens to the topic gets headers of rising heights."""
    spec, validator, seed = build_cluster_spec(1), Person(0), bytes(31) + b"\1"
    home, genesis_hash = Home(tmp_path), compute_genesis_hash(spec)
    home.data.mkdir()
    heard: list[int] = []
    with open_stores(home, validator.keys.consensus.public_key, is_new=True) as stores:
        async with (
            open_network(validator.keys.network_seed, genesis_hash, LISTEN) as network,
            open_light_network(seed, genesis_hash) as light,
            trio.open_nursery() as nursery,
        ):
            node = Node(home, NodeConfig(), spec, validator.keys, stores, network)
            await start_services(node, nursery)
            await start_announcements(node, network, nursery)
            topic = HeadTopic(light, seed, is_wrong)
            await nursery.start(run_head_topic, topic)
            await light.connect(network.addresses[0])
            with trio.fail_after(30):
                while len(heard) < 3:
                    announcement = await topic.received.receive()
                    heard.append(decode_announcement(announcement).height)
            nursery.cancel_scope.cancel()
    assert heard == sorted(heard)


@pytest.mark.parametrize("junk", [b"", b"\x90", b"\x92\xc4\x01\x00\x90", bytes(200), b"\xff" * 64])
def test_junk_is_wrong_for_ever(junk: bytes) -> None:
    """Bytes that are not a header with a certificate are not passed on."""
    assert is_wrong(junk)
