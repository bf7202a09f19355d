"""Block sync as a state machine in virtual time: with honest peers, and with every kind of liar."""

from collections import Counter

import pytest

from chain.block import Block, compute_header_hash
from chain.modules import balances
from chain.primitives.codec import decode, encode, replace
from node.replica.errors import ConsensusHalted
from node.replica.sync import catch_up, peer_heights
from node.replica.sync.peer_heights import BATCH_BLOCKS_MAX, LIE_MS
from node.replica.sync.window import WINDOW_BLOCKS
from p2p.errors import PeerGone, RefusalCode, Refused
from p2p.wire.messages import Blocks, BlocksRequest, FinalBlock, Status, SyncReply, SyncRequest
from tests.node.forge import ALICE, BOB, Forge, make_final
from tests.node.replica.sync.lies import (
    HEIGHT,
    LIES,
    History,
    Lie,
    build_history,
    build_honest,
    build_liar,
    build_shorter,
    keep_signatures,
)
from tests.node.replica.sync.world import SyncWorld, build_peer_id

LONG = 300
SEEDS = range(2)


@pytest.fixture(scope="module")
def history() -> History:
    """An honest chain, made once."""
    return build_history()


@pytest.fixture(scope="module")
def long_history() -> History:
    """A chain of several batches."""
    return build_history(LONG)


def test_an_honest_peer_is_enough(history: History) -> None:
    """All blocks are executed and final, with the state and certificates of the other node."""
    world = SyncWorld(history.forge)
    world.join(1, build_honest(history))
    world.catch_up()
    ledger = history.forge.ledger
    assert world.ledger.head_hash == ledger.head_hash
    assert world.ledger.get_free(BOB.address) == ledger.get_free(BOB.address)
    assert world.ledger.get_certificate(HEIGHT) == ledger.get_certificate(HEIGHT)
    assert world.blamed == []


def test_several_are_asked_at_once_and_no_block_twice(long_history: History) -> None:
    """Several peers send a part each; blocks are applied in order, and a slow peer holds up no other."""
    world = SyncWorld(long_history.forge)
    peers = [world.join(name, build_honest(long_history), delay_ms=100 + 10 * name) for name in range(1, 5)]
    world.catch_up()
    assert world.ledger.head_hash == long_history.forge.ledger.head_hash
    assert world.committed == list(range(1, LONG + 1))
    asked = [
        height for peer in peers for start, count in peer.ranges for height in range(start, start + count)
    ]
    assert sorted(asked) == list(range(1, LONG + 1))
    assert all(peer.ranges for peer in peers)
    assert max(count for peer in peers for _, count in peer.ranges) == BATCH_BLOCKS_MAX
    answered_ms = min(peer.asked_at[1] for peer in peers) + 100
    assert all(peer.asked_at[1] < answered_ms for peer in peers)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_who_sends_what_is_not_final_is_banned_and_nobody_else(history: History, lie: Lie, seed: int) -> None:
    """A liar is banned whenever it is asked; alone it gets the node no further than the truth."""
    world = SyncWorld(history.forge, seed=seed)
    world.join(1, build_liar(history, lie))
    world.begin()
    world.run_until(lambda: not world.sync.peers)
    assert world.banned == [1]
    assert world.ledger.height < HEIGHT
    world.join(2, build_honest(history))
    world.join(3, build_liar(history, lie))
    world.join(4, build_honest(history))
    world.finish()
    assert world.ledger.head_hash == history.forge.ledger.head_hash
    assert set(world.banned) <= {1, 3}
    assert set(world.sync.peers) >= {build_peer_id(2), build_peer_id(4)}


def test_exactly_two_thirds_are_too_few() -> None:
    """Two of three equal validators are no quorum, however good their signatures."""
    history = build_history(validators=3)
    world = SyncWorld(history.forge)
    world.join(1, build_liar(history, keep_signatures(slice(2))))
    world.begin()
    world.run_until(lambda: not world.sync.peers)
    assert (world.ledger.height, world.banned) == (2, [1])
    world.join(2, build_honest(history))
    world.finish()
    assert world.ledger.height == HEIGHT


