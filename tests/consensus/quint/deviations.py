"""Where our core departs from malachite's Quint specification, each place with its reason.

`DEVIATIONS` are single steps of traces. `GENERAL_DEVIATIONS` are rules of our core that differ from the model
whenever they apply. The traces show them rarely or never, so each has inputs of its own.
"""

from typing import NamedTuple

from chain.votes import VoteKind
from consensus.types import TimeoutKind
from tests.consensus import rig

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


class Deviation(NamedTuple):
    """What we do at one step of one trace, where it differs."""

    why: str
    outputs: tuple[str, ...]
    step: str | None = None


DEVIATIONS = {
    ("hiddenTest_0", 53): Deviation(
        "the vote that completes the polka enables L28; the specification looks only at a certificate",
        ("PREVOTE 1 red",),
        "PrevoteStep",
    ),
    ("hiddenTest_0", 54): Deviation("we have prevoted already", ()),
    ("DecideFutureRoundTest_1", 80): Deviation(
        "the proposal of the new round is known, so L22 fires; the specification has it pending",
        ("TIMEOUT PROPOSE 1", "PREVOTE 1 green"),
        "PrevoteStep",
    ),
    ("preloadVotekeeperOnlyTest_6", 12): Deviation(
        "L34 is enabled before L36 is; the timeout has no effect",
        ("PREVOTE 0 a", "TIMEOUT PREVOTE 0", "PRECOMMIT 0 a"),
    ),
    ("catchUpToHigherRoundTest_4", 73): Deviation(
        "the specification skips before it starts, and hands over fewer votes",
        ("TIMEOUT PROPOSE 0", "TIMEOUT PROPOSE 1", "TIMEOUT PRECOMMIT 1"),
    ),
    ("catchUpToHigherRoundAfterHeightChangeTest_5", 120): Deviation(
        "the specification skips before it starts, and hands over fewer votes",
        ("TIMEOUT PROPOSE 0", "TIMEOUT PROPOSE 1", "TIMEOUT PRECOMMIT 1"),
    ),
}


class GeneralDeviation(NamedTuple):
    """Inputs of a core; what the model and ours say to the last of them."""

    what: str
    why: str
    me: str
    inputs: tuple[object, ...]
    model: tuple[str, ...]
    ours: tuple[str, ...]


EQUIVOCATION = [*rig.votes(PRECOMMIT, 0, None, "c"), *rig.votes(PRECOMMIT, 0, "x", "abc")]

GENERAL_DEVIATIONS = (
    GeneralDeviation(
        "the prevote timeout starts before a nil precommit",
        "L34 is tried before L44, and a quorum for nil is a quorum of any prevotes. The timeout has no"
        " effect, because the step is over when it elapses. The model emits one output per threshold, and"
        " prefers nil.",
        "b",
        (rig.elapsed(TimeoutKind.PROPOSE, 0), rig.votes(PREVOTE, 0, None, "acd")),
        ("precommit 0 nil",),
        ("wait prevote 0", "precommit 0 nil"),
    ),
    GeneralDeviation(
        "a block that was built after the own propose timeout is not proposed",
        "The proposer has prevoted nil by then, and the others, whose timeouts started with its own, have"
        " too: the proposal would get no polka in this round. The model proposes whenever the value arrives.",
        "a",
        (rig.elapsed(TimeoutKind.PROPOSE, 0), rig.built(0, "x")),
        ("propose 0 x None",),
        (),
    ),
    GeneralDeviation(
        "an equivocator's second precommit counts for its own value",
        "Two nodes that each drop another one of the two votes would disagree forever on whether a quorum"
        " exists. The model counts the first only. Both count a validator once towards any value.",
        "d",
        (rig.proposed(0, "x"), EQUIVOCATION),
        ("wait precommit 0",),
        ("wait precommit 0", "report DuplicateVote", "decide 0 x"),
    ),
)
