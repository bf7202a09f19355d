"""Copies of a validator's key and of its files, as whole nodes: the guard keeps them from signing twice."""

import shutil
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from chain.modules import staking
from node.app import Node
from node.home.home import Home
from node.replica.signing.guard import WATCH_HEIGHTS, Phase
from storage.sign_log import SignatureRecord, find_conflicts, load_signatures
from tests.node.cluster import MemoryHub, Person, build_cluster_spec, open_node, wait_for_height
from tests.node.replica.test_equivocation import TWIN, Twin
from tests.node.test_cluster import open_all, wait_for_all

OLD = WATCH_HEIGHTS + 5
"""Longer than a watch, so that a guard does not see the whole chain."""


def list_signed(path: Path, *numbers: int) -> list[SignatureRecord]:
    """Everything that the nodes of these persons have signed."""
    return [record for number in numbers for record in load_signatures(Home(path / f"node{number}").sign_log)]


def get_phase(node: Node) -> Phase:
    guard = node.replica.policy.guard
    assert guard is not None
    return guard.phase


async def wait_on(nodes: Iterable[Node], heights: int) -> None:
    """Wait until this many more blocks are final."""
    nodes = list(nodes)
    await wait_for_all(nodes, max(node.ledger.height for node in nodes) + heights)


@pytest.mark.timeout(120)
async def test_key_copied_onto_an_empty_folder_only_watches(tmp_path: Path) -> None:
    """The copy signs nothing while the original signs; when the original is gone, the copy takes over."""
    spec, hub = build_cluster_spec(4), MemoryHub()
    is_over = trio.Event()

    async def run_original(task_status: trio.TaskStatus[Node]) -> None:
        async with open_node(hub, spec, Person(3), tmp_path) as node:
            task_status.started(node)
            await is_over.wait()

    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        others = await open_all(stack, hub, spec, tmp_path, 3)
        original = await nursery.start(run_original)
        await wait_for_all([*others, original], OLD)
        copy = await stack.enter_async_context(open_node(hub, spec, Twin(TWIN), tmp_path))
        await wait_for_height(copy, others[0].ledger.height)
        await wait_on([*others, copy], 2 * WATCH_HEIGHTS)
        assert get_phase(copy) is Phase.WATCHING and list_signed(tmp_path, TWIN) == []
        assert copy.replica.policy.describe()[0] == "watching"
        assert get_phase(original) is Phase.SIGNING
        is_over.set()
        last = original.ledger.height
        await wait_for_all([*others, copy], last + WATCH_HEIGHTS + 10)
        assert get_phase(copy) is Phase.SIGNING
        signed = list_signed(tmp_path, TWIN)
        assert signed and min(record.height for record in signed) > last
        assert find_conflicts([*list_signed(tmp_path, 3), *signed]) == {}
        assert not staking.is_tombstoned(others[0].ledger.state, Person(3).address)


@pytest.mark.timeout(120)
async def test_restored_backup_watches_before_it_signs(tmp_path: Path) -> None:
    """An old sign-state is detected by chain and log; no slot is signed a second time."""
    spec, hub = build_cluster_spec(4), MemoryHub()
    home, backup = Home(tmp_path / "node3"), tmp_path / "backup"
    async with AsyncExitStack() as stack:
        others = await open_all(stack, hub, spec, tmp_path, 3)
        async with open_node(hub, spec, Person(3), tmp_path) as node:
            await wait_for_height(node, 5)
        shutil.copy(home.sign_state, backup)
        async with open_node(hub, spec, Person(3), tmp_path) as node:
            await wait_on([*others, node], 10)
        before = list_signed(tmp_path, 3)
        shutil.copy(backup, home.sign_state)
        node = await stack.enter_async_context(open_node(hub, spec, Person(3), tmp_path))
        await wait_for_height(node, others[0].ledger.height)
        await wait_on([*others, node], WATCH_HEIGHTS - 5)
        assert get_phase(node) is Phase.WATCHING and list_signed(tmp_path, 3) == before
        await wait_on([*others, node], 15)
        assert get_phase(node) is Phase.SIGNING and len(list_signed(tmp_path, 3)) > len(before)
        assert find_conflicts(list_signed(tmp_path, 3)) == {}
