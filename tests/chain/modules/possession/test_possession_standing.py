"""Possession: whether a validator-host can still have proven the era at its end."""

from chain.modules import possession
from chain.modules.possession.types import ERA_RULE, EraRule
from tests.chain.modules.possession.test_possession import FILMS, SONGS, build_world
from tests.chain.support.content_worlds import ContentWorld, build_hosts
from tests.chain.support.worlds import EPOCH_BLOCKS, ERA_EPOCHS

ALICE, BOB = build_hosts(2)
BYTES = FILMS.size + SONGS.size


def build_asking(asked_bytes: int) -> ContentWorld:
    """Before the first block of an era that asks for so much; Alice holds both data, Bob nothing."""
    world = build_world(ALICE)
    ERA_RULE.set(world.state, EraRule(asked_bytes))
    world.go_to_height(2 * ERA_EPOCHS * EPOCH_BLOCKS)
    world.end_block()
    return world


def test_an_era_that_asks_nothing_is_met_by_everybody() -> None:
    """Also by an account that is no host."""
    standing = possession.get_era_standing(build_asking(0).state, b"x" * 32)
    assert standing == possession.EraStanding(0, 0, 1, 0, ERA_EPOCHS)
    assert standing.is_on_course


def test_who_holds_too_little_is_off_course_from_the_first_block() -> None:
    """One byte less than is asked; whoever holds just as much is on course."""
    state = build_asking(BYTES).state
    assert possession.get_era_standing(state, ALICE) == possession.EraStanding(BYTES, BYTES, 1, 0, ERA_EPOCHS)
    assert possession.get_era_standing(state, ALICE).is_on_course
    assert not possession.get_era_standing(state, BOB).is_on_course
    assert not possession.get_era_standing(build_asking(BYTES + 1).state, ALICE).is_on_course


def test_what_is_registered_counts_before_it_takes_effect() -> None:
    """Bob has done what he can do: the warning ends with his call."""
    world = build_asking(FILMS.size)
    world.start_block()
    world.host(BOB, FILMS.datum)
    world.end_block()
    assert possession.get_era_standing(world.state, BOB).is_on_course


def test_misses_end_the_course_once_too_few_epochs_are_left() -> None:
    """One of two epochs must be proven: off course when the second miss is judged, and not before."""
    world = build_asking(1)
    world.start_block()
    world.go_to_deadline()
    world.end_block()
    assert possession.get_era_standing(world.state, ALICE) == possession.EraStanding(1, BYTES, 1, 0, 1)
    assert possession.get_era_standing(world.state, ALICE).is_on_course
    world.go_to_epoch(world.epoch + 1)
    world.go_to_deadline()
    world.end_block()
    assert not possession.get_era_standing(world.state, ALICE).is_on_course


def test_a_proven_epoch_keeps_the_course() -> None:
    """With one epoch proven, a miss of the other changes nothing."""
    world = build_asking(1)
    world.start_block()
    world.prove(ALICE)
    world.go_to_deadline()
    world.go_to_epoch(world.epoch + 1)
    world.go_to_deadline()
    world.end_block()
    standing = possession.get_era_standing(world.state, ALICE)
    assert (standing.proven_epochs, standing.left_epochs, standing.is_on_course) == (1, 0, True)
