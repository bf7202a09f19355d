"""One state sync, from an empty store to one that a ledger opens.

survey     ask the peers for their snapshots; if there are none, the node begins at genesis
choose     snapshots that several peers offer come first, then the newest
verify     its header, shown by one peer that offers it, and its manifest against the header's state root
fetch      the parts
finish     write head and chain in one batch, the last one
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import structlog
import trio

from chain.block import Header, compute_header_hash
from chain.genesis import ChainSpec
from chain.light import LightBlock, build_genesis_light_block, build_rules
from chain.modules import validators
from chain.primitives.codec import Record, decode, encode
from chain.primitives.types import Hash, Height, PeerId, TimeMs
from chain.snapshot import (
    InvalidSnapshotManifest,
    SnapshotManifest,
    build_manifest_top,
    compute_manifest_hash,
    decode_manifest,
)
from chain.validator_set import build_roster
from chain.votes import Verify
from node.state_sync.errors import ForkSeen, UnknownAnchor
from node.state_sync.fetching import Fetching
from node.state_sync.sources import Sources, build_lie
from node.state_sync.trust import Anchor, Trust
from p2p.errors import NetworkError
from p2p.network import Network
from p2p.wire.messages import SnapshotManifestReply, SnapshotManifestRequest, SnapshotOffer
from storage.snapshots import Staging

_log = structlog.get_logger("state_sync")

MANIFEST_SECONDS_MAX = 30.0
ROUND_SECONDS = 0.25
SETTLE_SECONDS = 3.0
"""How long to wait after the first answer for a peer with a snapshot."""
SHOWN_MAX = 3
"""How many peers are asked to prove one offer before the next offer is tried."""
PLAN_SECONDS_MAX = 120.0
"""With offers that no peer can prove for this long, the node begins at genesis."""


class Plan(Record):
    """What is being fetched: a verified block and the manifest of its state; a restart resumes it."""

    block: LightBlock
    manifest: bytes


def decode_for(block: LightBlock, manifest: bytes) -> SnapshotManifest:
    """The manifest of the state after a block; raises InvalidSnapshotManifest."""
    return decode_manifest(manifest, block.header.height, block.header.state_root)


class _Offered(NamedTuple):
    offer: SnapshotOffer
    peers: list[PeerId]


class StateSync:
    """Fills `staging`; `sources.run_peer` adds peers."""

    def __init__(
        self,
        network: Network,
        spec: ChainSpec,
        staging: Staging,
        now_ms: Callable[[], TimeMs],
        verify: Verify,
        anchor: Anchor | None = None,
    ) -> None:
        self._genesis = build_genesis_light_block(spec)
        self._staging = staging
        self._writer = trio.CapacityLimiter(1)
        self.sources = Sources(network)
        self._unknown_anchor: UnknownAnchor | None = None
        self._given_up: set[Hash] = set()
        """Snapshots that no peer could deliver: others come first."""
        self._trust = Trust(self.sources, build_rules(spec, verify), self._genesis, anchor, now_ms)

    async def run(self) -> Height | None:
        """The height whose state was fetched; None if no peer has a snapshot. Raises StateSyncFailed."""
        if self._staging.is_whole:
            return self._get_height()
        while (plan := self._load_plan() or await self._make_plan()) is not None:
            manifest = decode_for(plan.block, plan.manifest)
            manifest_hash = compute_manifest_hash(plan.manifest)
            _log.info("state_sync", height=manifest.height, parts=len(manifest.starts))
            if await Fetching(self.sources, self._staging, manifest, manifest_hash, self._writer).run():
                await self._in_thread(
                    partial(finish, self._staging, self._genesis.header, plan.block, manifest)
                )
                return manifest.height
            _log.info("snapshot_given_up", height=manifest.height)
            self._given_up.add(manifest_hash)
            await self._in_thread(self._staging.give_up)
        return None

    def _get_height(self) -> Height:
        assert self._staging.state.head is not None  # The batch that makes a store whole writes its head.
        return self._staging.state.head.version

    def _load_plan(self) -> Plan | None:
        data = self._staging.get_plan()
        return None if data is None else decode(Plan, data)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(work, limiter=self._writer)

    # What to fetch.

    async def _make_plan(self) -> Plan | None:
        """A snapshot whose header and manifest were verified; None if no peer offers one."""
        answered_at: float | None = None
        while True:
            survey = await self.sources.survey()
            lowest = self._trust.lowest_height
            offers = [_Offered(*item) for item in survey.offers.items() if item[0].height >= lowest]
            if (plan := await self._find_plan(offers)) is not None:
                await self._in_thread(partial(self._staging.begin, encode(plan)))
                return plan
            if survey.answered and answered_at is None:
                answered_at = trio.current_time()
            waited = 0.0 if answered_at is None else trio.current_time() - answered_at
            if waited >= SETTLE_SECONDS and self._unknown_anchor is not None:
                raise self._unknown_anchor
            if waited >= (PLAN_SECONDS_MAX if offers or not survey.answered else SETTLE_SECONDS):
                _log.warning("state_sync_impossible", offers=len(offers))
                return None
            await trio.sleep(ROUND_SECONDS)

    async def _find_plan(self, offers: Sequence[_Offered]) -> Plan | None:
        for offered in rank(offers, self._given_up):
            if (plan := await self._try_offer(offered, offers)) is not None:
                return plan
        return None

    async def _try_offer(self, offered: _Offered, offers: Iterable[_Offered]) -> Plan | None:
        """The plan for the offer; None if it is false or no peer proves it now."""
        block = await self._verify(offered)
        if block is None:
            return None
        await self._check_rivals(block, offers)
        for peer in self._list_usable(offered):
            try:
                manifest = await self._fetch_manifest(peer, offered.offer)
                decode_for(block, manifest)
            except NetworkError as error:
                self.sources.charge(peer, error)
            except InvalidSnapshotManifest as error:
                # All of them offered the hash of these bytes, so all of them lied.
                for liar in offered.peers:
                    self.sources.charge(liar, build_lie(f"manifest: {error}"))
                return None
            else:
                return Plan(block, manifest)
        return None

    def _list_usable(self, offered: _Offered) -> list[PeerId]:
        usable = self.sources.list_usable()
        return [peer for peer in offered.peers if peer in usable]

    async def _verify(self, offered: _Offered) -> LightBlock | None:
        """The offered block, verified through the first peer that can show it; None if none can."""
        for peer in self._list_usable(offered)[:SHOWN_MAX]:
            try:
                return await self._trust.follow(peer, offered.offer)
            except NetworkError as error:
                self.sources.charge(peer, error)
            except UnknownAnchor as error:
                self._unknown_anchor = error
        return None

    async def _check_rivals(self, block: LightBlock, offers: Iterable[_Offered]) -> None:
        """An offer of another block of this height is a lie or a fork; raises ForkSeen for a fork."""
        height, block_hash = block.header.height, compute_header_hash(block.header)
        for rival in offers:
            is_rival = rival.offer.height == height and rival.offer.block_hash != block_hash
            if is_rival and await self._verify(rival) is not None:
                raise ForkSeen(
                    f"height {height} has two final blocks, {block_hash.hex()} and"
                    f" {rival.offer.block_hash.hex()}; do not go on before people have decided"
                )

    async def _fetch_manifest(self, peer: PeerId, offer: SnapshotOffer) -> bytes:
        message = SnapshotManifestRequest(offer.manifest_hash)
        reply = await self.sources.ask(peer, message, SnapshotManifestReply, MANIFEST_SECONDS_MAX)
        if compute_manifest_hash(reply.manifest) != offer.manifest_hash:
            raise build_lie("another manifest than it offers")
        return reply.manifest


def finish(staging: Staging, genesis: Header, block: LightBlock, manifest: SnapshotManifest) -> None:
    """Write the last batch, after which a ledger opens the store; all parts are in."""
    members = validators.get_previous(staging.state), validators.get_current(staging.state)
    staging.finish(
        build_manifest_top(manifest),
        encode(genesis),
        encode(block.header),
        encode(block.certificate),
        [encode(build_roster(one)) for one in members],
    )
    _log.info("state_sync_done", height=manifest.height)


def rank(offers: Iterable[_Offered], given_up: Collection[Hash]) -> list[_Offered]:
    """The offers in the order in which they are tried: first those of several peers, then by height."""

    def rate(one: _Offered) -> tuple[bool, bool, Height, int]:
        is_given_up = one.offer.manifest_hash in given_up
        return not is_given_up, len(one.peers) > 1, one.offer.height, len(one.peers)

    return sorted(offers, key=rate, reverse=True)