def test_three_validators_of_four_are_a_quorum(history: History) -> None:
    """A certificate of just more than two thirds is enough, and its sender is no liar."""
    world = SyncWorld(history.forge)
    world.join(1, build_liar(history, keep_signatures(slice(3))))
    world.catch_up()
    assert world.ledger.head_hash == history.forge.ledger.head_hash
    assert world.blamed == []


@pytest.mark.parametrize("seed", SEEDS)
def test_one_liars_block_costs_nothing_that_came_from_others(long_history: History, seed: int) -> None:
    """A liar's blocks are dropped; blocks of honest peers are not requested again."""
    spoilt = LIES["one bad signature beyond a quorum"]
    world = SyncWorld(long_history.forge, seed=seed)
    world.join(1, build_liar(long_history, spoilt), delay_ms=10)
    honest = [world.join(name, build_honest(long_history), delay_ms=10) for name in (2, 3, 4)]
    world.catch_up()
    assert world.ledger.height == LONG
    assert world.committed == list(range(1, LONG + 1))
    asked = Counter(
        height for peer in honest for start, count in peer.ranges for height in range(start, start + count)
    )
    assert max(asked.values()) == 1
    assert set(world.banned) <= {1}


# Claims.


@pytest.mark.parametrize("seed", SEEDS)
def test_a_height_that_nobody_has_costs_its_claimant(history: History, seed: int) -> None:
    """A peer that claims more than it delivers is a liar, even if it delivers all that exists."""

    def boast(message: SyncRequest) -> SyncReply:
        reply = build_honest(history)(message)
        assert reply is not None
        return replace(reply, height=10**9) if isinstance(reply, Status) else reply

    world = SyncWorld(history.forge, seed=seed)
    world.join(1, boast)
    world.join(2, build_honest(history))
    world.catch_up()
    assert (world.ledger.height, world.banned) == (HEIGHT, [1])
    assert world.sync.target == HEIGHT


def test_a_height_that_falls_costs_its_claimant(history: History) -> None:
    """A height claimed within one connection must not fall."""
    world = SyncWorld(history.forge)
    heights = iter((HEIGHT, HEIGHT - 1))
    honest = build_honest(history)

    def fall(message: SyncRequest) -> SyncReply:
        reply = honest(message)
        assert reply is not None
        return replace(reply, height=next(heights)) if isinstance(reply, Status) else reply

    world.join(1, fall)
    world.begin()
    world.run_until(lambda: not world.sync.peers)
    assert (world.ledger.height, world.banned) == (HEIGHT, [1])


def test_who_returns_may_be_lower(history: History) -> None:
    """A new connection may claim a lower height: the node may have got an empty disk."""
    world = SyncWorld(history.forge)
    world.join(1, build_honest(history))
    world.catch_up()
    world.leave(build_peer_id(1))
    world.join(1, build_shorter(history, 3))
    world.catch_up()
    assert world.blamed == []


def test_everybody_is_asked_until_nobody_is_ahead() -> None:
    """The chain grows during a sync, which ends only when no peer claims more."""
    growing = build_history(HEIGHT)
    honest = build_honest(growing)

    def grow(message: SyncRequest) -> SyncReply | None:
        if isinstance(message, BlocksRequest) and growing.forge.ledger.height < 20:
            growing.forge.grow(3)
        return honest(message)

    world = SyncWorld(growing.forge)
    world.join(1, grow)
    world.catch_up()
    assert world.ledger.height == growing.forge.ledger.height >= 20


def test_blocks_are_asked_of_those_who_claim_them(long_history: History) -> None:
    """A peer that is behind is asked for what it has, and charged with nothing beyond."""
    world = SyncWorld(long_history.forge)
    short = world.join(1, build_shorter(long_history, 100))
    world.join(2, build_honest(long_history))
    world.catch_up()
    assert world.ledger.height == LONG
    assert all(start + count <= 101 for start, count in short.ranges)
    assert world.blamed == []


