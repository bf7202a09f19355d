"""Block sync: how a node that is behind reaches the head, believing certificates and nobody's word.

Peers are asked for their status; blocks are asked of one of those that claim to have them, in order,
checked against the validator set of their height with *every* signature of the certificate, executed and
committed. Each error is charged to the peer that caused it: who claims a height and does not deliver, who
sends a block that does not follow, a bad certificate, an invalid block, is banned or put aside, and
another is asked. Runs in the driver's task, so nothing is signed meanwhile.

Also the other side: answers for peers that sync from us.
"""

from typing import Protocol

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
from p2p.errors import NetworkError, PeerFault, RefusalCode, Refused
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

STATUS_SECONDS_MAX = 5.0
BLOCKS_SECONDS_MAX = 30.0
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
            statuses = await self._ask_statuses()
            ahead = {peer: status for peer, status in statuses.items() if status.height > self._ledger.height}
            if not ahead:
                break
            self.target = max(status.height for status in ahead.values())
            peer = max(ahead, key=lambda one: (ahead[one].height, one))
            await self._sync_from(peer, ahead[peer].height)
        self.is_syncing = False

    def _is_enough_alone(self) -> bool:
        """Whether one validator has the whole power: then there is nobody to wait for."""
        return len(self._ledger.get_validators().validators) == 1

    async def _ask_statuses(self) -> dict[PeerId, Status]:
        statuses: dict[PeerId, Status] = {}

        async def ask(peer: PeerId) -> None:
            try:
                message = StatusRequest()
                statuses[peer] = await request(self._network, peer, SYNC, message, Status, STATUS_SECONDS_MAX)
            except PeerFault as fault:
                self._network.blame(peer, fault)
            except NetworkError as error:
                _log.debug("no_status", reason=str(error))

        async with trio.open_nursery() as nursery:
            for peer in sorted(self.peers):
                nursery.start_soon(ask, peer)
        return statuses

    async def _sync_from(self, peer: PeerId, claimed: Height) -> None:
        """Up to what the peer claims; any failure is the peer's and ends this attempt."""
        try:
            while self._ledger.height < claimed:
                before = self._ledger.height
                message = BlocksRequest(before + 1, min(BATCH_BLOCKS, claimed - before))
                reply = await request(self._network, peer, SYNC, message, Blocks, BLOCKS_SECONDS_MAX)
                if reply.start != before + 1 or not reply.blocks:
                    raise PeerFault(f"claims height {claimed}, does not deliver {before + 1}", LIE_POINTS)
                for final in reply.blocks:
                    await self._apply(final)
                _log.info("synced", height=self._ledger.height, target=claimed)
        except PeerFault as fault:
            self._network.blame(peer, fault)
        except NetworkError as error:
            _log.info("sync_failed", reason=str(error))
            self.peers.discard(peer)
            await self._network.disconnect(peer, f"sync: {error}")

    async def _apply(self, final: FinalBlock) -> None:
        """Check, execute and commit the block after the head; raises PeerFault."""
        try:
            block = decode(Block, final.block)
            result = await self._lane.run(lambda: self._check(block, final.certificate))
        except ChainError as error:
            raise PeerFault(f"block {self._ledger.height + 1}: {error}", LIE_POINTS) from error
        await self._commit(result, final.certificate)

    def _check(self, block: Block, certificate: CommitCertificate) -> BlockResult:
        height = self._ledger.height + 1
        if block.header.height != height or certificate.height != height:
            raise InvalidBlock("not the height asked for")
        if certificate.block_hash != compute_header_hash(block.header):
            raise InvalidBlock("certificate of another block")
        validators = self._ledger.get_validators()
        check_certificate(self._ledger.genesis_hash, validators, certificate, self._verify)
        return self._ledger.execute(block)

    # Answers.

    async def _answer(self, peer: PeerId, message: SyncRequest) -> SyncReply:
        match message:
            case StatusRequest():
                return Status(
                    self._ledger.height, self._ledger.head_hash, self._ledger.chain.get_body_first()
                )
            case BlocksRequest(start, count):
                return Blocks(start, await trio.to_thread.run_sync(self._collect_blocks, start, count))
            case HeadersRequest(start, count):
                return Headers(start, await trio.to_thread.run_sync(self._collect_headers, start, count))
            case _:
                raise Refused(RefusalCode.NOT_SERVED)

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
