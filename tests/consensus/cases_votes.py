"""Step tables of the rules that propose, prevote and precommit: C1 to C6 (see `cases`)."""

from tests.consensus.cases import (
    LOCKED_X_IN_0,
    NIL_IN_0,
    POLKA_X,
    PRECOMMIT_OVER,
    PREVOTE_OVER,
    PROPOSE_OVER,
    START,
    THEN_LOCKED_Y_IN_1,
    Case,
    end_round,
)
from tests.consensus.rig import (
    PRECOMMIT,
    PREVOTE,
    built,
    elapsed,
    proposed,
    votes,
)

C1 = [
    Case("C1", "the proposer asks for a block", "a", [], [START], ["build 0", "wait propose 0"]),
    Case("C1", "others wait for the proposal", "d", [], [START], ["wait propose 0"]),
    Case("C1", "an observer waits too", None, [], [START], ["wait propose 0"]),
    Case("C1", "a height starts once", "d", [START], [START], []),
    Case("C1", "the built block is proposed", "a", [START], [built(0, "x")], ["propose 0 x None"]),
    Case("C1", "one block per round is proposed", "a", [START, built(0, "x")], [built(0, "y")], []),
    Case("C1", "nobody proposes out of turn", "d", [START], [built(0, "x")], []),
    Case(
        "C1",
        "a block that comes late is dropped",
        "a",
        [START, elapsed(PROPOSE_OVER, 0)],
        [built(0, "x")],
        [],
    ),
    Case(
        "C1",
        "the valid block is proposed again, though it was never locked",
        "b",
        [
            *[START, elapsed(PROPOSE_OVER, 0), *votes(PREVOTE, 0, None, "b"), *votes(PREVOTE, 0, "x", "cd")],
            *[elapsed(PREVOTE_OVER, 0), proposed(0, "x"), *votes(PREVOTE, 0, "x", "a")],
            *votes(PRECOMMIT, 0, None, "acd"),
        ],
        [elapsed(PRECOMMIT_OVER, 0)],
        ["propose 1 x 0", "wait propose 1"],
    ),
    Case(
        "C1",
        "the valid block is proposed, not the locked one",
        "c",
        [
            *[START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "abc"), *votes(PRECOMMIT, 0, None, "abd")],
            *[elapsed(PRECOMMIT_OVER, 0), proposed(1, "y"), *votes(PREVOTE, 1, "y", "abd")],
            *votes(PRECOMMIT, 1, None, "abd"),
        ],
        [elapsed(PRECOMMIT_OVER, 1)],
        ["propose 2 y 1", "wait propose 2"],
    ),
]

C2 = [
    Case("C2", "a valid new block is prevoted", "d", [START], [proposed(0, "x")], ["prevote 0 x"]),
    Case("C2", "an invalid one is not", "d", [START], [proposed(0, "x", is_valid=False)], ["prevote 0 nil"]),
    Case(
        "C2", "an untimely one is not", "d", [START], [proposed(0, "x", is_timely=False)], ["prevote 0 nil"]
    ),
    Case("C2", "an observer casts nothing", None, [START], [proposed(0, "x")], []),
    Case("C2", "a proposal out of turn is ignored", "d", [START], [proposed(0, "x", who="b")], []),
    Case("C2", "the first proposal counts", "d", [START, proposed(0, "x")], [proposed(0, "x")], []),
    Case("C2", "a proposal of the next round waits for it", "d", [START, proposed(1, "x")], [], []),
    Case(
        "C2",
        "and is prevoted when that round starts",
        "d",
        [START, proposed(1, "x"), *votes(PRECOMMIT, 0, None, "abc")],
        [elapsed(PRECOMMIT_OVER, 0)],
        ["wait propose 1", "prevote 1 x"],
    ),
    Case(
        "C2",
        "who is locked on another block prevotes nil",
        "d",
        [*LOCKED_X_IN_0, *end_round(0)],
        [proposed(1, "y")],
        ["prevote 1 nil"],
    ),
    Case(
        "C2",
        "who is locked on the same block prevotes it",
        "d",
        [*LOCKED_X_IN_0, *end_round(0)],
        [proposed(1, "x")],
        ["prevote 1 x"],
    ),
]

