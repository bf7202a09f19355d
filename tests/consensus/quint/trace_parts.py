"""Replays the traces that drive one part: `consensusTest` the rules, `votekeeperTest` the tally."""

import json
from pathlib import Path
from typing import Any

from chain.validator_set import compute_proposer
from chain.votes import Proposal, SignedProposal, SignedVote, Vote, VoteKind
from consensus.core import Core
from consensus.tally import VoteTally
from consensus.types import BlockBuilt, HeightStarted, ProposalReceived, TimeoutElapsed, VoteReceived
from tests.consensus.quint.traces import (
    SPEC_TIMEOUTS,
    TraceMismatch,
    compare,
    describe,
    describe_core,
    describe_expected,
    describe_state,
    read_vote,
)
from tests.consensus.rig import TIMEOUTS, address, block, name_of, validators

VOTES_OF = {
    "PolkaAnyCInput": (VoteKind.PREVOTE, (None, None, "other")),
    "PolkaNilCInput": (VoteKind.PREVOTE, (None, None, None)),
    "PrecommitAnyCInput": (VoteKind.PRECOMMIT, (None, None, "other")),
}


def build_rule_inputs(core: Core, given: Any) -> list[Any]:
    """Inputs that fulfil a condition of the specification's rules in the core's round."""
    tag, *arguments = given
    if tag in VOTES_OF:
        return build_votes(core, *VOTES_OF[tag])
    match tag:
        case "NoConsensusInput":
            return []
        case "NewRoundProposerCInput" | "NewRoundCInput":
            return [HeightStarted(core.height)]
        case "ProposeValueCInput":
            return [BlockBuilt(core.height, core.round, block(arguments[0]))]
        case "ProposalCInput":
            return build_proposal(core, arguments[0][1][1], True)
        case "ProposalInvalidCInput":
            return build_proposal(core, "bad", False)
        case "ProposalAndPolkaAndValidCInput":
            return build_votes(core, VoteKind.PREVOTE, (arguments[0][1],) * 3)
        case "ProposalAndCommitAndValidCInput":
            return build_votes(core, VoteKind.PRECOMMIT, (arguments[0][1],) * 3)
    kind = SPEC_TIMEOUTS[tag.removesuffix("CInput").removeprefix("Timeout") + "Timeout"]
    return [TimeoutElapsed(kind, *arguments[0])]


def build_votes(core: Core, kind: VoteKind, values: tuple[str | None, ...]) -> list[VoteReceived]:
    """Votes of the three others."""
    hashes = [None if value is None else block(value) for value in values]
    pairs = zip(("v2", "v3", "v4"), hashes, strict=True)
    cast = [Vote(kind, core.height, core.round, block_hash, address(who)) for who, block_hash in pairs]
    return [VoteReceived(SignedVote(one, bytes(64))) for one in cast]


def build_proposal(core: Core, value: str, is_valid: bool) -> list[ProposalReceived]:
    """The proposal of the core's round."""
    proposer = compute_proposer(core.validator_set, core.round).address
    proposal = Proposal(core.height, core.round, block(value), None, proposer)
    return [ProposalReceived(SignedProposal(proposal, bytes(64)), is_valid, True)]


def replay_rules(path: Path, core_class: type[Core] = Core) -> int:
    """Replay a trace of `consensusTest`, whose inputs are conditions of rules: we make votes that fulfil
    them.
    """
    trace = json.loads(path.read_text())
    test, steps = trace["test"], trace["steps"]
    is_proposer = steps[1]["input"][0] == "NewRoundProposerCInput"
    validator_set = validators(
        dict.fromkeys(("v1", "v2", "v3", "v4"), 1), first="v1" if is_proposer else "v2"
    )
    core = core_class(steps[0]["after"]["height"], validator_set, address("v1"), TIMEOUTS)
    index = 0
    while index < len(steps):
        group = [steps[index]]
        if steps[index]["output"][0] == "SkipRoundOutput":
            group.append(steps[index + 1])
        inputs = build_rule_inputs(core, steps[index]["input"])
        outputs = [line for received in inputs for line in describe(core.handle(received))]
        expected = [line for step in group for line in describe_expected(step["output"])]
        if any(line.startswith("PRECOMMIT") for line in expected):
            # The votes that make a polka are a quorum of any as well (L34); the timeout has no effect.
            outputs = [line for line in outputs if not line.startswith("TIMEOUT PREVOTE")]
        ours = (outputs, describe_core(core))
        compare(test, index, ours, (expected, describe_state(group[-1]["after"])))
        index += len(group)
    return index


