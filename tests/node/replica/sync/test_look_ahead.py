"""Lead checks: a node that takes part is interrupted by a proven block, not by a claim."""

import pytest

from chain.block import Block
from chain.primitives.codec import decode
from node.replica.sync.look_ahead import SHOWING_MAX
from node.replica.sync.peer_heights import LIE_MS
from p2p.wire.messages import Blocks, BlocksRequest, Status, SyncReply, SyncRequest
from tests.node.forge import make_final
from tests.node.replica.sync.lies import LIES, History, build_history, build_honest, build_liar, build_shorter
from tests.node.replica.sync.world import SyncWorld, build_peer_id


@pytest.fixture(scope="module")
def history() -> History:
    """An honest chain."""
    return build_history()


@pytest.fixture
def world(history: History) -> SyncWorld:
    """A node that takes part."""
    world = SyncWorld(history.forge)
    world.sync.is_syncing = False
    return world


def claim(message: SyncRequest) -> SyncReply:
    """A high claim and no block."""
    return Blocks(1, ()) if isinstance(message, BlocksRequest) else Status(10**6, bytes(32), 0)


def stall(message: SyncRequest) -> SyncReply | None:
    """A high claim and then silence."""
    return None if isinstance(message, BlocksRequest) else Status(10**6, bytes(32), 0)


def test_who_shows_the_next_block_is_believed(world: SyncWorld, history: History) -> None:
    """A peer that shows the next block proves its lead; only that block is requested, and not executed."""
    peer = world.join(1, build_honest(history))
    assert world.look_ahead()
    assert peer.ranges == [(1, 1)]
    assert world.ledger.height == 0


def test_nobody_ahead_is_no_reason(world: SyncWorld) -> None:
    """Without a peer, or with one that claims nothing more, nobody is ahead."""
    assert not world.look_ahead()
    world.join(1, lambda message: Status(0, bytes(32), 0))
    assert not world.look_ahead()


def test_one_block_ahead_is_no_reason(world: SyncWorld, history: History) -> None:
    """One block ahead is no lead: consensus gets a single block by itself."""
    world.join(1, build_shorter(history, 1))
    assert not world.look_ahead()
    world.join(2, build_shorter(history, 2))
    assert world.look_ahead()


@pytest.mark.parametrize("name", ["nothing", "another start", "no block"])
def test_a_claim_alone_costs_its_claimant(world: SyncWorld, history: History, name: str) -> None:
    """A claim without the block is not believed."""
    world.join(1, build_liar(history, LIES[name]))
    if name == "no block":
        commit_first(world, history, 2)
    assert not world.look_ahead()
    assert world.banned == [1]


@pytest.mark.parametrize("name", [name for name in LIES if "certificate" in name or "filled" in name])
def test_a_block_that_is_not_final_costs_who_shows_it(world: SyncWorld, history: History, name: str) -> None:
    """A block with an invalid certificate proves nothing, whatever is wrong with it."""
    commit_first(world, history, 2)
    world.join(1, build_liar(history, LIES[name]))
    assert not world.look_ahead()
    assert world.banned == [1]


def test_one_who_shows_it_is_enough_among_liars(world: SyncWorld, history: History) -> None:
    """Liars are banned and silent peers passed over; neither holds up the honest one."""
    for name in range(2, 6):
        world.join(name, claim)
    world.join(1, build_honest(history))
    assert world.look_ahead()
    assert 1 not in world.banned


def test_few_are_asked_at_once(world: SyncWorld) -> None:
    """At most SHOWING_MAX peers are asked at a time, however many claim a lead."""
    peers = [world.join(name, stall) for name in range(1, 20)]
    world.sync.look_ahead(lambda is_behind: None)
    world.call_later(5_000, lambda: asked.append(sum(len(peer.ranges) for peer in peers)))
    asked: list[int] = []
    world.run_until(lambda: bool(asked))
    assert asked == [SHOWING_MAX]


def test_one_look_at_a_time(world: SyncWorld, history: History) -> None:
    """A second check, and one during a sync, is answered at once with no."""
    world.join(1, build_honest(history))
    told: list[bool] = []
    world.sync.look_ahead(told.append)
    world.sync.look_ahead(told.append)
    assert told == [False]
    world.run_until(lambda: len(told) == 2)
    assert told == [False, True]
    world.sync.catch_up(lambda: None)
    world.sync.look_ahead(told.append)
    assert told == [False, True, False]


def test_consensus_may_go_on_by_itself_meanwhile(world: SyncWorld, history: History) -> None:
    """If consensus decided the height meanwhile, the block proves nothing and costs nothing."""
    world.join(1, build_honest(history))
    told: list[bool] = []
    world.sync.look_ahead(told.append)
    world.call_later(15, lambda: commit_first(world, history, 1))
    world.run_until(lambda: bool(told))
    assert told == [False]
    assert world.blamed == []


def test_who_connects_again_meanwhile_is_asked_anew(world: SyncWorld, history: History) -> None:
    """A request over an older connection is not waited for; the peer is asked again."""
    world.join(1, lambda message: None)
    world.call_later(20, lambda: world.join(1, build_honest(history)) and None)
    assert world.look_ahead()


def test_who_goes_meanwhile_is_not_waited_for(world: SyncWorld) -> None:
    """A check does not wait for a peer that disconnects."""
    world.join(1, lambda message: None)
    world.call_later(20, lambda: world.leave(build_peer_id(1)))
    assert not world.look_ahead()
    assert world.elapsed_ms() < 2_000


def test_who_was_caught_is_not_asked_again(world: SyncWorld) -> None:
    """A liar is ignored for LIE_MS, even if it cannot be banned because it is a validator."""
    liar = world.join(1, claim, is_trusted=True)
    assert not world.look_ahead()
    assert not world.look_ahead()
    assert (liar.surveys, len(liar.ranges)) == (1, 1)
    world.call_later(LIE_MS, lambda: None)
    world.settle()
    assert not world.look_ahead()
    assert (liar.surveys, len(liar.ranges)) == (2, 2)


def commit_first(world: SyncWorld, history: History, count: int) -> None:
    """After the first proven block the node syncs to the head."""
    for final in history.blocks[:count]:
        result = world.ledger.execute(decode(Block, final.block))
        make_final(world.ledger, result, final.certificate)
