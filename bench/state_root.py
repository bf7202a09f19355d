"""What the state commitment costs: a new root per changed key, its commit to disk, and the size of proofs.

Each size is a real state store on LevelDB, filled with accounts of 32-byte keys and 60-byte values. A round
changes 1,000 of them at random: `root` is hashing keys and values and computing the new tree, with every node
read, decoded, encoded and hashed; `commit` is staging and one synced batch of values, nodes and pruning.
Not measured: executing the transactions that make the changes.

    python -m bench.state_root            10^4 and 10^5 keys
    python -m bench.state_root --large    10^6 keys as well, some minutes
"""

import json
import sys
from pathlib import Path
from random import Random
from statistics import mean, median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from chain.commitment import check_proof
from chain.primitives.codec import encode
from storage.kv import LevelDbStore
from storage.state_store import StateStore

SIZES = (10**4, 10**5)
LARGE_SIZES = (*SIZES, 10**6)
FILL_KEYS = 20_000
CHANGED_KEYS = 1_000
WARM_ROUNDS = 10
ROUNDS = 30
PROOFS = 500
VALUE_BYTES = 60
KEPT_VERSIONS = 8


class _Rig:
    """A filled store and the clock around its two steps."""

    def __init__(self, directory: Path, key_count: int) -> None:
        self.random = Random(key_count)
        self.store = LevelDbStore(directory)
        self.state = StateStore(self.store, versions_kept=KEPT_VERSIONS)
        self.keys = [b"\x02\x01" + self.random.randbytes(32) for _ in range(key_count)]
        for start in range(0, key_count, FILL_KEYS):
            self.change(self.keys[start : start + FILL_KEYS])

    def change(self, keys: list[bytes]) -> tuple[float, float]:
        """Microseconds per key of computing the root, and of committing."""
        changes = {key: self.random.randbytes(VALUE_BYTES) for key in keys}
        version = self.state.head.version + 1 if self.state.head else 0
        started = perf_counter()
        tree = self.state.compute_update(version, changes)
        computed = perf_counter()
        self.store.write_batch(self.state.stage(tree, changes))
        self.state.on_written(tree)
        committed = perf_counter()
        return (computed - started) * 1e6 / len(keys), (committed - computed) * 1e6 / len(keys)

    def measure_proofs(self) -> tuple[list[int], float]:
        """Sizes in bytes, and microseconds per check."""
        head = self.state.head
        assert head is not None
        keys = self.random.sample(self.keys, PROOFS)
        proofs = [(key, self.state.get(key), self.state.prove(key, head.version)) for key in keys]
        started = perf_counter()
        for key, value, proof in proofs:
            check_proof(head.root, key, value, proof)
        return [len(encode(proof)) for _, _, proof in proofs], (perf_counter() - started) * 1e6 / PROOFS


def measure(key_count: int) -> dict[str, Any]:
    """One row of the table."""
    with TemporaryDirectory() as directory:
        rig = _Rig(Path(directory), key_count)
        rounds = [rig.change(rig.random.sample(rig.keys, CHANGED_KEYS)) for _ in range(WARM_ROUNDS + ROUNDS)]
        roots, commits = zip(*rounds[WARM_ROUNDS:], strict=True)
        proof_sizes, check_us = rig.measure_proofs()
        rig.store.close()
    return {
        "figure": "state_root",
        "keys": key_count,
        "changed_keys": CHANGED_KEYS,
        "root_us_per_key": round(median(roots), 1),
        "root_us_per_key_spread": [round(min(roots), 1), round(max(roots), 1)],
        "commit_us_per_key": round(median(commits), 1),
        "commit_us_per_key_spread": [round(min(commits), 1), round(max(commits), 1)],
        "proof_bytes_mean": round(mean(proof_sizes)),
        "proof_bytes_max": max(proof_sizes),
        "proof_check_us": round(check_us, 1),
    }


def run(*, is_large: bool = False) -> list[dict[str, Any]]:
    """The rows; `root_ratio` is against the smallest size of the same run."""
    rows = [measure(key_count) for key_count in (LARGE_SIZES if is_large else SIZES)]
    for row in rows:
        row["root_ratio"] = round(row["root_us_per_key"] / rows[0]["root_us_per_key"], 2)
    return rows


_COLUMNS = {
    "keys": "keys",
    "root us/key": "root_us_per_key",
    "ratio": "root_ratio",
    "commit us/key": "commit_us_per_key",
    "proof bytes": "proof_bytes_mean",
    "longest": "proof_bytes_max",
    "check us": "proof_check_us",
}


def main() -> None:
    """Prints a table, then one JSON object per line."""
    rows = run(is_large="--large" in sys.argv[1:])
    print(*(f"{title:>13}" for title in _COLUMNS))
    for row in rows:
        print(*(f"{row[field]:>13}" for field in _COLUMNS.values()))
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
