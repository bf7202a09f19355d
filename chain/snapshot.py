"""Snapshots: the whole state after a block, in parts that are checked one by one.

The state tree is cut at one depth (`chain.commitment.subtrees`). A manifest has the slot of every place, and
the first place of each part; its slots lead to the state root in the header of that height. A part holds all
pairs below its places, in the order of their key hashes, and nothing else. Rebuilt, they must give exactly
the slots of the manifest. So with the header each part can be checked alone, and the peer that sent a wrong
one is known.

Invariants: nodes with equal states make equal manifests, so that parts can be fetched from several nodes.
A manifest that passes `check_manifest` has exactly one set of parts that pass `check_part`.
Not here: whether the header is final (`chain.light`), files, peers.

ChainError
├── InvalidSnapshotManifest    malformed, or it leads to another state root
├── InvalidPart                its pairs are not exactly those below its places
└── SnapshotTooLarge           no cut gives parts of the allowed size
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

from msgspec import Meta

from chain.commitment import (
    Pair,
    Subtree,
    TreeUpdate,
    build_subtree,
    build_top,
    compute_key_hash,
    compute_place_path,
    is_at_home,
)
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import ChainError, DecodeError
from chain.primitives.hashing import Domain, hash_bytes
from chain.primitives.types import HASH_BYTES, Hash, Height, Uint32

DEPTH_MAX = 4
PLACES_MAX = 16**DEPTH_MAX
SLOT_BYTES_ALLOWED = (0, HASH_BYTES, 2 * HASH_BYTES)
MANIFEST_BYTES_MAX = 5 * 2**20
PART_BYTES_TARGET = 2**20
PART_BYTES_MAX = 4 * 2**20
PAIR_EXTRA_BYTES = 11
"""Upper bound of a pair's encoding beside key and value."""
_PART_EXTRA_BYTES = 5


class InvalidSnapshotManifest(ChainError):
    """The manifest does not describe the state of the header."""


class InvalidPart(ChainError):
    """The part is not the one that the manifest names."""


class SnapshotTooLarge(ChainError):
    """A place of the deepest cut holds more bytes than a part may."""


class SnapshotManifest(Record):
    """The slot of each place of a cut state, and the first place of each part, ascending from 0."""

    height: Height
    depth: Annotated[int, Meta(ge=1, le=DEPTH_MAX)]
    slots: Annotated[
        tuple[Annotated[bytes, Meta(max_length=SLOT_BYTES_ALLOWED[-1])], ...], Meta(max_length=PLACES_MAX)
    ]
    starts: Annotated[tuple[Uint32, ...], Meta(min_length=1, max_length=PLACES_MAX)]


class Part(Record):
    """The pairs below a run of places, sorted by the hashes of their keys."""

    pairs: tuple[tuple[bytes, bytes], ...]


class CheckedPart(NamedTuple):
    """The values of a part, and its nodes of the tree under the manifest's height."""

    pairs: tuple[Pair, ...]
    nodes: tuple[Pair, ...]


class Cut(NamedTuple):
    """The depth of a cut, and the first place of each part."""

    depth: int
    starts: tuple[int, ...]


def compute_manifest_hash(data: bytes) -> Hash:
    """The hash that names a snapshot, of its encoded manifest."""
    return hash_bytes(Domain.SNAPSHOT, data)


def compute_place(key_hash: Hash, depth: int) -> int:
    """The place of a key, by its hash, in a cut at `depth`."""
    return int.from_bytes(key_hash[:2], "big") >> 4 * (DEPTH_MAX - depth)


def compute_pair_bytes(key: bytes, value: bytes) -> int:
    """Upper bound of the bytes that a pair adds to a part."""
    return len(key) + len(value) + PAIR_EXTRA_BYTES


def choose_cut(sizes: Sequence[int]) -> Cut:
    """The cut of a state, from the bytes below each place of the deepest cut; raises SnapshotTooLarge.

    It has the smallest depth at which every place is within the target; then it joins places up to the
    target.
    """
    assert len(sizes) == PLACES_MAX
    if max(sizes) + _PART_EXTRA_BYTES > PART_BYTES_MAX:
        raise SnapshotTooLarge(f"{max(sizes)} bytes below one place")
    for depth in range(1, DEPTH_MAX + 1):
        width = 16 ** (DEPTH_MAX - depth)
        grouped = [sum(sizes[start : start + width]) for start in range(0, PLACES_MAX, width)]
        if max(grouped) <= PART_BYTES_TARGET or depth == DEPTH_MAX:
            break
    return Cut(depth, tuple(_choose_starts(grouped)))


