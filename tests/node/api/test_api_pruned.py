"""A node that began at a snapshot says of lower heights that they are pruned, not that they do not exist."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chain.light import LightBlock
from chain.primitives.codec import encode
from chain.snapshot import check_part, decode_manifest
from node.ledger.ledger import Ledger
from node.ledger.snapshots import write_snapshot
from node.state_sync.run import Plan, finish
from storage.kv import MemoryStore
from storage.snapshots import SnapshotFiles, Staging
from tests.node.api.world import Client, open_client
from tests.node.forge import Forge

FIRST, HEAD = 5, 8


def begin_at_snapshot(ledger: Ledger, directory: Path) -> MemoryStore:
    """A store of the same chain that has the state of the head, and no block below."""
    files, store = SnapshotFiles(directory), MemoryStore()
    write_snapshot(ledger, files, lambda: None)
    header, height = ledger.head, ledger.height
    manifest = decode_manifest(files.get_manifest(height) or b"", height, header.state_root)
    roster = ledger.get_roster(header.validators_hash)
    assert roster is not None
    block = LightBlock(header, ledger.get_certificate(height), roster)
    staging = Staging(store)
    staging.begin(encode(Plan(block, files.get_manifest(height) or b"")))
    for part in range(len(manifest.starts)):
        checked = check_part(manifest, part, files.get_part(height, part) or b"")
        staging.add_part(part, checked.pairs, checked.nodes)
    genesis = ledger.get_header(0)
    assert genesis is not None
    finish(staging, genesis, block, manifest)
    return store


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A node that began at FIRST and is at HEAD."""
    forge = Forge(1)
    forge.grow(FIRST)
    store = begin_at_snapshot(forge.ledger, tmp_path)
    async with open_client(spec=forge.spec, chain=store) as opened:
        for _ in range(HEAD - FIRST):
            opened.world.make_block()
        yield opened


@pytest.mark.parametrize("path", ["blocks/1", "blocks/4", "headers/4", "headers?from=4"])
async def test_a_height_below_is_gone(client: Client, path: str) -> None:
    """The answer says where this node began, and whom to ask."""
    answer = await client.get(f"/v1/{path}", status=410)
    assert isinstance(answer, dict)
    assert answer["error"]["code"] == "pruned"
    assert f"height {FIRST}" in answer["error"]["message"]
    assert answer["error"]["hint"]


async def test_the_first_height_has_a_header_and_no_body(client: Client) -> None:
    """The first height has a header and no body; the heights above have both."""
    await client.get(f"/v1/blocks/{FIRST}", status=410)
    header = await client.get(f"/v1/headers/{FIRST}")
    assert header["certificate"] is not None
    assert header["roster"] is not None
    for height in range(FIRST + 1, HEAD + 1):
        assert (await client.get(f"/v1/blocks/{height}"))["header"]["height"] == height
    await client.get(f"/v1/blocks/{HEAD + 1}", status=404)


async def test_lists_end_where_the_node_began(client: Client) -> None:
    """Headers downwards are each the parent of the one before, so nothing follows a gap."""
    shown = (await client.get("/v1/blocks?count=100"))["blocks"]
    assert [block["height"] for block in shown] == list(range(HEAD, FIRST - 1, -1))
    encoded = (await client.get(f"/v1/headers?from={HEAD}&count=200"))["headers"]
    assert len(encoded) == HEAD - FIRST + 1
