"""The state store: what is on disk is the head's state, whole, and recent versions stay provable."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.commitment import UnknownVersion, check_proof, check_tree, get_root, update
from storage.errors import CorruptStore
from storage.kv import KeyValueStore, LevelDbStore, MemoryStore, Prefix
from storage.state_store import PRUNED_VERSIONS_MAX, StateHead, StateStore

Changes = Mapping[bytes, bytes | None]


def write(store: KeyValueStore, state: StateStore, changes: Changes) -> StateHead:
    """One block."""
    tree = state.compute_update(state.head.version + 1 if state.head else 0, changes)
    store.write_batch(state.stage(tree, changes))
    state.on_written(tree)
    assert state.head == StateHead(tree.version, tree.root)
    return state.head


def make_blocks(count: int, seed: int = 1) -> Iterator[dict[bytes, bytes | None]]:
    """Change sets over 300 keys, a third of them deletions; the first fills the state."""
    random = Random(seed)
    yield {b"key %d" % number: b"first" for number in range(200)}
    for block in range(1, count):
        keys = [b"key %d" % random.randrange(300) for _ in range(20)]
        yield {key: random.choice([None, b"value %d" % block, b"other %d" % block]) for key in keys}


def count_keys(store: KeyValueStore, prefix: Prefix) -> int:
    return sum(1 for _ in store.iterate(bytes((prefix,))))


class NodesOf:
    """The tree's nodes, read past the state store."""

    def __init__(self, store: KeyValueStore) -> None:
        self.store = store

    def get_node(self, node_key: bytes) -> bytes | None:
        return self.store.get(bytes((Prefix.STATE_NODE,)) + node_key)


class NoNodes:
    def get_node(self, node_key: bytes) -> bytes | None:
        raise AssertionError(f"an empty tree has no node {node_key.hex()}")


def test_state_survives_a_restart(tmp_path: Path) -> None:
    """After closing and opening, head, values, order of a scan and proofs are as before."""
    store = LevelDbStore(tmp_path / "store")
    state = StateStore(store)
    assert state.head is None
    write(store, state, {b"b": b"2", b"a": b"1", b"aa": b"3"})
    head = write(store, state, {b"b": None, b"ab": b"4"})
    store.close()
    store = LevelDbStore(tmp_path / "store")
    state = StateStore(store)
    assert state.head == head
    assert list(state.scan(b"a")) == [(b"a", b"1"), (b"aa", b"3"), (b"ab", b"4")]
    for key in (b"a", b"aa", b"ab", b"b", b"never"):
        check_proof(head.root, key, state.get(key), state.prove(key, head.version))
    state.check_integrity()
    store.close()


def test_staging_writes_nothing() -> None:
    """A staged version is not seen before its batch is written, and another can take its place."""
    store = MemoryStore()
    state = StateStore(store)
    head = write(store, state, {b"a": b"1"})
    before = list(store.iterate())
    dropped = state.compute_update(1, {b"a": b"dropped", b"b": b"dropped"})
    state.stage(dropped, {b"a": b"dropped", b"b": b"dropped"})
    assert (list(store.iterate()), state.head, state.get(b"a")) == (before, head, b"1")
    head = write(store, state, {b"a": b"2"})
    check_proof(head.root, b"a", b"2", state.prove(b"a", 1))
    state.check_integrity()


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.dictionaries(st.binary(max_size=1), st.none() | st.binary(max_size=1), max_size=30), min_size=1
    ),
    st.integers(0, 9),
)
def test_store_is_the_map(history: list[Changes], nodes_cached_max: int) -> None:
    """After any history, with any cache, the values are the map's and the root is a fresh tree's."""
    store, values = MemoryStore(), {}
    state = StateStore(store, versions_kept=2, nodes_cached_max=nodes_cached_max)
    for changes in history:
        head = write(store, state, changes)
        values = {key: value for key, value in {**values, **changes}.items() if value is not None}
        assert head.root == update(NoNodes(), None, 0, values).root
    assert list(state.scan(b"")) == sorted(values.items())
    state.check_integrity()


