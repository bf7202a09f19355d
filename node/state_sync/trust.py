"""Verifies the header of a snapshot's height by skipping, from genesis or from a block the operator named.

One peer at a time shows all headers that lead to its offer, so a false one is its fault. A peer without a
header in between is not charged: its own chain may begin above it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import trio

from chain.block import compute_header_hash
from chain.errors import DecodeError
from chain.light import Bisection, ForgedHeader, LightBlock, TrustExpired, TrustRules, check_light_block
from chain.primitives.codec import decode
from chain.primitives.types import HASH_BYTES, Hash, Height, PeerId, TimeMs
from node.state_sync.errors import TrustTooOld, UnknownAnchor
from node.state_sync.sources import Sources, build_lie
from p2p.errors import PeerSlow, RefusalCode, Refused
from p2p.wire.messages import LIGHT_BLOCK_BYTES_MAX, LightBlockReply, LightBlockRequest, SnapshotOffer

BLOCK_SECONDS_MAX = 10.0
TRUST_SECONDS_MAX = 300.0
"""For all headers that lead to one offer."""


class Anchor(NamedTuple):
    """A block that the operator trusts, named by height and hash."""

    height: Height
    header_hash: Hash


def parse_anchor(text: str) -> Anchor:
    """Parses HEIGHT:HASH; raises ValueError."""
    height, _, header_hash = text.partition(":")
    if not height.isdecimal() or len(header_hash) != 2 * HASH_BYTES:
        raise ValueError(f"not of the form HEIGHT:HASH: {text}")
    return Anchor(int(height), bytes.fromhex(header_hash))


class Trust:
    """The trusted header, and the way from there to a later one."""

    def __init__(
        self,
        sources: Sources,
        rules: TrustRules,
        genesis: LightBlock,
        anchor: Anchor | None,
        now_ms: Callable[[], TimeMs],
    ) -> None:
        self._sources = sources
        self._rules = rules
        self._genesis = genesis
        self._anchor = anchor
        self._now_ms = now_ms

    @property
    def lowest_height(self) -> Height:
        """The lowest height that can be verified from the trusted header."""
        return 1 if self._anchor is None else max(self._anchor.height, 1)

    async def follow(self, peer: PeerId, offer: SnapshotOffer) -> LightBlock:
        """The peer's block of the offered height; raises NetworkError, TrustTooOld, UnknownAnchor."""
        block = None
        with trio.move_on_after(TRUST_SECONDS_MAX):
            block = await self._follow(peer, offer)
        if block is None:
            raise PeerSlow(f"height {offer.height} was not shown in time")
        if compute_header_hash(block.header) != offer.block_hash:
            raise build_lie(f"offers another block {offer.height} than it shows")
        return block

    async def _follow(self, peer: PeerId, offer: SnapshotOffer) -> LightBlock:
        trusted = await self._get_anchor(peer)
        if trusted.header.height == offer.height:
            return trusted
        bisection = Bisection(self._rules, trusted, offer.height)
        while bisection.wanted is not None:
            block = await self._fetch(peer, bisection.wanted, is_due=bisection.wanted == offer.height)
            try:
                await trio.to_thread.run_sync(partial(bisection.supply, block, self._now_ms()))
            except ForgedHeader as error:
                raise build_lie(error) from error
            except TrustExpired as error:
                raise TrustTooOld(
                    f"{error}; name a later block with --trust HEIGHT:HASH, or replay with --full"
                ) from error
        return bisection.trusted

    async def _get_anchor(self, peer: PeerId) -> LightBlock:
        if self._anchor is None:
            return self._genesis
        block = await self._fetch(peer, self._anchor.height, is_due=False)
        if compute_header_hash(block.header) != self._anchor.header_hash:
            # Peer or operator: nobody here can tell, and another peer may have it.
            raise UnknownAnchor(
                f"block {self._anchor.height} is {compute_header_hash(block.header).hex()} for a peer,"
                f" {self._anchor.header_hash.hex()} by --trust"
            )
        try:
            check_light_block(self._rules, block)
        except ForgedHeader as error:
            raise build_lie(error) from error
        return block

    async def _fetch(self, peer: PeerId, height: Height, *, is_due: bool) -> LightBlock:
        """The block of a height; `is_due` if the peer must have it."""
        message = LightBlockRequest(height)
        try:
            reply = await self._sources.ask(peer, message, LightBlockReply, BLOCK_SECONDS_MAX)
        except Refused as refused:
            if is_due and refused.code is RefusalCode.NOT_FOUND:
                raise build_lie(f"offers height {height}, has no header of it") from refused
            raise
        try:
            block = decode(LightBlock, reply.block, LIGHT_BLOCK_BYTES_MAX)
        except DecodeError as error:
            raise build_lie(error) from error
        if block.header.height != height:
            raise build_lie(f"header {block.header.height} for {height}")
        return block
