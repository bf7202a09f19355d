"""Snapshots on the simulated disk: made at the ends of epochs, served to peers, and fetched by who joins.

The real service and the real state sync (`node.ledger.snapshots`, `node.state_sync`) are tasks of a loop.
Here the same code decides (`write_snapshot`, `Bisection`, `decode_for`, `check_part`, `Staging`, `finish`),
and a generator takes the place of the tasks: it yields what to ask of whom, and is sent the reply.
"""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from chain.block import compute_header_hash
from chain.errors import ChainError
from chain.genesis import ChainSpec
from chain.light import (
    Bisection,
    LightBlock,
    TrustExpired,
    TrustRules,
    build_genesis_light_block,
    check_anchor,
)
from chain.primitives.codec import Record, decode, encode
from chain.primitives.types import Hash, Height, PeerId, TimeMs
from chain.snapshot import (
    InvalidSnapshotManifest,
    SnapshotManifest,
    check_part,
    compute_manifest_hash,
    decode_manifest,
)
from node.ledger.ledger import LedgerView
from node.state_sync.run import Plan, decode_for, finish
from p2p.errors import NetworkError, PeerFault, RefusalCode, Refused
from p2p.wire.messages import (
    LIGHT_BLOCK_BYTES_MAX,
    LightBlockReply,
    LightBlockRequest,
    SnapshotManifestReply,
    SnapshotManifestRequest,
    SnapshotOffer,
    SnapshotPartReply,
    SnapshotPartRequest,
    Snapshots,
    SnapshotsRequest,
)
from storage.errors import disk_errors
from storage.snapshots import Staging
from tests.sim.world.disk import SimDisk

KEPT = 2
FILE_BYTES_MAX = 8 * 2**20
LIE_POINTS = 50
SURVEYED_MAX = 6
"""Peers are asked one after the other, and silent ones take long: trust must not expire meanwhile."""

Anchor = tuple[Height, Hash]
Ask = tuple[PeerId, Record]
Steps = Generator[Ask, Record | NetworkError | None, Any]
"""Yields what to ask of whom; is sent the reply, or why there is none."""


