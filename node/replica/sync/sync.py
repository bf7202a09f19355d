"""Block sync: a node that is behind fetches final blocks until it is at the head.

    peer_heights  the heights that peers claim, and which peers may be asked
    catch_up      one run to the head
    window        which heights to ask for next; blocks that are not applied yet
    checks        what is wrong with a block, and whose fault it is
    look_ahead    whether a node that takes part in consensus should sync again
    server        the other side: answers peers that sync

Only certificates are believed, no peer's word. The replica signs nothing between `catch_up` and its callback.
Committed blocks are kept: a node that was stopped resumes at its head.
"""

from collections.abc import Callable

from chain.primitives.types import Height, PeerId
from chain.votes import Verify
from node.ledger.ledger import Ledger
from node.replica.ports import CommitBlock, RandomSource, World
from node.replica.sync.catch_up import CatchUp
from node.replica.sync.look_ahead import LookAhead
from node.replica.sync.peer_heights import PeerHeights


class Sync:
    """Catches up with peers when the replica asks for it."""

    def __init__(
        self, world: World, ledger: Ledger, verify: Verify, commit: CommitBlock, random: RandomSource
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._verify = verify
        self._commit = commit
        self._random = random
        self._peer_heights = PeerHeights(world, self._advance)
        self._run: CatchUp | None = None
        self._is_looking = False
        self.is_syncing = True
        """True before the first run too, since the store may be old."""

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """The connected peers."""
        return self._peer_heights.peers

    @property
    def target(self) -> Height:
        """The highest height that a usable peer claims; not verified."""
        return self._run.target if self._run is not None else self._ledger.height

    def connected(self, peer: PeerId) -> None:
        """The peer said hello."""
        self._peer_heights.connected(peer)
        if self._run is not None:
            self._peer_heights.ask(peer)
            self._advance()

    def disconnected(self, peer: PeerId) -> None:
        """The peer is gone; the blocks it sent are kept."""
        self._peer_heights.disconnected(peer)
        self._advance()

    def _advance(self) -> None:
        if self._run is not None:
            self._run.advance()

    def catch_up(self, then: Callable[[], None]) -> None:
        """Calls `then` when no usable peer is ahead. Waits for peers unless this node alone is a quorum."""

        def end() -> None:
            self._run, self.is_syncing = None, False
            then()

        assert self._run is None  # The replica enters SYNCING once per run.
        self.is_syncing = True
        self._run = CatchUp(
            self._world, self._ledger, self._verify, self._commit, self._random, self._peer_heights, end
        )
        self._run.start()

    def look_ahead(self, then: Callable[[bool], None]) -> None:
        """Tells `then` whether a peer shows the next final block and claims more; one check at a time."""

        def end(is_behind: bool) -> None:
            self._is_looking = False
            then(is_behind)

        if self.is_syncing or self._is_looking:
            then(False)
            return
        self._is_looking = True
        LookAhead(self._world, self._ledger, self._verify, self._peer_heights, self._random, end)
