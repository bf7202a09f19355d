"""What hosted content costs: building trees, checking proofs, keeping and serving chunks.

`per core` figures are CPU time of this process. `elapsed` figures are wall time and include other load on the
machine. Sources are in the page cache. The datum of the leaf proof is synthetic: a leaf and 20 random
siblings are a proof in some tree of 1 GiB. `write` is a download without the network: each chunk is checked,
written and recorded, with the store's own syncs. Not measured: disks slower than their cache.

    python -m bench.content_tree
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from chain.content import (
    CHUNK_BYTES,
    CHUNK_LEAVES,
    LEAF_BYTES,
    ChunkProof,
    LeafProof,
    Manifest,
    check_chunk,
    check_leaf,
    compute_content_root,
    compute_datum_id,
    compute_leaf_count,
)
from chain.content.tree import compute_path_length, compute_top
from chain.primitives.codec import encode
from chain.primitives.hashing import Domain, hash_bytes
from storage.content.store import ContentStore
from storage.content.tree import build_tree

ROUNDS = 5
DATUM_BYTES = 2**30
PROOFS = 2_000
CHUNKS = 200
FILES = 2_000
SOURCE_BYTES = 128 * 2**20


def _rates(amount: float, work: Callable[[], object], clock: Callable[[], float]) -> list[float]:
    rates = []
    for _ in range(ROUNDS):
        started = clock()
        work()
        rates.append(amount / (clock() - started))
    return rates


def _row(figure: str, unit: str, rates: list[float], **more: object) -> dict[str, Any]:
    """One row: the median of the rounds, and their spread."""
    spread = [round(min(rates), 1), round(max(rates), 1)]
    return {"figure": figure, "unit": unit, "median": round(median(rates), 1), "spread": spread, **more}


def measure_build(random: Random) -> list[dict[str, Any]]:
    """The tree over bytes in memory, and the check of a chunk that arrives."""
    chunks = [random.randbytes(CHUNK_BYTES) for _ in range(CHUNKS)]
    megabytes = CHUNKS * CHUNK_BYTES / 1e6
    built = build_tree(chunks)
    proofs = [built.prove_chunk(index) for index in range(CHUNKS)]

    def check() -> None:
        for index, chunk in enumerate(chunks):
            check_chunk(built.root, built.length, index, chunk, proofs[index])

    return [
        _row(
            "content_tree_build", "MB/s per core", _rates(megabytes, lambda: build_tree(chunks), process_time)
        ),
        _row("content_chunk_check", "MB/s per core", _rates(megabytes, check, process_time)),
    ]


def measure_leaf_proofs(random: Random) -> list[dict[str, Any]]:
    """Possession proofs of a 1 GiB datum: checks per second, and bytes of leaf and proof."""
    index, count = random.randrange(DATUM_BYTES // LEAF_BYTES), compute_leaf_count(DATUM_BYTES)
    leaf = random.randbytes(LEAF_BYTES)
    proof = LeafProof(tuple(random.randbytes(32) for _ in range(compute_path_length(index, count))))
    top = compute_top(hash_bytes(Domain.CONTENT_LEAF, leaf), index, count, proof.path)
    root = compute_content_root(top, DATUM_BYTES)

    def check() -> None:
        for _ in range(PROOFS):
            check_leaf(root, DATUM_BYTES, index, leaf, proof)

    rates = _rates(PROOFS, check, process_time)
    microseconds = round(1e6 / median(rates), 1)
    size = len(encode(proof)) + LEAF_BYTES
    return [_row("content_leaf_check", "1/s per core", rates, us_each=microseconds, bytes_each=size)]


def _make_sources(random: Random, home: Path) -> dict[str, Path]:
    """The same number of bytes as one file and as many."""
    sources = {"one file": home / "one", f"{FILES} files": home / "many"}
    for path in sources.values():
        path.mkdir()
    (home / "one" / "file").write_bytes(random.randbytes(SOURCE_BYTES))
    for number in range(FILES):
        (home / "many" / f"{number:05}").write_bytes(random.randbytes(SOURCE_BYTES // FILES))
    return sources


def _publish(home: Path, source: Path) -> Manifest:
    with TemporaryDirectory(dir=home) as directory, ContentStore(Path(directory), 2 * SOURCE_BYTES) as store:
        return store.publish(source)


def measure_publish(home: Path, sources: dict[str, Path]) -> list[dict[str, Any]]:
    """Reading, the tree, and the index of a whole store."""
    rows = []
    for name, source in sources.items():
        amount = _publish(home, source).length / 1e6
        for unit, clock in (("MB/s per core", process_time), ("MB/s elapsed", perf_counter)):
            rates = _rates(amount, partial(_publish, home, source), clock)
            rows.append(_row("content_publish", unit, rates, source=name))
    return rows


def measure_store(home: Path, source: Path) -> list[dict[str, Any]]:
    """Serving chunks out of a folder hosted in place, and taking them into another store."""
    with ContentStore(home / "seeder", 2 * SOURCE_BYTES) as seeder:
        manifest = seeder.publish(source)
        datum, amount = compute_datum_id(manifest), manifest.length / 1e6
        parts = [seeder.read_chunk(datum, index) for index in range(manifest.length // CHUNK_BYTES)]

        def read() -> None:
            for index in range(len(parts)):
                seeder.read_chunk(datum, index)

        def write() -> None:
            with TemporaryDirectory(dir=home) as directory:
                _fill(Path(directory), manifest, parts)

        def prove() -> None:
            for index in range(len(parts)):
                seeder.read_leaf(datum, index * CHUNK_LEAVES)

        return [
            _row("content_read", "MB/s per core", _rates(amount, read, process_time)),
            _row("content_write", "MB/s per core", _rates(amount, write, process_time)),
            _row("content_write", "MB/s elapsed", _rates(amount, write, perf_counter)),
            _row("content_prove_leaf", "1/s per core", _rates(len(parts), prove, process_time)),
        ]


def _fill(directory: Path, manifest: Manifest, parts: list[tuple[bytes, ChunkProof]]) -> None:
    with ContentStore(directory, 2 * SOURCE_BYTES) as store:
        datum = store.begin(manifest)
        for index, part in enumerate(parts):
            store.write_chunk(datum, index, *part)


def run() -> list[dict[str, Any]]:
    """The rows of the table."""
    random = Random(1)
    with TemporaryDirectory() as directory:
        home = Path(directory)
        sources = _make_sources(random, home)
        rows = [*measure_build(random), *measure_leaf_proofs(random), *measure_publish(home, sources)]
        return rows + measure_store(home, sources["one file"])


def main() -> None:
    """Prints a table, then one JSON object per line."""
    rows = run()
    for row in rows:
        title = f"{row['figure']} {row.get('source', '')}"
        print(f"{title:<34}{row['median']:>10} {row['unit']:<14} {row['spread']}")
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
