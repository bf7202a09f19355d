"""The checks of a key that two processes have: each sees what it is there for."""

from collections import Counter
from functools import cache

from chain.votes import Vote, VoteKind
from node.replica.signing.guard import WATCH_HEIGHTS
from tests.sim.checks.custody import CustodyWatch
from tests.sim.run import Sim, silence
from tests.sim.test_sim import QUIET
from tests.sim.world.process import Process

PREVOTE = VoteKind.PREVOTE
BLOCK = b"b" * 32


@cache
def get_process() -> Process:
    """A validator that has signed every height of its chain."""
    silence()
    sim = Sim(1, plan=QUIET)
    assert sim.run().violations == []
    process = sim.machines[0].process
    assert process is not None
    return process


def vote(process: Process, height: int, round: int = 0) -> Vote:
    """A vote of the validator."""
    return Vote(PREVOTE, height, round, BLOCK, process.machine.keys.address)


def test_signing_against_the_own_chain_is_seen() -> None:
    """Its chain holds signatures of the key, of which this machine has made none."""
    process, watch = get_process(), CustodyWatch(Counter())
    watch.add(0)
    watch.on_made(process, vote(process, process.height + 1))
    [violation] = watch.violations
    assert "its chain has its key from elsewhere" in violation.detail


def test_a_machine_that_made_all_of_them_may_sign() -> None:
    """What is at or below the slot of a copied disk counts as made here."""
    process, watch = get_process(), CustodyWatch(Counter())
    watch.add(1)
    watch.copy(1, 0, (process.height, 99, 3))
    watch.on_made(process, vote(process, process.height + 1))
    assert watch.violations == []


def test_signing_after_the_key_was_heard_from_elsewhere_is_seen() -> None:
    """Until as many heights have passed as a watch takes."""
    process, watch = get_process(), CustodyWatch(Counter())
    core = process.replica.core
    watch.add(1)
    watch.copy(1, 0, (core.height - 1, 99, 3))
    watch.on_heard(process, vote(process, core.height))
    watch.on_made(process, vote(process, core.height, core.round))
    assert watch.violations == []
    watch.on_made(process, vote(process, core.height, core.round + 1))
    [violation] = watch.violations
    assert "it heard its key from elsewhere" in violation.detail
    watch.on_made(process, vote(process, core.height + WATCH_HEIGHTS + 1))
    assert len(watch.violations) == 1


def test_other_machines_are_ignored() -> None:
    """A key that only one process has is not watched."""
    process, watch = get_process(), CustodyWatch(Counter())
    watch.add(1)
    watch.on_made(process, vote(process, process.height + 1))
    assert watch.violations == []
    assert not watch.is_relayed(0, vote(process, 1))
