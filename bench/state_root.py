"""What the state commitment costs: a new root per changed key, its commit to disk, and the size of proofs.

Each size is a real state store on LevelDB, filled with accounts of 32-byte keys and 60-byte values. A round
changes 1,000 random accounts. `root`: hashing keys and values and computing the new tree, including reading,
decoding, encoding and hashing of nodes. `commit`: staging and one synced batch of values, nodes and pruning.
All figures are per changed key, in CPU time of the thread, which other load disturbs least.
Not measured: executing the transactions that make the changes.

    python -m bench.state_root            10^4, 10^5 and 10^6 keys
    python -m bench.state_root --small    without the largest, a minute less
"""

import json
import sys
from pathlib import Path
from random import Random
from statistics import mean, median
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time
from typing import Any, NamedTuple

from chain.commitment import check_proof
from chain.primitives.codec import encode
from chain.primitives.hashing import Domain, hash_bytes
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


def make_key(number: int) -> bytes:
    """An account's key. Computed each time, since the garbage collector would walk a list of keys."""
    return b"\x02\x01" + hash_bytes(Domain.SAMPLE, number.to_bytes(8, "big"))


class _Round(NamedTuple):
    """Microseconds per changed key."""

    root_cpu: float
    root: float
    commit: float


class _Rig:
    """A filled store and the clock around its two steps."""

    def __init__(self, directory: Path, key_count: int) -> None:
        self.random = Random(key_count)
        self.store = LevelDbStore(directory)
        self.state = StateStore(self.store, versions_kept=KEPT_VERSIONS)
        self.key_count = key_count
        for start in range(0, key_count, FILL_KEYS):
            self.change([make_key(number) for number in range(start, min(start + FILL_KEYS, key_count))])

    def choose(self, count: int) -> list[bytes]:
        """Some of the keys at random."""
        return [make_key(number) for number in self.random.sample(range(self.key_count), count)]

    def change(self, keys: list[bytes]) -> _Round:
        """One block that changes these keys."""
        changes = {key: self.random.randbytes(VALUE_BYTES) for key in keys}
        version = self.state.head.version + 1 if self.state.head else 0
        cpu_started, started = thread_time(), perf_counter()
        tree = self.state.compute_update(version, changes)
        cpu_computed, computed = thread_time(), perf_counter()
        self.store.write_batch(self.state.stage(tree, changes))
        self.state.on_written(tree)
        steps = (cpu_computed - cpu_started, computed - started, perf_counter() - computed)
        return _Round(*(seconds * 1e6 / len(keys) for seconds in steps))

    def measure_proofs(self) -> tuple[list[int], float]:
        """Sizes in bytes, and microseconds per check."""
        head = self.state.head
        assert head is not None
        keys = self.choose(PROOFS)
        proofs = [(key, self.state.get(key), self.state.prove(key, head.version)) for key in keys]
        started = perf_counter()
        for key, value, proof in proofs:
            check_proof(head.root, key, value, proof)
        return [len(encode(proof)) for _, _, proof in proofs], (perf_counter() - started) * 1e6 / PROOFS


def measure(key_count: int) -> dict[str, Any]:
    """One row of the table."""
    with TemporaryDirectory() as directory:
        rig = _Rig(Path(directory), key_count)
        rounds = [rig.change(rig.choose(CHANGED_KEYS)) for _ in range(WARM_ROUNDS + ROUNDS)]
        proof_sizes, check_us = rig.measure_proofs()
        rig.store.close()
    return {
        "figure": "state_root",
        "keys": key_count,
        "changed_keys": CHANGED_KEYS,
        **_describe("root_cpu_us_per_key", [one.root_cpu for one in rounds[WARM_ROUNDS:]]),
        **_describe("root_us_per_key", [one.root for one in rounds[WARM_ROUNDS:]]),
        **_describe("commit_us_per_key", [one.commit for one in rounds[WARM_ROUNDS:]]),
        "proof_bytes_mean": round(mean(proof_sizes)),
        "proof_bytes_max": max(proof_sizes),
        "proof_check_us": round(check_us, 1),
    }


def _describe(field: str, figures: list[float]) -> dict[str, Any]:
    spread = [round(min(figures), 1), round(max(figures), 1)]
    return {field: round(median(figures), 1), f"{field}_spread": spread}


def run(*, is_large: bool = True) -> list[dict[str, Any]]:
    """The rows; `root_ratio` is against the smallest size of the same run."""
    rows = [measure(key_count) for key_count in (LARGE_SIZES if is_large else SIZES)]
    for row in rows:
        row["root_ratio"] = round(row["root_cpu_us_per_key"] / rows[0]["root_cpu_us_per_key"], 2)
    return rows


_COLUMNS = {
    "keys": "keys",
    "root CPU us": "root_cpu_us_per_key",
    "root us": "root_us_per_key",
    "ratio": "root_ratio",
    "commit us": "commit_us_per_key",
    "proof bytes": "proof_bytes_mean",
    "longest": "proof_bytes_max",
    "check us": "proof_check_us",
}


def main() -> None:
    """Prints a table, then one JSON object per line."""
    rows = run(is_large="--small" not in sys.argv[1:])
    print(*(f"{title:>13}" for title in _COLUMNS))
    for row in rows:
        print(*(f"{row[field]:>13}" for field in _COLUMNS.values()))
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
