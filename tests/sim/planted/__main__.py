"""Plants faults in the product, one at a time, and tells which check of the simulator sees each.

A simulator that never fails proves nothing until it is shown to fail where it should. Each fault gets a
process of its own, which imports the edited source and runs the fixed seeds until one sees it (`judge`).

`python -m tests.sim.planted` runs all (`make sim-mutants`), prints a line for each, and fails if a fault
survives, if a passage is no longer there, or if a control does not fork. `--only WORD` runs those whose name
holds the word. `--note` writes the seeds found into `seeds.json`: do so when a change of the code made known
seeds pass, since faults are then searched for in all seeds.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from time import monotonic

from tests.sim.planted.bugs import BLINDING, BUGS
from tests.sim.planted.fault import Bug
from tests.sim.planted.judge import (
    SEEDS,
    Verdict,
    count_state,
    find_unsound,
    judge,
    load_seeds,
    order_seeds,
    run_seeds,
    save_seeds,
)
from tests.sim.planted.plant import check_passages


def main(arguments: Sequence[str]) -> int:
    """The program; 1 if a fault survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.planted", description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="faults whose name holds this word")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of the fixed seeds")
    parser.add_argument("--note", action="store_true", help="write the seeds found into seeds.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        [bug] = [bug for bug in BUGS if bug.name == chosen.child]
        print(json.dumps(run_seeds(bug, order_seeds(bug)[: chosen.seeds])))
        return 0
    bugs = [bug for bug in BUGS if chosen.only in bug.name]
    for bug in bugs:
        check_passages(bug)
    verdicts = judge_all(bugs, chosen.workers, chosen.seeds)
    if chosen.note:
        save_seeds(verdicts)
    is_sound = say_controls(bugs, verdicts)
    survivors = sorted(verdict.bug.name for verdict in verdicts if verdict.seed is None)
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} planted faults caught")
    print(f"survivors: {', '.join(survivors) or 'none'}")
    return 1 if survivors or not verdicts or not is_sound else 0


def judge_all(bugs: Sequence[Bug], workers: int, seeds_max: int) -> list[Verdict]:
    """Prints each verdict as it comes. Faults without a known seed take longest, so they come first."""
    known, begun = load_seeds(), monotonic()
    order = sorted(bugs, key=lambda bug: bug.name in known)
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(workers) as threads:
        for future in as_completed([threads.submit(judge, bug, seeds_max) for bug in order]):
            verdicts.append(future.result())
            progress = f"{len(verdicts):>3}/{len(bugs)} {monotonic() - begun:>4.0f} s"
            print(f"{progress}  {verdicts[-1].describe()}", flush=True)
    return verdicts


def say_controls(bugs: Sequence[Bug], verdicts: Sequence[Verdict]) -> bool:
    """Without a fault, runs that saw one pass, those of `BLINDING` have their states, and controls fork."""
    from tests.sim.control import CONTROLS, run_control
    from tests.sim.run import silence

    silence()
    blind = [one for bug in bugs if (one := BLINDING.get(bug.name)) and not count_state(*one)]
    for state, seeds in blind:
        print(f"without a fault, seeds {seeds} never had: {state}")
    unsound = find_unsound(verdicts)
    for family, seed in unsound:
        print(f"fails without a fault: {family} {seed}")
    forks = [run_control(seed) for seed in range(1, CONTROLS + 1)]
    convicted = sum(fork.is_seen and fork.is_seen_by_light_client for fork in forks)
    print(f"{convicted} of {CONTROLS} controls forked; checkers and light client convicted more than 1/3")
    return not blind and not unsound and convicted == CONTROLS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
