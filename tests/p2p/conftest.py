"""Networks for the tests of p2p: the same fixture over memory and over libp2p on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from p2p.memory import MemoryHub
from p2p.network import DEFAULT_LIMITS, Limits
from p2p.switch.switch import Switch
from tests.p2p.support import ECHO, GENESIS, OpenNetwork, echo


@pytest.fixture(params=["memory", "libp2p"])
def open_network(request: pytest.FixtureRequest) -> OpenNetwork:
    """Opens a node by a small number; both implementations pass every test that uses it."""
    hub = MemoryHub()

    @asynccontextmanager
    async def open_one(
        number: int, limits: Limits = DEFAULT_LIMITS, **options: object
    ) -> AsyncIterator[Switch]:
        seed = bytes([number]) * 32
        if request.param == "memory":
            opened = hub.open_network(seed, options.pop("genesis_hash", GENESIS), limits=limits, **options)
        else:
            from p2p.tcp.host import open_network as open_host

            genesis_hash = options.pop("genesis_hash", GENESIS)
            opened = open_host(seed, genesis_hash, "/ip4/127.0.0.1/tcp/0", limits=limits, **options)
        async with opened as network:
            yield network

    return open_one


@pytest.fixture
async def pair(open_network: OpenNetwork) -> AsyncIterator[tuple[Switch, Switch]]:
    """Two nodes that serve echo, the first connected to the second."""
    async with open_network(1) as first, open_network(2) as second:
        first.serve(ECHO, echo)
        second.serve(ECHO, echo)
        with trio.fail_after(30):
            await first.connect(second.addresses[0])
            yield first, second