C3 = [
    Case(
        "C3",
        "without the polka wait",
        "d",
        [*NIL_IN_0, *votes(PREVOTE, 0, "x", "ab")],
        [proposed(1, "x", 0)],
        [],
    ),
    Case("C3", "with the polka prevote", "d", [*NIL_IN_0, POLKA_X], [proposed(1, "x", 0)], ["prevote 1 x"]),
    Case("C3", "the polka may come later", "d", [*NIL_IN_0, proposed(1, "x", 0)], [POLKA_X], ["prevote 1 x"]),
    Case(
        "C3",
        "a polka of another round does not do",
        "d",
        [*NIL_IN_0, *end_round(1), *votes(PREVOTE, 1, "x", "abc")],
        [proposed(2, "x", 0)],
        [],
    ),
    Case(
        "C3",
        "an invalid block gets nil in spite of a polka",
        "d",
        [*NIL_IN_0, POLKA_X],
        [proposed(1, "x", 0, is_valid=False)],
        ["prevote 1 nil"],
    ),
    Case(
        "C3",
        "time does not matter for a block with a polka",
        "d",
        [*NIL_IN_0, POLKA_X],
        [proposed(1, "x", 0, is_timely=False)],
        ["prevote 1 x"],
    ),
    Case(
        "C3",
        "a later polka overrides the lock",
        "d",
        [*LOCKED_X_IN_0, *THEN_LOCKED_Y_IN_1, *end_round(1)],
        [proposed(2, "y", 1)],
        ["prevote 2 y"],
    ),
    Case(
        "C3",
        "so does one of the round of the lock",
        "d",
        [*LOCKED_X_IN_0, *votes(PREVOTE, 0, "y", "abc"), *end_round(0)],
        [proposed(1, "y", 0)],
        ["prevote 1 y"],
    ),
    Case(
        "C3",
        "an earlier polka does not override the lock",
        "d",
        [*NIL_IN_0, POLKA_X, proposed(1, "y"), *votes(PREVOTE, 1, "y", "abd"), *end_round(1)],
        [proposed(2, "x", 0)],
        ["prevote 2 nil"],
    ),
    Case(
        "C3",
        "with an earlier polka the locked block itself is prevoted",
        "d",
        [*NIL_IN_0, POLKA_X, proposed(1, "x"), *votes(PREVOTE, 1, "x", "abd"), *end_round(1)],
        [proposed(2, "x", 0)],
        ["prevote 2 x"],
    ),
    Case("C3", "a polka cannot lie ahead", "d", [*NIL_IN_0], [proposed(1, "x", 1)], []),
]

C4 = [
    Case(
        "C4",
        "a quorum of any prevotes starts the timeout",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "ad")],
        votes(PREVOTE, 0, None, "b"),
        ["wait prevote 0"],
    ),
    Case(
        "C4",
        "once",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "ad"), *votes(PREVOTE, 0, None, "b")],
        votes(PREVOTE, 0, None, "c"),
        [],
    ),
    Case("C4", "not before the prevote step", "d", [START], votes(PREVOTE, 0, "x", "abc"), []),
    Case(
        "C4",
        "but on entering it",
        "d",
        [START, *votes(PREVOTE, 0, "x", "ab"), *votes(PREVOTE, 0, None, "c")],
        [elapsed(PROPOSE_OVER, 0)],
        ["prevote 0 nil", "wait prevote 0"],
    ),
    Case(
        "C4",
        "an equivocator is no second voter",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "a")],
        [*votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "x", "d")],
        ["report DuplicateVote"],
    ),
]

