"""Tells which seed sees a planted fault, and by which rule; each fault in a process of its own.

Most faults violate a rule in some of the fixed seeds of `make sim`, or of a family of runs that steers
towards what the fault needs (`families`, `FAMILY_OF`). Seeds known to see a fault are in `seeds.json`. Some
faults violate nothing, since other code makes up for them. What they remove is a rare state: a few seeds have
the state in them without the fault, and must not have it with the fault (`BLINDING`).
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.sim.planted.bugs import BLINDING, FAMILY_OF
from tests.sim.planted.fault import Bug
from tests.sim.planted.plant import ROOT, plant

SEEDS = range(1, 301)
"""The fixed seeds, those of `make sim`: all of them pass without a fault."""
FAMILY_SEEDS = range(1, 61)
SECONDS_MAX = 1_800
SEEDS_KEPT = 3
"""Of one fault: after a change of the code, an older one may see it again."""
SEEDS_FILE = Path(__file__).with_name("seeds.json")


class Verdict(NamedTuple):
    """What came of a fault: the seed that saw it and how, or None where nobody did."""

    bug: Bug
    seed: int | None
    caught_by: str
    seeds_run: int

    def describe(self) -> str:
        """A line of the table."""
        family = FAMILY_OF.get(self.bug.name, "seed")
        where = "-" if self.seed is None else f"{family} {self.seed}"
        return f"{self.bug.name:<56} {where:<20} {self.caught_by[:90]}"


def load_seeds() -> dict[str, list[int]]:
    """By the name of a fault, seeds that saw it, the last one first."""
    seeds: dict[str, list[int]] = json.loads(SEEDS_FILE.read_text())
    return seeds


def save_seeds(verdicts: Sequence[Verdict]) -> None:
    """Notes the seeds that saw these faults, so that the next run begins with them."""
    known = load_seeds()
    for one in verdicts:
        if one.seed is not None and one.bug.name not in BLINDING:
            seeds = dict.fromkeys((one.seed, *known.get(one.bug.name, ())))
            known[one.bug.name] = list(seeds)[:SEEDS_KEPT]
    lines = [f" {json.dumps(name)}: {json.dumps(seeds)}" for name, seeds in sorted(known.items())]
    SEEDS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def order_seeds(bug: Bug) -> list[int]:
    """The seeds, those first that are known to see the fault; few for a rare state."""
    fixed = FAMILY_SEEDS if bug.name in FAMILY_OF else SEEDS
    if bug.name in BLINDING:
        return list(BLINDING[bug.name].seeds)
    return list(dict.fromkeys((*load_seeds().get(bug.name, ()), *fixed)))


def run_seeds(bug: Bug, seeds: Sequence[int]) -> tuple[int | None, str, int]:
    """The seed that sees the fault and how; to be called in a process of its own."""
    plant(bug)
    # After the fault is planted:
    from tests.sim.planted.families import FAMILIES, GENERAL
    from tests.sim.run import silence

    silence()
    run = FAMILIES[FAMILY_OF.get(bug.name, GENERAL)]
    occurred = 0
    blinding = BLINDING.get(bug.name)
    for number, seed in enumerate(seeds, 1):
        outcome = run(seed)
        if outcome.violations:
            first = outcome.violations[0]
            return seed, f"{first.rule}: {first.detail.strip().splitlines()[-1]}", number
        occurred += 0 if blinding is None else outcome.rare[blinding.state]
    if blinding is not None and not occurred:
        return seeds[-1], f"blind: never {blinding.state}", len(seeds)
    return None, "nobody", len(seeds)


def find_unsound(verdicts: Sequence[Verdict]) -> list[tuple[str, int]]:
    """The family runs that saw a fault, and fail without one as well. `make sim` runs the general seeds."""
    from tests.sim.planted.families import FAMILIES
    from tests.sim.run import silence

    silence()
    seen = {(FAMILY_OF[one.bug.name], one.seed) for one in verdicts if one.bug.name in FAMILY_OF and one.seed}
    return [(family, seed) for family, seed in sorted(seen) if FAMILIES[family](seed).violations]


def count_state(state: str, seeds: Sequence[int]) -> int:
    """How often a rare state occurs in these seeds without a fault."""
    from tests.sim.run import run_seed, silence

    silence()
    return sum(run_seed(seed).rare[state] for seed in seeds)


def judge(bug: Bug, seeds_max: int = len(SEEDS)) -> Verdict:
    """Starts the process for one fault; raises what it dies of."""
    command = [sys.executable, "-m", "tests.sim.planted", "--child", bug.name, "--seeds", str(seeds_max)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{bug.name}:\n{done.stderr[-3000:]}")
    seed, caught_by, seeds_run = json.loads(done.stdout.splitlines()[-1])
    return Verdict(bug, seed, caught_by, seeds_run)
