"""What tests of the content service share: a chain, one session, and clients that speak step by step."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from chain.content import CHUNK_BYTES, Manifest
from chain.modules import sessions
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import replace
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from node.content.service import ServiceLimits
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.memory import MemoryHub
from p2p.network import Stream
from p2p.switch.switch import Switch
from p2p.wire.messages import (
    ChunksRequest,
    ContentReply,
    Granted,
    Payment,
    ResendRequest,
    sign_access,
)
from p2p.wire.protocols import CONTENT
from p2p.wire.requests import ask, build_refused, open_stream, receive_message, send_message
from storage.content.tree import build_datum
from tests.node.cluster import VIDYA
from tests.node.content.content_world import (
    VOUCHER_KEY,
    ContentChain,
    ContentHost,
    open_host,
    write_source,
)

CHUNKS = 12
SIZE = (CHUNKS - 1) * CHUNK_BYTES + 1000
QUICK = ServiceLimits(voucher_seconds_max=0.05)


@dataclass
class Scene:
    """A chain with one open session, and a datum's source."""

    chain: ContentChain
    source: Path
    manifest: Manifest
    session: Hash
    path: Path
    hub: MemoryHub

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[tuple[ContentHost, Switch]]:
        """The first host, serving, and the network of a client that is connected with it."""
        hosting = open_host(self.hub, self.chain, self.chain.hosts[0], self.path, self.source, **options)
        async with hosting as host, self.hub.open_network(b"c" * 32, self.genesis_hash) as client:
            with trio.fail_after(20):
                await client.connect(host.network.addresses[0])
                yield host, client

    @property
    def genesis_hash(self) -> Hash:
        """The chain's."""
        return self.chain.ledger.genesis_hash

    async def access(self, host: ContentHost, client: Switch, stream: Stream, **changes: Any) -> Granted:
        """Sends Access, valid but for the changes, and returns the answer; raises Refused."""
        given = {
            "key": VOUCHER_KEY,
            "session": self.session,
            "opened_at": self.chain.ledger.height,
            "as_client": client.peer_id,
            "for_host": host.network.peer_id,
        } | changes
        claim = given["session"], given["opened_at"], given["as_client"], given["for_host"]
        access = sign_access(given["key"], self.genesis_hash, *claim)
        return await ask(stream, access, Granted, 10)

    @asynccontextmanager
    async def open_granted(self, host: ContentHost, client: Switch) -> AsyncIterator[Stream]:
        """A stream on which access was granted."""
        async with open_stream(client, host.network.peer_id, CONTENT) as stream:
            await self.access(host, client, stream)
            yield stream

    @asynccontextmanager
    async def open_paid(self, host: ContentHost, client: Switch) -> AsyncIterator[Stream]:
        """A stream on which access was granted and the whole datum is paid."""
        async with self.open_granted(host, client) as stream:
            await self.pay(stream, SIZE)
            yield stream

    async def pay(self, stream: Stream, size_bytes: int) -> None:
        """Sends the voucher for so many bytes in total."""
        await send_message(stream, Payment(self.sign(size_bytes)))

    def sign(self, size_bytes: int, key: KeyPair = VOUCHER_KEY, **changes: Any) -> SignedVoucher:
        """A voucher for the first host, valid but for the changes."""
        amount = sessions.compute_price(size_bytes, self.chain.price)
        host = self.chain.hosts[0].address
        voucher = Voucher(self.genesis_hash, self.session, host, size_bytes, amount)
        return sessions.sign_voucher(key, replace(voucher, **changes))


async def receive(stream: Stream) -> Any:
    """The next reply."""
    return await receive_message(stream, ContentReply)


async def fetch(stream: Stream, *chunks: int, is_again: bool = False) -> list[Any]:
    """Asks for chunks and receives one answer for each."""
    await send_message(stream, ResendRequest(chunks) if is_again else ChunksRequest(chunks))
    return [await receive(stream) for _ in chunks]


async def expect_refusal(stream: Stream, code: RefusalCode) -> None:
    """Asserts that the next message is this refusal and that the stream ends."""
    refusal = build_refused(await receive(stream))
    assert isinstance(refusal, Refused)
    assert refusal.code is code
    with pytest.raises(PeerGone):
        await stream.receive()


def build_scene(path: Path, hosts: int = 2, **chain_options: int) -> Scene:
    """The first host is in the session; the others hold the datum too."""
    source = write_source(path, SIZE)
    manifest, chain = build_datum(source).manifest, ContentChain(hosts, **chain_options)
    session = chain.open_session(chain.host(manifest), [VIDYA])
    return Scene(chain, source, manifest, session, path, MemoryHub())
