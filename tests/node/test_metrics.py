"""Metrics: the loop's lag. Figures of the chain are tested with the API."""

import time

import trio
import trio.testing
from structlog.testing import capture_logs

from node.metrics import LAG_ALARM_SECONDS, Metrics, run_loop_lag


async def test_a_blocked_loop_is_seen_and_said() -> None:
    """A task that blocks the loop shows as lag, in the figures and in the log."""
    metrics = Metrics()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(run_loop_lag, metrics)
            await trio.testing.wait_all_tasks_blocked()
            time.sleep(LAG_ALARM_SECONDS * 2)  # noqa: ASYNC251 - this is the fault
            while not logs:
                await trio.testing.wait_all_tasks_blocked(cushion=0.01)
            nursery.cancel_scope.cancel()
    assert logs[0]["event"] == "loop_lag"
    assert metrics.loop_lag_seconds > LAG_ALARM_SECONDS
    assert b"vidya_loop_lag_seconds" in metrics.format()
