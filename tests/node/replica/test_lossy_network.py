"""Whole nodes over connections that lose messages: heights end, because missing messages are requested."""

from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest

from chain.modules import balances
from node.network.peer_streams import Outbox
from node.replica import gossip
from p2p.memory import MemoryHub
from tests.node.cluster import Person, build_cluster_spec, build_signed, open_node, wait_for_height
from tests.node.forge import ALICE, BOB

HEIGHTS = 8


@pytest.mark.parametrize("loss", [0.1, 0.3])
async def test_blocks_go_on_while_messages_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    """Any message may be lost, and all nodes agree on the blocks."""
    chance, lost = Random(1), []
    put = Outbox.put

    def put_or_lose(self: Outbox, frame: bytes) -> None:
        if chance.random() < loss:
            lost.append(frame)
        else:
            put(self, frame)

    monkeypatch.setattr(Outbox, "put", put_or_lose)
    monkeypatch.setattr(gossip, "SUMMARY_MS", 50)
    monkeypatch.setattr(gossip, "ASK_MS", 50)
    monkeypatch.setattr(gossip, "FETCH_MS", 50)
    spec, hub = build_cluster_spec(4, guests=(ALICE, BOB)), MemoryHub()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(open_node(hub, spec, Person(n), tmp_path)) for n in range(4)]
        await wait_for_height(nodes[0], 1)
        await nodes[0].pool.submit([build_signed(nodes[0], ALICE, balances.Send(BOB.address, 5))])
        for node in nodes:
            await wait_for_height(node, HEIGHTS)
        assert lost
        for height in range(HEIGHTS + 1):
            assert len({node.ledger.chain.get_header(height) for node in nodes}) == 1
        while nodes[3].ledger.get_nonce(ALICE.address) == 0:
            await wait_for_height(nodes[3], nodes[3].ledger.height + 1)
        assert all(not node.network.bans() for node in nodes)
