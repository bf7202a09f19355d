"""Time until a joining node is at the head: by executing every block, and by a snapshot, on the same chain.

First a chain of four validators in the public profile is made: every block is signed by all four, some
blocks have transfers, elections are real, the ledger is on LevelDB (without syncs, since this part is not
measured). One node serves the chain over the in-memory network, with the snapshot of its last whole epoch.
Then two nodes join, one after the other, each with an empty LevelDB that syncs as in production:

    full        block sync from genesis: certificates checked, blocks executed and committed
    state       state sync (from genesis to the snapshot's header by the light client, parts checked), the
                ledger opened, block sync from there to the head

Both end at the same head. Server and client share this process, so each time includes serving.

    python -m bench.state_sync [BLOCKS]      50,000 by default
"""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import trio

from chain.block import Inherents
from chain.genesis import ChainSpec
from chain.modules import balances, beacon, system
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Address, Hash, Height, PeerId
from chain.runtime import BlockResult, build_call
from chain.spec_builder import GenesisValidator, build_spec
from chain.transaction import SignedTransaction, Transaction, sign_transaction
from chain.validator_set import compute_proposer
from chain.votes import (
    CommitCertificate,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    get_vote_signing_bytes,
)
from node.clock import WallClock
from node.duties.reveals import Reveals, compute_chain_secret
from node.home.profiles import load_profile
from node.ledger.lane import Lane
from node.ledger.ledger import CommittedBlock, Ledger
from node.ledger.signatures import SignatureMemory
from node.ledger.snapshots import SnapshotService, write_snapshot
from node.logs import configure_logs
from node.replica.sync.sync import Sync
from node.replica.trio_world import ReplicaWorld, serve_sync
from node.state_sync import StateSync
from p2p.memory import MemoryHub
from p2p.network import Network
from p2p.wire.messages import ConsensusMessage
from storage.kv import Entry, LevelDbStore
from storage.snapshots import SnapshotFiles, Staging

BLOCKS = 50_000
VALIDATORS = 4
ACCOUNTS = 20_000
TRANSFERS_EVERY = 10
TRANSFERS = 10
VIDYA = 10**9
LINKS = 30_000
SEED, NEWCOMER_SEED = b"s" * 32, b"n" * 32


