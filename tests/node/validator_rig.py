"""A validator for replica tests: over a simulated disk for log and sign-state, in a world of the test.

Other validators, the messenger and sync are what the test says. What counts as signed is what went out on the
wire.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chain.block import Block
from chain.modules import beacon, system
from chain.primitives.codec import encode, replace
from chain.primitives.types import Hash, Height
from chain.runtime import BlockResult
from chain.votes import CommitCertificate, SignedProposal, SignedVote, VoteKind
from consensus.core import Core
from consensus.types import (
    Rebroadcast,
    Step,
    TimeoutElapsed,
    TimeoutKind,
    VoteReceived,
)
from node.duties.reveals import Reveals
from node.ledger.ledger import Ledger
from node.mempool.pool import Mempool
from node.replica.journal import Journal
from node.replica.ports import CommitBlock
from node.replica.replica import Replica
from node.replica.signing.signer import Signer
from node.replica.timing import build_synchrony, build_timeouts
from storage.errors import DiskFailed
from storage.kv import MemoryStore
from storage.sign_state import LastSignState
from storage.wal import Wal
from tests.node.forge import Forge
from tests.node.turns import Turns
from tests.storage.faulty_disk import FaultyDisk

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
WAL, SIGN_STATE = Path("wal"), Path("sign-state")
Wire = list[SignedVote | SignedProposal]
Script = Callable[["Rig"], None]


class TestSync:
    """A sync that commits the blocks that the test has put here."""

    __test__ = False

    def __init__(self, commit: CommitBlock) -> None:
        self.commit = commit
        self.waiting: list[tuple[BlockResult, CommitCertificate]] = []
        self.answers: list[bool] = []
        self.calls = 0
        self.is_stuck = False
        """Whether it never ends."""

    def catch_up(self, then: Callable[[], None]) -> None:
        """Commits the waiting blocks."""
        self.calls += 1
        self.go_on(then)

    def go_on(self, then: Callable[[], None]) -> None:
        """Commits the next block, or ends."""
        if self.waiting:
            result, certificate = self.waiting.pop(0)
            self.commit(result, certificate, lambda: self.go_on(then))
        elif not self.is_stuck:
            then()

    def look_ahead(self, then: Callable[[bool], None]) -> None:
        """Answers what the test has put here, otherwise no."""
        then(self.answers.pop(0) if self.answers else False)


class TestMessenger:
    """Records what is sent."""

    __test__ = False

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.again: list[Rebroadcast] = []
        self.bodies: dict[Hash, Block] = {}
        self.wanted: list[Hash] = []

    def send_proposal(self, signed: SignedProposal, block: Block) -> None:
        self.wire.append(signed)

    def send_votes(self, votes: tuple[SignedVote, ...]) -> None:
        self.wire.extend(votes)

    def send_again(self, again: Rebroadcast, block: Block | None) -> None:
        self.again.append(again)

    def fetch_block(self, height: Height, block_hash: Hash, then: Callable[[Block], None]) -> None:
        self.wanted.append(block_hash)
        if block_hash in self.bodies:
            then(self.bodies[block_hash])

    def on_new_height(self, core: Core) -> None:
        """Does nothing."""


@dataclass
class Rig:
    """A validator that can be killed and started again; `me` is the index of one of the forge's people."""

    forge: Forge
    me: int = 0
    disk: FaultyDisk = field(default_factory=FaultyDisk)
    store: MemoryStore = field(default_factory=MemoryStore)
    wire: Wire = field(default_factory=list)
    reported: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.person = self.forge.people[self.me]
        self.world = Turns(self.forge.ledger.head.time_ms + 10, ticks=1)
        self.messenger = TestMessenger(self.wire)
        Wal.create(WAL, 1, self.disk).close()
        LastSignState.load(SIGN_STATE, self.key.public_key, create=True, files=self.disk).close()
        self.replica: Replica
        self.sync: TestSync

    @property
    def key(self):  # type: ignore[no-untyped-def]
        """The consensus key."""
        return self.person.keys.consensus

    def list_signed(self) -> list[object]:
        """The messages on the wire, without signatures."""
        return [one.vote if isinstance(one, SignedVote) else one.proposal for one in self.wire]

    def run(self, script: Script) -> bool:
        """Starts the validator and runs the script; returns whether the disk did not fail."""
        try:
            self._run(script)
        except DiskFailed:
            return False
        return True

    def _run(self, script: Script) -> None:
        wal = Wal.load(WAL, self.disk)
        state = LastSignState.load(SIGN_STATE, self.key.public_key, files=self.disk)
        try:
            ledger = Ledger(self.store, self.forge.spec)
            parameters = ledger.get_parameters()
            reveals = Reveals(self.person.keys.beacon_secret)
            self.world = Turns(self.world.wall_ms, ticks=1)
            self.replica = Replica(
                self.world,
                ledger,
                Mempool(),
                signer=Signer(self.person.address, self.key, state, self.forge.genesis_hash),
                journal=Journal(wal),
                timeouts=build_timeouts(replace(parameters, propose_timeout_ms=10**7, vote_timeout_ms=10**7)),
                synchrony=build_synchrony(parameters),
                reveal=lambda: reveals.get_next_link(get_chain(ledger, self.person.address)),
                report=self.reported.append,
                build_messenger=lambda _: self.messenger,
                build_sync=self._build_sync,
            )
            self.replica.start()
            script(self)
        finally:
            wal.close()
            state.close()

    def _build_sync(self, commit: CommitBlock) -> TestSync:
        self.sync = TestSync(commit)
        return self.sync

    def restart(self, *, keeps_unsynced: bool) -> None:
        """Restarts: without what was unsynced after a power loss, with it after a kill."""
        self.disk = self.disk.restart() if keeps_unsynced else self.disk.crash(lambda count: 0)
        self.world.wall_ms += 1_000

    # What others say.

    def receive(self, *votes: SignedVote) -> None:
        """Votes of others arrive."""
        for vote in votes:
            self.replica.put(VoteReceived(vote))

    def receive_proposal(self, signed: SignedProposal, block: Block) -> None:
        """A proposal of another validator arrives with its block."""
        self.replica.put_proposal(signed, block, self.world.now_ms(), lambda: None)

    def elapse(self, kind: TimeoutKind, round: int = 0) -> None:
        """A timeout elapses."""
        self.replica.put(TimeoutElapsed(kind, self.replica.core.height, round))

    def wait_for(self, message: object) -> None:
        """Waits until the validator has sent this."""
        self.world.wait_until(lambda: message in self.list_signed())

    def wait_for_start(self) -> None:
        """Waits until it has started a height."""
        self.world.wait_until(lambda: self.replica.core.step is not Step.UNSTARTED)

    def wait_for_height(self, height: int) -> None:
        """Waits until the head is at this height."""
        self.world.wait_until(lambda: self.replica.ledger.height >= height)


def get_chain(ledger: Ledger, who: bytes):  # type: ignore[no-untyped-def]
    """The beacon chain in use at the next height."""
    epoch = system.compute_epoch(ledger.get_parameters(), ledger.height + 1)
    return beacon.get_chain(ledger.state, who, epoch)


def get_slot(one: SignedVote | SignedProposal) -> tuple[int, int, int]:
    """Step (0 proposal, 1 prevote, 2 precommit), height and round."""
    if isinstance(one, SignedVote):
        return int(one.vote.kind), one.vote.height, one.vote.round
    return 0, one.proposal.height, one.proposal.round


def check_wire(wire: Wire) -> None:
    """Checks that every slot on the wire has one message, however often it was sent."""
    slots: dict[tuple[int, int, int], set[bytes]] = defaultdict(set)
    for one in wire:
        slots[get_slot(one)].add(encode(one))
    assert all(len(messages) == 1 for messages in slots.values()), slots
