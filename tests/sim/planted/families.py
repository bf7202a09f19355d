"""Families of runs that bring about what a planted fault needs; each has numbers of its own.

Among the fixed seeds of `make sim` one in a hundred may have the rare state that shows a fault, and another
one after each change of the code. In its family most runs have it, so a few numbers see the fault.
"""

from collections.abc import Callable
from random import Random

from tests.sim.adversary.catalogue import BEHAVIOURS, LOCK_BREAKERS, STORE_LIARS, SYNC_LIARS
from tests.sim.adversary.colluders import draw_colluders
from tests.sim.plan import (
    Plan,
    draw_changing_sets,
    draw_copied_key,
    draw_hidden_locks,
    draw_joining,
    draw_syncing,
)
from tests.sim.run import Outcome, Sim, finish, run_seed
from tests.sim.single import build_villain_run

RunNumber = Callable[[int], Outcome]


def _run_with_villains(seed: int, plan: Plan, names: tuple[str, ...]) -> Outcome:
    colluders = draw_colluders(Random(f"family {seed}"), plan.powers, names, dict(plan.late))
    return finish(Sim(seed, plan=plan, villains=colluders.processes))


def run_locks(seed: int) -> Outcome:
    """The network hides locks; every second run has villains that break them."""
    plan = draw_hidden_locks(Random(seed))
    return _run_with_villains(seed, plan, LOCK_BREAKERS) if seed % 2 else finish(Sim(seed, plan=plan))


def run_joining(seed: int) -> Outcome:
    """A validator joins by snapshot, among liars."""
    return _run_with_villains(seed, draw_joining(Random(seed), is_villainous=True), STORE_LIARS)


def run_syncing(seed: int) -> Outcome:
    """A validator joins late and executes every block, among liars."""
    return _run_with_villains(seed, draw_syncing(Random(seed)), SYNC_LIARS)


def run_changing_sets(seed: int) -> Outcome:
    """The set of validators changes all the time, and villains lie to light clients."""
    return _run_with_villains(seed, draw_changing_sets(Random(seed)), ("light liar",))


def run_copied_key(seed: int) -> Outcome:
    """Two processes have one key."""
    return finish(Sim(seed, plan=draw_copied_key(Random(seed))))


def _build_run_of(behaviour: str) -> RunNumber:
    return lambda seed: finish(build_villain_run(behaviour, seed))


GENERAL = "general"
FAMILIES: dict[str, RunNumber] = {
    GENERAL: run_seed,
    "locks": run_locks,
    "joining": run_joining,
    "syncing": run_syncing,
    "changing sets": run_changing_sets,
    "copied key": run_copied_key,
    **{name: _build_run_of(name) for name in BEHAVIOURS},
}
"""The fixed seeds of `make sim`, runs of one kind of plan, and runs with one villain of one behaviour."""
