"""Whole clusters agree and go on, whatever the network, crashes and one equivocator did before."""

import pytest

from tests.consensus.cluster import HEAL_MS, Disagreement, World

FOUR = [1, 1, 1, 1]
SEVEN = [5, 4, 3, 3, 2, 2, 1]
"""Total 20: a quorum is 14, and any one validator may be faulty."""
HEIGHTS = 4
VILLAIN = frozenset({0})


def run(powers: list[int], seed: int, villains: frozenset[int] = frozenset()) -> World:
    """A run in which a node that is no villain crashes three times; agreement and evidence are checked."""
    world = World(powers, seed, villains)
    victim = world.honest[seed % len(world.honest)]
    for _ in range(3):
        world.at(world.random.randrange(HEAL_MS), victim.crash)
    world.run(HEIGHTS)
    world.check_agreement()
    world.check_evidence({world.addresses[number] for number in villains})
    return world


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("powers", [FOUR, SEVEN], ids=["four", "seven"])
def test_honest_nodes_agree_and_decide(powers: list[int], seed: int) -> None:
    """Loss, reordering, duplication and crashes cost time only; nobody is accused."""
    run(powers, seed)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("powers", [FOUR, SEVEN], ids=["four", "seven"])
def test_an_equivocator_is_found_and_harms_nothing(powers: list[int], seed: int) -> None:
    """With less than a third equivocating all others agree and decide, and somebody holds evidence."""
    world = run(powers, seed, frozenset({seed % len(powers)}))
    assert any(node.evidence for node in world.honest)


def test_the_same_seed_is_the_same_run() -> None:
    """A failure can be repeated: time, logs and decisions depend on the seed alone."""

    def describe(world: World) -> list[object]:
        return [world.now, *((node.log, node.certificates) for node in world.nodes)]

    assert describe(run(SEVEN, 3, VILLAIN)) == describe(run(SEVEN, 3, VILLAIN))
    assert describe(run(SEVEN, 3, VILLAIN)) != describe(run(SEVEN, 4, VILLAIN))


def find_fork(seed: int) -> bool:
    """Whether two of four validators, equivocating in concert, make the two others disagree."""
    world = World(FOUR, seed, frozenset({0, 1}))
    world.run(1)
    try:
        world.check_agreement()
    except Disagreement:
        return True
    return False


def test_the_checker_sees_a_fork() -> None:
    """Control: with half of the power faulty some run forks, and the checker says so; else it is blind."""
    assert any(find_fork(seed) for seed in range(40))
