"""The simulator: a fixed share of its seeds, and that a seed is a run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.plan import Plan
from tests.sim.run import Sim, run_seed, silence
from tests.sim.world.accounts import Times
from tests.sim.world.process import Process

SEEDS = range(1, 21)
ROOT = Path(__file__).parents[2]
QUIET = Plan([10, 10, 10, 10], "lan", Times(), 0, 0, 1, 8_000, (), [], {}, 10, False, 4)
"""No faults at all."""


@pytest.fixture(autouse=True)
def _no_logs():
    silence()


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_violated(seed):
    """Whatever happens to the network, clocks, disks and processes, the chain is one chain and goes on."""
    outcome = run_seed(seed)
    assert outcome.violations == []
    assert outcome.heights >= 4


def test_the_same_seed_is_the_same_run():
    """Two runs of a seed have the same audit hash, of other seeds another."""
    assert run_seed(7).audit == run_seed(7).audit != run_seed(8).audit


def run_program(hash_seed):
    """The last line of the program, in a process whose sets and dictionaries have another order."""
    command = [sys.executable, "-m", "tests.sim", "--seeds", "4", "--start", "3", "--workers", "1"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_no_run_depends_on_the_order_of_sets():
    """Processes with different hash seeds come to the same audit hash."""
    first = run_program("1")
    assert first.startswith("audit hash ")
    assert first == run_program("2")


class SilentProcess(Process):
    """Says nothing about consensus."""

    def post(self, peer, message):
        pass

    def broadcast(self, message, but=()):
        pass


def test_without_a_quorum_liveness_is_reported():
    """A chain that cannot go on is seen not to."""
    villains = dict.fromkeys((1, 2), SilentProcess)
    outcome = Sim(1, plan=QUIET, villains=villains).run()
    assert [violation.rule for violation in outcome.violations] == ["liveness"]


def test_with_less_than_a_third_silent_the_chain_goes_on():
    """One of four says nothing: blocks become final all the same."""
    outcome = Sim(1, plan=QUIET, villains={1: SilentProcess}).run()
    assert outcome.violations == []


def test_without_faults_each_height_takes_one_round():
    """On a good network nobody waits for a timeout once all have found each other, and a block comes every
    interval.
    """
    sim = Sim(1, plan=QUIET)
    outcome = sim.run()
    assert outcome.violations == []
    assert {fact.round for fact in sim.history.finalities if fact.height > 1} == {0}
    assert outcome.heights >= QUIET.chaos_ms // QUIET.times.block_ms - 1
