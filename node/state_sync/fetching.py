"""Fetches the parts of one snapshot from every peer that offers it into a new store.

Each peer is asked for one part at a time. When there are fewer parts than peers, a part is asked of two, so
that a peer that stalls does not hold up the end. Peers that have delivered are asked first and the others in
random order: identities are free, so peers that stall could otherwise take all places. Parts are verified and
written in a thread. A survey each SURVEY_SECONDS finds peers that came later or may be asked again.
"""

from collections.abc import Sequence
from functools import partial
from random import Random

import structlog
import trio

from chain.primitives.types import Hash, PeerId
from chain.snapshot import InvalidPart, SnapshotManifest, check_part
from node.state_sync.sources import Sources, build_lie
from p2p.errors import NetworkError
from p2p.wire.messages import SnapshotPartReply, SnapshotPartRequest
from storage.snapshots import Staging

_log = structlog.get_logger("state_sync")

PART_SECONDS_MAX = 30.0
SURVEY_SECONDS = 1.0
STALL_SECONDS = 60.0
"""The snapshot is given up after this long without a part, while peers answer."""
GONE_SECONDS = 5.0
"""The same, when no peer offers it any more."""
PEERS_MAX = 16
ASKED_MAX = 2


class Fetching:
    """One attempt to fetch the parts of one manifest."""

    def __init__(
        self,
        sources: Sources,
        staging: Staging,
        manifest: SnapshotManifest,
        manifest_hash: Hash,
        writer: trio.CapacityLimiter,
    ) -> None:
        self._sources = sources
        self._staging = staging
        self._manifest = manifest
        self._hash = manifest_hash
        self._writer = writer
        self._asked = dict.fromkeys(staging.list_missing(len(manifest.starts)), 0)
        """Missing part -> the number of peers that are asked for it at the moment."""
        self._busy: set[PeerId] = set()
        self._delivered: set[PeerId] = set()
        self._random = Random()
        self._moved_at = trio.current_time()
        """When the last part came, or no peer answered."""
        self._offered_at = self._moved_at
        """When a peer last offered the snapshot, or no peer answered."""

    async def run(self) -> bool:
        """Returns True when all parts are in, False when the snapshot is given up."""
        async with trio.open_nursery() as nursery:
            while self._asked and not self._is_hopeless():
                self._recruit(nursery, await self._list_holders())
                await trio.sleep(SURVEY_SECONDS)
            nursery.cancel_scope.cancel()
        return not self._asked

    def _is_hopeless(self) -> bool:
        now = trio.current_time()
        return now - self._moved_at > STALL_SECONDS or now - self._offered_at > GONE_SECONDS

    async def _list_holders(self) -> Sequence[PeerId]:
        survey = await self._sources.survey()
        offers = survey.offers.items()
        holders = [peer for offer, peers in offers if offer.manifest_hash == self._hash for peer in peers]
        if self._busy or holders or not survey.answered:
            self._offered_at = trio.current_time()
        if not self._busy and not survey.answered:
            self._moved_at = trio.current_time()
        return holders

    def _recruit(self, nursery: trio.Nursery, holders: Sequence[PeerId]) -> None:
        shuffled = self._random.sample(holders, len(holders))
        for peer in sorted(shuffled, key=lambda one: one not in self._delivered):
            if peer not in self._busy and len(self._busy) < PEERS_MAX:
                self._busy.add(peer)
                nursery.start_soon(self._take_from, peer, nursery.cancel_scope)

    async def _take_from(self, peer: PeerId, scope: trio.CancelScope) -> None:
        """Asks the peer for part after part until none is left or the peer fails."""
        try:
            while (part := self._choose()) is not None:
                self._asked[part] += 1
                try:
                    await self._take(peer, part)
                finally:
                    if part in self._asked:
                        self._asked[part] -= 1
        except NetworkError as error:
            self._sources.charge(peer, error)
        finally:
            self._busy.discard(peer)
        if not self._asked:
            scope.cancel()

    def _choose(self) -> int | None:
        part = min(self._asked, key=lambda part: (self._asked[part], part), default=None)
        return part if part is not None and self._asked[part] < ASKED_MAX else None

    async def _take(self, peer: PeerId, part: int) -> None:
        message = SnapshotPartRequest(self._hash, part)
        reply = await self._sources.ask(peer, message, SnapshotPartReply, PART_SECONDS_MAX)
        try:
            await trio.to_thread.run_sync(partial(self._add, part, reply.part), limiter=self._writer)
        except InvalidPart as error:
            raise build_lie(f"part {part}: {error}") from error
        self._asked.pop(part, None)
        self._delivered.add(peer)
        self._moved_at = trio.current_time()
        _log.info("part_in", part=part, missing=len(self._asked))

    def _add(self, part: int, data: bytes) -> None:
        checked = check_part(self._manifest, part, data)
        self._staging.add_part(part, checked.pairs, checked.nodes)
