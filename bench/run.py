"""All short benchmarks, one after the other: `make bench`.

Prints one table per figure and appends JSON lines to `bench/results.jsonl`, each with the commit, the
machine and the time of the run. Absolute numbers hold for this machine at this time only: compare the ratios
within a row.

    python -m bench.run [NAME ...]
"""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

BENCHMARKS = ("execution", "state_root", "weights", "content_tree", "p2p_stream", "download")
COLUMNS_MAX = 6
RESULTS = Path(__file__).parent / "results.jsonl"


def describe_run() -> dict[str, Any]:
    """Commit, machine and load: what a figure needs to be comparable."""
    command = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit or "unknown",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "load": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def print_rows(rows: list[dict[str, Any]]) -> None:
    """A line per field and a column per row; with more than COLUMNS_MAX rows, a line per row."""
    if len(rows) > COLUMNS_MAX:
        for row in rows:
            print("  " + "  ".join(f"{field}={format_cell(value)}" for field, value in row.items()))
        return
    fields = list(dict.fromkeys(field for row in rows for field in row if field != "figure"))
    for field in fields:
        cells = (format_cell(row.get(field, "")) for row in rows)
        print(f"  {field:<34}" + "".join(f"{cell:>18}" for cell in cells))


def format_cell(value: object) -> str:
    """A spread as `low-high`, anything else unchanged."""
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; returns the exit code."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        about = describe_run()
        rows = import_module(f"bench.{name}").run()
        print(f"{name}  (commit {about['commit']}, {about['cores']} cores, load {about['load']})")
        print_rows(rows)
        with RESULTS.open("a") as results:
            results.writelines(json.dumps(row | about) + "\n" for row in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
