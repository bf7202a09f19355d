"""The state tree against a second, naive construction out of the specification."""

from collections.abc import Mapping
from itertools import pairwise
from struct import pack

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.commitment import (
    EMPTY_ROOT,
    DamagedTree,
    TreeUpdate,
    UnknownVersion,
    check_tree,
    compute_node_key,
    compute_summary,
    get_root,
    prove,
    update,
)


class MemoryNodes:
    """Nodes in a dict."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}

    def get_node(self, node_key: bytes) -> bytes | None:
        return self.nodes.get(node_key)

    def write(self, tree: TreeUpdate, *, is_pruning: bool = False) -> bytes:
        self.nodes.update(tree.nodes)
        for node_key in tree.stale if is_pruning else ():
            del self.nodes[node_key]
        return tree.root


def keyed(purpose: str, data: bytes) -> bytes:
    return blake3(data, key=blake3(b"vidya " + purpose.encode()).digest()).digest()


def path_of(key: bytes) -> str:
    return keyed("STATE_KEY", key).hex()


def naive_slot(leaves: list[bytes], depth: int) -> bytes:
    """The slot for these leaves at this depth, as docs/spec/state.md says."""
    if len(leaves) < 2 and depth > 0:
        return b"".join(leaves)
    present = is_leaf = 0
    slots = b""
    for nibble in range(16):
        slot = naive_slot([leaf for leaf in leaves if leaf.hex()[depth] == f"{nibble:x}"], depth + 1)
        present |= bool(slot) << nibble
        is_leaf |= (len(slot) == 64) << nibble
        slots += slot
    return keyed("STATE_NODE", pack(">HH", present, is_leaf) + slots)


def naive_root(values: Mapping[bytes, bytes]) -> bytes:
    return naive_slot([keyed("STATE_KEY", k) + keyed("STATE_LEAF", v) for k, v in values.items()], 0)


def crowd() -> list[bytes]:
    """Keys whose hashes share their first nibbles, around the longest shared path among 30,000 keys."""
    keys = sorted((b"key %d" % number for number in range(30_000)), key=path_of)
    gaps = [int(first, 16) ^ int(second, 16) for first, second in pairwise(map(path_of, keys))]
    deepest = gaps.index(min(gaps))
    return keys[deepest - 12 : deepest + 12]


CROWD = crowd()
KEYS = st.sampled_from(CROWD) | st.binary(max_size=3)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=2), max_size=20)


def apply_changes(values: dict[bytes, bytes], changes: Mapping[bytes, bytes | None]) -> None:
    for key, value in changes.items():
        values.pop(key, None)
        if value is not None:
            values[key] = value


def test_crowd_is_deep() -> None:
    """The keys of these tests share paths of six nibbles or more, so that chains of branches occur."""
    assert (
        max(
            len(node_key) - 8
            for node_key, _ in update(MemoryNodes(), None, 0, dict.fromkeys(CROWD, b"")).nodes
        )
        >= 6
    )


@settings(deadline=None)
@given(st.lists(CHANGES, max_size=6))
def test_root_depends_on_the_map_alone(history: list[dict[bytes, bytes | None]]) -> None:
    """After any history the root is the naive one, and what is not stale is exactly a fresh tree."""
    nodes, values = MemoryNodes(), {}
    for version, changes in enumerate(history):
        apply_changes(values, changes)
        root = nodes.write(update(nodes, version - 1 if version else None, version, changes), is_pruning=True)
        assert root == naive_root(values)
    fresh = MemoryNodes()
    fresh.write(update(fresh, None, 0, values))
    if history:
        assert sorted(key[8:] for key in nodes.nodes) == sorted(key[8:] for key in fresh.nodes)


@settings(deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=5))
def test_old_versions_stay(history: list[dict[bytes, bytes | None]]) -> None:
    """While stale nodes are kept, every version can be read whole and matches the values it was made for."""
    nodes, values, expected = MemoryNodes(), {}, []
    for version, changes in enumerate(history):
        apply_changes(values, changes)
        root = nodes.write(update(nodes, version - 1 if version else None, version, changes))
        expected.append((version, root, compute_summary(values.items())))
    for version, root, summary in expected:
        assert get_root(nodes, version) == root
        assert check_tree(nodes, version, root) == summary


@given(CHANGES)
def test_order_of_changes_does_not_matter(changes: dict[bytes, bytes | None]) -> None:
    """The same changes in another order give the same update, byte for byte."""
    reverse = dict(reversed(changes.items()))
    assert update(MemoryNodes(), None, 3, changes) == update(MemoryNodes(), None, 3, reverse)


def test_update_is_local() -> None:
    """A changed key costs the branches above it; a change to what is there already costs the root alone."""
    nodes = MemoryNodes()
    values = {b"%d" % number: b"value" for number in range(5000)}
    nodes.write(update(nodes, None, 0, values))
    changed = update(nodes, 0, 1, {b"77": b"other"})
    assert [key for key, _ in changed.nodes] == [compute_node_key(1, key[8:]) for key, _ in changed.nodes]
    assert 3 <= len(changed.nodes) == len(changed.stale) <= 6
    assert len(update(nodes, 0, 1, {b"77": b"value", b"not there": None}).nodes) == 1


def test_vectors() -> None:
    """The roots that docs/spec/state.md gives."""
    two = {b"a": b"1", b"b": b"2"}
    assert EMPTY_ROOT.hex() == ("7495706e4991e7206b9dd5fa1abc23e7211f4d8c779ef9f0d549fa4d16ce2bc1")
    assert update(MemoryNodes(), None, 0, {b"a": b"1"}).root.hex() == (
        "4ed03f0094fada288fb317ccdf8404433866c43ade6bb781f3c6f9c0e15f83ed"
    )
    assert update(MemoryNodes(), None, 0, two).root.hex() == (
        "094b3dc7c37972fbddc7cf1b026639a5a4fbbe16a88750e723e598ed210a09f2"
    )
    assert update(MemoryNodes(), None, 0, dict.fromkeys(CROWD, b"")).root.hex() == (
        "8484448ef20edaf7f029307ee89ebf905781819f87497c1ce98afc7aec975f9e"
    )


def test_unknown_version() -> None:
    """A version that was never written is refused by every reader."""
    nodes = MemoryNodes()
    nodes.write(update(nodes, None, 4, {}))
    assert get_root(nodes, 4) == EMPTY_ROOT
    for call in (
        lambda: get_root(nodes, 3),
        lambda: prove(nodes, 5, b"key"),
        lambda: update(nodes, 3, 5, {}),
        lambda: check_tree(nodes, 3, EMPTY_ROOT),
    ):
        with pytest.raises(UnknownVersion):
            call()


def test_audit_sees_every_flipped_byte() -> None:
    """No byte of a stored node can change, and no node can go, without the audit noticing."""
    nodes = MemoryNodes()
    root = nodes.write(update(nodes, None, 0, dict.fromkeys(CROWD, b"")))
    check_tree(nodes, 0, root)
    for node_key, stored in list(nodes.nodes.items()):
        for damaged in [b"", stored[:-1], *(flip(stored, index) for index in range(len(stored)))]:
            nodes.nodes[node_key] = damaged
            with pytest.raises(DamagedTree):
                check_tree(nodes, 0, root)
        nodes.nodes[node_key] = stored
    del nodes.nodes[max(nodes.nodes)]
    with pytest.raises(DamagedTree):
        check_tree(nodes, 0, root)


def flip(data: bytes, index: int) -> bytes:
    return data[:index] + bytes((data[index] ^ 1 << index % 8,)) + data[index + 1 :]


def test_summary_tells_maps_apart() -> None:
    """Values that swapped their keys, and keys that went, change the summary."""
    summary = compute_summary([(b"a", b"1"), (b"b", b"2")])
    assert summary == compute_summary([(b"b", b"2"), (b"a", b"1")])
    assert summary != compute_summary([(b"a", b"2"), (b"b", b"1")])
    assert summary != compute_summary([(b"a", b"1")])
