"""Replays traces of malachite's Quint specification of Tendermint through our core and tally.

A trace is a list of steps: which validator, what went in, what came out, the state after. The specification
works in smaller steps than our core: an input may leave work pending, which later `StepChange`, `Pending` and
`No` steps do one piece at a time, while `Core.handle` does all of it at once. So steps are grouped: one that
brings something in, and the pending ones of the same validator up to its next one. Compared per group,
exactly and in order:

  outputs  timeouts, votes, proposals, blocks asked for, decisions, with their rounds and values
  state    height, round, step, locked and valid value and round, after the group's last step

What the specification has and our core has not: `ErrorOutput` for an input that is out of place (we ignore
it: no output, same state), `SkipRound` as a step of its own, a precommit timeout after the decision. What our
core has and the specification has not is left out of the comparison: FetchBlock, the rebroadcast clock, and
the propose timeout of a proposer that proposes its valid value again. In `PRELOADED` set-up code gives a late
validator votes that the trace does not show: all that the others cast until then. `DEVIATIONS` lists, with
the reason, every place where more than that differs, and what ours must be there instead.

Traces of `consensusTest` drive the rules alone and `votekeeperTest` the tally alone; each has its own replay.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chain.primitives.types import Height
from chain.votes import (
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    build_polka_certificate,
)
from consensus.core import Core
from consensus.types import (
    BlockBuilt,
    BuildBlock,
    CastVote,
    CommitCertificateReceived,
    Decide,
    HeightStarted,
    Output,
    PolkaCertificateReceived,
    ProposalReceived,
    ScheduleTimeout,
    SendProposal,
    Step,
    TimeoutElapsed,
    TimeoutKind,
    VoteReceived,
)
from tests.consensus.quint.deviations import DEVIATIONS
from tests.consensus.rig import TIMEOUTS, address, block, name_of, validators

FOLDER = Path(__file__).parents[4] / "shared" / "vectors" / "tendermint"
INTERNAL = ("StepChangeDInput", "PendingDInput", "NoDInput")
SPEC_STEPS = {
    "NoStep": Step.UNSTARTED,
    "ProposeStep": Step.PROPOSE,
    "PrevoteStep": Step.PREVOTE,
    "PrecommitStep": Step.PRECOMMIT,
    "CommitStep": Step.DECIDED,
}
KINDS = {"Prevote": VoteKind.PREVOTE, "Precommit": VoteKind.PRECOMMIT}
SPEC_TIMEOUTS = {
    "ProposeTimeout": TimeoutKind.PROPOSE,
    "PrevoteTimeout": TimeoutKind.PREVOTE,
    "PrecommitTimeout": TimeoutKind.PRECOMMIT,
}


PRELOADED = (
    "fastProcessesDecidesAtHeight0SlowOneCatchesUpTest_0",
    "slowProcessAtHeight1Test_3",
    "preloadVotekeeperOnlyTest_6",
    "catchUpToHigherRoundTest_4",
    "catchUpToHigherRoundAfterHeightChangeTest_5",
)


class TraceMismatch(AssertionError):
    """Our core did something else than the specification."""


def get_paths(prefix: str = "") -> list[Path]:
    """The traces whose file name starts with `prefix`, if they are there."""
    return sorted(FOLDER.glob(prefix + "*.json"))


def read_vote(record: Any) -> SignedVote:
    """A vote of the specification; certificates hold them as lists of pairs."""
    fields = dict(record)
    tag, *name = fields["valueId"]
    block_hash = None if tag == "Nil" else block(name[0])
    kind, who = KINDS[fields["voteType"][0]], fields["srcAddress"]
    return SignedVote(Vote(kind, fields["height"], fields["round"], block_hash, address(who)), bytes(64))


def read_proposal(fields: Any) -> ProposalReceived:
    """A proposal of the specification; the value named `invalid` is."""
    pol_round = None if fields["validRound"] < 0 else fields["validRound"]
    block_hash, proposer = block(fields["proposal"]), address(fields["srcAddress"])
    proposal = Proposal(fields["height"], fields["round"], block_hash, pol_round, proposer)
    return ProposalReceived(SignedProposal(proposal, bytes(64)), fields["proposal"] != "invalid", True)


class Replica:
    """One validator of a trace, with a core per height."""

    def __init__(self, name: str, powers: dict[str, int], core_class: type[Core]) -> None:
        self.name = name
        self._powers = powers
        self._core_class = core_class
        self.core = self._build_core(0)

    def _build_core(self, height: Height) -> Core:
        """In the specification v2, v3, v4, v1 take turns over the rounds, at every height."""
        validator_set = validators(self._powers, first="v2")
        return self._core_class(height, validator_set, address(self.name), TIMEOUTS)

    def move_to(self, height: Height) -> bool:
        """Whether the validator was at another height."""
        if height == self.core.height:
            return False
        self.core = self._build_core(height)
        return True

    def take(self, step: Any) -> list[str]:
        """Hand a step's input to the core; its outputs in words."""
        return [line for received in self._read_input(step) for line in describe(self.core.handle(received))]

    def _read_input(self, step: Any) -> list[Any]:
        tag, *arguments = step["input"]
        argument = arguments[0] if arguments else None
        height, round = self.core.height, self.core.round
        match tag:
            case "StartDInput":
                return [HeightStarted(height)]
            case "ProposeValueDInput":
                return [BlockBuilt(height, round, block(argument))]
            case "ProposalDInput":
                return [read_proposal(argument)]
            case "VoteDInput":
                return [VoteReceived(read_vote(argument))]
            case "TimeoutDInput":
                return [TimeoutElapsed(SPEC_TIMEOUTS[argument[0]], height, round)]
            case "CertificateDInput":
                return [read_certificate(argument)]
            case "PendingDInput" if argument[0] == "NewRoundCInput" and self.core.step is Step.UNSTARTED:
                return [HeightStarted(height)]
        assert tag in INTERNAL, f"unknown input {tag}"
        return []


