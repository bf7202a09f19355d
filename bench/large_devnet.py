"""A devnet over a large folder: `devnet up` with many files, until they are hosted and proven.

Makes a folder of MIB mebibytes in FILES files and starts four validator-hosts with it. Measures the time
until the network is ready, and until every host has proven the folder.

    python -m bench.large_devnet [MIB [FILES]]
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.devnet import open_devnet

MIB = 1024
FILES = 4096
FILES_PER_FOLDER = 64
PROVEN_SECONDS_MAX = 1800.0


def write_folder(folder: Path, mib: int, files: int) -> None:
    """Files of one size with bytes that do not compress, in a tree of folders."""
    chance, size = random.Random(1), mib * 2**20 // files
    for number in range(files):
        place = folder / f"{number // FILES_PER_FOLDER:04}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06}.bin").write_bytes(chance.randbytes(size))


def run(mib: int = MIB, files: int = FILES) -> list[dict[str, Any]]:
    """One row: seconds until ready, and until all have proven all of it."""
    with tempfile.TemporaryDirectory(prefix="vidya-bench-") as folder:
        content = Path(folder) / "library"
        write_folder(content, mib, files)
        started = time.monotonic()
        with open_devnet("--content", str(content)) as devnet:
            ready = time.monotonic() - started
            (datum,) = devnet.summary["datums"]
            devnet.wait("all to prove", lambda: devnet.count_proven(datum["id"]) == 4, PROVEN_SECONDS_MAX)
            proven = time.monotonic() - started
            height = devnet.get("status")["height"]
    return [
        {
            "figure": "large_devnet",
            "mib": mib,
            "files": files,
            "datum_bytes": datum["bytes"],
            "ready_seconds": round(ready, 1),
            "all_proven_seconds": round(proven, 1),
            "height": height,
            "seconds_per_block": round(proven / max(height, 1), 2),
        }
    ]


if __name__ == "__main__":
    for row in run(*(int(argument) for argument in sys.argv[1:3])):
        print(json.dumps(row))
