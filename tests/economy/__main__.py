"""`python -m tests.economy --epochs 3000 --seeds 20 --rules second`: the table of attacks."""

import argparse
import subprocess
import sys

from tests.economy.catalogue import AGENTS
from tests.economy.page import Table, save
from tests.economy.table import format_table, run_all
from tests.economy.world.rules import FIRST, SECOND


def main() -> None:
    """Run the agents and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.economy", description=__doc__)
    parser.add_argument("--rules", choices=(FIRST, SECOND), default=SECOND)
    parser.add_argument("--epochs", type=int, default=3_000, help="public epochs, 96 a day")
    parser.add_argument(
        "--scale", type=int, default=12, help="public epochs that one simulated epoch stands for"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--agents", nargs="*", choices=tuple(AGENTS), default=tuple(AGENTS))
    parser.add_argument("--page", action="store_true", help="write the table into docs/economy/attacks.md")
    given = parser.parse_args()
    names = tuple(given.agents)
    outcomes = run_all(
        given.rules, range(1, given.seeds + 1), given.scale, given.epochs, names, given.workers
    )
    sys.stdout.write(format_table(outcomes, given.scale) + "\n")
    if given.page:
        save(Table(given.rules, get_commit(), given.epochs, given.scale, given.seeds, outcomes))


def get_commit() -> str:
    """The commit that is checked out."""
    shown = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, check=True, text=True
    )
    return shown.stdout.strip()


if __name__ == "__main__":
    main()
