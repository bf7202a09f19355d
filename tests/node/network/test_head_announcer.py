"""Announcements of heads over real libp2p: sent by the proposer; what cannot be verified is not passed on."""

from pathlib import Path

import pytest
import trio

from chain.block import Header, compute_header_hash
from chain.genesis import compute_genesis_hash
from chain.primitives.codec import encode, replace
from chain.primitives.keys import is_signed_by
from chain.votes import CommitCertificate
from node.app import Node, start_announcements, start_services
from node.home.config import NodeConfig
from node.home.home import Home
from node.ledger.ledger import CommittedBlock
from node.network.head_announcer import HeadJudge, decode_announcement
from node.network.light_peer import open_light_network
from node.stores import open_stores
from p2p.gossip.guarded import HeadVerdict
from p2p.gossip.head_topic import HeadTopic, run_head_topic
from p2p.tcp.host import open_network
from p2p.wire.messages import FinalHeader
from tests.node.cluster import Person, build_cluster_spec
from tests.node.forge import Forge

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
            topic = HeadTopic(light, seed, lambda _: HeadVerdict.KEPT)
            await nursery.start(run_head_topic, topic)
            await light.connect(network.addresses[0])
            with trio.fail_after(30):
                while len(heard) < 3:
                    announcement = await topic.received.receive()
                    heard.append(decode_announcement(announcement)[0].height)
            nursery.cancel_scope.cancel()
    assert heard == sorted(heard)


def announce(header: Header, certificate: CommitCertificate) -> bytes:
    """The bytes of an announcement."""
    return encode(FinalHeader(encode(header), certificate))


def announce_block(forge: Forge, committed: CommittedBlock) -> bytes:
    """The announcement of a block of the forge."""
    return announce(committed.block.header, committed.certificate)


def test_the_head_and_the_next_header_are_passed_on() -> None:
    """A node passes on its head, and the next one before it has the block; older and later ones it keeps."""
    forge, follower = Forge(), Forge()
    heads = [announce_block(forge, forge.commit(forge.build())) for _ in range(3)]
    follower.commit(follower.build())
    judge = HeadJudge(follower.ledger, is_signed_by).judge
    passed, kept = HeadVerdict.RELAYED, HeadVerdict.KEPT
    assert [judge(head) for head in heads] == [passed, passed, kept]
    follower.commit(follower.build())
    assert [judge(head) for head in heads] == [kept, passed, passed]


def test_what_validators_did_not_sign_is_wrong() -> None:
    """Too few signatures, a changed header, another height's certificate: a fault of the sender."""
    forge = Forge()
    first, second = (forge.commit(forge.build()) for _ in range(2))
    header, certificate = second.block.header, second.certificate
    judge = HeadJudge(forge.ledger, is_signed_by).judge
    assert judge(announce(header, certificate)) is HeadVerdict.RELAYED
    few = replace(certificate, signatures=certificate.signatures[:1])
    changed = replace(header, time_ms=header.time_ms + 1)
    forged = replace(certificate, block_hash=compute_header_hash(changed))
    for wrong in (
        announce(header, few),
        announce(changed, certificate),
        announce(changed, forged),
        announce(header, first.certificate),
    ):
        assert judge(wrong) is HeadVerdict.WRONG


@pytest.mark.parametrize("junk", [b"", b"\x90", b"\x92\xc4\x01\x00\x90", bytes(200), b"\xff" * 64])
def test_junk_is_wrong(junk: bytes) -> None:
    """Bytes that are not a header with a certificate are a fault of whoever sends them."""
    assert HeadJudge(Forge().ledger, is_signed_by).judge(junk) is HeadVerdict.WRONG
