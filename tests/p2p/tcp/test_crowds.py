"""Many strangers at one node: they give way to newcomers, and those who break rules are known by their hosts.

All of it in one process; `tests/attacks` shows the same of a node's process.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from chain.primitives.types import PeerId
from p2p.errors import NetworkError, PeerFault
from p2p.identity import compute_peer_id_of_seed
from p2p.network import Limits, Stream
from p2p.switch.switch import Switch
from p2p.tcp.host import open_network
from tests.attacks.target import Target, dial_tcp, open_peer
from tests.p2p.support import ECHO, GENESIS, echo

LISTEN = "/ip4/127.0.0.1/tcp/0"
FRIEND = b"f" * 32


@asynccontextmanager
async def open_victim(limits: Limits, **options: Any) -> AsyncIterator[tuple[Switch, Target]]:
    """A node that serves echo and is blind to nobody."""
    with trio.fail_after(60):
        async with open_network(b"v" * 32, GENESIS, LISTEN, limits=limits, **options) as victim:
            victim.serve(ECHO, echo)
            yield victim, Target(victim.addresses[0], GENESIS, 50, "")


async def ask_echo(target: Target, host: str, seed: bytes = b"") -> None:
    """A newcomer of that host connects and gets its echo; raises NetworkError."""
    async with open_peer(GENESIS, host, seed=seed, is_silent=True) as peer:
        await peer.connect(target.address)
        stream = await peer.open(target.place.peer, ECHO)
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"


async def test_silent_hosts_give_their_handshakes_to_newcomers() -> None:
    """However many hosts keep silent, a newcomer is served at once, and the oldest silent one goes."""
    limits = Limits(handshakes_max=8, handshake_seconds_max=60.0)
    async with open_victim(limits) as (victim, target), AsyncExitStack() as held:
        silent = [
            await held.enter_async_context(await dial_tcp(target, f"127.50.{number % 4}.{number}"))
            for number in range(1, 9)
        ]
        while victim.admission.slots_used != (8, 0):
            await trio.testing.wait_all_tasks_blocked()
        await ask_echo(target, "127.9.9.9")
        # One per newcomer, and of the fullest group: the others are still waiting.
        await silent[0].receive_some(65536)
        with trio.fail_after(5):
            assert await silent[0].receive_some(65536) == b""
        while victim.admission.slots_used != (7, 0):
            await trio.testing.wait_all_tasks_blocked()


async def test_a_trusted_host_gets_its_handshake_from_any_crowd() -> None:
    """The places of strangers are not those of validators' hosts."""
    limits = Limits(handshakes_max=4, handshake_seconds_max=60.0)
    trusts = {"is_trusted_host": lambda host: host == "127.8.8.8"}
    async with open_victim(limits, **trusts) as (victim, target), AsyncExitStack() as held:
        for number in range(1, 5):
            await held.enter_async_context(await dial_tcp(target, f"127.50.{number}.1"))
        while victim.admission.slots_used != (4, 0):
            await trio.testing.wait_all_tasks_blocked()
        await ask_echo(target, "127.8.8.8")
        assert victim.admission.slots_used[0] == 4


async def test_guests_give_their_places_to_newcomers() -> None:
    """A full house takes a newcomer in place of the newest guest of the greatest crowd; old guests stay, and
    so does a trusted peer.
    """

    def is_trusted(peer: PeerId) -> bool:
        return peer == compute_peer_id_of_seed(FRIEND)

    options = {"is_trusted_peer": is_trusted}
    async with open_victim(Limits(inbound_max=6), **options) as (victim, target), AsyncExitStack() as held:
        hosts = ["127.50.1.1", "127.50.1.2", "127.60.1.1", "127.50.1.3", "127.50.1.4", "127.70.1.1"]
        guests = []
        for number, host in enumerate(hosts):
            seed = FRIEND if number == 4 else bytes([number]) * 32
            guest = await held.enter_async_context(open_peer(GENESIS, host, seed=seed, is_silent=True))
            await guest.connect(target.address)
            guests.append(guest.peer_id)
        await ask_echo(target, "127.9.9.9")
        left = [number for number, guest in enumerate(guests) if victim.is_connected(guest)]
        assert left == [0, 1, 2, 4, 5]


async def accuse(stream: Stream) -> None:
    """Every frame is a fault that costs all points."""
    await stream.receive()
    raise PeerFault("wrong", points=100)


async def break_rules(target: Target, host: str) -> None:
    """A new identity that commits one fault, and is cut."""
    async with open_peer(GENESIS, host, is_silent=True) as peer:
        await peer.connect(target.address)
        stream = await peer.open(target.place.peer, ECHO)
        await stream.send(b"x")
        with pytest.raises(NetworkError):
            await stream.receive()


async def test_new_identities_of_one_group_are_banned_together() -> None:
    """After three banned identities their range is refused before the handshake; other ranges are not, and
    the ban survives a restart.
    """
    async with open_victim(Limits()) as (victim, target):
        victim.serve(ECHO, accuse)
        for number in range(3):
            await break_rules(target, f"127.50.1.{1 + number}")
        with pytest.raises(NetworkError):
            await break_rules(target, "127.50.1.200")
        assert [(ban.group, ban.reason) for ban in victim.bans()][:1] == [("127.50.1.0/24", "wrong")]
        saved = victim.encode_bans()
        victim.serve(ECHO, echo)
        await ask_echo(target, "127.50.2.1")
    async with open_victim(Limits()) as (later, target):
        later.load_bans(b"not a file of bans")
        assert later.bans() == ()
        later.load_bans(saved)
        assert len(later.bans()) == 4
        with pytest.raises(NetworkError):
            await ask_echo(target, "127.50.1.9")


async def test_a_trusted_host_is_not_banned_with_its_group() -> None:
    """Strangers behind a validator's address, or beside it, cannot have it refused."""
    trusts = {"is_trusted_host": lambda host: host == "127.50.1.1"}
    async with open_victim(Limits(), **trusts) as (victim, target):
        victim.serve(ECHO, accuse)
        for number in range(3):
            await break_rules(target, "127.50.1.1")
            await break_rules(target, f"127.50.1.{2 + number}")
        victim.serve(ECHO, echo)
        await ask_echo(target, "127.50.1.1")
        with pytest.raises(NetworkError):
            await ask_echo(target, "127.50.1.77")
