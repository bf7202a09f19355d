"""Snapshots of states of every size: they lead to the root, and nothing else does."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import snapshot
from chain.commitment import EMPTY_ROOT, Pair, TreeUpdate, build_top, compute_key_hash, read_slots, update
from chain.primitives.codec import decode, encode, replace
from chain.snapshot import (
    PLACES_MAX,
    InvalidPart,
    InvalidSnapshotManifest,
    Part,
    SnapshotManifest,
    SnapshotTooLarge,
    build_part,
    check_part,
    choose_cut,
    compute_pair_bytes,
    compute_place,
    decode_manifest,
    get_places,
)

HEIGHT = 40
STATES = st.dictionaries(st.binary(max_size=3), st.binary(max_size=40), max_size=60)


class Nodes:
    """Nodes of a tree in a dict."""

    def __init__(self, tree: TreeUpdate) -> None:
        self.nodes = dict(tree.nodes)

    def get_node(self, node_key: bytes) -> bytes | None:
        return self.nodes.get(node_key)


class Sample:
    """A state with its tree, cut at a depth into parts of so many places."""

    def __init__(self, state: dict[bytes, bytes], depth: int = 2, width: int = 30) -> None:
        self.state = state
        self.tree = update(Nodes(TreeUpdate(0, EMPTY_ROOT, (), ())), None, HEIGHT, state)
        slots = read_slots(Nodes(self.tree), HEIGHT, depth)
        self.manifest = SnapshotManifest(HEIGHT, depth, slots, tuple(range(0, 16**depth, width)))

    def list_pairs(self, part: int) -> list[Pair]:
        places = get_places(self.manifest, part)
        depth = self.manifest.depth
        return [
            pair for pair in self.state.items() if compute_place(compute_key_hash(pair[0]), depth) in places
        ]

    def build(self, part: int) -> bytes:
        return build_part(self.list_pairs(part))


SAMPLE = Sample({b"key %d" % number: b"value %d" % (number % 7) for number in range(400)}, 2, 40)
FULL_PART = 2


@settings(deadline=None)
@given(STATES, st.integers(1, 3), st.integers(1, 300))
def test_the_parts_of_any_state_give_back_its_values_and_its_very_tree(
    state: dict[bytes, bytes], depth: int, width: int
) -> None:
    """From no key to crowded places: what goes into a store is what the chain itself would have written."""
    sample = Sample(state, depth, width)
    manifest = decode_manifest(encode(sample.manifest), HEIGHT, sample.tree.root)
    parts = [check_part(manifest, part, sample.build(part)) for part in range(len(manifest.starts))]
    assert {key: value for part in parts for key, value in part.pairs} == state
    top = build_top(HEIGHT, depth, manifest.slots)
    nodes = dict(top.nodes) | {key: node for part in parts for key, node in part.nodes}
    assert nodes == dict(sample.tree.nodes)
    assert len(nodes) == len(top.nodes) + sum(len(part.nodes) for part in parts)


def spoil_pairs(change: Callable[[list[Pair]], Sequence[Pair]]) -> Callable[[], bytes]:
    """A part whose pairs were changed, in the right order all the same."""
    return lambda: build_part(change(SAMPLE.list_pairs(FULL_PART)))


def in_this_order(change: Callable[[tuple[Pair, ...]], tuple[Pair, ...]]) -> Callable[[], bytes]:
    """A part whose pairs were changed as they stand."""
    return lambda: encode(Part(change(decode(Part, SAMPLE.build(FULL_PART)).pairs)))


BAD_PARTS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no pairs": lambda: encode(Part(())),
    "cut off": lambda: SAMPLE.build(FULL_PART)[:-1],
    "a byte more": lambda: SAMPLE.build(FULL_PART) + b"\0",
    "another part": lambda: SAMPLE.build(FULL_PART + 1),
    "one pair lacks": spoil_pairs(lambda pairs: pairs[1:]),
    "a pair of another place more": spoil_pairs(lambda pairs: [*pairs, SAMPLE.list_pairs(0)[0]]),
    "a value changed": spoil_pairs(lambda pairs: [(pairs[0][0], b"rich"), *pairs[1:]]),
    "a key that is not in the state": spoil_pairs(lambda pairs: [(b"key 401", pairs[0][1]), *pairs[1:]]),
    "a pair twice": in_this_order(lambda pairs: (pairs[0], *pairs)),
    "a key with two values": in_this_order(lambda pairs: ((pairs[0][0], b"rich"), *pairs)),
    "out of order": in_this_order(lambda pairs: pairs[::-1]),
}


@pytest.mark.parametrize("spoil", BAD_PARTS.values(), ids=BAD_PARTS.keys())
def test_a_wrong_part_is_refused(spoil: Callable[[], bytes]) -> None:
    """Each for itself, without any other part."""
    check_part(SAMPLE.manifest, FULL_PART, SAMPLE.build(FULL_PART))
    with pytest.raises(InvalidPart):
        check_part(SAMPLE.manifest, FULL_PART, spoil())


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_changed_byte_of_a_part_passes(data: st.DataObject) -> None:
    """Whatever is flipped, left out or put in, the part is refused as an InvalidPart."""
    good = SAMPLE.build(FULL_PART)
    place = data.draw(st.integers(0, len(good) - 1))
    put = data.draw(st.binary(max_size=3))
    bad = good[:place] + put + good[place + data.draw(st.integers(0, 3)) :]
    if bad != good:
        with pytest.raises(InvalidPart):
            check_part(SAMPLE.manifest, FULL_PART, bad)


def move_leaf() -> SnapshotManifest:
    """A leaf one place further, below the same branch: folded up, it hashes to the same root."""
    manifest = Sample({b"a": b"1", b"b": b"2"}, depth=2).manifest
    place = next(place for place, slot in enumerate(manifest.slots) if slot)
    slots = list(manifest.slots)
    slots[place ^ 1], slots[place] = slots[place], b""
    return replace(manifest, slots=tuple(slots))


LONE_ROOT = Sample({b"a": b"1", b"b": b"2"}, depth=2).tree.root
BAD_MANIFESTS: dict[str, tuple[SnapshotManifest, bytes]] = {
    "another height": (replace(SAMPLE.manifest, height=HEIGHT + 1), SAMPLE.tree.root),
    "another root": (SAMPLE.manifest, bytes(32)),
    "another state's slot": (
        replace(SAMPLE.manifest, slots=(bytes(32), *SAMPLE.manifest.slots[1:])),
        SAMPLE.tree.root,
    ),
    "a slot less": (replace(SAMPLE.manifest, slots=SAMPLE.manifest.slots[1:]), SAMPLE.tree.root),
    "another depth": (replace(SAMPLE.manifest, depth=1), SAMPLE.tree.root),
    "a slot of 31 bytes": (
        replace(SAMPLE.manifest, slots=(bytes(31), *SAMPLE.manifest.slots[1:])),
        SAMPLE.tree.root,
    ),
    "a leaf that moved": (move_leaf(), LONE_ROOT),
    "places that belong to no part": (replace(SAMPLE.manifest, starts=(1, 2)), SAMPLE.tree.root),
    "parts the wrong way round": (replace(SAMPLE.manifest, starts=(0, 9, 8)), SAMPLE.tree.root),
    "a part without places": (replace(SAMPLE.manifest, starts=(0, 9, 9)), SAMPLE.tree.root),
    "parts beyond the last place": (replace(SAMPLE.manifest, starts=(0, 256)), SAMPLE.tree.root),
}


@pytest.mark.parametrize(("manifest", "root"), BAD_MANIFESTS.values(), ids=BAD_MANIFESTS.keys())
def test_a_wrong_manifest_is_refused(manifest: SnapshotManifest, root: bytes) -> None:
    """Before a single part is asked for."""
    with pytest.raises(InvalidSnapshotManifest):
        decode_manifest(encode(manifest), HEIGHT, root)


def test_a_leaf_that_moved_leads_to_the_same_root() -> None:
    """So it has to be looked for: without the rule, honest parts would be charged to who sends them."""
    moved = move_leaf()
    assert build_top(HEIGHT, 2, moved.slots).root == LONE_ROOT


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_no_changed_byte_of_a_manifest_gives_other_parts(data: st.DataObject) -> None:
    """Either it is refused, or it cuts the very same slots at other places."""
    good = encode(SAMPLE.manifest)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = good[:place] + data.draw(st.binary(max_size=2)) + good[place + data.draw(st.integers(0, 2)) :]
    try:
        manifest = decode_manifest(bad, HEIGHT, SAMPLE.tree.root)
    except InvalidSnapshotManifest:
        return
    assert manifest.slots == SAMPLE.manifest.slots


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(st.integers(0, PLACES_MAX - 1), st.integers(1, 2**21), max_size=50),
    st.integers(0, 600),
)
def test_a_cut_holds_its_bounds(peaks: dict[int, int], evenly: int) -> None:
    """Every place is in one part; a part is above the target only if it is one place of the deepest cut."""
    sizes = [peaks.get(place, evenly) for place in range(PLACES_MAX)]
    depth, starts = choose_cut(sizes)
    manifest = SnapshotManifest(HEIGHT, depth, (), starts)
    width = 16 ** (4 - depth)
    places = [place for part in range(len(starts)) for place in get_places(manifest, part)]
    assert places == list(range(16**depth))
    for part in range(len(starts)):
        within = get_places(manifest, part)
        size = sum(sizes[within.start * width : within.stop * width])
        assert size <= snapshot.PART_BYTES_TARGET or (depth == 4 and len(within) == 1)


def test_a_small_state_is_one_part_and_a_crowded_place_is_none() -> None:
    """The cut follows the size; what cannot be cut is said, not sent."""
    assert choose_cut([0] * PLACES_MAX) == (1, (0,))
    assert choose_cut([10] * PLACES_MAX) == (1, (0,))
    assert choose_cut([200] * PLACES_MAX)[0] == 1
    assert choose_cut([2000] * PLACES_MAX)[0] == 2
    with pytest.raises(SnapshotTooLarge):
        choose_cut([*[0] * (PLACES_MAX - 1), snapshot.PART_BYTES_MAX])


@given(st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=70_000)), max_size=3))
def test_a_pair_is_never_larger_than_it_was_counted(pairs: list[Pair]) -> None:
    """So the bound of a part holds for its encoding."""
    assert len(build_part(pairs)) <= 5 + sum(compute_pair_bytes(*pair) for pair in pairs)
