"""A block's time is believed within the message delay behind and the clocks' precision ahead."""

import pytest

from consensus.proposal_time import SynchronyParameters, is_timely

PARAMETERS = SynchronyParameters(precision_ms=50, message_delay_ms=1000, message_delay_delta_ms=100)


@pytest.mark.parametrize(
    ("block_time_ms", "round", "expected"),
    [
        (10_000, 0, True),
        (10_050, 0, True),
        (10_051, 0, False),
        (8_950, 0, True),
        (8_949, 0, False),
        (8_949, 1, True),
        (8_850, 1, True),
        (8_849, 1, False),
        (10_051, 100, False),
        (0, 100, True),
    ],
)
def test_the_window_around_the_time_of_receiving(block_time_ms: int, round: int, expected: bool) -> None:
    """Received at 10 s: both ends belong to the window, and only its past end moves with the round."""
    assert is_timely(10_000, block_time_ms, round, PARAMETERS) is expected
