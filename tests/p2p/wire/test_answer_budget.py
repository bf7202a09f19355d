"""What answers cost: a peer, its group and the node have so many bytes a second."""

import trio
import trio.testing

from p2p.wire.answer_budget import (
    BURST_SECONDS,
    CHEAP_BYTES,
    GROUP_BYTES_PER_SECOND,
    NODE_BYTES_PER_SECOND,
    PEER_BYTES_PER_SECOND,
    AnswerBudget,
)

MIB = 2**20
COST = 2 * MIB


async def draw(budget: AnswerBudget, peer: bytes, host: str, count: int) -> float:
    """Seconds until so many full answers of COST bytes were sent."""
    begun = trio.current_time()
    for _ in range(count):
        async with budget.hold(peer, host, COST) as charge:
            charge.settle(COST)
    return trio.current_time() - begun


def compute_seconds(drawn_bytes: int, rate: int) -> float:
    """How long it takes at that rate, after the burst."""
    return drawn_bytes / rate - BURST_SECONDS


async def draw_at_once(peers: list[tuple[bytes, str]], count: int) -> float:
    """Seconds until all peers were sent so many answers."""
    budget, begun = AnswerBudget(int), trio.current_time()
    async with trio.open_nursery() as nursery:
        for peer, host in peers:
            nursery.start_soon(draw, budget, peer, host, count)
    return trio.current_time() - begun


async def test_each_bound_holds(autojump_clock: trio.testing.MockClock) -> None:
    """One peer, many peers of a group, and many groups each get their rate, and no more."""
    count = 40
    one = await draw_at_once([(b"a", "10.0.0.1")], count)
    group = await draw_at_once([(bytes([n]), f"10.0.0.{n}") for n in range(8)], count)
    node = await draw_at_once([(bytes([n]), f"10.{n}.0.1") for n in range(8)], count)
    for seconds, drawn, rate in (
        (one, count * COST, PEER_BYTES_PER_SECOND),
        (group, 8 * count * COST, GROUP_BYTES_PER_SECOND),
        (node, 8 * count * COST, NODE_BYTES_PER_SECOND),
    ):
        assert abs(seconds - compute_seconds(drawn, rate)) < 1


async def test_what_an_answer_did_not_need_is_given_back(autojump_clock: trio.testing.MockClock) -> None:
    """A thousand small answers to requests that might have drawn megabytes do not wait."""
    budget = AnswerBudget(int)
    for _ in range(1000):
        async with budget.hold(b"a", "10.0.0.1", COST) as charge:
            charge.settle(1000)
    assert trio.current_time() == 0


async def test_a_slow_reader_holds_up_its_own_group_only(autojump_clock: trio.testing.MockClock) -> None:
    """While one answer is not read, the group gets cheap answers only; others get theirs at once."""
    budget = AnswerBudget(int)
    async with trio.open_nursery() as nursery, budget.hold(b"slow", "10.0.0.1", COST):
        nursery.start_soon(draw, budget, b"neighbour", "10.0.0.2", 1)
        await trio.testing.wait_all_tasks_blocked()
        async with budget.hold(b"neighbour", "10.0.0.2", CHEAP_BYTES):
            pass
        assert await draw(budget, b"other", "10.0.1.1", 1) == 0
        assert len(nursery.child_tasks) == 1
