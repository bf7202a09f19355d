"""Two processes with one key: the others are safe, what the guard must see is seen, the rest is punished."""

from random import Random

import pytest

from chain.modules import staking
from tests.sim.plan import KeyCopy, draw_copied_key
from tests.sim.run import Sim, finish, silence

TOGETHER = (1, 2, 8)


def run_copied(seed: int, how: str, returns_ms: int | None, started_ms: int = 4_000) -> Sim:
    """A run in which the key of validator 0 is copied at 3 seconds."""
    silence()
    plan = draw_copied_key(Random(seed))
    copy = KeyCopy(of=0, how=how, copied_ms=3_000, started_ms=started_ms, returns_ms=returns_ms)
    sim = Sim(seed, plan=plan._replace(copied_key=copy, faults=[], loss_ppm=0))
    finish(sim)
    return sim


@pytest.mark.parametrize("how", ["key", "disk"])
def test_a_copy_watches_while_the_original_signs(how: str) -> None:
    """It starts a second later, finds signatures that it did not make, and signs nothing."""
    sim = run_copied(1, how, None)
    assert sim.violations == []
    assert sim.rare["key watched before it signed"] >= 1
    assert sim.rare["slot signed twice by two processes of a key"] == 0


def test_a_copied_disk_takes_over_from_one_that_stopped() -> None:
    """Its sign-state holds the newest signature, so it may sign at once."""
    sim = run_copied(2, "disk", returns_ms=26_000)
    assert sim.violations == []
    assert sim.rare["slot signed twice by two processes of a key"] == 0


def test_two_equal_copies_that_start_together_stop_or_are_slashed() -> None:
    """In some runs they sign a slot twice before they hear each other; every such key is tombstoned."""
    twice = stopped = 0
    for seed in TOGETHER:
        sim = run_copied(seed, "disk", returns_ms=4_010)
        assert sim.violations == []
        stopped += sim.rare["process stopped since another one had its key"] > 0
        signed = sim.rare["slot signed twice by two processes of a key"] > 0
        twice += signed
        who = sim.machines[0].keys.address
        chain = max(sim.open_chains().values(), key=lambda chain: chain.height)
        assert staking.is_tombstoned(chain.state, who) == signed
    assert stopped > 0
    assert 0 < twice < len(TOGETHER)
