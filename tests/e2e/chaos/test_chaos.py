"""A short run of the chaos program, as `make chaos` does it for ten minutes."""

from pathlib import Path

import pytest

from tests.e2e.chaos.run import run_chaos
from tests.e2e.reaper import list_processes

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(1200)]


def test_a_minute_of_chaos(tmp_path: Path) -> None:
    """Killed at random and at crash points, paused, restarted: nothing is lost, forked or signed twice.

    How soon nodes come back is for a machine that does nothing else. No process is left.
    """
    findings = run_chaos(tmp_path, seconds=60, kills=12, seed=1)
    assert [one for one in findings if not one.holds and one.what != "each node back"] == []
    assert list_processes(tmp_path) == []
