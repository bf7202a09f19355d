"""Runs with one villain of one behaviour, on a network without other faults.

`python -m tests.sim.single "resigning voter" --seeds 50` prints in how many runs that villain did what it is
there for, and in how many of those it was slashed. It fails if a checker finds a violation, and with
`--convict` if an active villain was not slashed.
"""

import argparse
import sys
from random import Random

from chain.modules import staking
from tests.sim.adversary.catalogue import BEHAVIOURS
from tests.sim.adversary.colluders import Colluders
from tests.sim.plan import Plan
from tests.sim.run import Sim, silence
from tests.sim.world.accounts import Times, get_validator_keys

POWERS = [25, 20, 30, 20]
VILLAIN = 0


def build_plan(seed: int) -> Plan:
    """Few heights, a bad network, no other faults."""
    random = Random(seed)
    return Plan(
        powers=POWERS,
        topology="lan",
        times=Times(),
        loss_ppm=random.choice((0, 50_000)),
        duplicate_ppm=20_000,
        jitter_ms=100,
        chaos_ms=9_000,
        kinds=(),
        faults=[],
        skewed={},
        transactions=10,
        has_stake_moves=False,
        heights_after=3,
    )


def build_villain_run(name: str, seed: int) -> Sim:
    """One villain with one behaviour."""
    colluders = Colluders(Random(seed), {VILLAIN: (name,)})
    honest = Random(seed).sample(range(1, len(POWERS)), len(POWERS) - 1)
    # Both sides have a member, or an equivocator would tell everybody the same.
    colluders.split({get_validator_keys(number).peer: place % 2 for place, number in enumerate(honest)})
    return Sim(seed, plan=build_plan(seed), villains=colluders.processes)


def run_villain(name: str, seed: int) -> Sim:
    """Such a run, at its end."""
    silence()
    sim = build_villain_run(name, seed)
    sim.run()
    return sim


def is_active(sim: Sim, name: str) -> bool:
    """Whether the villain did it at least once."""
    return sim.counts[BEHAVIOURS[name].__name__] > 0


def is_convicted(sim: Sim) -> bool:
    """Whether the villain is slashed for equivocation on every honest chain."""
    offender = get_validator_keys(VILLAIN).address
    return all(staking.is_tombstoned(chain.state, offender) for chain in sim.open_chains().values())


def main(arguments: list[str]) -> int:
    """The program; 1 if a run fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.single", description=__doc__.split("\n")[0])
    parser.add_argument("behaviour", choices=sorted(BEHAVIOURS))
    parser.add_argument("--seeds", type=int, default=50, help="how many")
    parser.add_argument("--convict", action="store_true", help="fail if an active villain is not slashed")
    chosen = parser.parse_args(arguments)
    active: list[int] = []
    free: list[int] = []
    violated: list[int] = []
    for seed in range(1, chosen.seeds + 1):
        sim = run_villain(chosen.behaviour, seed)
        if sim.violations:
            violated.append(seed)
        if is_active(sim, chosen.behaviour):
            active.append(seed)
            if not is_convicted(sim):
                free.append(seed)
    print(f"{chosen.behaviour}: active in {len(active)} of {chosen.seeds} runs")
    print(f"slashed in {len(active) - len(free)} of those, not in seeds {free}; violations in {violated}")
    return 1 if violated or not active or (chosen.convict and free) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
