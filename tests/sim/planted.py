"""Plants faults in the product, one at a time, and tells which check of the simulator sees each.

A simulator that never fails proves nothing until it is shown to fail where it should. A fault is a passage of
a module in another wording; a process of its own imports the product with that wording and runs the fixed
seeds until one fails. The checkout is never written to.

`python -m tests.sim.planted` runs all (`make sim-mutants`), prints the table, and fails if a fault survives
or if a passage is no longer there. `--only WORD` runs those whose name holds the word.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

from tests.sim.planted_bugs import BUGS, SEEDS_OF
from tests.sim.planted_fault import Bug

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 301)
"""The fixed seeds, those of `make sim`: all of them pass without a fault."""
SECONDS_MAX = 900
CONTROLS = 20


class PassageMissing(Exception):
    """The source has changed: the fault has to be planted again."""


class Verdict(NamedTuple):
    """What came of a fault: the first seed that failed and how, or None where all passed."""

    bug: Bug
    seed: int | None
    caught_by: str
    seeds_run: int


def edit(bug: Bug, module: str, source: str) -> str:
    """The source with the fault; raises PassageMissing unless each passage is there exactly once."""
    for passage in bug.edits:
        if passage.module != module:
            continue
        if source.count(passage.old) != 1:
            raise PassageMissing(
                f"{bug.name}: {source.count(passage.old)} times in {module}: {passage.old!r}"
            )
        source = source.replace(passage.old, passage.new)
    return source


def check_passages(bug: Bug) -> None:
    """Raises PassageMissing unless the fault fits this checkout, SyntaxError if it makes no code."""
    for module in {passage.module for passage in bug.edits}:
        path = ROOT / (module.replace(".", "/") + ".py")
        compile(edit(bug, module, path.read_text()), str(path), "exec")


class _Loader(SourceFileLoader):
    """Compiles the edited source, and leaves no bytecode behind."""

    bug: Bug

    def get_code(self, fullname: str) -> CodeType:
        source = edit(self.bug, fullname, Path(self.path).read_text())
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the modules that a fault is in, before anybody else does."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug
        self._modules = {passage.module for passage in bug.edits}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        found = PathFinder.find_spec(fullname, path)
        assert found is not None and found.origin is not None, fullname
        loader = _Loader(fullname, found.origin)
        loader.bug = self._bug
        return spec_from_file_location(fullname, found.origin, loader=loader)


def plant(bug: Bug) -> None:
    """From now on this process imports the product with the fault; nothing of it may be imported yet."""
    check_passages(bug)
    early = [passage.module for passage in bug.edits if passage.module in sys.modules]
    assert not early, f"imported before the fault was planted: {early}"
    sys.meta_path.insert(0, _Finder(bug))


def run_seeds(bug: Bug, seeds: Sequence[int]) -> tuple[int | None, str, int]:
    """The first seed that fails and how; called in a process of its own."""
    plant(bug)
    # After the fault is planted:
    from tests.sim.__main__ import BLIND_SEEDS_MIN, Summary
    from tests.sim.run import run_seed, silence

    silence()
    summary = Summary()
    for number, seed in enumerate(seeds, 1):
        outcome = run_seed(seed)
        if outcome.violations:
            first = outcome.violations[0]
            return seed, f"{first.rule}: {first.detail.strip().splitlines()[-1]}", number
        summary.add(outcome)
    blind = summary.find_blind() if len(seeds) >= BLIND_SEEDS_MIN else []
    return (
        (seeds[-1], f"blind: never {', '.join(blind)}", len(seeds)) if blind else (None, "nobody", len(seeds))
    )


def judge(bug: Bug, seeds_max: int = len(SEEDS)) -> Verdict:
    """Starts the process for one fault; raises what it dies of."""
    command = [sys.executable, "-m", "tests.sim.planted", "--child", bug.name, "--seeds", str(seeds_max)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{bug.name}:\n{done.stderr[-3000:]}")
    seed, caught_by, seeds_run = json.loads(done.stdout.splitlines()[-1])
    return Verdict(bug, seed, caught_by, seeds_run)


def order_seeds(bug: Bug) -> list[int]:
    """The fixed seeds, those first that are known to see the fault: it is found quickly."""
    return list(dict.fromkeys((*SEEDS_OF.get(bug.name, ()), *SEEDS)))


def main(arguments: Sequence[str]) -> int:
    """The program; 1 if a fault survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.planted", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="faults whose name holds this word")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of the fixed seeds")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        [bug] = [bug for bug in BUGS if bug.name == chosen.child]
        print(json.dumps(run_seeds(bug, order_seeds(bug)[: chosen.seeds])))
        return 0
    bugs = [bug for bug in BUGS if chosen.only in bug.name]
    for bug in bugs:
        check_passages(bug)
    with ThreadPoolExecutor(chosen.workers) as threads:
        verdicts = []
        for verdict in threads.map(partial(judge, seeds_max=chosen.seeds), bugs):
            verdicts.append(verdict)
            where = "-" if verdict.seed is None else f"seed {verdict.seed}"
            print(f"{verdict.bug.name:<48} {where:<9} {verdict.caught_by[:100]}", flush=True)
    forks = count_forks()
    survivors = [verdict.bug.name for verdict in verdicts if verdict.seed is None]
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} planted faults caught")
    print(f"{forks} of {CONTROLS} controls with more than a third of villains forked, and convicted it")
    return 1 if survivors or not verdicts or forks < CONTROLS else 0


def count_forks() -> int:
    """Runs that must fork: in how many a checker says so, with evidence against more than a third."""
    from tests.sim.control import run_control
    from tests.sim.run import silence

    silence()
    forks = [run_control(seed) for seed in range(1, CONTROLS + 1)]
    return sum(fork.is_seen for fork in forks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
