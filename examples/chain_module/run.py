"""Adds `names.py` to a copy of the chain, then runs `play.py` on that copy.

`EDITS` are the lines that a new module needs outside its own file. In the product they are simply written
there; this example leaves the product as it is and works in a temporary folder.

    .venv/bin/python examples/chain_module/run.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

EDITS = (
    # The schedule: the module's calls, events and errors, and its invariant.
    ("chain/modules/schedule.py", "\n    membership,\n", "    names,\n"),
    ("chain/modules/schedule.py", "    offences.MODULE,\n", "    names.MODULE,\n"),
    ("chain/modules/schedule.py", "        rewards,\n", "        names,\n"),
    # Genesis: the module's section in the chain spec, and what it writes.
    ("chain/genesis.py", "\n    membership,\n", "    names,\n"),
    ("chain/genesis.py", "    rewards: rewards.GenesisConfig\n", "    names: names.GenesisConfig\n"),
    (
        "chain/genesis.py",
        '    ("rewards", rewards.build_genesis),\n',
        '    ("names", names.build_genesis),\n',
    ),
)
"""(file, passage, what is added after it): each passage occurs once."""


def add_module(folder: Path) -> None:
    """A copy of `chain/` in `folder` that has the module."""
    shutil.copytree(ROOT / "chain", folder / "chain", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "names.py", folder / "chain" / "modules")
    for name, passage, added in EDITS:
        text = (folder / name).read_text()
        if text.count(passage) != 1:
            raise SystemExit(f"{name} has changed: {passage!r} occurs {text.count(passage)} times")
        (folder / name).write_text(text.replace(passage, passage + added))


def main() -> int:
    """Returns the exit code of `play.py`."""
    with tempfile.TemporaryDirectory() as folder:
        add_module(Path(folder))
        path = os.pathsep.join((folder, str(ROOT)))  # our copy of `chain` comes first
        play = [sys.executable, str(HERE / "play.py")]
        return subprocess.run(play, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
