"""Step tables: per rule of the core what is given, what comes in, and what must come out.

Four equal validators; a, b, c, d propose in rounds 0, 1, 2, 3 of the height. Outputs are in the words of
`rig.short`, without the rebroadcast clock. The tables are data: `mutants` holds broken cores against them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chain.votes import build_commit_certificate, build_polka_certificate
from consensus.core import ROUNDS_AHEAD_MAX, Core
from consensus.types import (
    CommitCertificateReceived,
    HeightStarted,
    PolkaCertificateReceived,
    TimeoutKind,
)
from tests.consensus.rig import (
    EQUAL,
    HEIGHT,
    PRECOMMIT,
    PREVOTE,
    core,
    elapsed,
    feed,
    proposed,
    shorts,
    validators,
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
    powers: dict[str, int] | None = None
    """Another set than the four equal ones."""


def build_core(case: Case, core_class: type[Core] = Core) -> Core:
    """The core of a case, not started."""
    return core(case.me, validators(case.powers) if case.powers else EQUAL, core_class)


def check_case(case: Case, core_class: type[Core] = Core) -> None:
    """Raises AssertionError unless the core does what the case says."""
    target = build_core(case, core_class)
    feed(target, case.given)
    found = shorts(feed(target, case.when))
    assert found == list(case.then), f"{case.rule} {case.name}: {found}, expected {list(case.then)}"


def end_round(round: int) -> list[Any]:
    """The others precommit nil and the precommit timeout elapses: the round is over without a decision."""
    return [*votes(PRECOMMIT, round, None, "abc"), elapsed(PRECOMMIT_OVER, round)]


LOCKED_X_IN_0 = [START, proposed(0, "x"), *votes(PREVOTE, 0, "x", "abd")]
"""d has locked x in round 0."""
THEN_LOCKED_Y_IN_1 = [*end_round(0), proposed(1, "y"), *votes(PREVOTE, 1, "y", "abc")]
"""Then d prevotes nil in round 1, being locked on x, and locks y there after a polka for it."""
NIL_IN_0 = [START, *end_round(0)]
"""Round 0 gave nothing; d is in round 1 and free."""
COMMIT_X = CommitCertificateReceived(
    build_commit_certificate([vote(PRECOMMIT, 0, "x", who) for who in "abc"])
)
POLKA_X = PolkaCertificateReceived(build_polka_certificate([vote(PREVOTE, 0, "x", who) for who in "abc"]))