class SnapshotDisk:
    """As `storage.snapshots.SnapshotFiles`, over the one directory of a simulated disk."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk

    def list_heights(self) -> list[Height]:
        """Heights whose manifest is there, the newest first."""
        names = [path.name for path in self._disk.list_paths() if path.name.startswith("manifest-")]
        return sorted((int(name.removeprefix("manifest-")) for name in names), reverse=True)

    def get_manifest(self, height: Height) -> bytes | None:
        """The encoded manifest."""
        return self._disk.read(Path(f"manifest-{height}"), FILE_BYTES_MAX)

    def get_part(self, height: Height, part: int) -> bytes | None:
        """One encoded part."""
        return self._disk.read(Path(f"part-{height}-{part}"), FILE_BYTES_MAX)

    def begin(self, height: Height) -> None:
        """Nothing to prepare: parts without a manifest are not a snapshot."""

    def add_part(self, height: Height, part: int, data: bytes) -> None:
        """One part."""
        self._write(Path(f"part-{height}-{part}"), data)

    def finish(self, height: Height, manifest: bytes) -> None:
        """All parts are written."""
        self._write(Path(f"manifest-{height}"), manifest)

    def _write(self, path: Path, data: bytes) -> None:
        with disk_errors(path):
            file = self._disk.open(path, is_new=True)
            file.append(data)
            file.sync()
            self._disk.sync_directory(path.parent)


def find_offers(view: LedgerView, files: SnapshotDisk) -> dict[Hash, SnapshotOffer]:
    """As `SnapshotService`: snapshots whose manifest leads to the state root of our own header."""
    offers = {}
    for height in files.list_heights()[:KEPT]:
        header, manifest = view.get_header(height), files.get_manifest(height)
        if header is None or manifest is None:
            continue
        try:
            decode_manifest(manifest, height, header.state_root)
        except InvalidSnapshotManifest:
            continue
        manifest_hash = compute_manifest_hash(manifest)
        offers[manifest_hash] = SnapshotOffer(height, compute_header_hash(header), manifest_hash)
    return offers


def answer_snapshot(view: LedgerView, files: SnapshotDisk, request: Record) -> Record:
    """What a peer that joins or follows headers is told; raises Refused."""
    if isinstance(request, LightBlockRequest):
        return LightBlockReply(_require(build_light_block(view, request.height)))
    offers = find_offers(view, files)
    if isinstance(request, SnapshotsRequest):
        return Snapshots(tuple(offers.values()))
    assert isinstance(request, SnapshotManifestRequest | SnapshotPartRequest)
    if request.manifest_hash not in offers:
        raise Refused(RefusalCode.NOT_FOUND)
    height = offers[request.manifest_hash].height
    if isinstance(request, SnapshotManifestRequest):
        return SnapshotManifestReply(_require(files.get_manifest(height)))
    return SnapshotPartReply(_require(files.get_part(height, request.part)))


def _require(data: bytes | None) -> bytes:
    if data is None:
        raise Refused(RefusalCode.NOT_FOUND)
    return data


def build_light_block(view: LedgerView, height: Height) -> bytes | None:
    """As `SnapshotService`: header, certificate and roster."""
    header = view.get_header(height)
    roster = None if header is None else view.get_roster(header.validators_hash)
    if header is None or roster is None:
        return None
    return encode(LightBlock(header, view.get_certificate(height), roster))


class Joining:
    """One state sync: fills `staging` with the newest snapshot that the peers prove."""

    def __init__(
        self, spec: ChainSpec, rules: TrustRules, staging: Staging, anchor: Anchor, peers: Sequence[PeerId]
    ) -> None:
        self._genesis = build_genesis_light_block(spec)
        self._rules = rules
        self._staging = staging
        self._anchor = anchor
        self._peers = peers
        self.liars: list[tuple[PeerId, str]] = []

    def run(self, now_ms: Callable[[], TimeMs]) -> Steps:
        """Returns whether the store is whole; raises nothing that a peer can cause."""
        interrupted = self._staging.get_plan()
        if interrupted is not None:
            yield from self._fetch(decode(Plan, interrupted))
            if self._staging.is_whole:
                return True
        offers = yield from self._survey()
        names = [offer for offer, _ in offers]
        # The worst order: what a single peer offers comes first, so that lies are tried before the truth.
        for offer, peer in sorted(offers, key=lambda one: (names.count(one[0]), -one[0].height)):
            try:
                plan = yield from self._make_plan(peer, offer, now_ms)
                yield from self._fetch(plan)
            except TrustExpired:
                return False
            except NetworkError as error:
                # Slow, gone or refusing: no lie.
                if isinstance(error, PeerFault):
                    self.liars.append((peer, str(error)))
            except ChainError as error:
                self.liars.append((peer, str(error)))
            if self._staging.is_whole:
                return True
        return False

    def _survey(self) -> Steps:
        offers: list[tuple[SnapshotOffer, PeerId]] = []
        for peer in self._peers[:SURVEYED_MAX]:
            reply = yield peer, SnapshotsRequest()
            if isinstance(reply, Snapshots):
                offers += [(offer, peer) for offer in reply.offers if offer.height >= self._anchor[0]]
        return offers

    def _make_plan(self, peer: PeerId, offer: SnapshotOffer, now_ms: Callable[[], TimeMs]) -> Steps:
        block = yield from self._follow(peer, offer, now_ms)
        reply = yield peer, SnapshotManifestRequest(offer.manifest_hash)
        manifest = _expect(reply, SnapshotManifestReply).manifest
        if compute_manifest_hash(manifest) != offer.manifest_hash:
            raise PeerFault("another manifest than it offers", LIE_POINTS)
        decode_for(block, manifest)
        plan = Plan(block, manifest)
        self._staging.begin(encode(plan))
        return plan

    def _follow(self, peer: PeerId, offer: SnapshotOffer, now_ms: Callable[[], TimeMs]) -> Steps:
        trusted = yield from self._get_light_block(peer, self._anchor[0])
        check_anchor(self._rules, trusted, *self._anchor)
        if trusted.header.height != offer.height:
            bisection = Bisection(self._rules, trusted, offer.height)
            while bisection.wanted is not None:
                bisection.supply((yield from self._get_light_block(peer, bisection.wanted)), now_ms())
            trusted = bisection.trusted
        if compute_header_hash(trusted.header) != offer.block_hash:
            raise PeerFault("offers another block than it shows", LIE_POINTS)
        return trusted

    def _get_light_block(self, peer: PeerId, height: Height) -> Steps:
        reply = yield peer, LightBlockRequest(height)
        return decode(LightBlock, _expect(reply, LightBlockReply).block, LIGHT_BLOCK_BYTES_MAX)

    def _fetch(self, plan: Plan) -> Steps:
        """The parts, each from the next peer that has it."""
        manifest = decode_for(plan.block, plan.manifest)
        name = compute_manifest_hash(plan.manifest)
        for part in self._staging.list_missing(len(manifest.starts)):
            for peer in self._peers:
                reply = yield peer, SnapshotPartRequest(name, part)
                if isinstance(reply, SnapshotPartReply) and self._take(manifest, part, reply.part, peer):
                    break
        if not self._staging.list_missing(len(manifest.starts)):
            finish(self._staging, self._genesis.header, plan.block, manifest)
        else:
            self._staging.give_up()

    def _take(self, manifest: SnapshotManifest, part: int, data: bytes, peer: PeerId) -> bool:
        try:
            checked = check_part(manifest, part, data)
        except ChainError as error:
            self.liars.append((peer, str(error)))
            return False
        self._staging.add_part(part, checked.pairs, checked.nodes)
        return True


def _expect(reply: Record | NetworkError | None, kind: type[Any]) -> Any:
    if isinstance(reply, NetworkError):
        raise reply
    if not isinstance(reply, kind):
        raise PeerFault("another reply than was asked for", LIE_POINTS)
    return reply
