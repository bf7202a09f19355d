"""Locks over several rounds, with the polkas of more than one block in a height."""

from consensus.types import TimeoutKind
from tests.consensus.rig import PRECOMMIT, PREVOTE, block, core, elapsed, feed, proposed, shorts, votes


def end_round(round: int) -> list[object]:
    """The others precommit nil, and the round ends without a decision."""
    return [votes(PRECOMMIT, round, None, "bcd"), elapsed(TimeoutKind.PRECOMMIT, round)]


def test_a_lock_moves_up_when_its_block_gets_another_polka() -> None:
    """A polka between the two of the locked block no longer frees from the lock: the prevote is nil.

    Round 0 locks x. In round 1 y gets a polka that this validator does not see. In round 2 x gets another
    polka. Then y is proposed again with the polka of round 1, which is older than the lock (L28).
    """
    target = core("a")
    target.start()
    feed(target, [proposed(0, "x"), votes(PREVOTE, 0, "x", "abc"), *end_round(0)])
    assert (target.locked_hash, target.locked_round) == (block("x"), 0)
    feed(target, [proposed(1, "y"), *end_round(1)])
    outputs = feed(target, [proposed(2, "x", 0), votes(PREVOTE, 2, "x", "abc")])
    assert "prevote 2 x" in shorts(outputs) and "precommit 2 x" in shorts(outputs)
    assert (target.locked_hash, target.locked_round) == (block("x"), 2)
    feed(target, end_round(2))
    outputs = feed(target, [votes(PREVOTE, 1, "y", "bcd"), proposed(3, "y", 1)])
    assert "prevote 3 nil" in shorts(outputs)


def test_a_newer_polka_frees_from_a_lock() -> None:
    """Control: a polka of a round above the lock's lets the validator prevote the other block."""
    target = core("a")
    target.start()
    feed(target, [proposed(0, "x"), votes(PREVOTE, 0, "x", "abc"), *end_round(0)])
    feed(target, [proposed(1, "y"), *end_round(1), *end_round(2)])
    outputs = feed(target, [votes(PREVOTE, 1, "y", "bcd"), proposed(3, "y", 1)])
    assert "prevote 3 y" in shorts(outputs)


def test_a_proposal_does_not_rest_on_a_polka_of_its_own_round() -> None:
    """Its polka must be of an earlier round (L28); else it is dropped, whoever prevoted the block."""
    target = core("a")
    target.start()
    outputs = feed(target, [*end_round(0), proposed(1, "x", 1), votes(PREVOTE, 1, "x", "bcd")])
    assert target.proposals.get(1, []) == []
    assert "prevote 1 x" not in shorts(outputs)
