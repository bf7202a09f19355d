"""Block sync and time: slow and silent peers are passed over or waited for, and never banned."""

import pytest

from node.replica.sync import catch_up, peer_heights
from p2p.wire.messages import BlocksRequest, Status, SyncReply, SyncRequest
from tests.node.replica.sync.lies import HEIGHT, History, build_history, build_honest, build_shorter
from tests.node.replica.sync.world import SyncWorld

LONG = 300


@pytest.fixture(scope="module")
def history() -> History:
    """An honest chain, made once."""
    return build_history()


@pytest.fixture(scope="module")
def long_history() -> History:
    """A chain of several batches."""
    return build_history(LONG)


def silent(message: SyncRequest) -> SyncReply | None:
    """Answers nothing at all."""
    return None


def test_a_slow_peer_is_replaced_and_not_banned(long_history: History) -> None:
    """When a peer is late, another is asked for its heights; that costs LATE_BLOCKS_MS and no more."""
    world = SyncWorld(long_history.forge)
    honest = build_honest(long_history)
    slow = world.join(1, lambda message: None if isinstance(message, BlocksRequest) else honest(message))
    world.join(2, honest)
    world.catch_up()
    assert slow.ranges
    assert world.ledger.height == LONG
    assert world.blamed == []
    assert world.elapsed_ms() < 1_000 + catch_up.BLOCKS_MS_MAX


def test_many_who_stall_do_not_hold_up_one_who_delivers(long_history: History) -> None:
    """Silent peers may fill the window, and the next height is still asked of another."""
    honest = build_honest(long_history)
    world = SyncWorld(long_history.forge)
    for name in range(2, 32):
        world.join(name, lambda message: None if isinstance(message, BlocksRequest) else honest(message))
    world.join(1, honest)
    world.sync.catch_up(lambda: None)
    world.run_until(lambda: world.ledger.height == LONG, seconds_max=60)
    assert world.blamed == []


def test_what_comes_late_is_used(history: History) -> None:
    """If no other peer is there, a slow one is used like a quick one."""
    world = SyncWorld(history.forge)
    slow = world.join(1, build_honest(history), delay_ms=catch_up.LATE_BLOCKS_MS + 1)
    world.catch_up()
    assert world.ledger.height == HEIGHT
    assert len(slow.ranges) == 1


def test_who_could_not_deliver_much_is_asked_for_less(long_history: History) -> None:
    """A batch that a slow connection cannot carry in time is halved until it can."""
    world = SyncWorld(long_history.forge)
    thin = world.join(1, build_honest(long_history), block_ms=1_000)
    world.begin()
    world.run_until(lambda: world.ledger.height >= 24)
    assert [count for _, count in thin.ranges][:4] == [16, 8, 8, 8]


def test_a_line_that_became_thick_is_used_again(long_history: History) -> None:
    """A batch that came in time is followed by one of twice the size."""
    world = SyncWorld(long_history.forge)
    line = world.join(1, build_honest(long_history), block_ms=300)
    world.begin()
    world.run_until(lambda: world.ledger.height >= 16)
    line.block_ms = 1
    world.finish()
    assert [count for _, count in line.ranges][:6] == [16, 16, 16, 32, 64, 64]


def test_a_silent_stranger_holds_up_a_survey_for_a_moment_only(history: History) -> None:
    """A silent peer is waited for as long as an honest one may take after the first answer, and only once."""
    world = SyncWorld(history.forge)
    world.join(1, build_honest(history))
    stranger = world.join(2, silent)
    took_ms = world.catch_up()
    assert world.ledger.height == HEIGHT
    assert peer_heights.LATE_STATUS_MS <= took_ms < 2 * peer_heights.LATE_STATUS_MS
    assert stranger.surveys == 1


def test_the_end_of_an_older_survey_is_not_that_of_the_last_one(history: History) -> None:
    """In every survey others get LATE_STATUS_MS after the first answer."""
    world = SyncWorld(history.forge)
    world.join(1, build_shorter(history, 3))
    world.join(2, build_honest(history), delay_ms=peer_heights.LATE_STATUS_MS + 20)
    world.catch_up()
    assert world.ledger.height == HEIGHT


def test_claimants_who_stall_keep_no_validator_out(history: History) -> None:
    """New silent claimants come all the time, and the stall timer ends the run."""
    world = SyncWorld(history.forge)

    def stall(message: SyncRequest) -> SyncReply | None:
        return Status(10**6, bytes(32), 0) if not isinstance(message, BlocksRequest) else None

    names = iter(range(2, 200))

    def come() -> None:
        world.join(next(names), stall)
        if world.sync.is_syncing:
            world.call_later(2_000, come)

    world.join(1, build_honest(history))
    come()
    took_ms = world.catch_up()
    assert took_ms == catch_up.STALL_MS
    assert world.ledger.height == HEIGHT


def test_the_stall_timer_starts_again_while_blocks_come(long_history: History) -> None:
    """A long chain over a slow connection does not stall, however long it takes."""
    world = SyncWorld(long_history.forge)
    world.join(1, build_honest(long_history), block_ms=300)
    assert world.catch_up() > catch_up.STALL_MS
    assert world.ledger.height == LONG
