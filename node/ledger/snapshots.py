"""Snapshots for nodes that join: made at the ends of epochs, served to peers.

A snapshot is made of the view right after the last block of an epoch, in a thread of its own, while the chain
goes on. An epoch that ends meanwhile gets none. The state is read once to measure its places, and then once
per PASS_BYTES_MAX of parts, so that memory is bounded whatever the state's size. A node that is behind makes
none. A snapshot that cannot be written is dropped: it serves others only.

Peers are told only of snapshots whose manifest leads to the state root of this node's own header.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

import structlog
import trio

from chain.block import compute_header_hash
from chain.commitment import Pair, compute_key_hash
from chain.light import LightBlock
from chain.modules import system
from chain.primitives.codec import encode
from chain.primitives.types import Hash, Height, PeerId
from chain.snapshot import (
    DEPTH_MAX,
    MANIFEST_BYTES_MAX,
    PART_BYTES_MAX,
    PLACES_MAX,
    Cut,
    InvalidSnapshotManifest,
    SnapshotManifest,
    SnapshotTooLarge,
    build_part,
    choose_cut,
    compute_manifest_hash,
    compute_pair_bytes,
    compute_place,
    decode_manifest,
)
from node.ledger.ledger import CommittedBlock, LedgerReader, LedgerView
from p2p.errors import RefusalCode, Refused
from p2p.network import Network
from p2p.wire.answer_budget import AnswerBudget
from p2p.wire.messages import (
    LIGHT_BLOCK_BYTES_MAX,
    LightBlockReply,
    LightBlockRequest,
    SnapshotManifestReply,
    SnapshotManifestRequest,
    SnapshotOffer,
    SnapshotPartReply,
    SnapshotPartRequest,
    SnapshotReply,
    SnapshotRequest,
    Snapshots,
    SnapshotsRequest,
)
from p2p.wire.protocols import SNAPSHOT
from p2p.wire.requests import build_answerer
from storage.errors import StorageError
from storage.snapshots import SnapshotFiles

_log = structlog.get_logger("snapshots")

PASS_BYTES_MAX = 64 * 2**20
PAIRS_BETWEEN = 4096
"""Between two looks whether the node is being stopped."""
REQUESTS_MAX = 8
OFFERS_BYTES = 1024
READERS_MAX = 2

T = TypeVar("T")


class SnapshotService:
    """Makes the snapshots of a node and serves them to peers."""

    def __init__(
        self, network: Network, ledger: LedgerReader, files: SnapshotFiles, is_behind: Callable[[], bool]
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._is_behind = is_behind
        self._readers = trio.CapacityLimiter(READERS_MAX)
        self._writer = trio.CapacityLimiter(1)
        self._ended_in, self._ended = trio.open_memory_channel[LedgerView](0)
        self.ended = 0
        """How many were begun and have ended, made or failed."""
        self._offers = self._find_offers()
        budget = AnswerBudget(compute_reply_bytes_max)
        network.serve(SNAPSHOT, build_answerer(SnapshotRequest, self.answer, REQUESTS_MAX, budget))

    # Making.

    def on_committed(self, committed: CommittedBlock) -> None:
        """At the end of an epoch, hands the view over to `run`."""
        height = committed.block.header.height
        if self._is_behind() or not system.is_epoch_end(committed.view.get_parameters(), height):
            return
        try:
            self._ended_in.send_nowait(committed.view)
        except trio.WouldBlock:
            _log.info("snapshot_skipped", height=height, reason="the one before is still being made")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Makes snapshots until cancelled."""
        task_status.started()
        async for view in self._ended:
            self._offers = await trio.to_thread.run_sync(self._make, view, limiter=self._writer)
            self.ended += 1
            del view  # else the store keeps what it shows until the next epoch ends

    def _make(self, view: LedgerView) -> dict[Hash, SnapshotOffer]:
        try:
            part_count = write_snapshot(view, self._files, trio.from_thread.check_cancelled)
        except (StorageError, SnapshotTooLarge) as error:
            self._files.drop_unfinished(view.height)
            _log.warning("snapshot_failed", height=view.height, reason=str(error))
        else:
            _log.info("snapshot_made", height=view.height, parts=part_count)
        return self._find_offers()

    # Serving.

    @property
    def offers(self) -> tuple[SnapshotOffer, ...]:
        """The snapshots that peers are told of."""
        return tuple(self._offers.values())

    def _find_offers(self) -> dict[Hash, SnapshotOffer]:
        """The snapshots whose files and header are here, by the hash of their manifest."""
        found = (self._build_offer(height) for height in self._files.list_heights())
        return {offer.manifest_hash: offer for offer in found if offer is not None}

    def _build_offer(self, height: Height) -> SnapshotOffer | None:
        header, manifest = self._ledger.view.get_header(height), self._files.get_manifest(height)
        if header is None or manifest is None:
            return None
        try:
            decode_manifest(manifest, height, header.state_root)
        except InvalidSnapshotManifest:
            return None
        return SnapshotOffer(height, compute_header_hash(header), compute_manifest_hash(manifest))

    async def answer(self, peer: PeerId, message: SnapshotRequest) -> SnapshotReply:
        """The reply to a peer; raises Refused."""
        match message:
            case SnapshotsRequest():
                return Snapshots(self.offers)
            case LightBlockRequest(height):
                return LightBlockReply(await self._read(partial(self._get_light_block, height)))
            case SnapshotManifestRequest(manifest_hash):
                height = self._get_height(manifest_hash)
                return SnapshotManifestReply(await self._read(partial(self._files.get_manifest, height)))
            case SnapshotPartRequest(manifest_hash, part):
                height = self._get_height(manifest_hash)
                return SnapshotPartReply(await self._read(partial(self._files.get_part, height, part)))
            case _:
                raise Refused(RefusalCode.NOT_SERVED)

    def _get_height(self, manifest_hash: Hash) -> Height:
        offer = self._offers.get(manifest_hash)
        if offer is None:
            raise Refused(RefusalCode.NOT_FOUND)
        return offer.height

    def _get_light_block(self, height: Height) -> bytes | None:
        view = self._ledger.view
        header = view.get_header(height)
        roster = None if header is None else view.get_roster(header.validators_hash)
        if header is None or roster is None:
            return None
        return encode(LightBlock(header, view.get_certificate(height), roster))

    async def _read(self, read: Callable[[], T | None]) -> T:
        found = await trio.to_thread.run_sync(read, limiter=self._readers)
        if found is None:
            raise Refused(RefusalCode.NOT_FOUND)
        return found


