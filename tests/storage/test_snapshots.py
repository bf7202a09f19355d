"""Snapshot files, and a store filled from parts: whole or not there, whatever happens in between."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from chain.block import Header
from chain.commitment import EMPTY_ROOT, TreeUpdate, compute_key_hash, read_slots, update
from chain.primitives.codec import encode
from chain.primitives.hashing import Domain, hash_bytes, hash_record
from chain.primitives.types import NO_HASH
from chain.snapshot import (
    SnapshotManifest,
    build_manifest_top,
    build_part,
    check_part,
    compute_place,
    get_places,
)
from storage.chain_store import ChainStore, Extent
from storage.errors import CorruptStore, DiskFailed
from storage.kv import Entry, KeyValueStore, LevelDbStore, MemoryStore
from storage.snapshots import SNAPSHOTS_KEPT, SnapshotFiles, Staging
from storage.state_store import StateStore

HEIGHT = 60


class NoNodes:
    def get_node(self, node_key: bytes) -> bytes | None:
        raise AssertionError(f"an empty tree has no node {node_key.hex()}")


class Nodes(NoNodes):
    def __init__(self, tree: TreeUpdate) -> None:
        self.nodes = dict(tree.nodes)

    def get_node(self, node_key: bytes) -> bytes | None:
        return self.nodes.get(node_key)


STATE = {b"key %d" % number: b"value %d" % number for number in range(300)}
TREE = update(NoNodes(), None, HEIGHT, STATE)
MANIFEST = SnapshotManifest(HEIGHT, 2, read_slots(Nodes(TREE), HEIGHT, 2), tuple(range(0, 256, 60)))
PARTS = [
    check_part(
        MANIFEST,
        part,
        build_part(
            [
                pair
                for pair in STATE.items()
                if compute_place(compute_key_hash(pair[0]), 2) in get_places(MANIFEST, part)
            ]
        ),
    )
    for part in range(len(MANIFEST.starts))
]
ROSTER = b"who decides"
ROSTER_HASH = hash_bytes(Domain.VALIDATOR_SET, ROSTER)


def build_header(height: int, state_root: bytes) -> Header:
    return Header(
        1, height, height, NO_HASH, NO_HASH, NO_HASH, NO_HASH, state_root, ROSTER_HASH, ROSTER_HASH, NO_HASH
    )


HEADER = build_header(HEIGHT, TREE.root)
PLAN = b"the plan"


def fill(store: KeyValueStore) -> None:
    """What a joining node does, from wherever it was."""
    staging = Staging(store)
    if staging.is_whole:
        return
    if staging.get_plan() is None:
        staging.begin(PLAN)
    assert staging.get_plan() == PLAN
    for part in staging.list_missing(len(PARTS)):
        staging.add_part(part, PARTS[part].pairs, PARTS[part].nodes)
    genesis = encode(build_header(0, EMPTY_ROOT))
    staging.finish(build_manifest_top(MANIFEST), genesis, encode(HEADER), b"certificate", [ROSTER])


def check_whole(store: KeyValueStore) -> None:
    """The store begins at the snapshot's height and goes on like any other."""
    staging = Staging(store)
    assert staging.is_whole
    assert (staging.get_plan(), staging.list_missing(len(PARTS))) == (None, list(range(len(PARTS))))
    state, chain = StateStore(store), ChainStore(store)
    assert dict(state.scan(b"")) == STATE
    assert state.head is not None
    assert state.head.root == TREE.root
    state.check_integrity()
    chain.check_integrity(100)
    assert chain.get_extent() == Extent(HEIGHT, HEIGHT, hash_record(Domain.HEADER, HEADER))
    assert (chain.get_body_first(), chain.get_block(HEIGHT)) == (HEIGHT + 1, None)
    assert chain.get_header(0) is not None
    assert chain.get_header(1) is None
    assert chain.get_roster(ROSTER_HASH) == ROSTER
    following = state.compute_update(HEIGHT + 1, {b"key 7": None, b"new": b"value"})
    assert following.root == update(Nodes(TREE), HEIGHT, HEIGHT + 1, {b"key 7": None, b"new": b"value"}).root


