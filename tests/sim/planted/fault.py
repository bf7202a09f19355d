"""What a planted fault is: passages of modules in another wording."""

from typing import NamedTuple


class Passage(NamedTuple):
    """A passage that occurs once in a module, and what a fault makes of it."""

    module: str
    old: str
    new: str


class Bug(NamedTuple):
    """A fault."""

    name: str
    edits: tuple[Passage, ...]


def plant_one(name: str, module: str, old: str, new: str) -> Bug:
    """A fault of one passage."""
    return Bug(name, (Passage(module, old, new),))


class Blinding(NamedTuple):
    """A rare state that a fault removes, and seeds that have it without the fault."""

    state: str
    seeds: tuple[int, ...]