def _choose_starts(sizes: Sequence[int]) -> Iterator[int]:
    filled = PART_BYTES_TARGET + 1
    for place, size in enumerate(sizes):
        if filled + size > PART_BYTES_TARGET:
            yield place
            filled = 0
        filled += size


def get_places(manifest: SnapshotManifest, part: int) -> range:
    """The places of a part."""
    stops = (*manifest.starts[1:], 16**manifest.depth)
    return range(manifest.starts[part], stops[part])


def build_part(pairs: Sequence[Pair]) -> bytes:
    """The encoded part of these pairs, in any order."""
    return encode(Part(tuple(sorted(pairs, key=lambda pair: compute_key_hash(pair[0])))))


def decode_manifest(data: bytes, height: Height, state_root: Hash) -> SnapshotManifest:
    """The checked manifest of the state at a height; raises InvalidSnapshotManifest."""
    try:
        manifest = decode(SnapshotManifest, data, MANIFEST_BYTES_MAX)
    except DecodeError as error:
        raise InvalidSnapshotManifest(str(error)) from error
    _check_form(manifest)
    if manifest.height != height:
        raise InvalidSnapshotManifest(f"the manifest is of height {manifest.height}")
    if build_manifest_top(manifest).root != state_root:
        raise InvalidSnapshotManifest("the manifest leads to another state root")
    return manifest


def _check_form(manifest: SnapshotManifest) -> None:
    place_count = 16**manifest.depth
    if len(manifest.slots) != place_count:
        raise InvalidSnapshotManifest(f"{len(manifest.slots)} slots for {place_count} places")
    if any(len(slot) not in SLOT_BYTES_ALLOWED for slot in manifest.slots):
        raise InvalidSnapshotManifest("a slot has the wrong length")
    # Such a leaf gives the same root from any place, but then the parts of honest nodes would not fit.
    paths = (compute_place_path(place, manifest.depth) for place in range(place_count))
    if not all(map(is_at_home, manifest.slots, paths)):
        raise InvalidSnapshotManifest("a leaf is not below its own path")
    starts = (*manifest.starts, place_count)
    if starts[0] != 0 or any(left >= right for left, right in pairwise(starts)):
        raise InvalidSnapshotManifest("the parts are not in order")


def build_manifest_top(manifest: SnapshotManifest) -> TreeUpdate:
    """The state root and the nodes above the cut."""
    return build_top(manifest.height, manifest.depth, manifest.slots)


def check_part(manifest: SnapshotManifest, part: int, data: bytes) -> CheckedPart:
    """The values and nodes of a part; raises InvalidPart unless it is the one that the manifest names."""
    try:
        pairs = decode(Part, data, PART_BYTES_MAX).pairs
    except DecodeError as error:
        raise InvalidPart(str(error)) from error
    hashes = [compute_key_hash(key) for key, _ in pairs]
    if any(left >= right for left, right in pairwise(hashes)):
        raise InvalidPart("the pairs are not in order")
    below: dict[int, list[Pair]] = {place: [] for place in get_places(manifest, part)}
    for key_hash, pair in zip(hashes, pairs, strict=True):
        place = compute_place(key_hash, manifest.depth)
        if place not in below:
            raise InvalidPart(f"a key belongs to place {place}")
        below[place].append(pair)
    subtrees = [_check_place(manifest, place, found) for place, found in below.items()]
    return CheckedPart(pairs, tuple(node for subtree in subtrees for node in subtree.nodes))


def _check_place(manifest: SnapshotManifest, place: int, pairs: Sequence[Pair]) -> Subtree:
    subtree = build_subtree(manifest.height, compute_place_path(place, manifest.depth), pairs)
    if subtree.slot != manifest.slots[place]:
        raise InvalidPart(f"the pairs below place {place} are not those of the state")
    return subtree