class CrashingStore(MemoryStore):
    """Power is lost at the n-th write: the batch is there, or it is not."""

    def __init__(self, writes_left: int, is_last_kept: bool) -> None:
        super().__init__()
        self.writes_left = writes_left
        self._is_last_kept = is_last_kept

    def write_batch(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        assert sync, "what is not synced may be lost after what follows"
        self.writes_left -= 1
        if self.writes_left >= 0 or self._is_last_kept:
            super().write_batch(entries, sync=sync)
        if self.writes_left < 0:
            raise DiskFailed("power is gone")


BEGIN_WRITES = 2
"""Without the plan, and with it; there is nothing to clear."""


@pytest.mark.parametrize("is_last_kept", [False, True])
@pytest.mark.parametrize("writes", range(len(PARTS) + BEGIN_WRITES + 1))
def test_a_crash_at_any_write_leaves_what_can_be_gone_on_from(writes: int, is_last_kept: bool) -> None:
    """No added part is lost; before the last batch there is no head, after it nothing is missing."""
    store = CrashingStore(writes, is_last_kept)
    with pytest.raises(DiskFailed):
        fill(store)
    done = writes + is_last_kept
    staging = Staging(store)
    assert staging.is_whole == (done == len(PARTS) + BEGIN_WRITES + 1)
    if not staging.is_whole:
        assert ChainStore(store).get_extent() is None
        assert len(staging.list_missing(len(PARTS))) == len(PARTS) - max(done - BEGIN_WRITES, 0)
    store.writes_left = 100
    fill(store)
    check_whole(store)


def test_a_store_from_a_snapshot_survives_a_restart(tmp_path: Path) -> None:
    """As above on LevelDB, with a restart after every part."""
    for _ in range(2):
        store = LevelDbStore(tmp_path / "store")
        staging = Staging(store)
        if staging.get_plan() is None:
            staging.begin(PLAN)
        [part, *_] = staging.list_missing(len(PARTS))
        staging.add_part(part, PARTS[part].pairs, PARTS[part].nodes)
        store.close()
    for _ in range(2):
        store = LevelDbStore(tmp_path / "store")
        fill(store)
        check_whole(store)
        store.close()


@pytest.mark.parametrize("writes", range(3))
def test_another_plan_begins_with_nothing(writes: int) -> None:
    """No part of the first plan counts for the second, even after a power loss in between."""
    store = CrashingStore(100, is_last_kept=False)
    staging = Staging(store)
    staging.begin(b"another plan")
    staging.add_part(1, [(b"stray", b"pair")], [(b"stray", b"node")])
    store.writes_left = writes
    with pytest.raises(DiskFailed):
        staging.begin(PLAN)
    assert Staging(store).get_plan() == (b"another plan" if writes == 0 else None)
    store.writes_left = 100
    staging = Staging(store)
    staging.begin(PLAN)
    assert staging.list_missing(len(PARTS)) == list(range(len(PARTS)))
    fill(store)
    check_whole(store)


def write_snapshot(files: SnapshotFiles, height: int) -> None:
    files.begin(height)
    files.add_part(height, 0, b"part of %d" % height)
    files.finish(height, b"manifest of %d" % height)


def test_the_newest_snapshots_are_kept(tmp_path: Path) -> None:
    """Older ones are deleted when a newer one is whole; a restart changes nothing."""
    files = SnapshotFiles(tmp_path / "snapshots")
    assert files.list_heights() == []
    for height in (20, 40, 9, 100):
        write_snapshot(files, height)
    for opened in (files, SnapshotFiles(tmp_path / "snapshots")):
        assert opened.list_heights() == [100, 40][:SNAPSHOTS_KEPT]
        assert opened.get_manifest(100) == b"manifest of 100"
        assert opened.get_part(40, 0) == b"part of 40"
        assert (opened.get_part(40, 1), opened.get_part(20, 0), opened.get_manifest(20)) == (None, None, None)


def test_a_snapshot_that_was_not_finished_is_none(tmp_path: Path) -> None:
    """It is not offered, it is removed at start, and one can be begun again."""
    files = SnapshotFiles(tmp_path / "snapshots")
    files.begin(20)
    files.add_part(20, 0, b"part")
    assert files.list_heights() == []
    assert files.get_part(20, 0) is None
    again = SnapshotFiles(tmp_path / "snapshots")
    assert list((tmp_path / "snapshots").iterdir()) == []
    again.begin(20)
    again.begin(20)
    again.finish(20, b"manifest")
    assert again.list_heights() == [20]


@pytest.mark.parametrize("place", [0, 15, 16, -1])
def test_damage_is_not_served(tmp_path: Path, place: int) -> None:
    """A damaged file counts as missing, since peers would blame this node for it."""
    files = SnapshotFiles(tmp_path / "snapshots")
    write_snapshot(files, 20)
    path = tmp_path / "snapshots" / "20" / "part-00000"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert files.get_part(20, 0) is None
    path.write_bytes(content[:7])
    assert files.get_part(20, 0) is None
    (tmp_path / "snapshots" / "20" / "manifest").rename(path)
    assert files.get_part(20, 0) is None


def test_a_store_that_begins_at_a_snapshot_misses_its_roster_if_it_is_not_there() -> None:
    """The check finds that a roster which its header names is missing."""
    store = MemoryStore()
    chain = ChainStore(store)
    store.write_batch(chain.stage_base(encode(build_header(0, NO_HASH)), encode(HEADER), b"certificate", []))
    with pytest.raises(CorruptStore):
        chain.check_integrity(1)
