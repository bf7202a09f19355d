"""A disk that refuses one write of a running validator, each in turn: it signs nothing, and comes back."""

import errno
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from node.app import Node
from node.recovery import OnReady, run_with_recovery
from node.stores import open_stores
from p2p.memory import MemoryHub
from storage.errors import DiskFailed, DiskFull
from storage.files import LocalFileSystem, OpenFile
from storage.kv import Entry, LevelDbStore
from storage.sign_log import find_conflicts, load_signatures
from tests.node.cluster import Person, build_cluster_spec, open_node, wait_for_height

PERSON = Person(0)
HEIGHTS_BEFORE, HEIGHTS_AFTER = 2, 3


class Disk(LocalFileSystem):
    """This machine's disk; one operation is refused, files and database counted together once it runs."""

    def __init__(self, fails_at: int, number: int) -> None:
        self.fails_at, self.number = fails_at, number
        self.operations: list[str] = []
        self.is_counting = False
        self.failed: str | None = None

    def step(self, name: str, path: Path) -> None:
        """Counts, and refuses when it is time."""
        if self.is_counting:
            self.operations.append(f"{name} {path.name}")
        if self.failed is None and len(self.operations) == self.fails_at > 0:
            self.failed = self.operations[-1]
            raise OSError(self.number, "injected")

    def open(self, path: Path, *, is_new: bool) -> OpenFile:
        """A file that counts."""
        self.step("open", path)
        return CountedFile(self, path, super().open(path, is_new=is_new))

    def rename(self, source: Path, target: Path) -> None:
        """Counted."""
        self.step("rename", target)
        super().rename(source, target)

    def sync_directory(self, directory: Path) -> None:
        """Counted."""
        self.step("sync", directory)
        super().sync_directory(directory)


class CountedFile:
    """An open file of such a disk."""

    def __init__(self, disk: Disk, path: Path, file: OpenFile) -> None:
        self._disk, self._path, self._file = disk, path, file

    def append(self, data: bytes) -> None:
        """Half of it arrives if it is refused."""
        try:
            self._disk.step("append", self._path)
        except OSError:
            self._file.append(data[: len(data) // 2])
            raise
        self._file.append(data)

    def sync(self) -> None:
        """What was written stays readable when it is refused."""
        self._disk.step("sync", self._path)
        self._file.sync()

    def close(self) -> None:
        """Never fails."""
        self._file.close()


class CountedStore(LevelDbStore):
    """A database on such a disk: a write that is refused may have happened, or not."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk = disk
        super().__init__(directory)

    def write_batch(self, entries: Any, *, sync: bool = True) -> None:
        """As LevelDbStore, refused like the rest."""
        kept: list[Entry] = list(entries)
        try:
            self._disk.step("write", self.directory)
        except OSError as error:
            if self._disk.fails_at % 2:
                super().write_batch(kept, sync=sync)
            kind = DiskFull if error.errno == errno.ENOSPC else DiskFailed
            self.failure = kind(f"{self.directory}: injected")
            raise self.failure from error
        super().write_batch(kept, sync=sync)


class Run:
    """A validator of its own, from its start until it has come back from the failure and gone on."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self.disk = path, disk
        self.final: dict[int, bytes] = {}
        self.starts = 0
        self._hub, self._spec = MemoryHub(), build_cluster_spec(1)

    def open(self) -> AbstractAsyncContextManager[Node]:
        """The node, running."""
        stores = partial(open_stores, files=self.disk, open_database=partial(CountedStore, self.disk))
        return open_node(self._hub, self._spec, PERSON, self.path, open_stores=stores)

    async def attempt(self, on_ready: OnReady) -> None:
        """One life of the node; ends by itself some blocks after the failure."""
        self.starts += 1
        async with self.open() as node:
            on_ready()
            self.disk.is_counting = True
            node.replica.listeners.append(self._on_committed)
            for height, block_hash in self.final.items():
                assert node.ledger.chain.get_height(block_hash) == height
            if self.disk.failed is None:
                await trio.sleep_forever()
            await wait_for_height(node, node.ledger.height + HEIGHTS_AFTER)
            node.ledger.state.check_integrity()
            node.ledger.chain.check_integrity(node.ledger.height)

    def _on_committed(self, committed: Any) -> None:
        height = committed.block.header.height
        assert self.final.setdefault(height, committed.block_hash) == committed.block_hash

    def check_signatures(self) -> None:
        """No slot with two messages, and nothing was signed between the failure and the next start."""
        log = self.path / "node0" / "data" / "signatures.log"
        assert find_conflicts(load_signatures(log)) == {}
        later = self.disk.operations[self.disk.fails_at :]
        next_start = later.index("open consensus.wal.new")
        assert [name for name in later[:next_start] if "sign" in name] == []


@pytest.fixture(autouse=True)
def _probe_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.recovery.RETRY_SECONDS", (0.01,))
    monkeypatch.setattr("node.recovery.PROBE_BYTES", 2**16)


async def run_with_failure(path: Path, fails_at: int, number: int) -> Run:
    """The run, and everything that must hold after it."""
    run = Run(path, Disk(fails_at, number))
    with trio.fail_after(60):
        await run_with_recovery(run.attempt, path, run.disk)
    assert run.disk.failed is not None and run.starts == 2, (run.starts, run.disk.failed)
    assert len(run.final) >= HEIGHTS_AFTER
    run.check_signatures()
    return run


async def list_operations(path: Path) -> list[str]:
    """What a validator asks of its disk in its first heights."""
    run = Run(path, Disk(0, 0))
    async with run.open() as node:
        run.disk.is_counting = True
        await wait_for_height(node, HEIGHTS_BEFORE)
    return run.disk.operations


async def test_each_kind_of_write_is_refused_once(tmp_path: Path) -> None:
    """Disk full and failed sync by turns; the node comes back by itself with all that was final."""
    operations = await list_operations(tmp_path / "whole")
    kinds = list(dict.fromkeys(operations))
    assert {"append consensus.wal", "sync consensus.wal", "sync sign-state.new", "write store"} < {*kinds}
    for number, kind in enumerate(kinds):
        code = errno.ENOSPC if number % 2 else errno.EIO
        await run_with_failure(tmp_path / str(number), operations.index(kind) + 1, code)


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_every_write_is_refused_once(tmp_path: Path, code: int) -> None:
    """Each operation of the first heights, with all that follows from it."""
    for number in range(len(await list_operations(tmp_path / "whole"))):
        await run_with_failure(tmp_path / str(number), number + 1, code)