def replay_votes(path: Path, tally_class: type[VoteTally] = VoteTally) -> int:
    """Replay a trace of `votekeeperTest`: after each vote the thresholds reached, and the power of every
    value.
    """
    trace = json.loads(path.read_text())
    powers = trace["steps"][0]["bookkeeper"]["validatorSet"]
    tally = tally_class(validators(powers))
    reached: list[str] = []
    for index, step in enumerate(trace["steps"]):
        before = list(reached)
        if step["weightedVote"][0] == "WV":
            record, _, current_round = step["weightedVote"][1]
            tally.add(read_vote(record))
            reached = find_thresholds(tally, step["bookkeeper"]["rounds"], current_round)
        new = [line for line in reached if line not in before]
        expected = describe_threshold(step["lastEmitted"])
        if (new[:1] or [""]) != [expected]:
            raise TraceMismatch(f"{trace['test']} step {index}: {new}, expected {expected}")
        compare_powers(f"{trace['test']} step {index}", tally, powers, step["bookkeeper"]["rounds"])
    return len(trace["steps"])


def find_thresholds(tally: VoteTally, rounds: Any, current_round: int) -> list[str]:
    """The thresholds that the tally has reached, the ones that the specification prefers first."""
    found = [f"skip {tally.skip_round}"] if tally.skip_round > current_round else []
    for text in rounds:
        round = int(text)
        for kind in VoteKind:
            values = [v for v in tally.get_values(kind, round) if tally.has_quorum(kind, round, v)]
            found += [f"{kind.name} {round} {name_of(value)}" for value in values]
            if tally.has_any_quorum(kind, round) and not values:
                found.append(f"{kind.name} {round} any")
    return found


def describe_threshold(emitted: Any) -> str:
    """What the specification's vote keeper says."""
    match emitted:
        case ["SkipVKOutput", round]:
            return f"skip {round}"
        case ["PolkaAnyVKOutput", round]:
            return f"PREVOTE {round} any"
        case ["PolkaNilVKOutput", round]:
            return f"PREVOTE {round} nil"
        case ["PolkaValueVKOutput", [round, value]]:
            return f"PREVOTE {round} {value}"
        case ["PrecommitValueVKOutput", [round, value]]:
            return f"PRECOMMIT {round} {value}"
        case ["NoVKOutput"]:
            return ""
    raise AssertionError(f"unknown output {emitted}")


def compare_powers(where: str, tally: VoteTally, powers: dict[str, int], rounds: Any) -> None:
    """Raises TraceMismatch unless each value has the power that the specification counts."""
    for text, entry in rounds.items():
        for kind, name in ((VoteKind.PREVOTE, "prevotes"), (VoteKind.PRECOMMIT, "precommits")):
            weights = entry[name]["valuesWeights"].items()
            expected = {value.split("'")[3] if "Val" in value else "nil": power for value, power in weights}
            ours: dict[str, int] = {}
            for signed in tally.get_votes(kind, int(text)):
                value = name_of(signed.vote.block_hash)
                ours[value] = ours.get(value, 0) + powers[name_of(signed.vote.validator)]
            if ours != expected:
                raise TraceMismatch(f"{where}: {ours}, expected {expected}")
