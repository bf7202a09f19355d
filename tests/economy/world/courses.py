"""What the same people do honestly with the same bond, bandwidth and disk.

Several agents have the same honest course. It is run once per arena: a run is fixed by its arena, so another
run of it would be the same world.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.economy.world.arena import ATTACKERS, Arena
from tests.economy.world.hosts import register

KEY = ATTACKERS[0]
OWN_NETWORK = "31.0.0"

Play = Callable[[Arena], None]


class Course(NamedTuple):
    """A course that is shared by agents, under a name of its own."""

    name: tuple[str, int, int]
    play: Play


def idle(epochs: int) -> Course:
    """Nobody of the coalition does anything."""
    return Course(("idle", epochs, 0), lambda world: world.run(epochs))


def host(epochs: int, lacking: int = 0) -> Course:
    """One key in its own network stores all data but so many, registers just those, and proves always."""

    def play(world: Arena) -> None:
        stored = sorted(world.contents)[: len(world.contents) - lacking]
        register(world, KEY, stored, OWN_NETWORK)
        world.run(epochs, lambda current: current.prove(KEY))

    return Course(("host", epochs, lacking), play)


def run_course(arena: Arena, course: Course | Play) -> Arena:
    """The arena after a course, which leaves it as it is."""
    name = course.name if isinstance(course, Course) else None
    if name is None or name not in arena.courses:
        world = arena.fork()
        (course.play if isinstance(course, Course) else course)(world)
        if name is None:
            return world
        arena.courses[name] = world
    return arena.courses[name]
