"""Block sync: how a node that is behind reaches the head, believing certificates and nobody's word.

Peers are asked for their status; blocks are asked of one of those that claim to have them, in order,
checked against the validator set of their height with *every* signature of the certificate, executed and
committed. Each error is charged to the peer that caused it: who claims a height and does not deliver, who
sends a block that does not follow, a bad certificate, an invalid block, is blamed, who is slow is not; both
are not believed for a while, and another is asked, by chance, so that no claim is worth more than another.
Runs in the driver's task, so nothing is signed meanwhile.

Once a node takes part in consensus, a claim alone interrupts nothing: `is_behind` asks for the next block and
its certificate first.

Also the other side: answers for peers that sync from us.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from random import Random
from typing import Protocol, TypeVar

import structlog
import trio

from chain.block import Block, compute_header_hash
from chain.errors import ChainError, InvalidBlock
from chain.primitives.codec import decode, encode
from chain.primitives.types import Height, PeerId
from chain.runtime import BlockResult
from chain.votes import CommitCertificate, Verify, check_certificate
from node.lane import Lane
from node.ledger import Ledger
from p2p.errors import NetworkError, PeerFault, PeerSlow, RefusalCode, Refused
from p2p.messages import (
    Blocks,
    BlocksRequest,
    FinalBlock,
    FinalHeader,
    Headers,
    HeadersRequest,
    Status,
    StatusRequest,
    SyncReply,
    SyncRequest,
)
from p2p.network import Network
from p2p.protocols import SYNC
from p2p.requests import build_answerer, request

_log = structlog.get_logger("sync")

T = TypeVar("T")

STATUS_SECONDS_MAX = 5.0
LATE_STATUS_SECONDS = 0.5
"""How long a round waits for others after each answer."""
BLOCKS_SECONDS_MAX = 15.0
LIE_SECONDS = 600.0
"""How long who lied is not believed, also where it can not be banned because it is a validator."""
SLOW_SECONDS = 30.0
BUSY_SECONDS = 1.0
DOUBTS_MAX = 4096
READERS_MAX = 2
BATCH_BLOCKS = 64
REPLY_BYTES_MAX = 6 * 2**20
REQUESTS_MAX = 8
WAIT_FOR_PEERS_SECONDS = 0.25
LIE_POINTS = 100


class Commit(Protocol):
    """Makes an executed block final: `Driver.commit`."""

    async def __call__(self, result: BlockResult, certificate: CommitCertificate) -> None: ...


class Sync:
    """Catches up with peers, and lets peers catch up."""

    def __init__(self, network: Network, ledger: Ledger, lane: Lane, verify: Verify, commit: Commit) -> None:
        self._network = network
        self._ledger = ledger
        self._lane = lane
        self._verify = verify
        self._commit = commit
        self._doubts: dict[PeerId, float] = {}
        """Until when a peer's claims count for nothing, by the trio clock."""
        self._chance = Random()
        self._readers = trio.CapacityLimiter(READERS_MAX)
        self.is_syncing = True
        self.target: Height = 0
        self.peers: set[PeerId] = set()
        """Connected peers that said hello; kept by `attend`."""
        network.serve(SYNC, build_answerer(SyncRequest, self._answer, REQUESTS_MAX))

    async def attend(self, peer: PeerId) -> None:
        """Count the peer among those to ask while it is connected."""
        self.peers.add(peer)
        try:
            await trio.sleep_forever()
        finally:
            self.peers.discard(peer)

    async def catch_up(self) -> None:
        """Returns when nobody who can be believed is ahead; waits for peers while a quorum needs others."""
        self.is_syncing = True
        while True:
            if not self.peers and not self._is_enough_alone():
                await trio.sleep(WAIT_FOR_PEERS_SECONDS)
                continue
            ahead = await self._find_ahead(1)
            if not ahead:
                break
            self.target = max(ahead.values())
            peer = self._chance.choice(sorted(ahead))
            await self._ask(peer, partial(self._sync_from, peer, ahead[peer]))
        self.is_syncing = False

    async def is_behind(self) -> bool:
        """Whether somebody shows the next block, final, and claims at least one more."""
        if self.is_syncing:
            return False
        ahead = await self._find_ahead(2)
        height = self._ledger.height
        for peer in self._chance.sample(sorted(ahead), len(ahead)):
            is_shown = await self._ask(peer, partial(self._check_claim, peer, ahead[peer], height + 1))
            if self._ledger.height > height:
                return False  # Consensus went on by itself meanwhile.
            if is_shown:
                return True
        return False

    async def _find_ahead(self, heights: int) -> dict[PeerId, Height]:
        """The heights that believed peers claim, and whose blocks from the next on they keep."""
        now, following = trio.current_time(), self._ledger.height + 1
        believed = [peer for peer in self.peers if self._doubts.get(peer, 0.0) <= now]
        statuses = await self._ask_statuses(believed)
        return {
            peer: status.height
            for peer, status in statuses.items()
            if status.height >= self._ledger.height + heights and status.oldest_height <= following
        }

    def _doubt(self, peer: PeerId, seconds: float) -> None:
        self._doubts.pop(peer, None)
        self._doubts[peer] = trio.current_time() + seconds
        if len(self._doubts) > DOUBTS_MAX:
            del self._doubts[next(iter(self._doubts))]

    async def _ask(self, peer: PeerId, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether the peer did what it claimed it could; if not it is charged with it."""
        try:
            await work()
        except PeerFault as fault:
            self._network.blame(peer, fault)
            self._doubt(peer, LIE_SECONDS)
        except PeerSlow as error:
            _log.info("peer_slow", reason=str(error))
            self._doubt(peer, SLOW_SECONDS)
        except NetworkError as error:
            _log.debug("peer_gone_or_busy", reason=str(error))
            self._doubt(peer, BUSY_SECONDS)
        else:
            return True
        return False

    def _is_enough_alone(self) -> bool:
        """Whether one validator has the whole power: then there is nobody to wait for."""
        return len(self._ledger.get_validators().validators) == 1

    async def _ask_statuses(self, peers: Iterable[PeerId]) -> dict[PeerId, Status]:
        statuses: dict[PeerId, Status] = {}

        async def ask(peer: PeerId) -> None:
            message = StatusRequest()
            statuses[peer] = await request(self._network, peer, SYNC, message, Status, STATUS_SECONDS_MAX)
            # Who says nothing must not hold up the round: strangers could come faster than they are doubted.
            scope = nursery.cancel_scope
            scope.deadline = min(scope.deadline, trio.current_time() + LATE_STATUS_SECONDS)

        async with trio.open_nursery() as nursery:
            for peer in sorted(peers):
                nursery.start_soon(self._ask, peer, partial(ask, peer))
        return statuses

    async def _request_blocks(self, peer: PeerId, claimed: Height, count: int) -> tuple[FinalBlock, ...]:
        """The blocks after the head; raises PeerFault if there is not one."""
        start = self._ledger.height + 1
        message = BlocksRequest(start, min(count, claimed - start + 1))
        reply = await request(self._network, peer, SYNC, message, Blocks, BLOCKS_SECONDS_MAX)
        if reply.start != start or not reply.blocks:
            raise PeerFault(f"claims height {claimed}, does not deliver {start}", LIE_POINTS)
        return reply.blocks

    async def _check_claim(self, peer: PeerId, claimed: Height, following: Height) -> None:
        """Raises PeerFault unless the peer shows the block after the head, and that it is final."""
        if self._ledger.height + 1 == following:
            [final, *_] = await self._request_blocks(peer, claimed, 1)
            await self._lane.run(partial(self._check_shown, final, following))

    def _check_shown(self, final: FinalBlock, following: Height) -> None:
        if self._ledger.height + 1 == following:
            self._check_final(_decode_block(final), final.certificate)

    async def _sync_from(self, peer: PeerId, claimed: Height) -> None:
        """Up to what the peer claims; raises what the peer is to be charged with."""
        while self._ledger.height < claimed:
            for final in await self._request_blocks(peer, claimed, BATCH_BLOCKS):
                await self._apply(final)
            _log.info("synced", height=self._ledger.height, target=claimed)

    async def _apply(self, final: FinalBlock) -> None:
        """Check, execute and commit the block after the head; raises PeerFault."""
        block = _decode_block(final)
        result = await self._lane.run(lambda: self._execute(block, final.certificate))
        await self._commit(result, final.certificate)

    def _execute(self, block: Block, certificate: CommitCertificate) -> BlockResult:
        self._check_final(block, certificate)
        try:
            return self._ledger.execute(block)
        except InvalidBlock as error:
            raise PeerFault(f"block {block.header.height}: {error}", LIE_POINTS) from error

    def _check_final(self, block: Block, certificate: CommitCertificate) -> None:
        """Raises PeerFault unless the certificate makes the block final, as the next one."""
        height = self._ledger.height + 1
        try:
            if block.header.height != height or certificate.height != height:
                raise InvalidBlock("not the height asked for")
            if certificate.block_hash != compute_header_hash(block.header):
                raise InvalidBlock("certificate of another block")
            validators = self._ledger.get_validators()
            check_certificate(self._ledger.genesis_hash, validators, certificate, self._verify)
        except ChainError as error:
            raise PeerFault(f"block {height}: {error}", LIE_POINTS) from error

    # Answers.

    async def _answer(self, peer: PeerId, message: SyncRequest) -> SyncReply:
        match message:
            case StatusRequest():
                return Status(
                    self._ledger.height, self._ledger.head_hash, self._ledger.chain.get_body_first()
                )
            case BlocksRequest(start, count):
                return Blocks(start, await self._read(self._collect_blocks, start, count))
            case HeadersRequest(start, count):
                return Headers(start, await self._read(self._collect_headers, start, count))
            case _:
                raise Refused(RefusalCode.NOT_SERVED)

    async def _read(self, collect: Callable[[Height, int], T], start: Height, count: int) -> T:
        return await trio.to_thread.run_sync(collect, start, count, limiter=self._readers)

    def _collect_blocks(self, start: Height, count: int) -> tuple[FinalBlock, ...]:
        found: list[FinalBlock] = []
        size = 0
        for height in range(max(start, 1), min(start + count, self._ledger.height + 1)):
            data, certificate = self._ledger.chain.get_block(height), self._ledger.get_certificate(height)
            if data is None or certificate is None or (found and size + len(data) > REPLY_BYTES_MAX):
                break
            found.append(FinalBlock(data, certificate))
            size += len(data) + len(encode(certificate))
        return tuple(found)

    def _collect_headers(self, start: Height, count: int) -> tuple[FinalHeader, ...]:
        found = []
        for height in range(max(start, 1), min(start + count, self._ledger.height + 1)):
            data, certificate = self._ledger.chain.get_header(height), self._ledger.get_certificate(height)
            if data is None or certificate is None:
                break
            found.append(FinalHeader(data, certificate))
        return tuple(found)


def _decode_block(final: FinalBlock) -> Block:
    try:
        return decode(Block, final.block)
    except ChainError as error:
        raise PeerFault(f"undecodable block: {error}", LIE_POINTS) from error
