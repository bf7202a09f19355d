"""Rare states are counted when they occur, and a series of seeds that lacks one is called blind."""

from collections import Counter

from chain.validator_set import rotate
from chain.votes import VoteKind
from consensus.types import TimeoutKind
from tests.consensus import rig
from tests.sim.__main__ import BLIND_SEEDS_MIN, Summary, say_blind
from tests.sim.checks.history import History
from tests.sim.checks.rare import RARE_STATES, CoreWatch, count_history
from tests.sim.checks.test_conduct import ONE, OTHER, SET, propose, say

PREVOTE = VoteKind.PREVOTE


def watch(*groups: list[object]) -> Counter[str]:
    """What is counted of a core that gets these inputs, one group per turn."""
    counts: Counter[str] = Counter()
    observer, core = CoreWatch(counts), rig.core("d")
    core.start()
    observer.on_turn(0, core)
    for group in groups:
        rig.feed(core, group)
        observer.on_turn(0, core)
    return counts


def go_on(round: int) -> list[object]:
    """The round ends without a decision."""
    return [rig.elapsed(TimeoutKind.PRECOMMIT, round)]


LOCK = [rig.proposed(0, "x"), *rig.votes(PREVOTE, 0, "x", "abc")]
OTHER_POLKA = rig.votes(PREVOTE, 1, "y", "abc")


def test_a_lock_and_what_it_forbids_are_counted() -> None:
    """A locked validator that prevotes nil on another block."""
    counts = watch(LOCK, go_on(0), [rig.proposed(1, "y")])
    assert counts == {"lock taken": 1, "nil prevoted because of the lock": 1}


def test_a_lock_that_moves_up_is_counted() -> None:
    """To another block that got a polka in a later round."""
    counts = watch(LOCK, go_on(0), [rig.proposed(1, "y")], OTHER_POLKA)
    assert counts["lock moved up to another block"] == 1


def test_old_and_later_polkas_are_told_apart() -> None:
    """A re-proposal with a polka older than the lock keeps it; one with a later polka frees from it."""
    later = watch(LOCK, go_on(0), go_on(1), OTHER_POLKA, [rig.proposed(2, "y", 1)])
    assert later["lock given up for a later polka"] == 1
    lock = [rig.proposed(1, "y"), *OTHER_POLKA]
    old = watch(go_on(0), lock, go_on(1), [*rig.votes(PREVOTE, 0, "x", "abc"), rig.proposed(2, "x", 0)])
    assert old["lock kept against an old polka"] == 1


def test_a_late_polka_is_counted() -> None:
    """One that comes when the validator has precommitted nil moves the valid value only."""
    nil = [rig.proposed(0, "x"), *rig.votes(PREVOTE, 0, None, "ab"), rig.elapsed(TimeoutKind.PREVOTE, 0)]
    counts = watch(nil, rig.votes(PREVOTE, 0, "x", "abc"))
    assert counts == {"polka that came after the precommit": 1}


def test_histories_are_counted() -> None:
    """Two blocks with a polka in one height, and the older one proposed again two rounds later."""
    history = History()
    propose(history, 0, ONE)
    say(history, PREVOTE, 0, ONE, 0, 1, 2)
    say(history, PREVOTE, 1, OTHER, 0, 1, 2)
    propose(history, 2, ONE, 0)
    say(history, PREVOTE, 1, ONE, 3)
    say(history, PREVOTE, 1, None, 3)
    counts = count_history(history, {1: SET, 2: rotate(SET)}, 2)
    assert counts == {
        "two polkas in one height": 1,
        "block proposed again": 1,
        "block proposed again with an old polka": 1,
        "equivocation by vote": 1,
    }


def test_many_seeds_without_a_rare_state_are_blind() -> None:
    """With fewer seeds the missing states are named, and the series does not fail."""
    said: list[str] = []
    summary = Summary()
    summary.seeds = BLIND_SEEDS_MIN
    assert say_blind(summary, said.append)
    assert all(name in said[0] for name in RARE_STATES)
    summary.seeds -= 1
    assert not say_blind(summary, said.append)
    assert "not demanded" in said[1]
