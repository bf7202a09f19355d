"""Block sync and time: who is slow, silent or thin of line is passed over or waited for, and never banned."""

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
    """One of several batches."""
    return build_history(LONG)


def silent(message: SyncRequest) -> SyncReply | None:
    """Says nothing at all."""
    return None


def test_a_slow_peer_is_replaced_and_not_banned(long_history: History) -> None:
    """After a moment somebody else is asked for its part; it costs no more than that moment."""
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
    """However many take the window's places: what is needed next is asked of another, again and again."""
    honest = build_honest(long_history)
    world = SyncWorld(long_history.forge)
    for name in range(2, 32):
        world.join(name, lambda message: None if isinstance(message, BlocksRequest) else honest(message))
    world.join(1, honest)
    world.sync.catch_up(lambda: None)
    world.run_until(lambda: world.ledger.height == LONG, seconds_max=60)
    assert world.blamed == []


def test_what_comes_late_is_used(history: History) -> None:
    """Who is slow but delivers is no worse than who is quick, if there is nobody else."""
    world = SyncWorld(history.forge)
    slow = world.join(1, build_honest(history), delay_ms=catch_up.LATE_BLOCKS_MS + 1)
    world.catch_up()
    assert world.ledger.height == HEIGHT
    assert len(slow.ranges) == 1


def test_who_could_not_deliver_much_is_asked_for_less(long_history: History) -> None:
    """A batch that a thin line can not carry in time is halved until it can, and then stays so."""
    world = SyncWorld(long_history.forge)
    thin = world.join(1, build_honest(long_history), block_ms=1_000)
    world.begin()
    world.run_until(lambda: world.ledger.height >= 24)
    assert [count for _, count in thin.ranges][:4] == [16, 8, 8, 8]


def test_a_line_that_became_thick_is_used_again(long_history: History) -> None:
    """A batch that took no time is followed by one of twice the size."""
    world = SyncWorld(long_history.forge)
    line = world.join(1, build_honest(long_history), block_ms=300)
    world.begin()
    world.run_until(lambda: world.ledger.height >= 16)
    line.block_ms = 1
    world.finish()
    assert [count for _, count in line.ranges][:6] == [16, 16, 16, 32, 64, 64]


def test_a_silent_stranger_holds_up_a_survey_for_a_moment_only(history: History) -> None:
    """Others have answered: it is waited for as long as another honest one may take, and only once."""
    world = SyncWorld(history.forge)
    world.join(1, build_honest(history))
    stranger = world.join(2, silent)
    took_ms = world.catch_up()
    assert world.ledger.height == HEIGHT
    assert peer_heights.LATE_STATUS_MS <= took_ms < 2 * peer_heights.LATE_STATUS_MS
    assert stranger.surveys == 1


def test_the_end_of_an_older_survey_is_not_that_of_the_last_one(history: History) -> None:
    """The head moved while the first was under way: others are given their time from the second on."""
    world = SyncWorld(history.forge)
    world.join(1, build_shorter(history, 3))
    world.join(2, build_honest(history), delay_ms=peer_heights.LATE_STATUS_MS + 20)
    world.catch_up()
    assert world.ledger.height == HEIGHT


def test_claimants_who_stall_keep_no_validator_out(history: History) -> None:
    """New ones come all the time, and each must be given time to answer: patience ends it."""
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


def test_patience_lasts_while_blocks_come(long_history: History) -> None:
    """A long chain over a thin line takes as long as it takes."""
    world = SyncWorld(long_history.forge)
    world.join(1, build_honest(long_history), block_ms=300)
    assert world.catch_up() > catch_up.STALL_MS
    assert world.ledger.height == LONG