def test_a_peer_that_pruned_what_is_needed_is_no_liar(history: History) -> None:
    """A pruned peer is not asked for blocks it no longer keeps; if it prunes meanwhile it may refuse."""
    world = SyncWorld(history.forge)
    pruned = world.join(1, lambda message: Status(HEIGHT, bytes(32), 4))
    world.catch_up()
    assert (pruned.ranges, world.ledger.height, world.blamed) == ([], 0, [])

    def refuse(message: SyncRequest) -> SyncReply:
        if isinstance(message, BlocksRequest):
            raise Refused(RefusalCode.NOT_FOUND)
        return Status(HEIGHT, bytes(32), 0)

    world.join(2, refuse)
    world.catch_up()
    assert world.blamed == []


@pytest.mark.parametrize(("wait_ms", "asked_again"), [(LIE_MS - 1, 0), (LIE_MS, 1)])
def test_who_lied_is_not_believed_for_a_while(history: History, wait_ms: int, asked_again: int) -> None:
    """A liar is not asked for LIE_MS, even if it cannot be banned because it is a validator."""
    world = SyncWorld(history.forge)
    liar = world.join(1, build_liar(history, LIES["nothing"]), is_trusted=True)
    world.catch_up()
    assert (liar.surveys, world.banned) == (1, [1])
    caught_ms = liar.asked_at[-1] + liar.delay_ms
    world.call_later(caught_ms + wait_ms - world.elapsed_ms(), lambda: None)
    world.settle()
    world.catch_up()
    assert len(liar.ranges) == 1 + asked_again


# Coming and going.


def test_a_node_without_peers_waits_for_one(history: History) -> None:
    """Without a usable peer the run waits, however long."""
    world = SyncWorld(history.forge)
    ended: list[bool] = []
    world.sync.catch_up(lambda: ended.append(True))
    world.call_later(10 * catch_up.STALL_MS, lambda: world.join(1, build_honest(history)) and None)
    world.run_until(lambda: bool(ended))
    assert world.ledger.height == HEIGHT


def test_a_validator_with_the_whole_power_waits_for_nobody() -> None:
    """A single validator with the whole power waits for no peer."""
    world = SyncWorld(Forge(1))
    assert world.catch_up() == 0


def test_who_comes_during_sync_is_asked_too(long_history: History) -> None:
    """A peer that connects during a run is asked at once."""
    world = SyncWorld(long_history.forge)
    world.join(1, build_honest(long_history), delay_ms=1_000)
    later = []
    world.call_later(1_500, lambda: later.append(world.join(2, build_honest(long_history))))
    world.catch_up()
    assert later[0].ranges
    assert world.ledger.height == LONG


def test_who_connects_again_is_asked_anew(history: History) -> None:
    """Answers over an older connection are ignored, and the new one's answer is waited for."""
    world = SyncWorld(history.forge)
    world.join(1, build_honest(history), delay_ms=400)
    world.call_later(200, lambda: world.join(1, build_honest(history), delay_ms=400) and None)
    assert world.catch_up() < peer_heights.STATUS_MS_MAX
    assert world.ledger.height == HEIGHT


def test_what_was_lost_with_an_older_connection_is_no_reason_to_rest(history: History) -> None:
    """A peer that connects twice is asked over the newer connection."""

    def break_off(message: SyncRequest) -> SyncReply:
        raise PeerGone("closed")

    world = SyncWorld(history.forge)
    world.join(1, break_off, delay_ms=50)
    world.call_later(20, lambda: world.join(1, build_honest(history)) and None)
    assert world.catch_up() < peer_heights.BUSY_MS
    assert world.ledger.height == HEIGHT


