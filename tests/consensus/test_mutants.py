"""The checks of the core can see: a core with a planted fault fails at least one (see `mutants`)."""

import pytest

from consensus.core import Core
from tests.consensus.mutants import MUTANTS, Mutant, build_core_class, find_catchers, iterate_checks


def test_the_core_of_the_checkout_passes_every_check() -> None:
    """Without a fault nothing fails, so that what fails below fails because of the fault."""
    assert find_catchers(Core) == []
    assert sum(1 for _ in iterate_checks()) > 100


def test_the_rules_that_carry_safety_have_mutants() -> None:
    """Each rule whose loss could cost agreement or liveness is broken on purpose at least once."""
    broken = {mutant.rule for mutant in MUTANTS}
    assert broken >= {"C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "C12", "quorum"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.rule}: {mutant.fault}")
def test_mutant_is_caught_by_the_tables(mutant: Mutant) -> None:
    """The step tables alone catch it: the traces are not in the repository, and need not be there."""
    catchers = find_catchers(build_core_class(mutant))
    assert [name for name in catchers if name.startswith(("C", "quorum"))]