def read_certificate(records: Any) -> CommitCertificateReceived | PolkaCertificateReceived:
    """A certificate of the specification."""
    signed = [read_vote(record) for record in records]
    if signed[0].vote.kind is VoteKind.PRECOMMIT:
        return CommitCertificateReceived(build_commit_certificate(signed))
    return PolkaCertificateReceived(build_polka_certificate(signed))


def describe(outputs: list[Output]) -> list[str]:
    """Our outputs, in the words that `describe_expected` uses; what the specification has not is left out."""
    lines = []
    proposes_again = any(isinstance(o, SendProposal) and o.proposal.pol_round is not None for o in outputs)
    for output in outputs:
        match output:
            case CastVote(vote):
                lines.append(f"{vote.kind.name} {vote.round} {name_of(vote.block_hash)}")
            case SendProposal(proposal):
                value = name_of(proposal.block_hash)
                lines.append(f"PROPOSAL {proposal.round} {value} {proposal.pol_round}")
            case BuildBlock(height, round):
                lines.append(f"BUILD {height} {round}")
            case ScheduleTimeout(kind, _, round):
                is_extra = kind is TimeoutKind.PROPOSE and proposes_again
                if kind is not TimeoutKind.REBROADCAST and not is_extra:
                    lines.append(f"TIMEOUT {kind.name} {round}")
            case Decide(certificate):
                lines.append(f"DECIDE {certificate.round} {name_of(certificate.block_hash)}")
            case _:
                pass
    return lines


def describe_core(core: Core) -> dict[str, Any]:
    """What the specification shows of a state, in its words."""
    names = {step: name for name, step in SPEC_STEPS.items()}
    return {
        "height": core.height,
        "round": core.round,
        "step": names[core.step],
        "locked": (core.locked_round, name_of(core.locked_hash)),
        "valid": (core.valid_round, name_of(core.valid_hash)),
    }


def describe_expected(output: Any) -> list[str]:
    """The outputs of a step of the specification."""
    tag, *arguments = output
    match tag:
        case "TimeoutOutput":
            round, (kind,) = arguments[0]
            return [f"TIMEOUT {SPEC_TIMEOUTS[kind].name} {round}"]
        case "GetValueAndScheduleTimeoutOutput":
            height, round, (kind,) = arguments[0]
            return [f"BUILD {height} {round}", f"TIMEOUT {SPEC_TIMEOUTS[kind].name} {round}"]
        case "VoteOutput":
            vote = read_vote(arguments[0]).vote
            return [f"{vote.kind.name} {vote.round} {name_of(vote.block_hash)}"]
        case "ProposalOutput":
            proposal = read_proposal(arguments[0]).signed.proposal
            return [f"PROPOSAL {proposal.round} {name_of(proposal.block_hash)} {proposal.pol_round}"]
        case "DecidedOutput":
            round, value = arguments[0]
            return [f"DECIDE {round} {value}"]
        case "NoConsensusOutput" | "ErrorOutput" | "SkipRoundOutput":
            return []
    raise AssertionError(f"unknown output {tag}")


