"""Plants small faults in the consensus core, one at a time, and tells which check sees each.

A test suite that cannot see a broken rule proves nothing about the rule. Sources are changed in memory: a
mutant is the text of a file with one passage replaced, executed as a module of its own. As a program it
prints the table (`python -m tests.consensus.mutants`), and fails if a mutant survives.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from consensus.core import Core
from tests.consensus.cases import check_case
from tests.consensus.cases_progress import PROGRESS_CASES
from tests.consensus.cases_votes import VOTE_CASES
from tests.consensus.quint.trace_parts import replay_rules
from tests.consensus.quint.traces import get_paths, replay

ROOT = Path(__file__).parents[2]


class Mutant(NamedTuple):
    """A passage of a module, and what a fault makes of it."""

    rule: str
    fault: str
    module: str
    old: str
    new: str


CORE, TALLY, POWER = "consensus.core", "consensus.tally", "chain.validator_set"
MUTANTS = [
    Mutant(
        "C1",
        "proposes the locked block",
        CORE,
        "self._send_proposal(self.valid_hash, self.valid_round)",
        "self._send_proposal(self.locked_hash or self.valid_hash, self.locked_round)",
    ),
    Mutant(
        "C1",
        "never proposes again",
        CORE,
        "if self.valid_hash is None:\n            self._fire_once",
        "if True:\n            self._fire_once",
    ),
    Mutant(
        "C2",
        "prevotes a new block in spite of a lock",
        CORE,
        "is_free = self.locked_round is None or self.locked_hash == block_hash\n",
        "is_free = True\n",
    ),
    Mutant(
        "C2",
        "prevotes an invalid new block",
        CORE,
        "is_accepted = self._verdicts[block_hash] and",
        "is_accepted =",
    ),
    Mutant("C2", "prevotes an untimely block", CORE, "and received.is_timely and", "and"),
    Mutant(
        "C3",
        "does not check the polka",
        CORE,
        "        if not self.tally.has_quorum(PREVOTE, pol_round, block_hash):\n            return False\n",
        "",
    ),
    Mutant(
        "C3",
        "prevotes nil without the polka",
        CORE,
        "pol_round, block_hash):\n            return False\n",
        "pol_round, block_hash):\n            self._prevote(None)\n            return True\n",
    ),
    Mutant(
        "C3",
        "compares the lock with < for <=",
        CORE,
        "self.locked_round <= pol_round",
        "self.locked_round < pol_round",
    ),
    Mutant(
        "C3",
        "ignores the lock",
        CORE,
        "self._prevote(block_hash if self._verdicts[block_hash] and is_free else None)",
        "self._prevote(block_hash if self._verdicts[block_hash] else None)",
    ),
    Mutant(
        "C3",
        "ignores validity",
        CORE,
        "self._prevote(block_hash if self._verdicts[block_hash] and is_free else None)",
        "self._prevote(block_hash if is_free else None)",
    ),
    Mutant(
        "C3",
        "takes the polka of any earlier lock",
        CORE,
        "self.locked_round <= pol_round or self.locked_hash == block_hash",
        "self.locked_round >= pol_round",
    ),
    Mutant(
        "C4",
        "starts the prevote timeout each time",
        CORE,
        'if not self._fire_once("wait for prevotes", self.round):',
        "if self._outputs:",
    ),
    Mutant("C4", "never waits for prevotes", CORE, "            or self._rule_wait_for_prevotes()\n", ""),
    Mutant(
        "C5",
        "lock not moved up by its own block",
        CORE,
        "            self.locked_hash, self.locked_round = block_hash, self.round\n",
        "            if self.locked_hash != block_hash:\n"
        "                self.locked_hash, self.locked_round = block_hash, self.round\n",
    ),
    Mutant(
        "C5",
        "precommits without locking",
        CORE,
        "self.locked_hash, self.locked_round = block_hash, self.round\n",
        "pass\n",
    ),
    Mutant(
        "C5",
        "does not note the valid block",
        CORE,
        "        self.valid_hash, self.valid_round = block_hash, self.round\n",
        "",
    ),
    Mutant(
        "C5",
        "notes the valid block in the prevote step only",
        CORE,
        "        self.valid_hash, self.valid_round = block_hash, self.round\n        return True",
        "            self.valid_hash, self.valid_round = block_hash, self.round\n        return True",
    ),
    Mutant(
        "C5",
        "acts in the prevote step only",
        CORE,
        "if self.step < Step.PREVOTE:",
        "if self.step is not Step.PREVOTE:",
    ),
    Mutant(
        "C5",
        "locks in the precommit step too",
        CORE,
        "        if self.step is Step.PREVOTE:\n"
        "            self.locked_hash, self.locked_round = block_hash, self.round\n",
        "        self.locked_hash, self.locked_round = block_hash, self.round\n"
        "        if self.step is Step.PREVOTE:\n",
    ),
    Mutant(
        "C5",
        "locks an invalid block",
        CORE,
        "if self._verdicts[block_hash] and self.tally.has_quorum(PREVOTE, self.round",
        "if self.tally.has_quorum(PREVOTE, self.round",
    ),
    Mutant(
        "C6",
        "never precommits nil on a polka for nil",
        CORE,
        "            or self._rule_precommit_nil()\n",
        "",
    ),
    Mutant(
        "C6",
        "unlocks on a polka for nil",
        CORE,
        "            return False\n        self._precommit(None)\n        return True",
        "            return False\n"
        "        self._precommit(None)\n"
        "        self.locked_hash = self.locked_round = None\n"
        "        return True",
    ),
    Mutant(
        "C6",
        "takes a quorum of any for one of nil",
        CORE,
        "not self.tally.has_quorum(PREVOTE, self.round, None)",
        "not self.tally.has_any_quorum(PREVOTE, self.round)",
    ),
    Mutant(
        "C7",
        "waits for precommits in the precommit step only",
        CORE,
        "if not self.tally.has_any_quorum(PRECOMMIT, self.round):",
        "if self.step is not Step.PRECOMMIT or not self.tally.has_any_quorum(PRECOMMIT, self.round):",
    ),
    Mutant(
        "C8",
        "decides in the current round only",
        CORE,
        "            if block_hash not in self._verdicts:\n                continue\n",
        "            if block_hash not in self._verdicts or round != self.round:\n                continue\n",
    ),
    Mutant(
        "C8",
        "decides in the precommit step only",
        CORE,
        "            if block_hash not in self._verdicts:\n                continue\n",
        "            if block_hash not in self._verdicts or self.step is not Step.PRECOMMIT:\n"
        "                continue\n",
    ),
    Mutant(
        "C8",
        "decides an invalid block",
        CORE,
        "            if self._verdicts[block_hash]:\n                self.step,",
        "            if True:\n                self.step,",
    ),
    Mutant(
        "C8",
        "never asks for an unknown block",
        CORE,
        "if self._rule_fetch() or self._rule_decide():",
        "if self._rule_decide():",
    ),
    Mutant(
        "C9", "skips to a round it is in or past", CORE, "if target <= self.round:", "if target < self.round:"
    ),
    Mutant("C9", "never skips", CORE, "            self._rule_skip()\n            or ", "            "),
    Mutant(
        "C9",
        "forgets rounds beyond the window",
        CORE,
        "            self._emit_evidence(self._far_votes.add(signed))\n",
        "            pass\n",
    ),
    Mutant(
        "C9",
        "counts prevotes and precommits apart",
        TALLY,
        "        slots = [self._slots.get((round, kind)) for kind in VoteKind]\n"
        "        if any(slot is not None and validator in slot.votes for slot in slots):\n"
        "            return\n",
        "",
    ),
    Mutant(
        "C9",
        "counts prevotes only",
        TALLY,
        "self._count_towards_round(vote.round, vote.validator)",
        "if vote.kind is VoteKind.PREVOTE:\n"
        "            self._count_towards_round(vote.round, vote.validator)",
    ),
    Mutant("C9", "skips on exactly a third", POWER, "return 3 * power > total", "return 3 * power >= total"),
    Mutant(
        "C10",
        "acts on timeouts of old rounds",
        CORE,
        "if (height, round) == (self.height, self.round) and",
        "if height == self.height and",
    ),
    Mutant(
        "C10",
        "prevotes twice after the propose timeout",
        CORE,
        "if kind is TimeoutKind.PROPOSE and self.step is Step.PROPOSE:",
        "if kind is TimeoutKind.PROPOSE:\n            self.step = Step.PROPOSE",
    ),
    Mutant(
        "C12",
        "counts a vote again when it comes again",
        TALLY,
        "        if any(known.vote == vote for known in earlier):\n            return None\n",
        "",
    ),
    Mutant(
        "C12",
        "drops the second vote of an equivocator",
        TALLY,
        "len(earlier) >= VOTES_PER_SLOT_MAX and not",
        "len(earlier) >= 1 and not",
    ),
    Mutant(
        "C12",
        "counts an equivocator twice towards any",
        TALLY,
        "if len(slot.votes[vote.validator]) == 1:",
        "if True:",
    ),
    Mutant(
        "C12",
        "has no bound for votes",
        TALLY,
        "len(earlier) >= VOTES_PER_SLOT_MAX and not is_certified",
        "False",
    ),
    Mutant(
        "quorum",
        "takes two thirds for more than two thirds",
        POWER,
        "return 3 * power > 2 * total",
        "return 3 * power >= 2 * total",
    ),
    Mutant(
        "quorum", "takes more than a half", POWER, "return 3 * power > 2 * total", "return 2 * power > total"
    ),
]


def build_core_class(mutant: Mutant) -> type[Core]:
    """The core with the fault in it; the modules of the checkout stay as they are."""
    names = [POWER, TALLY, CORE]
    changed: dict[str, ModuleType] = {}
    for name in names[names.index(mutant.module) :]:
        source = (ROOT / (name.replace(".", "/") + ".py")).read_text()
        if name == mutant.module:
            assert source.count(mutant.old) == 1, (
                f"{mutant.fault}: the passage occurs {source.count(mutant.old)} times"
            )
            source = source.replace(mutant.old, mutant.new)
        changed[name] = _execute(name, source, changed)
    core_class: type[Core] = changed[CORE].Core
    return core_class


def _execute(name: str, source: str, changed: dict[str, ModuleType]) -> ModuleType:
    """Run a module's text, with what it imports from changed modules taken from these."""
    module = ModuleType(name)
    exec(compile(source, f"<mutant of {name}>", "exec"), module.__dict__)  # our own text
    for other_name, other in changed.items():
        original = importlib.import_module(other_name)
        for key, value in list(module.__dict__.items()):
            if callable(value) and getattr(original, key, None) is value and key in other.__dict__:
                setattr(module, key, other.__dict__[key])
    return module


def iterate_checks() -> Iterator[tuple[str, Callable[[type[Core]], object]]]:
    """Everything a mutant is held against; the traces only where they are there."""
    for case in (*VOTE_CASES, *PROGRESS_CASES):
        yield f"{case.rule} {case.name}", lambda core_class, case=case: check_case(case, core_class)
    for path in get_paths():
        if not path.name.startswith("votekeeper"):
            check = replay_rules if path.name.startswith("consensusTest") else replay
            yield path.stem, lambda core_class, path=path, check=check: check(path, core_class)


def find_catchers(core_class: type[Core]) -> list[str]:
    """The names of the checks that fail with this core."""
    caught = []
    for name, check in iterate_checks():
        try:
            check(core_class)
        except AssertionError:
            caught.append(name)
    return caught


def main() -> int:
    """Print who catches what; 1 if a mutant survives."""
    survivors = 0
    for mutant in MUTANTS:
        catchers = find_catchers(build_core_class(mutant))
        survivors += not catchers
        verdict = f"caught by {len(catchers)}: {catchers[0]}" if catchers else "SURVIVED"
        sys.stdout.write(f"{mutant.rule:6} {mutant.fault:50} {verdict}\n")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
