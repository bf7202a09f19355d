"""State sync of a whole node, with a network of its own, before anything else of the node exists.

    data/state-sync       the store while it is being filled
    data/state-synced     the complete store; `adopt` makes it the node's store

There are two names because a node with a store must have a log and a sign-state too: those are made before
`adopt`. During state sync the node says in its hello that it is a light peer, so that no peer sends it votes
or transactions.
"""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import structlog
import trio

from chain.genesis import ChainSpec, compute_genesis_hash
from chain.modules import system
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Height, PeerId
from node.clock import Clock
from node.home.config import NodeConfig
from node.home.home import Home
from node.state_sync.errors import StateSyncFailed, TrustTooOld
from node.state_sync.run import StateSync
from node.state_sync.trust import parse_anchor
from node.version import SOFTWARE
from p2p.errors import RefusalCode, Refused
from p2p.network import Network
from p2p.peers.manager import ConnectedPeer, PeerCallbacks, PeerManager, run_peers
from p2p.wire.messages import Hello, PeerRole
from storage.errors import disk_errors
from storage.files import DISK, atomic_write
from storage.kv import LevelDbStore
from storage.lock import lock_directory
from storage.snapshots import Staging

_log = structlog.get_logger("state_sync")

OpenNetwork = Callable[[], AbstractAsyncContextManager[Network]]


async def begin_at_snapshot(
    home: Home, config: NodeConfig, spec: ChainSpec, open_network: OpenNetwork, clock: Clock
) -> None:
    """Fetches a recent state for `adopt`, if peers have one; raises StateSyncFailed, StorageError.

    If genesis is too old to be trusted and the operator named no block, the node executes every block.
    """
    if home.synced_store.exists():
        return
    with lock_directory(home.data):
        async with open_network() as network:
            outcome = await _fill(home, config, spec, network, clock)
        if isinstance(outcome, TrustTooOld) and not config.trust:
            _log.warning("state_sync_refused", reason=str(outcome), then="every block is executed")
            outcome = None
        # Raised outside the nursery, which would wrap it in a group.
        if isinstance(outcome, StateSyncFailed):
            raise outcome
        if outcome is None:
            shutil.rmtree(home.state_sync, ignore_errors=True)
        else:
            _rename(home.state_sync, home.synced_store)


def adopt(home: Home) -> None:
    """Makes a store that state sync completed the node's store."""
    if not home.store.exists() and home.synced_store.exists():
        _rename(home.synced_store, home.store)


def _rename(source: Path, target: Path) -> None:
    with disk_errors(target):
        DISK.rename(source, target)
        DISK.sync_directory(target.parent)


async def _fill(
    home: Home, config: NodeConfig, spec: ChainSpec, network: Network, clock: Clock
) -> Height | StateSyncFailed | None:
    anchor = parse_anchor(config.trust) if config.trust else None
    store = LevelDbStore(home.state_sync, "delete it: it is filled again")
    try:
        sync = StateSync(network, spec, Staging(store), clock.now_ms, is_signed_by, anchor)
        async with _run_peers(home, config, spec, network, sync):
            try:
                return await sync.run()
            except StateSyncFailed as failure:
                return failure
    finally:
        store.close()


@asynccontextmanager
async def _run_peers(
    home: Home, config: NodeConfig, spec: ChainSpec, network: Network, sync: StateSync
) -> AsyncIterator[None]:
    async def run_peer(connected: ConnectedPeer) -> None:
        await sync.sources.run_peer(connected.peer)

    callbacks = PeerCallbacks(
        build_hello=lambda: _build_hello(spec, network),
        check_hello=_check_hello,
        run_peer=run_peer,
        get_wanted=lambda: list_wanted(config, spec),
        load_book=home.load_peer_book,
        save_book=lambda data: atomic_write(home.peer_book, data),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(run_peers, PeerManager(network, callbacks))
        yield
        nursery.cancel_scope.cancel()


def list_wanted(config: NodeConfig, spec: ChainSpec) -> tuple[str, ...]:
    """The seeds and the hosts of genesis."""
    hosts = [address for _, host in spec.hosting.hosts for address in host.addresses[:1]]
    return tuple(dict.fromkeys([*config.seeds, *spec.seeds, *hosts]))


def _build_hello(spec: ChainSpec, network: Network) -> Hello:
    genesis_hash = compute_genesis_hash(spec)
    return Hello(
        genesis_hash=genesis_hash,
        software=SOFTWARE,
        spec_version=system.SPEC_VERSION,
        height=0,
        head_hash=genesis_hash,
        roles=int(PeerRole.LIGHT),
        listen_addresses=network.addresses,
    )


def _check_hello(peer: PeerId, hello: Hello) -> None:
    if hello.spec_version != system.SPEC_VERSION:
        raise Refused(RefusalCode.NOT_SERVED, f"rules of version {hello.spec_version}")
