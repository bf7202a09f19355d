"""Planted faults: all fit the checkout, the sound product is not accused, and a planted one is seen."""

import pytest

from tests.sim.planted.bugs import BLINDING, BUGS, FAMILY_OF
from tests.sim.planted.fault import Bug, Passage
from tests.sim.planted.judge import count_state, judge, load_seeds
from tests.sim.planted.plant import ROOT, PassageMissing, check_passages, edit

SEEDS_MAX = 10
QUICK = ("quorum of a half", "signs without writing the log")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_fault_can_be_planted_in_this_checkout(bug: Bug) -> None:
    """Its passages are there once, and make code."""
    check_passages(bug)


def test_there_are_faults_of_every_room() -> None:
    """Enough of them, of consensus, chain, storage and replica, and no name twice."""
    rooms = {passage.module.split(".")[0] for bug in BUGS for passage in bug.edits}
    assert rooms == {"chain", "consensus", "node", "storage"}
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 24


def test_a_passage_that_is_gone_is_told() -> None:
    """A fault that is planted nowhere must not count as one that nobody sees."""
    bug = Bug("none", (Passage("consensus.core", "no such line", ""),))
    with pytest.raises(PassageMissing):
        edit(bug, "consensus.core", (ROOT / "consensus/core.py").read_text())


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_fault_is_caught(name: str) -> None:
    """A process imports the product with the fault, and one of the first fixed seeds fails there."""
    [bug] = [bug for bug in BUGS if bug.name == name]
    verdict = judge(bug, SEEDS_MAX)
    assert verdict.seed is not None
    assert verdict.caught_by.split(":")[0] in ("seal", "durable", "agreement", "conduct")


def test_each_fault_has_a_seed_that_sees_it() -> None:
    """Or a rare state that it removes; without a known seed a run takes minutes for the fault."""
    assert load_seeds().keys() | BLINDING.keys() == {bug.name for bug in BUGS}
    assert not load_seeds().keys() & BLINDING.keys()
    assert all(load_seeds().values())
    assert FAMILY_OF.keys() <= load_seeds().keys()


@pytest.mark.parametrize("name", BLINDING)
def test_a_fault_that_removes_a_rare_state_is_caught(name: str) -> None:
    """The state occurs in the seeds named without the fault, and not with it."""
    [bug] = [bug for bug in BUGS if bug.name == name]
    assert count_state(*BLINDING[name]) > 0
    assert judge(bug).seed is not None
