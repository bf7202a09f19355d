"""Runs agents over seeds, in parallel, and prints one table."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import lru_cache
from statistics import mean
from unittest.mock import patch

from chain.modules import possession
from tests.economy.catalogue import AGENTS
from tests.economy.world.admission import open_arena
from tests.economy.world.arena import Arena
from tests.economy.world.compare import Outcome
from tests.economy.world.rules import VIDYA

REMEMBERED = 2**16
NOTHING = VIDYA // 100
"""A profit below this is rounding."""
Job = tuple[str, str, int, int, int]
SeedJob = tuple[str, tuple[str, ...], int, int, int]


@lru_cache(maxsize=2)
def build_arena(rules: str, seed: int, scale: int) -> Arena:
    """The arena of a seed; runs use copies."""
    return open_arena(rules, seed, scale)


def play(job: Job) -> tuple[str, Outcome]:
    """One agent on one seed."""
    rules, name, seed, scale, epochs = job
    return name, AGENTS[name](build_arena(rules, seed, scale), epochs // scale)


def play_seed(job: SeedJob) -> list[tuple[str, Outcome]]:
    """All agents on one seed, in one process.

    They share the arena, honest courses that are the same, and the results of two pure functions: in every
    world of a seed honest hosts owe and show the same leaves.
    """
    rules, names, seed, scale, epochs = job
    with ExitStack() as stack:
        for module, name in ((possession.calls, "check_leaf"), (possession.sampling, "compute_positions")):
            remembered = lru_cache(maxsize=REMEMBERED)(getattr(module, name))
            stack.enter_context(patch.object(module, name, remembered))
        return [play((rules, name, seed, scale, epochs)) for name in names]


def run_all(
    rules: str, seeds: range, scale: int, epochs: int, names: tuple[str, ...], workers: int
) -> dict[str, list[Outcome]]:
    """The outcomes of each agent, one per seed."""
    jobs = [(rules, names, seed, scale, epochs) for seed in seeds]
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    with ProcessPoolExecutor(workers) as pool:
        for played in pool.map(play_seed, jobs):
            for name, outcome in played:
                outcomes[name].append(outcome)
    return outcomes


def judge(outcomes: list[Outcome]) -> str:
    """What the runs of an agent show, by its best seed."""
    best = max(outcomes, key=lambda one: one.profit - one.bound)
    if best.profit <= NOTHING:
        return "no profit"
    return "within its bound" if best.profit <= best.bound else "PROFITS"


def format_table(outcomes: dict[str, list[Outcome]], scale: int) -> str:
    """A Markdown table: means over the seeds, and the largest profit, in VIDYA; detection in epochs."""
    head = "| agent | profit | largest | harm | detected after | bound | verdict |"
    rows = [head, "|---|--:|--:|--:|--:|--:|---|"]
    for name, runs in outcomes.items():
        times = [run.detected * scale for run in runs if run.detected is not None]
        cells = (
            name,
            _show(mean(run.profit for run in runs)),
            _show(max(run.profit for run in runs)),
            _show(mean(run.harm for run in runs)),
            f"{mean(times):,.0f}" if times else "never",
            _show(mean(run.bound for run in runs)),
            judge(runs),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _show(amount: float) -> str:
    return f"{amount / VIDYA:,.2f}" if abs(amount) < 100 * VIDYA else f"{amount / VIDYA:,.0f}"
