"""Runs seeds of the simulator: `python -m tests.sim --seeds 300 --start 1`, which is `make sim`.

Prints a line per fifty seeds and a summary with the audit hash of all runs; a seed that fails is printed with
what was violated and with the command that runs it again, event by event.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from time import monotonic

from blake3 import blake3

from storage.crash_points import CrashPoint
from tests.sim.adversary.catalogue import DRAWN_NAMES
from tests.sim.checks.rare import RARE_STATES
from tests.sim.plan import FAULTS, STEERED
from tests.sim.run import Outcome, run_seed, silence

LINE_SEEDS = 50
FAILURES_MAX = 10
BLIND_SEEDS_MIN = 300
"""So many seeds must have had every rare state in them, or they prove nothing about it."""


def run_all(seeds: Iterable[int], workers: int) -> Iterator[Outcome]:
    """The outcomes in the order of the seeds."""
    if workers == 1:
        yield from map(run_seed, seeds)
        return
    with ProcessPoolExecutor(workers, initializer=silence) as pool:
        yield from pool.map(run_seed, seeds, chunksize=5)


class Summary:
    """Counts over all runs, and the hash over their audit hashes."""

    def __init__(self) -> None:
        self.seeds = 0
        self.totals: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.rare: Counter[str] = Counter()
        self.failures: list[Outcome] = []
        self._hash = blake3()

    def add(self, outcome: Outcome) -> None:
        """One more seed."""
        self.seeds += 1
        names = ("heights", "rounds", "events", "crashes", "transactions", "virtual_ms")
        self.totals.update({name: getattr(outcome, name) for name in names})
        self.faults.update(outcome.faults)
        self.points.update(outcome.points)
        self.rare.update(outcome.rare)
        self._hash.update(outcome.audit)
        if outcome.violations:
            self.failures.append(outcome)

    @property
    def audit(self) -> str:
        """The hash over all audit hashes, in the order of the seeds."""
        return self._hash.hexdigest()

    def describe_progress(self, seconds: float) -> str:
        """A line of progress."""
        heights = self.totals["heights"]
        return f"{self.seeds:>6} seeds  {heights:>6} heights  {seconds:>5.0f} s  {self.audit[:16]}"

    def find_blind(self) -> list[str]:
        """Rare states, behaviours, faults and crash points that never occurred."""
        seen = self.rare + self.faults + self.points
        wanted = (*RARE_STATES, *DRAWN_NAMES, *FAULTS, *STEERED, *CrashPoint)
        return [name for name in wanted if not seen[name]]

    def describe(self) -> str:
        """The counts in full."""
        totals = self.totals
        return "\n".join(
            (
                f"{self.seeds} seeds, {len(self.failures)} failed: {totals['heights']} heights, "
                f"{totals['rounds']} rounds beyond the first, {totals['transactions']} final transactions, "
                f"{totals['crashes']} crashes, {totals['events']} events in "
                f"{totals['virtual_ms'] // 60_000} virtual minutes",
                "faults: " + _list(self.faults),
                "crash points passed: " + _list(self.points),
                "rare states: " + _list(self.rare),
            )
        )


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def describe_failure(outcome: Outcome) -> str:
    """What failed, and the command that repeats it."""
    lines = [f"seed {outcome.seed} FAILED: {outcome.plan.describe()}"]
    lines += [f"  {violation.rule}: {violation.detail}" for violation in outcome.violations]
    lines.append(f"  event by event: make sim SEEDS=1 START={outcome.seed} TRACE=1")
    return "\n".join(lines)


def main(arguments: list[str], say: Callable[[str], object]) -> int:
    """The program; 1 if a seed fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--start", type=int, default=1, help="the first")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--trace", action="store_true", help="print every event")
    chosen = parser.parse_args(arguments)
    silence()
    summary, begun = Summary(), monotonic()
    seeds = range(chosen.start, chosen.start + chosen.seeds)
    outcomes = (run_seed(seed, say) for seed in seeds) if chosen.trace else run_all(seeds, chosen.workers)
    for outcome in outcomes:
        summary.add(outcome)
        if outcome.violations and len(summary.failures) <= FAILURES_MAX:
            say(describe_failure(outcome))
        if summary.seeds % LINE_SEEDS == 0:
            say(summary.describe_progress(monotonic() - begun))
    say(summary.describe())
    is_blind = say_blind(summary, say)
    say(f"audit hash {summary.audit}")
    return 1 if summary.failures or is_blind else 0


def say_blind(summary: Summary, say: Callable[[str], object]) -> bool:
    """Whether a rare state is missing that so many seeds must have had; says which."""
    missing = summary.find_blind()
    if missing and summary.seeds < BLIND_SEEDS_MIN:
        say(f"not seen, and not demanded of fewer than {BLIND_SEEDS_MIN} seeds: {', '.join(missing)}")
    elif missing:
        say(f"BLIND: {summary.seeds} seeds never had: {', '.join(missing)}")
    return bool(missing) and summary.seeds >= BLIND_SEEDS_MIN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda line: print(line, flush=True)))
