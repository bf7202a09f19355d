"""Two processes agree on every byte, whatever order their sets are walked in."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "support" / "determinism_program.py"


def run_under_salt(repository: Path, salt: int) -> dict[str, str]:
    """What the program prints, line by line, in a process whose hashes are salted so."""
    environment = {**os.environ, "PYTHONHASHSEED": str(salt), "PYTHONPATH": str(repository)}
    result = subprocess.run(
        [sys.executable, PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return dict(line.split(" ") for line in result.stdout.splitlines())


def test_processes_with_different_hash_salts_agree(repository: Path) -> None:
    """Only the order of the sets themselves differs, which shows that the salts took hold."""
    runs = [run_under_salt(repository, salt) for salt in (0, 1, 2)]
    orders = {run.pop("order") for run in runs}
    assert len(orders) == len(runs)
    assert runs[0]
    assert runs[0] == runs[1] == runs[2]
