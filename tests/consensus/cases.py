"""Step tables: per rule of the core what is given, what comes in, and what must come out.

Four equal validators; a, b, c, d propose in rounds 0, 1, 2, 3 of the height. Outputs are in the words of
`rig.short`, without the rebroadcast clock. The tables are data, so that `mutants` can hold broken cores against
them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chain.votes import build_commit_certificate, build_polka_certificate
from consensus.core import ROUNDS_AHEAD_MAX, Core
from consensus.types import (
    BlockReceived,
    CommitCertificateReceived,
    HeightStarted,
    PolkaCertificateReceived,
    TimeoutElapsed,
    TimeoutKind,
    VoteReceived,
)
from tests.consensus.rig import (
    HEIGHT,
    PRECOMMIT,
    PREVOTE,
    block,
    built,
    core,
    elapsed,
    feed,
    proposed,
    shorts,
    vote,
    votes,
)

START = HeightStarted(HEIGHT)
PROPOSE_OVER, PREVOTE_OVER, PRECOMMIT_OVER = TimeoutKind.PROPOSE, TimeoutKind.PREVOTE, TimeoutKind.PRECOMMIT
FAR = ROUNDS_AHEAD_MAX + 5


class Case(NamedTuple):
    """`me` has been given some inputs; then something comes in, and exactly this comes out."""

    rule: str
    name: str
    me: str | None
    given: Sequence[Any]
    when: Sequence[Any]
    then: Sequence[str]


def check_case(case: Case, core_class: type[Core] = Core) -> None:
    """Raises AssertionError unless the core does what the case says."""
    target = core(case.me, core_class=core_class)
    feed(target, case.given)
    found = shorts(feed(target, case.when))
    assert found == list(case.then), f"{case.rule} {case.name}: {found}, expected {list(case.then)}"


def end_round(round: int) -> list[Any]:
    """The others precommit nil and the precommit timeout elapses: the round is over without a decision."""
    return [*votes(PRECOMMIT, round, None, "abc"), elapsed(PRECOMMIT_OVER, round)]


LOCKED_X_IN_0 = [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "abd")]
"""d has locked x in round 0."""
VALID_Y_IN_1 = [*end_round(0), proposed(1, "y"), *votes(PREVOTE, 1, "y", "abc")]
"""Then d prevotes nil in round 1, being locked on x, and locks y there after a polka for it."""
NIL_IN_0 = [START, *end_round(0)]
"""Round 0 gave nothing; d is in round 1 and free."""
COMMIT_X = CommitCertificateReceived(
    build_commit_certificate([vote(PRECOMMIT, 0, "x", who) for who in "abc"])
)
POLKA_X = PolkaCertificateReceived(build_polka_certificate([vote(PREVOTE, 0, "x", who) for who in "abc"]))

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
        [*LOCKED_X_IN_0, *VALID_Y_IN_1, *end_round(1)],
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
    Case("C3", "a polka can not lie ahead", "d", [*NIL_IN_0], [proposed(1, "x", 1)], []),
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

C7 = [
    Case(
        "C7",
        "a quorum of any precommits starts the timeout, in any step",
        "d",
        [START, *votes(PRECOMMIT, 0, None, "ab")],
        votes(PRECOMMIT, 0, "x", "c"),
        ["wait precommit 0"],
    ),
    Case("C7", "once", "d", [START, *votes(PRECOMMIT, 0, None, "abc")], votes(PRECOMMIT, 0, "x", "d"), []),
    Case(
        "C7",
        "not for an earlier round",
        "d",
        [*NIL_IN_0, *end_round(1)],
        votes(PRECOMMIT, 1, None, "d"),
        [],
    ),
]

C8 = [
    Case(
        "C8",
        "a quorum of precommits for a known block decides",
        "d",
        [START, proposed(0, "x"), *votes(PRECOMMIT, 0, "x", "ab")],
        votes(PRECOMMIT, 0, "x", "c"),
        ["decide 0 x"],
    ),
    Case(
        "C8",
        "two thirds are not enough",
        "d",
        [START, proposed(0, "x")],
        [*votes(PRECOMMIT, 0, "x", "ab"), *votes(PRECOMMIT, 0, None, "c")],
        ["wait precommit 0"],
    ),
    Case(
        "C8",
        "in an earlier round",
        "d",
        [
            START,
            proposed(0, "x"),
            *votes(PRECOMMIT, 0, "x", "ab"),
            *votes(PRECOMMIT, 0, None, "d"),
            elapsed(PRECOMMIT_OVER, 0),
        ],
        votes(PRECOMMIT, 0, "x", "c"),
        ["decide 0 x"],
    ),
    Case(
        "C8",
        "in a later round",
        "d",
        [START, proposed(1, "x")],
        [
            CommitCertificateReceived(
                build_commit_certificate([vote(PRECOMMIT, 1, "x", who) for who in "abc"])
            )
        ],
        ["decide 1 x"],
    ),
    Case("C8", "before the start", "d", [proposed(0, "x")], [COMMIT_X], ["decide 0 x"]),
    Case(
        "C8",
        "precommits of two rounds do not add up",
        "d",
        [
            START,
            proposed(0, "x"),
            *votes(PRECOMMIT, 0, "x", "ab"),
            *votes(PRECOMMIT, 0, None, "d"),
            elapsed(PRECOMMIT_OVER, 0),
        ],
        votes(PRECOMMIT, 1, "x", "c"),
        [],
    ),
    Case("C8", "nil is never decided", "d", [START], votes(PRECOMMIT, 0, None, "abcd"), ["wait precommit 0"]),
    Case("C8", "once", "d", [START, proposed(0, "x"), COMMIT_X], votes(PRECOMMIT, 0, "x", "d"), []),
    Case(
        "C8",
        "and nothing else happens afterwards",
        "d",
        [START, proposed(0, "x"), COMMIT_X],
        [elapsed(PROPOSE_OVER, 0), *votes(PREVOTE, 3, "y", "abc"), elapsed(PRECOMMIT_OVER, 0)],
        [],
    ),
    Case("C8", "an observer decides", None, [START, proposed(0, "x")], [COMMIT_X], ["decide 0 x"]),
    Case(
        "C8",
        "an invalid block with a quorum is a failure of consensus",
        "d",
        [START, proposed(0, "x", is_valid=False)],
        [COMMIT_X],
        ["failure 0 x"],
    ),
    Case(
        "C8",
        "after which nothing happens",
        "d",
        [START, proposed(0, "x", is_valid=False), COMMIT_X],
        [elapsed(PRECOMMIT_OVER, 0), proposed(1, "y")],
        [],
    ),
]

C9 = [
    Case(
        "C9",
        "more than a third in a later round moves there",
        "d",
        [START, *votes(PREVOTE, 2, "x", "a")],
        votes(PRECOMMIT, 2, None, "b"),
        ["wait propose 2"],
    ),
    Case("C9", "a third is not enough", "d", [START], votes(PREVOTE, 2, "x", "a"), []),
    Case(
        "C9",
        "a validator counts once",
        "d",
        [START, *votes(PREVOTE, 2, "x", "a")],
        [*votes(PRECOMMIT, 2, "x", "a"), *votes(PREVOTE, 2, "x", "a")],
        [],
    ),
    Case(
        "C9",
        "rounds do not add up",
        "d",
        [START, *votes(PREVOTE, 1, "x", "a")],
        votes(PREVOTE, 2, "x", "b"),
        [],
    ),
    Case("C9", "nobody goes back", "d", NIL_IN_0, votes(PREVOTE, 0, "x", "c"), []),
    Case(
        "C9",
        "the next proposer proposes there",
        "d",
        [START, *votes(PREVOTE, 3, None, "a")],
        votes(PREVOTE, 3, None, "b"),
        ["build 3", "wait propose 3"],
    ),
    Case(
        "C9",
        "a round beyond the window can be reached",
        "d",
        [START, *votes(PREVOTE, FAR, None, "a")],
        votes(PREVOTE, FAR, None, "b"),
        [f"wait propose {FAR}"],
    ),
    Case(
        "C9",
        "and the votes seen there count",
        "d",
        [START, *votes(PRECOMMIT, FAR, None, "ab")],
        votes(PRECOMMIT, FAR, None, "c"),
        [f"wait precommit {FAR}"],
    ),
    Case(
        "C9",
        "of far rounds a validator's highest counts",
        "d",
        [START, *votes(PREVOTE, FAR, None, "a"), *votes(PREVOTE, FAR + 1, None, "a")],
        votes(PREVOTE, FAR, None, "b"),
        [],
    ),
]

C10 = [
    Case("C10", "propose: prevote nil", "d", [START], [elapsed(PROPOSE_OVER, 0)], ["prevote 0 nil"]),
    Case(
        "C10", "propose: not after prevoting", "d", [START, proposed(0, "x")], [elapsed(PROPOSE_OVER, 0)], []
    ),
    Case("C10", "propose: not of an old round", "d", NIL_IN_0, [elapsed(PROPOSE_OVER, 0)], []),
    Case(
        "C10",
        "propose: not of another height",
        "d",
        [START],
        [TimeoutElapsed(PROPOSE_OVER, HEIGHT + 1, 0)],
        [],
    ),
    Case(
        "C10",
        "prevote: precommit nil",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "ad"), *votes(PREVOTE, 0, None, "b")],
        [elapsed(PREVOTE_OVER, 0)],
        ["precommit 0 nil"],
    ),
    Case("C10", "prevote: not after precommitting", "d", LOCKED_X_IN_0, [elapsed(PREVOTE_OVER, 0)], []),
    Case("C10", "prevote: not before prevoting", "d", [START], [elapsed(PREVOTE_OVER, 0)], []),
    Case(
        "C10",
        "precommit: next round, in any step",
        "d",
        [START],
        [elapsed(PRECOMMIT_OVER, 0)],
        ["wait propose 1"],
    ),
    Case("C10", "precommit: not of an old round", "d", NIL_IN_0, [elapsed(PRECOMMIT_OVER, 0)], []),
    Case(
        "C10", "nothing before the start", "d", [], [elapsed(PROPOSE_OVER, 0), elapsed(PRECOMMIT_OVER, 0)], []
    ),
]

C12 = [
    Case(
        "C12",
        "a second vote is reported and counts for its own block",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "x", "bd")],
        votes(PREVOTE, 0, "x", "a"),
        ["report DuplicateVote", "precommit 0 x"],
    ),
    Case(
        "C12",
        "the same vote counts once",
        "d",
        [START, *votes(PREVOTE, 1, None, "a")],
        votes(PREVOTE, 1, None, "a"),
        [],
    ),
    Case(
        "C12",
        "a third vote is neither reported nor counted",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "y", "a")],
        votes(PREVOTE, 0, "x", "abd"),
        ["wait prevote 0"],
    ),
    Case(
        "C12",
        "except in a certificate",
        "d",
        [START, proposed(0, "x"), *votes(PREVOTE, 0, None, "a"), *votes(PREVOTE, 0, "y", "a")],
        [POLKA_X],
        ["wait prevote 0", "precommit 0 x"],
    ),
    Case(
        "C12",
        "a second proposal is reported and not prevoted",
        "d",
        [START, proposed(0, "x")],
        [proposed(0, "y")],
        ["report DuplicateProposal"],
    ),
    Case(
        "C12",
        "a third one is dropped",
        "d",
        [START, proposed(0, "x"), proposed(0, "y")],
        [proposed(0, "z")],
        [],
    ),
    Case(
        "C12",
        "a final block that is unknown is fetched, once",
        "d",
        [START],
        [COMMIT_X, *votes(PRECOMMIT, 0, "x", "d")],
        ["fetch x", "wait precommit 0"],
    ),
    Case(
        "C12",
        "and decided when it is there",
        "d",
        [START, COMMIT_X],
        [BlockReceived(HEIGHT, block("x"), True)],
        ["decide 0 x"],
    ),
    Case(
        "C12",
        "or a failure if it is invalid",
        "d",
        [START, COMMIT_X],
        [BlockReceived(HEIGHT, block("x"), False)],
        ["failure 0 x"],
    ),
    Case(
        "C12",
        "also where it was the third proposal",
        "d",
        [START, proposed(0, "y"), proposed(0, "z"), proposed(0, "x")],
        [COMMIT_X, BlockReceived(HEIGHT, block("x"), True)],
        ["fetch x", "wait precommit 0", "decide 0 x"],
    ),
    Case(
        "C12",
        "a block nobody asked for is ignored",
        "d",
        [START],
        [BlockReceived(HEIGHT, block("x"), True)],
        [],
    ),
]

C13 = [
    Case("C13", "a proposal beyond the window is dropped", "d", [START], [proposed(FAR, "x")], []),
    Case(
        "C13",
        "votes of another height are dropped",
        "d",
        [START, proposed(0, "x")],
        [VoteReceived(vote(PREVOTE, 0, "x", who, HEIGHT + 1)) for who in "abc"],
        [],
    ),
]

CASES = [*C1, *C2, *C3, *C4, *C5, *C6, *C7, *C8, *C9, *C10, *C12, *C13]