def describe_state(after: Any) -> dict[str, Any]:
    """The state of a step of the specification."""

    def read_lock(round: int, value: Any) -> tuple[int | None, str]:
        return (None, "nil") if round < 0 else (round, value[1])

    return {
        "height": after["height"],
        "round": max(after["round"], 0),
        "step": after["step"][0],
        "locked": read_lock(after["lockedRound"], after["lockedValue"]),
        "valid": read_lock(after["validRound"], after["validValue"]),
    }


def compare(test: str, index: int, ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> None:
    """Raises TraceMismatch unless outputs and state of a group are the same, or deviate as listed."""
    (outputs, state), (expected_outputs, expected_state) = ours, theirs
    deviation = DEVIATIONS.get((test, index))
    if deviation is not None:
        expected_outputs = list(deviation.outputs)
        expected_state = expected_state | ({"step": deviation.step} if deviation.step else {})
    if outputs != expected_outputs:
        raise TraceMismatch(f"{test} step {index}: {outputs}, expected {expected_outputs}")
    if state != expected_state:
        raise TraceMismatch(f"{test} step {index}: {state}, expected {expected_state}")


def without_late_timeouts(outputs: list[str]) -> list[str]:
    """The outputs of the specification up to a decision, after which it still schedules timeouts."""
    decided = next((i for i, line in enumerate(outputs) if line.startswith("DECIDE")), len(outputs))
    assert all(line.startswith("TIMEOUT PRECOMMIT") for line in outputs[decided + 1 :])
    return outputs[: decided + 1]


def group_steps(steps: list[Any]) -> Iterator[list[tuple[int, Any]]]:
    """The steps of a trace in the order of their first, grouped as the module says."""
    groups: list[list[tuple[int, Any]]] = []
    latest: dict[str, list[tuple[int, Any]]] = {}
    for index, step in enumerate(steps):
        name = step["validator"]
        if name == "INIT":
            continue
        group = latest.get(name)
        is_height_new = group is not None and group[-1][1]["after"]["height"] != step["after"]["height"]
        if group is None or is_height_new or step["input"][0] not in INTERNAL:
            group = latest[name] = []
            groups.append(group)
        group.append((index, step))
    yield from groups


def replay(path: Path, core_class: type[Core] = Core) -> int:
    """Replay a trace of whole validators; how many groups were compared. Raises TraceMismatch."""
    trace = json.loads(path.read_text())
    test, steps = trace["test"], trace["steps"]
    replicas = {name: Replica(name, trace["validators"], core_class) for name in trace["validators"]}
    seen: set[str] = set()
    count = 0
    for group in group_steps(steps):
        index, first = group[0]
        replica = replicas[first["validator"]]
        is_new = replica.move_to(first["after"]["height"]) or replica.name not in seen
        seen.add(replica.name)
        if is_new and test in PRELOADED:
            for received in find_votes_cast(steps[:index], replica):
                assert describe(replica.core.handle(received)) == []
        outputs = [line for _, step in group for line in replica.take(step)]
        expected = [line for _, step in group for line in describe_expected(step["output"])]
        expected = without_late_timeouts(expected)
        # Post-decision leftovers of the height before, which set-up code lets run into the next.
        if replica.core.step is Step.UNSTARTED and all(line.startswith("TIMEOUT PRE") for line in expected):
            expected = []
        ours = (outputs, describe_core(replica.core))
        compare(test, index, ours, (expected, describe_state(group[-1][1]["after"])))
        count += 1
    return count


def find_votes_cast(steps: list[Any], replica: Replica) -> list[VoteReceived]:
    """The votes of the others in the outputs of these steps, of the replica's height."""
    outputs = [step["output"] for step in steps]
    signed = [read_vote(output[1]) for output in outputs if output[0] == "VoteOutput"]
    return [VoteReceived(one) for one in signed if one.vote.height == replica.core.height]