class _UnsyncedStore(LevelDbStore):
    """A database that never syncs."""

    def write_batch(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        super().write_batch(entries, sync=False)


def make_key(number: int) -> KeyPair:
    """A key by number."""
    return KeyPair(number.to_bytes(32, "big"))


class Maker:
    """The keys of all validators and accounts, and the chain that they make."""

    def __init__(self, directory: Path) -> None:
        self.random = Random(1)
        self.accounts = [make_key(2**200 + number) for number in range(VALIDATORS)]
        self.consensus = {one.public_key: make_key(2**201 + place) for place, one in enumerate(self.accounts)}
        self.reveals = {one.public_key: Reveals(one.public_key) for one in self.accounts}
        self.owners = [make_key(number + 1) for number in range(ACCOUNTS)]
        self.nonces = [0] * ACCOUNTS
        self.spec = self._build_spec()
        # It made every signature itself.
        self.ledger = Ledger(
            _UnsyncedStore(directory), self.spec, check=lambda signed: None, verify=lambda *_: True
        )
        self._last: CommitCertificate | None = None

    def _build_spec(self) -> ChainSpec:
        seats = []
        for place, one in enumerate(self.accounts):
            tip = beacon.compute_chain(compute_chain_secret(one.public_key, 0), LINKS)
            key = self.consensus[one.public_key].public_key
            seats.append(
                GenesisValidator(one.public_key, key, 10_000 * VIDYA, 0, tip, LINKS, bytes((place,)), ())
            )
        owned = [(one.public_key, 20_000 * VIDYA) for one in self.accounts]
        owned += [(one.public_key, 10 * VIDYA) for one in self.owners]
        return build_spec(load_profile("public"), name="bench", time_ms=0, seats=seats, accounts=owned)

    def grow(self) -> None:
        """Makes one block final."""
        height = self.ledger.height + 1
        proposer = compute_proposer(self.ledger.get_validators(), 0).address
        parameters = self.ledger.get_parameters()
        chain = beacon.get_chain(self.ledger.state, proposer, system.compute_epoch(parameters, height))
        inherents = Inherents(self.reveals[proposer].get_next_link(chain), self._last)
        time_ms = self.ledger.head.time_ms + parameters.block_ms
        transfers = self._make_transfers() if height % TRANSFERS_EVERY == 0 else []
        result, refused = self.ledger.build(proposer, time_ms, inherents, transfers)
        assert not refused
        self._last = build_commit_certificate([self._sign(who, result) for who in self.consensus])
        self.ledger.move_head(self.ledger.commit(result, self._last))

    def _sign(self, who: Address, result: BlockResult) -> SignedVote:
        vote = Vote(VoteKind.PRECOMMIT, result.block.header.height, 0, result.block_hash, who)
        message = get_vote_signing_bytes(self.ledger.genesis_hash, vote)
        return SignedVote(vote, self.consensus[who].sign(message))

    def _make_transfers(self) -> list[SignedTransaction]:
        return [self._make_transfer(owner) for owner in self.random.sample(range(ACCOUNTS), TRANSFERS)]

    def _make_transfer(self, owner: int) -> SignedTransaction:
        to = self.owners[self.random.randrange(ACCOUNTS)].public_key
        key, nonce = self.owners[owner], self.nonces[owner]
        self.nonces[owner] += 1
        call = build_call(balances.Send(to, 1_000))
        valid_until, fee_max = self.ledger.height + 50, VIDYA // 10
        genesis_hash: Hash = self.ledger.genesis_hash
        transaction = Transaction(1, genesis_hash, key.public_key, nonce, valid_until, fee_max, 0, (call,))
        return sign_transaction(key, transaction)


def make_chain(directory: Path, blocks: int) -> tuple[Maker, SnapshotFiles]:
    """The chain, with the snapshots of the ends of its last epochs."""
    maker, files = Maker(directory / "chain"), SnapshotFiles(directory / "snapshots")
    parameters = maker.ledger.get_parameters()
    for height in range(1, blocks + 1):
        maker.grow()
        is_late = height > blocks - 2 * parameters.epoch_blocks
        if is_late and system.is_epoch_end(parameters, height):
            write_snapshot(maker.ledger, files, lambda: None)
    return maker, files


class _Silent:
    """The message handler of a node that only syncs: it ignores consensus."""

    def connected(self, peer: PeerId) -> None:
        """Ignored."""

    def disconnected(self, peer: PeerId) -> None:
        """Ignored."""

    def on_message(self, peer: PeerId, message: ConsensusMessage) -> None:
        """Ignored."""


async def sync_blocks(network: Network, peer: PeerId, ledger: Ledger, signatures: SignatureMemory) -> None:
    """Block sync to the head, as a node does it."""
    world = ReplicaWorld(network, Lane(), WallClock())
    done = trio.Event()

    def commit(result: BlockResult, certificate: CommitCertificate, then: Any) -> None:
        def on_done(committed: CommittedBlock) -> None:
            ledger.move_head(committed)
            then()

        world.run(lambda: ledger.commit(result, certificate), on_done)

    sync = Sync(world, ledger, signatures.verify, commit, Random(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(world.open, _Silent(), sync)
        sync.connected(peer)
        sync.catch_up(done.set)
        await done.wait()
        nursery.cancel_scope.cancel()


def open_ledger(store: LevelDbStore, spec: ChainSpec, signatures: SignatureMemory) -> Ledger:
    """A node's ledger: each signature is verified once."""
    return Ledger(store, spec, check=signatures.check, verify=signatures.verify)


async def join_full(network: Network, peer: PeerId, maker: Maker, directory: Path) -> Ledger:
    """Block sync from genesis."""
    signatures = SignatureMemory()
    ledger = open_ledger(LevelDbStore(directory), maker.spec, signatures)
    await sync_blocks(network, peer, ledger, signatures)
    return ledger


async def join_state(network: Network, peer: PeerId, maker: Maker, directory: Path) -> Ledger:
    """State sync from the newest snapshot, then block sync."""
    with closing_store(directory) as store:
        now_ms = maker.ledger.head.time_ms + 1_000
        sync = StateSync(network, maker.spec, Staging(store), lambda: now_ms, is_signed_by)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sync.sources.run_peer, peer)
            await trio.lowlevel.checkpoint()
            assert await sync.run() is not None
            nursery.cancel_scope.cancel()
    return await join_full(network, peer, maker, directory)


@contextmanager
def closing_store(directory: Path) -> Iterator[LevelDbStore]:
    """A store that is closed when the block ends."""
    store = LevelDbStore(directory)
    try:
        yield store
    finally:
        store.close()


async def measure(maker: Maker, files: SnapshotFiles, directory: Path) -> dict[str, float]:
    """Seconds to the head for both ways. The shorter runs first, so that warm caches favour the longer."""
    hub, seconds = MemoryHub(), {}
    genesis_hash = maker.ledger.genesis_hash
    async with hub.open_network(SEED, genesis_hash) as serving:
        serve_sync(serving, maker.ledger)
        SnapshotService(serving, maker.ledger, files, lambda: False)
        for name, join in (("state", join_state), ("full", join_full)):
            async with hub.open_network(NEWCOMER_SEED, genesis_hash) as network:
                peer = await network.connect(serving.addresses[0])
                started = perf_counter()
                ledger = await join(network, peer, maker, directory / name)
                seconds[name] = perf_counter() - started
            assert ledger.head_hash == maker.ledger.head_hash
    return seconds


def run(blocks: int = BLOCKS) -> list[dict[str, Any]]:
    """The row."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        started = perf_counter()
        maker, files = make_chain(directory, blocks)
        made = perf_counter() - started
        print(f"made {blocks} blocks in {made:.0f} s", file=sys.stderr)
        snapshot: Height = files.list_heights()[0]
        state_bytes = sum(len(key) + len(value) for key, value in maker.ledger.state.scan(b""))
        seconds = trio.run(partial(measure, maker, files, directory))
    return [
        {
            "figure": "state_sync",
            "blocks": blocks,
            "snapshot_height": snapshot,
            "state_bytes": state_bytes,
            "full_seconds": round(seconds["full"], 1),
            "full_blocks_per_second": round(blocks / seconds["full"]),
            "state_seconds": round(seconds["state"], 2),
            "ratio": round(seconds["full"] / seconds["state"], 1),
        }
    ]


def main() -> None:
    """Prints the row as JSON."""
    configure_logs("warning", is_json=False)
    blocks = int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS
    for row in run(blocks):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
