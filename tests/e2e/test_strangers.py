"""Strangers at the real ports of a running network: refused with a number, and unable to stop anybody."""

import secrets

import pytest
import trio

from chain.primitives.keys import KeyPair
from node.network.light_peer import open_light_network
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.identity import parse_address
from p2p.tcp.host import open_network
from p2p.wire.messages import Access, Granted, sign_access
from p2p.wire.protocols import CONTENT, SYNC
from p2p.wire.requests import request
from tests.e2e.attacks import fire_framed, fire_muxed, fire_raw, list_framed, list_muxed, list_raw
from tests.e2e.harness import Network

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(900)]

LISTEN = "/ip4/127.0.0.1/tcp/0"
AT_ONCE = 4
PATIENCE_SECONDS = 20.0


def list_addresses(network: Network) -> list[str]:
    """Where the nodes are reached."""
    return [one["p2p"] for one in network.summary["nodes"]]


async def ask_access(network: Network, address: str, access: Access) -> RefusalCode:
    """The number with which a host refuses a stranger."""
    peer = parse_address(address).peer
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_light_network(secrets.token_bytes(32), network.genesis_hash) as guest:
            await guest.connect(address)
            with pytest.raises(Refused) as caught:
                await request(guest, peer, CONTENT, access, Granted, PATIENCE_SECONDS)
    return caught.value.code


def open_session(network: Network) -> tuple[str, set[str]]:
    """A member's session, and the hosts that it names."""
    node, alice = network.nodes[0], network.get_address("alice")
    first, datum = node.height, network.get_largest_datum()
    network.run("get", datum["id"], "--to", "got", "--from", "alice", "-y")
    (opened,) = node.find_events("sessions.SessionOpened", first, payer=alice)
    session = str(opened.fields["session"])
    return session, {one["host"] for one in node.get(f"sessions/{session}")["allotments"]}


async def test_every_host_refuses_a_stranger_by_number(network: Network) -> None:
    """Without a session there is no content: none, an invented one, a member's without its key."""
    session, named = open_session(network)
    assert len(named) >= 2
    stranger = KeyPair(secrets.token_bytes(32))
    for node, address in zip(network.nodes, list_addresses(network), strict=True):
        peer = parse_address(address).peer
        for wanted, code in (
            (secrets.token_bytes(32), RefusalCode.NOT_MEMBER),
            (
                bytes.fromhex(session),
                RefusalCode.NOT_MEMBER if node.account in named else RefusalCode.NOT_SERVED,
            ),
        ):
            access = sign_access(stranger, network.genesis_hash, wanted, 1, peer, peer)
            assert await ask_access(network, address, access) is code


async def test_another_network_gets_nothing(network: Network) -> None:
    """A peer of another network is told that its protocols are unknown, or cut off before it has asked."""
    for address in list_addresses(network):
        with trio.fail_after(PATIENCE_SECONDS):
            async with open_network(secrets.token_bytes(32), b"\x07" * 32, LISTEN) as other:
                with pytest.raises((Refused, PeerGone)) as caught:
                    await other.connect(address)
                    await other.open(parse_address(address).peer, SYNC)
                assert getattr(caught.value, "code", None) in (None, RefusalCode.PROTOCOL_UNKNOWN)


async def fire_all(network: Network, address: str) -> None:
    """Every attack at one node, a few at a time."""
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def fire(shoot: object, *arguments: object) -> None:
        async with limiter:
            await shoot(address, *arguments)  # type: ignore[operator]

    async with trio.open_nursery() as nursery:
        for attack in list_raw():
            nursery.start_soon(fire, fire_raw, attack)
        for attack in list_muxed():
            nursery.start_soon(fire, fire_muxed, attack)
        for protocol, attack in list_framed(network.genesis_hash):
            nursery.start_soon(fire, fire_framed, network.genesis_hash, protocol, attack)


async def test_no_message_ends_a_node(network: Network) -> None:
    """After every attack at every port all processes live, none met a bug, and blocks go on."""
    before = [node.pid for node in network.nodes]
    for address in list_addresses(network):
        height = network.nodes[0].height
        with trio.fail_after(300):
            await fire_all(network, address)
        assert [node.pid for node in network.nodes] == before
        await trio.to_thread.run_sync(network.wait_height, height + 3)
    network.check_agreement()
    for node in network.nodes:
        log = node.home.log_file.read_text(errors="replace")
        assert "Traceback" not in log, log[log.index("Traceback") - 2000 :][:6000]
        assert node.get("status")["peers"] >= len(network.nodes) - 1
