"""Whether a peer has proven that it is ahead: a claim alone does not interrupt a validator.

A peer that claims two blocks more must show the next one with its certificate. SHOWING_MAX peers are asked at
once, so that one that shows nothing does not hold up the others; the first block shown is enough.
"""

from collections.abc import Callable
from functools import partial

from chain.primitives.types import Height, PeerId
from chain.votes import Verify
from node.ledger.ledger import Ledger
from node.replica.ports import RandomSource, World
from node.replica.sync.checks import find_final_fault, find_reply_fault
from node.replica.sync.peer_heights import PeerHeights
from p2p.errors import NetworkError
from p2p.wire.messages import Blocks, BlocksRequest

SHOWING_MAX = 4
SHOW_MS_MAX = 15_000


class LookAhead:
    """One check, from the survey to its answer."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        verify: Verify,
        peer_heights: PeerHeights,
        random: RandomSource,
        then: Callable[[bool], None],
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._verify = verify
        self._peer_heights = peer_heights
        self._random = random
        self._then = then
        self._height: Height = ledger.height + 1
        self._left: list[PeerId] = []
        self._showing = 0
        self._is_over = False
        peer_heights.survey(self._begin)

    def _begin(self) -> None:
        ahead = sorted(self._peer_heights.get_ahead(self._ledger.height, 2))
        self._left = self._random.sample(ahead, len(ahead))
        self._ask_next()

    def _ask_next(self) -> None:
        """Ask further peers; the check is over when none is left."""
        if self._is_over:
            return
        while self._left and self._showing < SHOWING_MAX:
            peer = self._left.pop()
            self._showing += 1
            message = BlocksRequest(self._height, 1)
            self._world.ask(peer, message, Blocks, SHOW_MS_MAX, partial(self._on_blocks, peer))
        if not self._showing:
            self._end(False)

    def _on_blocks(self, peer: PeerId, reply: Blocks | NetworkError) -> None:
        if isinstance(reply, Blocks):
            fault = find_reply_fault(range(self._height, self._height + 1), reply)
            if fault is None:
                job = partial(find_final_fault, self._ledger, self._verify, self._height, reply.blocks[0])
                return self._world.run(job, partial(self._on_checked, peer))
            reply = fault
        return self._on_checked(peer, reply)

    def _on_checked(self, peer: PeerId, error: NetworkError | None) -> None:
        self._showing -= 1
        if error is not None:
            self._peer_heights.charge(peer, error)
            self._ask_next()
        elif not self._is_over:
            # Consensus may have decided that height meanwhile.
            self._end(self._ledger.height + 1 == self._height)

    def _end(self, is_behind: bool) -> None:
        self._is_over = True
        self._then(is_behind)