def write_snapshot(view: LedgerView, files: SnapshotFiles, keep_on: Callable[[], None]) -> int:
    """Writes the snapshot of the view and returns the number of parts; raises SnapshotTooLarge, StorageError.

    `keep_on` is called every PAIRS_BETWEEN pairs and may raise to end it.
    """
    sizes = measure_places(_scan(view, keep_on))
    cut = choose_cut(sizes)
    files.begin(view.height)
    for parts in _group_parts(cut, sizes):
        for part, pairs in zip(parts, _collect(_scan(view, keep_on), cut, parts), strict=True):
            files.add_part(view.height, part, build_part(pairs))
    slots = view.state.list_slots(cut.depth)
    files.finish(view.height, encode(SnapshotManifest(view.height, cut.depth, slots, cut.starts)))
    return len(cut.starts)


def _scan(view: LedgerView, keep_on: Callable[[], None]) -> Iterator[Pair]:
    for count, pair in enumerate(view.state.scan(b"")):
        if count % PAIRS_BETWEEN == 0:
            keep_on()
        yield pair


def measure_places(pairs: Iterable[Pair]) -> list[int]:
    """Bytes below each place of the deepest cut."""
    sizes = [0] * PLACES_MAX
    for key, value in pairs:
        sizes[compute_place(compute_key_hash(key), DEPTH_MAX)] += compute_pair_bytes(key, value)
    return sizes


def _group_parts(cut: Cut, sizes: list[int]) -> Iterator[range]:
    """Ranges of parts, each collected in one pass over the state."""
    width = PLACES_MAX // 16**cut.depth
    stops = (*cut.starts[1:], 16**cut.depth)
    first = filled = 0
    for part, (start, stop) in enumerate(zip(cut.starts, stops, strict=True)):
        size = sum(sizes[start * width : stop * width])
        if part > first and filled + size > PASS_BYTES_MAX:
            yield range(first, part)
            first, filled = part, 0
        filled += size
    yield range(first, len(cut.starts))


def _collect(pairs: Iterable[Pair], cut: Cut, parts: range) -> list[list[Pair]]:
    """The pairs of each of these parts."""
    found: list[list[Pair]] = [[] for _ in parts]
    for pair in pairs:
        part = bisect_right(cut.starts, compute_place(compute_key_hash(pair[0]), cut.depth)) - 1
        if part in parts:
            found[part - parts.start].append(pair)
    return found


def compute_reply_bytes_max(message: SnapshotRequest) -> int:
    """The most bytes that the answer can have, for the budget of answers."""
    match message:
        case LightBlockRequest():
            return LIGHT_BLOCK_BYTES_MAX
        case SnapshotManifestRequest():
            return MANIFEST_BYTES_MAX
        case SnapshotPartRequest():
            return PART_BYTES_MAX
        case _:
            return OFFERS_BYTES
