"""Imports the product with a planted fault: the edited source is compiled in memory.

A fault is a passage of a module in another wording. The checkout is never written to.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from tests.sim.planted.fault import Bug

ROOT = Path(__file__).parents[3]


class PassageMissing(Exception):
    """The source has changed: the fault has to be planted again."""


def edit(bug: Bug, module: str, source: str) -> str:
    """The source with the fault; raises PassageMissing unless each passage is there exactly once."""
    for passage in bug.edits:
        if passage.module != module:
            continue
        if source.count(passage.old) != 1:
            raise PassageMissing(
                f"{bug.name}: {source.count(passage.old)} times in {module}: {passage.old!r}"
            )
        source = source.replace(passage.old, passage.new)
    return source


def check_passages(bug: Bug) -> None:
    """Raises PassageMissing unless the fault fits this checkout, SyntaxError if it makes no code."""
    for module in {passage.module for passage in bug.edits}:
        path = ROOT / (module.replace(".", "/") + ".py")
        compile(edit(bug, module, path.read_text()), str(path), "exec")


class _Loader(SourceFileLoader):
    """Compiles the edited source, and leaves no bytecode behind."""

    def __init__(self, name: str, path: str, bug: Bug) -> None:
        super().__init__(name, path)
        self._bug = bug

    def get_code(self, fullname: str) -> CodeType:
        source = edit(self._bug, fullname, Path(self.path).read_text())
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the modules that a fault is in, before anybody else does."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug
        self._modules = {passage.module for passage in bug.edits}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules:
            return None
        found = PathFinder.find_spec(fullname, path)
        assert found is not None and found.origin is not None, fullname
        return spec_from_file_location(
            fullname, found.origin, loader=_Loader(fullname, found.origin, self._bug)
        )


def plant(bug: Bug) -> None:
    """From now on this process imports the product with the fault; nothing of it may be imported yet."""
    check_passages(bug)
    early = [passage.module for passage in bug.edits if passage.module in sys.modules]
    assert not early, f"imported before the fault was planted: {early}"
    sys.meta_path.insert(0, _Finder(bug))
