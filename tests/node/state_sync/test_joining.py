"""A whole node that begins at a snapshot of a running network, and one that must begin at genesis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import trio

from chain.block import compute_header_hash
from chain.genesis import ChainSpec, compute_genesis_hash
from chain.primitives.codec import replace
from node.app import Node
from node.clock import WallClock
from node.home.config import NodeConfig
from node.home.home import Home
from node.state_sync import TrustTooOld, UnknownAnchor, fetching, joining, run
from node.state_sync.joining import begin_at_snapshot
from node.stores import open_stores
from p2p.memory import MemoryHub
from tests.node.cluster import Person, build_cluster_spec, open_node, wait_for_height
from tests.node.forge import wait_until

NEWCOMER = Person(9)
EPOCH = 10


def build_spec(unbonding_eras: int) -> ChainSpec:
    """The genesis of tests is months old: with few unbonding eras it is too old to be trusted."""
    spec = build_cluster_spec(1)
    return replace(
        spec,
        staking=replace(
            spec.staking, parameters=replace(spec.staking.parameters, unbonding_eras=unbonding_eras)
        ),
    )


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of 10 ms a snapshot is soon replaced, so the waits are short."""
    monkeypatch.setattr(run, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(fetching, "GONE_SECONDS", 0.1)


LASTING = build_spec(2**31)
EXPIRED = build_spec(2)


@asynccontextmanager
async def open_network(path: Path, spec: ChainSpec) -> AsyncIterator[tuple[MemoryHub, Node, Home]]:
    """One validator with a snapshot, and the folder of a node that joins."""
    hub = MemoryHub()
    async with open_node(hub, spec, Person(0), path) as node:
        await wait_for_height(node, EPOCH + 2)
        await wait_until(lambda: node.snapshots.offers != ())
        home = Home(path / f"node{NEWCOMER.number}")
        home.data.mkdir(parents=True)
        yield hub, node, home


async def begin(hub: MemoryHub, node: Node, home: Home, **settings: object) -> None:
    config = NodeConfig(state_sync=True, seeds=list(node.network.addresses), **settings)  # type: ignore[arg-type]
    seed, genesis_hash = NEWCOMER.keys.network_seed, compute_genesis_hash(node.spec)
    own_network = partial(hub.open_network, seed, genesis_hash)
    with trio.fail_after(30):
        await begin_at_snapshot(home, config, node.spec, own_network, WallClock())


async def test_a_node_begins_at_a_snapshot_and_follows(tmp_path: Path) -> None:
    """The node gets the state and no block below it; then it syncs and follows the chain."""
    async with open_network(tmp_path, LASTING) as (hub, node, home):
        await begin(hub, node, home)
        assert home.synced_store.exists()
        assert not home.store.exists()
        async with open_node(hub, LASTING, NEWCOMER, tmp_path, is_validator=False) as joined:
            first = joined.ledger.height
            assert first >= EPOCH
            assert first % EPOCH == 0
            await joined.network.connect(node.network.addresses[0])
            await wait_for_height(joined, first + EPOCH + 2)
            assert joined.ledger.get_block(first) is None
            assert joined.ledger.get_header(first + 3) == node.ledger.get_header(first + 3)
            await wait_until(lambda: joined.snapshots.offers != ())
    assert home.store.exists()
    assert not home.synced_store.exists()


async def test_a_store_that_is_whole_is_taken_as_it_is(tmp_path: Path) -> None:
    """A node that stopped before `adopt` asks no peer again; log and sign-state are made first."""
    async with open_network(tmp_path, LASTING) as (hub, node, home):
        await begin(hub, node, home)
    with trio.fail_after(1):
        await begin_at_snapshot(home, NodeConfig(), LASTING, refuse_network, WallClock())
    with open_stores(home, NEWCOMER.keys.consensus.public_key, is_new=True):
        assert home.wal.exists()
        assert home.sign_state.exists()
        assert home.store.exists()


def refuse_network() -> NoReturn:
    raise AssertionError("no network is opened")


async def test_trust_that_is_too_old_leaves_the_long_way(tmp_path: Path) -> None:
    """Without `--trust` an old genesis means executing every block; with it, the operator gets an error."""
    async with open_network(tmp_path, EXPIRED) as (hub, node, home):
        await begin(hub, node, home)
        assert not home.synced_store.exists()
        assert not home.state_sync.exists()
        first = node.ledger.get_header(1)
        assert first is not None
        with pytest.raises(TrustTooOld, match="height 1 "):
            await begin(hub, node, home, trust=f"1:{compute_header_hash(first).hex()}")
        with pytest.raises(UnknownAnchor):
            await begin(hub, node, home, trust=f"1:{bytes(32).hex()}")
        assert home.state_sync.exists()


async def test_what_was_begun_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state sync that was stopped in the middle is resumed."""
    async with open_network(tmp_path, LASTING) as (hub, node, home):
        with trio.move_on_after(0.3):
            with monkeypatch.context() as patch:
                patch.setattr(run.Fetching, "run", forever)
                await begin(hub, node, home)
        assert home.state_sync.exists()
        await begin(hub, node, home)
        assert home.synced_store.exists()
        assert not home.state_sync.exists()


async def forever(self: object) -> bool:
    await trio.sleep_forever()
    return False


def test_hosts_of_genesis_are_asked_first() -> None:
    """A new node knows only the seeds and the hosts of genesis."""
    wanted = joining.list_wanted(NodeConfig(seeds=["/dns/seed/tcp/1/p2p/x"]), LASTING)
    assert wanted == ("/dns/seed/tcp/1/p2p/x", LASTING.hosting.hosts[0][1].addresses[0])
