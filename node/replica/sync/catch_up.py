"""One run of block sync, until no usable peer is ahead.

Several peers are asked at once for as many blocks as the window holds; blocks are executed and committed in
order, one lane job each. An error is charged to the peer that caused it, and blocks from others stay; another
peer is asked for what is missing. Peers that delivered last time are asked first, otherwise the order is
random, so that a peer gains nothing by claiming more than others.

While no peer is usable, the run waits for one. It also ends when fewer than STALL_BLOCKS blocks came in
STALL_MS: peers that claim and stall must not keep a validator from taking part. A peer that really is ahead
can prove it later (`look_ahead`).
"""

from collections.abc import Callable
from functools import partial

import structlog

from chain.primitives.types import Height, PeerId
from chain.runtime import BlockResult
from chain.votes import Verify
from node.ledger.ledger import Ledger
from node.replica.ports import CommitBlock, RandomSource, Timer, World
from node.replica.sync.checks import execute_final, find_reply_fault
from node.replica.sync.peer_heights import PeerHeights
from node.replica.sync.window import PendingRequest, ReceivedBlock, Window
from p2p.errors import NetworkError, PeerFault
from p2p.wire.messages import Blocks, BlocksRequest

_log = structlog.get_logger("sync")

BLOCKS_MS_MAX = 15_000
LATE_BLOCKS_MS = 3_000
"""After this long another peer is asked for the same blocks; the first answer counts."""
STALL_MS = 60_000
STALL_BLOCKS = 64
"""This many new blocks restart the stall timer."""
LOG_BLOCKS = 500


class CatchUp:
    """Runs from `start` until it calls `then`, once; the lane then has no job of it."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        verify: Verify,
        commit: CommitBlock,
        random: RandomSource,
        peer_heights: PeerHeights,
        then: Callable[[], None],
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._verify = verify
        self._commit = commit
        self._random = random
        self._peer_heights = peer_heights
        self._then = then
        self._window = Window(ledger.height + 1)
        self._is_executing = False
        self._surveyed: Height | None = None
        """The head when peers were last asked for theirs."""
        self._is_surveying = False
        self._surveys = 0
        """How many there were; only the last one's result counts."""
        self._stall_timer: Timer | None = None
        self._stall_start: Height = ledger.height
        self._is_to_end = False
        self._is_over = False
        self.target: Height = ledger.height
        """The highest height that a usable peer claims."""

    def start(self) -> None:
        """Begin; `then` follows in a later turn."""
        self._world.call_later(0, self.advance)

    def advance(self) -> None:
        """Do what can be done now; called after every event."""
        if self._is_over:
            return
        if not self._is_to_end:
            self._ask_for_blocks()
            self._execute_next()
        if self._is_executing:
            return
        if self._is_to_end or self._is_done():
            self._end()
        elif not self._peer_heights.peers:
            self._stop_stall_timer()
        elif self._stall_timer is None:
            self._start_stall_timer()

    def _is_done(self) -> bool:
        """Whether all usable peers were asked at this head and none claims a higher one; asks them if not."""
        if self._peer_heights.get_ahead(self._ledger.height):
            return False
        if not self._peer_heights.has_usable():
            return self._is_enough_alone()
        has_answer = self._is_surveying or self._peer_heights.has_answer()
        if self._surveyed != self._ledger.height or not has_answer:
            self._surveyed, self._is_surveying = self._ledger.height, True
            self._surveys += 1
            self._peer_heights.survey(partial(self._on_surveyed, self._surveys))
        return not self._is_surveying

    def _is_enough_alone(self) -> bool:
        """Whether one validator has the whole power, so that there is no peer to wait for."""
        return len(self._ledger.get_validators().validators) == 1

    def _on_surveyed(self, number: int) -> None:
        if number == self._surveys:
            self._is_surveying = False
            self.advance()

    def _end(self) -> None:
        self._is_over = True
        self._stop_stall_timer()
        self._then()

    # Stalls.

    def _start_stall_timer(self) -> None:
        self._stall_start = self._ledger.height
        self._stall_timer = self._world.call_later(STALL_MS, self._on_stalled)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _on_stalled(self) -> None:
        _log.warning("sync_stalled", height=self._ledger.height, target=self.target)
        self._is_to_end = True
        self.advance()

    # Asking.

    def _ask_for_blocks(self) -> None:
        self._window.advance(self._ledger.height + 1)
        ahead = self._peer_heights.get_ahead(self._ledger.height)
        self.target = max((one.height or 0 for one in ahead.values()), default=self._ledger.height)
        idle = [peer for peer in sorted(ahead) if not self._window.is_asked(peer)]
        shuffled = self._random.sample(idle, len(idle))
        # A window that has nothing for a peer has nothing for one that claims less.
        useless_claim: Height = 0
        for peer in sorted(shuffled, key=lambda peer: not ahead[peer].has_delivered):
            claimed, batch_blocks = ahead[peer].height or 0, ahead[peer].batch_blocks
            heights = self._window.select(claimed, batch_blocks) if claimed > useless_claim else None
            if heights is not None:
                self._ask(peer, heights)
            else:
                useless_claim = max(useless_claim, claimed)

    def _ask(self, peer: PeerId, heights: range) -> None:
        asked = PendingRequest(peer, heights)
        self._window.asked.append(asked)
        late = self._world.call_later(LATE_BLOCKS_MS, partial(self._on_late, asked))
        message = BlocksRequest(heights.start, len(heights))
        self._world.ask(peer, message, Blocks, BLOCKS_MS_MAX, partial(self._on_blocks, asked, late))

    def _on_late(self, asked: PendingRequest) -> None:
        asked.is_late = True
        self.advance()

    def _on_blocks(self, asked: PendingRequest, late: Timer, reply: Blocks | NetworkError) -> None:
        late.cancel()
        self._window.asked.remove(asked)
        error = reply if isinstance(reply, NetworkError) else find_reply_fault(asked.heights, reply)
        if error is not None:
            self._charge(asked.peer, error)
        elif isinstance(reply, Blocks):
            self._peer_heights.note_delivered(asked.peer, is_late=asked.is_late)
            self._window.put(asked, reply.blocks)
        self.advance()

    def _charge(self, peer: PeerId, error: NetworkError) -> None:
        self._peer_heights.charge(peer, error)
        if isinstance(error, PeerFault):
            self._window.reject(peer)

    # Applying.

    def _execute_next(self) -> None:
        height = self._ledger.height + 1
        held = None if self._is_executing else self._window.get(height)
        if held is not None:
            self._is_executing = True
            job = partial(execute_final, self._ledger, self._verify, height, held.final)
            self._world.run(job, partial(self._on_executed, held))

    def _on_executed(self, held: ReceivedBlock, outcome: BlockResult | PeerFault | None) -> None:
        if isinstance(outcome, BlockResult):
            self._commit(outcome, held.final.certificate, self._on_committed)
            return
        self._is_executing = False
        if outcome is not None:
            self._charge(held.sender, outcome)
        self.advance()

    def _on_committed(self) -> None:
        self._is_executing = False
        height = self._ledger.height
        if height - self._stall_start >= STALL_BLOCKS:
            self._stop_stall_timer()
            self._start_stall_timer()
        if height % LOG_BLOCKS == 0 or height == self.target:
            _log.info("synced", height=height, target=self.target)
        self.advance()