IN_PRECOMMIT_WITHOUT_LOCK = [
    *[START, elapsed(PROPOSE_OVER, 0), *votes(PREVOTE, 0, "x", "ab"), *votes(PREVOTE, 0, None, "d")],
    elapsed(PREVOTE_OVER, 0),
]
C5 = [
    Case(
        "C5",
        "a polka in the prevote step locks and precommits",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "ab")],
        votes(PREVOTE, 0, "x", "d"),
        ["wait prevote 0", "precommit 0 x"],
    ),
    Case(
        "C5",
        "a polka certificate does the same",
        "d",
        [START, proposed(0, "x")],
        [POLKA_X],
        ["wait prevote 0", "precommit 0 x"],
    ),
    Case(
        "C5",
        "the proposal may come after the polka",
        "d",
        [START, *votes(PREVOTE, 0, "x", "abc")],
        [proposed(0, "x")],
        ["prevote 0 x", "wait prevote 0", "precommit 0 x"],
    ),
    Case(
        "C5",
        "powers of two thirds are not enough",
        "d",
        [START, proposed(0, "x")],
        votes(PREVOTE, 0, "x", "ab"),
        [],
    ),
    Case(
        "C5",
        "an invalid block is not locked",
        "d",
        [START, proposed(0, "x", is_valid=False)],
        votes(PREVOTE, 0, "x", "abc"),
        ["wait prevote 0"],
    ),
    Case(
        "C5",
        "in the precommit step nothing is cast",
        "d",
        [*IN_PRECOMMIT_WITHOUT_LOCK, proposed(0, "x")],
        votes(PREVOTE, 0, "x", "c"),
        [],
    ),
    Case(
        "C5",
        "but the block is valid, and proposed again",
        "d",
        [
            *[*IN_PRECOMMIT_WITHOUT_LOCK, proposed(0, "x"), *votes(PREVOTE, 0, "x", "c")],
            *[*end_round(0), *end_round(1), *votes(PRECOMMIT, 2, None, "abc")],
        ],
        [elapsed(PRECOMMIT_OVER, 2)],
        ["propose 3 x 0", "wait propose 3"],
    ),
    Case(
        "C5",
        "without a lock, so that another new block is prevoted",
        "d",
        [*IN_PRECOMMIT_WITHOUT_LOCK, proposed(0, "x"), *votes(PREVOTE, 0, "x", "c"), *end_round(0)],
        [proposed(1, "y")],
        ["prevote 1 y"],
    ),
    Case(
        "C5",
        "a polka of an earlier round locks nothing",
        "d",
        [*NIL_IN_0, proposed(0, "x"), POLKA_X],
        [proposed(1, "y")],
        ["prevote 1 y"],
    ),
    Case(
        "C5",
        "a second proposal with the polka is locked",
        "d",
        [START, proposed(0, "x"), proposed(0, "y")],
        votes(PREVOTE, 0, "y", "abc"),
        ["wait prevote 0", "precommit 0 y"],
    ),
]

C6 = [
    Case(
        "C6",
        "a polka for nil precommits nil",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "ab")],
        votes(PREVOTE, 0, None, "c"),
        ["wait prevote 0", "precommit 0 nil"],
    ),
    Case("C6", "not before the prevote step", "d", [START], votes(PREVOTE, 0, None, "abc"), []),
    Case(
        "C6",
        "not on less than a quorum of nil",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "ab")],
        votes(PREVOTE, 0, "x", "c"),
        ["wait prevote 0"],
    ),
    Case(
        "C6",
        "and does not unlock",
        "d",
        [
            *[*LOCKED_X_IN_0, *end_round(0), elapsed(PROPOSE_OVER, 1), *votes(PREVOTE, 1, None, "abc")],
            *end_round(1),
        ],
        [proposed(2, "y")],
        ["prevote 2 nil"],
    ),
]

VOTE_CASES = [*C1, *C2, *C3, *C4, *C5, *C6]
