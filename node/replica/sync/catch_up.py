"""One run of block sync, until nobody who can be believed is ahead.

Blocks are asked of several peers at once, as many as the window holds, and executed and committed in order,
one lane job each. Each error is charged to the peer that caused it and costs nothing that came from others:
what is missing is asked of somebody else. Whom to ask is left to chance, those first who delivered the last
time, so that no claim is worth more than another.

While there is nobody to believe, it waits: for peers, or until those that were busy or slow have rested. It
also ends when little was gained for a while: claimants who stall must not keep a validator from taking part,
and who really is ahead will show it (`look_ahead`).
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
"""After so long another peer is asked for the same blocks; what comes first counts."""
PATIENCE_MS = 60_000
PATIENCE_BLOCKS = 64
"""So many blocks renew the patience."""
LOG_BLOCKS = 500


class CatchUp:
    """Runs from `start` until it calls `then`, once; nothing is under way in the lane by then."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        verify: Verify,
        commit: CommitBlock,
        chance: RandomSource,
        claims: PeerHeights,
        then: Callable[[], None],
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._verify = verify
        self._commit = commit
        self._chance = chance
        self._claims = claims
        self._then = then
        self._window = Window(ledger.height + 1)
        self._is_executing = False
        self._surveyed: Height | None = None
        """The head when peers were last asked for theirs."""
        self._is_surveying = False
        self._surveys = 0
        """How many there were: only the answers to the last one tell how things are."""
        self._patience: Timer | None = None
        self._patient_since: Height = ledger.height
        self._is_to_end = False
        self._is_over = False
        self.target: Height = ledger.height
        """The highest claim of those believed."""

    def start(self) -> None:
        """Begin; `then` follows in a later turn."""
        self._world.call_later(0, self.advance)

    def advance(self) -> None:
        """Do whatever can be done now; called after everything that happens."""
        if self._is_over:
            return
        if not self._is_to_end:
            self._ask_for_blocks()
            self._execute_next()
        if self._is_executing:
            return
        if self._is_to_end or self._is_done():
            self._end()
        elif not self._claims.peers:
            self._stop_patience()
        elif self._patience is None:
            self._start_patience()

    def _is_done(self) -> bool:
        """Whether everybody was asked at this head, and nobody claims a higher one; asks them if not."""
        if self._claims.get_ahead(self._ledger.height):
            return False
        if not self._claims.has_believed():
            return self._is_enough_alone()
        has_answer = self._is_surveying or self._claims.has_answer()
        if self._surveyed != self._ledger.height or not has_answer:
            self._surveyed, self._is_surveying = self._ledger.height, True
            self._surveys += 1
            self._claims.survey(partial(self._on_surveyed, self._surveys))
        return not self._is_surveying

    def _is_enough_alone(self) -> bool:
        """Whether one validator has the whole power: then there is nobody to wait for."""
        return len(self._ledger.get_validators().validators) == 1

    def _on_surveyed(self, number: int) -> None:
        if number == self._surveys:
            self._is_surveying = False
            self.advance()

    def _end(self) -> None:
        self._is_over = True
        self._stop_patience()
        self._then()

    # Patience.

    def _start_patience(self) -> None:
        self._patient_since = self._ledger.height
        self._patience = self._world.call_later(PATIENCE_MS, self._on_impatient)

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _on_impatient(self) -> None:
        _log.warning("sync_stalled", height=self._ledger.height, target=self.target)
        self._is_to_end = True
        self.advance()

    # Asking.

    def _ask_for_blocks(self) -> None:
        self._window.advance(self._ledger.height + 1)
        ahead = self._claims.get_ahead(self._ledger.height)
        self.target = max((claim.height or 0 for claim in ahead.values()), default=self._ledger.height)
        idle = [peer for peer in sorted(ahead) if not self._window.is_asked(peer)]
        drawn = self._chance.sample(idle, len(idle))
        vain: Height = 0
        for peer in sorted(drawn, key=lambda peer: not ahead[peer].has_delivered):
            claim = ahead[peer]
            claimed = claim.height or 0
            heights = self._window.select(claimed, claim.batch_blocks) if claimed > vain else None
            if heights is not None:
                self._ask(peer, heights)
            else:
                vain = max(vain, claimed)

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
            self._claims.credit(asked.peer, is_late=asked.is_late)
            self._window.put(asked, reply.blocks)
        self.advance()

    def _charge(self, peer: PeerId, error: NetworkError) -> None:
        self._claims.charge(peer, error)
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
        if height - self._patient_since >= PATIENCE_BLOCKS:
            self._stop_patience()
            self._start_patience()
        if height % LOG_BLOCKS == 0 or height == self.target:
            _log.info("synced", height=height, target=self.target)
        self.advance()
