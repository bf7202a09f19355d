"""`python -m tests.attacks [NAME ...]`: every attack, or those named, against a node; one row each.

Ends with 1 if the node did not withstand one of them.
"""

import sys
import tempfile
from pathlib import Path

import trio

from tests.attacks.attacker import silence_logs
from tests.attacks.runner import list_programs, run_attack
from tests.attacks.verdict import HEADER
from tests.e2e.harness import open_network


def main(names: list[str]) -> int:
    """Prints the table."""
    failed = 0
    silence_logs()
    with tempfile.TemporaryDirectory() as folder, open_network(Path(folder), "--validators", "1") as network:
        print(HEADER, flush=True)
        for name in names or list_programs():
            if network.nodes[0].pid is None:
                network.nodes[0].start()
            verdict = trio.run(run_attack, name, network)
            failed += bool(verdict.list_failures())
            print(verdict.format(), flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
