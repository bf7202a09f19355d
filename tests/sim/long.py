"""Long runs: 7 to 30 validators and hundreds of heights, with state sync, a light client and villains.

`python -m tests.sim.long --seconds 1800` (`make sim-long`) runs seed after seed until the time is over, the
first with 16 validators. It prints a line per run and the summary of `make sim`.
"""

import argparse
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from random import Random
from time import monotonic

from tests.sim.__main__ import Summary, describe_failure
from tests.sim.adversary.colluders import draw_colluders
from tests.sim.plan import Plan
from tests.sim.run import Outcome, Sim, finish, silence
from tests.sim.world.accounts import Times, draw_powers

FIRST_VALIDATORS = 16
VALIDATORS = (7, 10, 16, 22, 30)
HEIGHT_COST = 80_000
"""Heights of a run are so many, divided by the square of its validators: runs take about as long."""
HEIGHTS = (60, 400)
FAULT_EVERY_MS = 6_000
KINDS = ("cut", "minority", "swizzle", "flap", "storm", "censor", "crash", "crash_at_point", "crash_in_disk")
KINDS += ("crash_all", "disk_full", "slow_disk", "clock_jump", "crash_joining")
STEPS_PER_MESSAGE = 8


def draw_long_plan(random: Random, count: int) -> Plan:
    """A plan with every kind of fault that passes, and one validator in ten that joins later by snapshot."""
    heights = min(max(HEIGHT_COST // count**2, HEIGHTS[0]), HEIGHTS[1])
    chaos_ms = heights * 1_000
    powers = draw_powers(random, count)
    late = _draw_late(random, powers, chaos_ms)
    return Plan(
        powers=powers,
        topology="regions",
        times=Times(),
        loss_ppm=10_000,
        duplicate_ppm=10_000,
        jitter_ms=30,
        chaos_ms=chaos_ms,
        kinds=KINDS,
        faults=sorted(_draw_faults(random, chaos_ms, [at_ms for _, at_ms in late])),
        skewed={},
        transactions=heights * 4,
        has_stake_moves=False,
        heights_after=8,
        late=late,
        snapshots=True,
        steps_max=STEPS_PER_MESSAGE * heights * count**3,
    )


def _draw_faults(random: Random, chaos_ms: int, joins_ms: list[int]) -> list[tuple[int, str]]:
    times = range(5_000, chaos_ms, FAULT_EVERY_MS)
    faults = [(at_ms + random.randrange(FAULT_EVERY_MS - 1_000), random.choice(KINDS)) for at_ms in times]
    killed = [(at_ms + random.randrange(1_400, 2_600), "crash_joining") for at_ms in joins_ms]
    return [(at_ms, kind) for at_ms, kind in (*faults, *killed) if at_ms < chaos_ms]


def _draw_late(random: Random, powers: list[int], chaos_ms: int) -> tuple[tuple[int, int], ...]:
    """The weakest, so that villains and those who are late have less than a third of the power."""
    weakest = sorted(range(len(powers)), key=lambda number: powers[number])[: max(1, len(powers) // 10)]
    return tuple((number, random.randrange(chaos_ms // 4, chaos_ms // 2)) for number in weakest)


def run_long(seed: int, count: int) -> Outcome:
    """One long run."""
    random = Random(f"long {seed}")
    plan = draw_long_plan(random, count)
    colluders = draw_colluders(random, plan.powers, late=dict(plan.late))
    return finish(Sim(seed, plan=plan, villains=colluders.processes))


def main(arguments: list[str]) -> int:
    """The program; 1 if a run fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.long", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=1_800, help="no run starts later than this")
    parser.add_argument("--start", type=int, default=1, help="the first seed")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    chosen = parser.parse_args(arguments)
    summary, begun, seed = Summary(), monotonic(), chosen.start
    running: dict[Future[Outcome], int] = {}
    with ProcessPoolExecutor(chosen.workers, initializer=silence) as pool:
        while running or monotonic() - begun < chosen.seconds:
            while len(running) < chosen.workers and monotonic() - begun < chosen.seconds:
                first = seed == chosen.start
                count = FIRST_VALIDATORS if first else Random(f"count {seed}").choice(VALIDATORS)
                running[pool.submit(run_long, seed, count)] = seed
                seed += 1
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                say_outcome(future.result(), summary, monotonic() - begun)
    print(summary.describe())
    return 1 if summary.failures else 0


def say_outcome(outcome: Outcome, summary: Summary, seconds: float) -> None:
    """A line for a run, or what failed in it."""
    summary.add(outcome)
    count = len(outcome.plan.powers)
    print(
        f"seed {outcome.seed}: {count} validators, {outcome.heights} heights, {outcome.rounds} rounds beyond"
        f" the first, {outcome.crashes} crashes, {outcome.rare['state sync finished']} joined by snapshot,"
        f" {outcome.rare['header followed by the light client']} headers followed, {seconds:.0f} s",
        flush=True,
    )
    if outcome.violations:
        print(describe_failure(outcome), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
