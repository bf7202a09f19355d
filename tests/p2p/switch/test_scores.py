"""Scores, bans and rate limits under a clock that the test moves."""

import trio
import trio.testing

from p2p.switch import scores
from p2p.switch.rate_limiter import RateLimiter
from p2p.switch.scores import BAN_SECONDS, ENTRIES_MAX, SCORE_MAX, Scoreboard


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_points_come_back() -> None:
    """One lost point returns per minute, up to the full score."""
    clock = Clock()
    board = Scoreboard(clock)
    assert not board.lower(b"a", 30, "x")
    assert board.get_score(b"a") == SCORE_MAX - 30
    clock.now = 10 * 60
    assert board.get_score(b"a") == SCORE_MAX - 20
    clock.now = 10**6
    assert board.get_score(b"a") == SCORE_MAX
    assert board.get_score(b"stranger") == SCORE_MAX


def test_two_halves_are_a_whole() -> None:
    """Faults that add up to all points spend them, though a little came back in between."""
    clock = Clock()
    board = Scoreboard(clock)
    assert not board.lower(b"a", SCORE_MAX // 2, "x")
    clock.now = 5.0
    assert board.lower(b"a", SCORE_MAX // 2, "x")


def test_bans_end_and_double() -> None:
    """A ban ends with a full score; the next one lasts twice as long."""
    clock = Clock()
    board = Scoreboard(clock)
    for seconds in (BAN_SECONDS, 2 * BAN_SECONDS, 4 * BAN_SECONDS):
        assert board.lower(b"a", SCORE_MAX, "x")
        board.ban(b"a", "x")
        assert board.get_ban(b"a") == "x"
        assert [ban.seconds_left for ban in board.get_bans()] == [seconds]
        clock.now += seconds
        assert board.get_ban(b"a") is None
        assert board.get_bans() == ()
        assert board.get_score(b"a") == SCORE_MAX


def test_the_table_is_bounded_and_keeps_the_worst() -> None:
    """Small faults of many peers do not remove a ban."""
    board = Scoreboard(Clock())
    board.ban(b"worst", "x", 10.0)
    for number in range(ENTRIES_MAX * 2):
        board.lower(number.to_bytes(4), 1, "y")
    assert board.get_ban(b"worst") == "x"
    assert len(board._standings) <= scores.ENTRIES_MAX


async def test_limiters_let_through_their_rate(autojump_clock: trio.testing.MockClock) -> None:
    """After the first second's allowance, taking n tokens takes n / rate seconds, whoever takes them."""
    limiter = RateLimiter(rate=10)
    begun = trio.current_time()
    await limiter.take(10)
    assert trio.current_time() == begun
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(limiter.take, 1)
    assert 1.99 < trio.current_time() - begun < 2.01


async def test_an_item_above_the_rate_passes(autojump_clock: trio.testing.MockClock) -> None:
    """One item larger than a second's allowance waits and passes."""
    limiter = RateLimiter(rate=10, largest=100)
    begun = trio.current_time()
    await limiter.take(100)
    await limiter.take(100)
    assert 9.9 < trio.current_time() - begun < 10.1