def test_who_goes_is_not_waited_for(long_history: History) -> None:
    """When a request is known to be lost, another peer is asked for its heights."""
    world = SyncWorld(long_history.forge)

    def go(message: SyncRequest) -> SyncReply:
        if isinstance(message, BlocksRequest):
            world.leave(build_peer_id(1))
            raise PeerGone("closed")
        return Status(LONG, bytes(32), 0)

    world.join(1, go)
    world.join(2, build_honest(long_history), delay_ms=20)
    assert world.catch_up() < catch_up.LATE_BLOCKS_MS
    assert world.ledger.height == LONG
    assert world.blamed == []


def test_a_node_that_is_stopped_goes_on_where_it_was(long_history: History) -> None:
    """Committed blocks are not requested again."""
    world = SyncWorld(long_history.forge)
    world.join(1, build_honest(long_history))
    world.sync.catch_up(lambda: None)
    world.run_until(lambda: world.ledger.height == 100)
    again = SyncWorld(long_history.forge, ledger=world.ledger)
    peer = again.join(1, build_honest(long_history))
    again.catch_up()
    assert again.ledger.height == LONG
    assert peer.ranges[0][0] == 101


def test_the_same_chances_make_the_same_run(long_history: History) -> None:
    """One seed gives one order of requests: a failure can be repeated."""

    def run(seed: int) -> list[list[tuple[int, int]]]:
        world = SyncWorld(long_history.forge, seed=seed)
        peers = [world.join(name, build_honest(long_history)) for name in range(1, 6)]
        world.sync.is_syncing = False
        assert world.look_ahead()
        world.catch_up()
        return [peer.ranges for peer in peers]

    assert run(1) == run(1)
    assert len({str(run(seed)) for seed in range(8)}) > 1


# Bounds.


def test_no_more_is_asked_for_than_the_window_holds(long_history: History) -> None:
    """If one peer keeps back the next blocks, the others run ahead as far as the window and no further."""
    honest = build_honest(long_history)
    world = SyncWorld(long_history.forge)

    def keep_back(message: SyncRequest) -> SyncReply | None:
        if isinstance(message, BlocksRequest) and message.start == 1:
            return None
        return honest(message)

    peers = [world.join(name, keep_back) for name in range(1, 40)]
    world.sync.catch_up(lambda: None)
    world.call_later(1_000, lambda: asked.extend(one for peer in peers for one in peer.ranges))
    asked: list[tuple[int, int]] = []
    world.run_until(lambda: bool(asked))
    assert sum(count for _, count in asked) == min(WINDOW_BLOCKS, LONG)
    assert world.ledger.height == 0


# What is nobody's fault.


def test_a_final_block_that_is_invalid_here_halts_the_node_and_blames_nobody(history: History) -> None:
    """If a certified block is invalid here, the node stops."""
    forge = Forge()
    result = forge.build([forge.sign(ALICE, balances.Send(BOB.address, 7))])
    wrong = replace(result.block, header=replace(result.block.header, state_root=bytes(32)))
    certificate = forge.certify(compute_header_hash(wrong.header))
    final = FinalBlock(encode(wrong), certificate)
    world = SyncWorld(forge)

    def answer(message: SyncRequest) -> SyncReply:
        return Status(1, bytes(32), 0) if not isinstance(message, BlocksRequest) else Blocks(1, (final,))

    world.join(1, answer)
    with pytest.raises(ConsensusHalted, match="height 1"):
        world.catch_up()
    assert world.blamed == []


def test_a_block_that_consensus_made_final_meanwhile_is_passed_over(history: History) -> None:
    """A block that was committed while it was checked costs its sender nothing."""
    world = SyncWorld(history.forge)
    world.join(1, build_honest(history))

    def decide() -> None:
        block = decode(Block, history.blocks[0].block)
        make_final(world.ledger, world.ledger.execute(block), history.blocks[0].certificate)

    world.sync.catch_up(lambda: None)
    world.run_until(lambda: world.sync._run._is_executing)  # type: ignore[union-attr]
    decide()
    world.run_until(lambda: not world.sync.is_syncing)
    assert world.ledger.height == HEIGHT
    assert world.blamed == []
    assert world.committed == list(range(2, HEIGHT + 1))
