"""Block sync: how a node that is behind reaches the head, believing certificates and nobody's word.

    claims        who says to have which heights, and whom of them we believe
    catch_up      one run to the head
    sync_window   which heights to ask for next; what came and is not applied yet
    sync_checks   what is wrong with a block, and that it is its sender's fault
    look_ahead    whether a node that takes part should sync again

The replica signs nothing between `catch_up` and its answer. What was committed is kept: a node that is
stopped goes on where it was. The other side, which lets peers catch up, is `answers`.
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
    """Catches up with peers, when it is told to."""

    def __init__(
        self, world: World, ledger: Ledger, verify: Verify, commit: CommitBlock, random: RandomSource
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._verify = verify
        self._commit = commit
        self._chance = random
        self._claims = PeerHeights(world, self._advance)
        self._run: CatchUp | None = None
        self._is_looking = False
        self.is_syncing = True
        """Also before the first run: what this node has may be old."""

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """Who may be asked."""
        return self._claims.peers

    @property
    def target(self) -> Height:
        """The height that is aimed at; only a claim."""
        return self._run.target if self._run is not None else self._ledger.height

    def connected(self, peer: PeerId) -> None:
        """The peer said hello."""
        self._claims.connected(peer)
        if self._run is not None:
            self._claims.ask(peer)
            self._advance()

    def disconnected(self, peer: PeerId) -> None:
        """The peer is gone; what it sent is as good as before."""
        self._claims.disconnected(peer)
        self._advance()

    def _advance(self) -> None:
        if self._run is not None:
            self._run.advance()

    def catch_up(self, then: Callable[[], None]) -> None:
        """Calls back when nobody who can be believed is ahead.

        Waits for peers while a quorum needs others.
        """

        def end() -> None:
            self._run, self.is_syncing = None, False
            then()

        assert self._run is None
        self.is_syncing = True
        self._run = CatchUp(
            self._world, self._ledger, self._verify, self._commit, self._chance, self._claims, end
        )
        self._run.start()

    def look_ahead(self, then: Callable[[bool], None]) -> None:
        """Whether a peer shows the next block, final, and claims more; one look at a time."""

        def end(is_behind: bool) -> None:
            self._is_looking = False
            then(is_behind)

        if self.is_syncing or self._is_looking:
            then(False)
            return
        self._is_looking = True
        LookAhead(self._world, self._ledger, self._verify, self._claims, self._chance, end)
