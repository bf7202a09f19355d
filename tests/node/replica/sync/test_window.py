"""The window of block sync: what to ask for next, what is kept, and how much."""

from hypothesis import given
from hypothesis import strategies as st

from chain.votes import CommitCertificate
from node.replica.sync.window import WINDOW_BLOCKS, WINDOW_BYTES_MAX, PendingRequest, Window
from p2p.wire.messages import BLOCK_BYTES_MAX, FinalBlock
from p2p.wire.protocols import SYNC
from tests.node.replica.sync.world import build_peer_id

ONE, OTHER = build_peer_id(1), build_peer_id(2)


def build_final(height: int, size: int = 10) -> FinalBlock:
    """A block; its content is not read."""
    return FinalBlock(bytes(size), CommitCertificate(height, 0, bytes(32), ()))


def ask(window: Window, heights: range, peer: bytes = ONE) -> PendingRequest:
    """A pending request."""
    asked = PendingRequest(peer, heights)
    window.asked.append(asked)
    return asked


def answer(window: Window, asked: PendingRequest, *heights: int, size: int = 10) -> None:
    """Its reply."""
    window.asked.remove(asked)
    window.put(asked, tuple(build_final(height, size) for height in heights))


def test_each_request_is_for_the_next_that_is_missing() -> None:
    """Heights that came or are requested are not requested again; a peer is asked for what it has."""
    window = Window()
    assert window.select(100, 10) == range(1, 11)
    first = ask(window, range(1, 11))
    assert window.select(100, 10) == range(11, 21)
    assert window.select(12, 10) == range(11, 13)
    assert window.select(10, 10) is None
    second = ask(window, range(11, 21), OTHER)
    answer(window, second, *range(11, 21))
    assert window.select(100, 10) == range(21, 31)
    assert (window.is_asked(ONE), window.is_asked(OTHER)) == (True, False)
    answer(window, first, *range(1, 11))
    assert window.select(20, 10) is None


def test_what_a_short_reply_leaves_out_is_missing() -> None:
    """A run of heights ends before the next one that is here."""
    window = Window()
    ask(window, range(11, 21), OTHER)
    answer(window, ask(window, range(1, 11)), 1, 2, 3)
    assert window.select(100, 64) == range(4, 11)


def test_a_late_request_covers_nothing_and_its_reply_is_used_where_missing() -> None:
    """Of two replies for one height the first counts."""
    window = Window()
    late = ask(window, range(1, 4))
    late.is_late = True
    assert window.select(100, 3) == range(1, 4)
    answer(window, ask(window, range(1, 3), OTHER), 1, 2)
    answer(window, late, 1, 2, 3)
    senders = [held.sender for height in (1, 2, 3) if (held := window.get(height))]
    assert senders == [OTHER, OTHER, ONE]


def test_what_a_liar_sent_is_missing_again_and_nothing_else() -> None:
    """Only the liar's blocks are dropped."""
    window = Window()
    answer(window, ask(window, range(1, 4)), 1, 2, 3)
    answer(window, ask(window, range(4, 7), OTHER), 4, 5, 6)
    window.reject(ONE)
    assert window.select(100, 64) == range(1, 4)
    assert window.get(4) is not None


def test_what_was_applied_is_forgotten_and_not_taken_again() -> None:
    """A reply for heights below the head changes nothing."""
    window = Window()
    late = ask(window, range(1, 4))
    window.advance(3)
    answer(window, late, 1, 2, 3)
    assert [window.get(height) is not None for height in (1, 2, 3)] == [False, False, True]
    window.advance(4)
    assert window.get(3) is None


def test_the_window_ends() -> None:
    """No more than WINDOW_BLOCKS heights are requested, however high the claim."""
    window = Window()
    assert window.select(10**15, 10**6) == range(1, WINDOW_BLOCKS + 1)
    ask(window, range(1, WINDOW_BLOCKS + 1))
    assert window.select(10**15, 64) is None
    answer(window, window.asked[0], *range(1, WINDOW_BLOCKS + 1))
    assert window.select(10**15, 64) is None
    window.advance(11)
    assert window.select(10**15, 64) == range(WINDOW_BLOCKS + 1, WINDOW_BLOCKS + 11)


def test_bytes_are_bounded_but_the_next_block_is_always_asked_for() -> None:
    """Pending requests are bounded by the bytes that their replies may have."""
    window = Window()
    requests_max = WINDOW_BYTES_MAX // SYNC.frame_bytes_max
    for number in range(requests_max):
        heights = window.select(1000, 1)
        assert heights == range(number + 1, number + 2)
        ask(window, heights)
    assert window.select(1000, 1) is None
    window.asked[0].is_late = True
    assert window.select(1000, 1) == range(1, 2)
    for asked in window.asked[1:]:
        answer(window, asked, *asked.heights, size=BLOCK_BYTES_MAX)
    assert window.select(1000, 1) == range(1, 2)
    ask(window, range(1, 2), OTHER)
    taken = 0
    while (heights := window.select(1000, 1)) is not None:
        answer(window, ask(window, heights), *heights, size=BLOCK_BYTES_MAX)
        taken += 1
    assert taken <= 2
    window.reject(ONE)
    assert window.select(1000, 1) == range(2, 3)


@given(
    st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 20), st.integers(0, 20), st.booleans()), max_size=30
    )
)
def test_whatever_comes_every_height_is_asked_for_until_it_is_there(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    """Short replies, late ones, liars and progress in any order leave no height that is never requested."""
    window = Window()
    for claimed, count, delivered, is_liar in steps:
        heights = window.select(claimed, count)
        if heights is not None:
            assert heights[0] >= window.next and heights[-1] <= claimed and len(heights) <= count
            asked = ask(window, heights, OTHER if is_liar else ONE)
            if delivered == 0:
                asked.is_late = True
            else:
                answer(window, asked, *heights[:delivered])
        if is_liar:
            window.reject(OTHER)
        while window.get(window.next) is not None:
            window.advance(window.next + 1)
    for height in range(window.next, 61):
        is_covered = any(height in asked.heights and not asked.is_late for asked in window.asked)
        selected = window.select(height, 10**6)
        assert window.get(height) or is_covered or selected is not None