def test_recent_versions_stay_provable_and_older_go() -> None:
    """Of 40 versions the last five can be read whole, with their roots; the sixth is gone and refused."""
    store = MemoryStore()
    state = StateStore(store, versions_kept=5)
    roots = [write(store, state, changes).root for changes in make_blocks(40)]
    for version in range(35, 40):
        check_tree(NodesOf(store), version, roots[version])
        state.prove(b"key 1", version)
    assert count_keys(store, Prefix.STATE_STALE) == 4
    for version in (34, 40):
        with pytest.raises(UnknownVersion):
            state.prove(b"key 1", version)
        with pytest.raises(UnknownVersion):
            get_root(NodesOf(store), version)


def test_pruning_leaves_nothing_behind() -> None:
    """When the kept versions are equal, the nodes are a fresh tree's and one root more per old version."""
    store = MemoryStore()
    state = StateStore(store, versions_kept=3)
    for changes in [*make_blocks(60), {}, {}, {}]:
        write(store, state, changes)
    fresh = update(NoNodes(), None, 0, dict(state.scan(b"")))
    assert count_keys(store, Prefix.STATE_NODE) == len(fresh.nodes) + 2


def test_fewer_versions_kept_is_caught_up_in_steps() -> None:
    """Opened to keep fewer versions, each block drops a bounded number until the surplus is gone."""
    store = MemoryStore()
    state = StateStore(store)
    for changes in make_blocks(60):
        write(store, state, changes)
    count = count_keys(store, Prefix.STATE_STALE)
    assert count == 59  # the first version replaced nothing
    state = StateStore(store, versions_kept=2)
    for added in range(1, 6):
        write(store, state, {})
        expected = max(count + added * (1 - PRUNED_VERSIONS_MAX), 1)
        assert count_keys(store, Prefix.STATE_STALE) == expected
    fresh = update(NoNodes(), None, 0, dict(state.scan(b"")))
    assert count_keys(store, Prefix.STATE_NODE) == len(fresh.nodes) + 1


@pytest.mark.parametrize("prefix", [Prefix.STATE_VALUE, Prefix.STATE_NODE])
def test_audit_sees_damage_anywhere(prefix: Prefix) -> None:
    """A value or node that is changed, gone or added to is found by the check of the whole state."""
    store = MemoryStore()
    state = StateStore(store, versions_kept=2)
    for changes in [*make_blocks(3), {}]:
        write(store, state, changes)
    old_root = bytes((Prefix.STATE_NODE,)) + (2).to_bytes(8, "big")
    for key, value in store.iterate(bytes((prefix,))):
        if key == old_root:
            continue
        for damaged in (None, value + b"\0", bytes((value[0] ^ 1,)) + value[1:]):
            store.write_batch([(key, damaged)])
            with pytest.raises(CorruptStore):
                state.check_integrity()
        store.write_batch([(key, value)])
    state.check_integrity()
    store.write_batch([(bytes((Prefix.STATE_VALUE,)) + b"new", b"value")])
    with pytest.raises(CorruptStore):
        state.check_integrity()


def test_opening_refuses_a_head_that_is_not_the_trees() -> None:
    """A head record that is malformed, names another root, or a version that is not there, is refused."""
    store = MemoryStore()
    write(store, StateStore(store), {b"a": b"1"})
    key = bytes((Prefix.STATE_META,)) + b"head"
    good = store.get(key)
    assert good is not None
    for index in range(len(good)):
        store.write_batch([(key, good[:index] + bytes((good[index] ^ 1,)) + good[index + 1 :])])
        with pytest.raises(CorruptStore):
            StateStore(store)
    store.write_batch([(key, good)])
    assert StateStore(store).head is not None
