"""Time between blocks on a devnet of real processes, compared with the interval in its chain spec.

The times are those in the headers: proposers' clocks, accepted by the other validators.

    python -m bench.block_interval [BLOCKS]
"""

import json
import sys
from itertools import pairwise
from statistics import mean, median, quantiles
from typing import Any

from bench.devnet import open_devnet

BLOCKS = 300
PAGE = 100


def run(blocks: int = BLOCKS) -> list[dict[str, Any]]:
    """One row: mean, median and spread of the interval, and how many blocks needed a second round."""
    with open_devnet() as devnet:
        first = devnet.get("status")["height"]
        devnet.wait_height(first + blocks)
        headers = devnet.list_headers(first, first + blocks)
        rounds = [devnet.get(f"blocks/{header['height']}")["certificate"]["round"] for header in headers[1:]]
        aim = devnet.get("params")["system"]["block_ms"]
    times = [header["time_ms"] for header in headers]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    centiles = quantiles(gaps, n=100)
    return [
        {
            "figure": "block_interval",
            "blocks": len(gaps),
            "aim_ms": aim,
            "mean_ms": round(mean(gaps), 1),
            "mean_to_aim": round(mean(gaps) / aim, 3),
            "median_ms": median(gaps),
            "p1_p99_ms": [round(centiles[0]), round(centiles[98])],
            "min_max_ms": [min(gaps), max(gaps)],
            "rounds_above_0": sum(round > 0 for round in rounds),
        }
    ]


if __name__ == "__main__":
    for row in run(int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS):
        print(json.dumps(row))
