"""A thousand flipped bytes in the files of a node: each is refused with advice, or changes nothing."""

import re
import shutil
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from chain.modules import balances
from node.ledger.ledger import Ledger
from storage.errors import CorruptSignState, CorruptStore, CorruptWal, DoubleSignRefused, StorageError
from storage.kv import LevelDbStore
from storage.sign_state import LastSignState, SignState, SignStep
from storage.wal import Wal
from tests.node.forge import ALICE, BOB, Forge, make_final

FLIPS = 1_000
BLOCKS = (12, 8)
"""In tables, and in LevelDB's log."""
REFUSALS: dict[str, type[StorageError]] = {
    "wal": CorruptWal,
    "sign-state": CorruptSignState,
    "store": CorruptStore,
}
ADVICE = re.compile("sync again from peers|forget-signatures|start as an observer")
"""Every refusal names what to do."""
HARMLESS = ("LOG", "LOG.old", "LOCK", "node.lock", "sign-state.lock")
"""Files whose content nothing depends on."""

Pairs = list[tuple[bytes, bytes]]


class Found(NamedTuple):
    """What a node finds when it opens its files."""

    pairs: Pairs
    log_height: int
    entries: list[bytes]
    state: SignState


class Files:
    """The files of a validator that stopped in the middle of a height."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forge = Forge()
        self.key = self.forge.people[0].keys.consensus
        self.before_last_block: Pairs = []
        for count in BLOCKS:
            self._grow(count)
        self._sign(self.forge.ledger.height + 1)
        shutil.copytree(path, path.with_name("kept"))
        self.whole = self.open()
        self._restore()

    def _grow(self, count: int) -> None:
        """Blocks with a transfer each; the store is opened and closed once."""
        with closing(LevelDbStore(self.path / "store")) as store:
            ledger = Ledger(store, self.forge.spec)
            for _ in range(count):
                self.before_last_block = list(store.iterate())
                made = self.forge.build([self.forge.sign(ALICE, balances.Send(BOB.address, 1))])
                certificate = self.forge.commit(made).certificate
                make_final(ledger, ledger.execute(made.block), certificate)

    def _sign(self, height: int) -> None:
        wal = Wal.create(self.path / "wal", height)
        state = LastSignState.load(self.path / "sign-state", self.key.public_key, create=True)
        for step in SignStep:
            wal.append(height, b"why %d" % step * 20)
            wal.sync()
            state.check_and_record(height, 0, step, b"message %d" % step, self.key.sign)
        wal.close()
        state.close()

    def open(self) -> Found:
        """Opens and reads everything, as a start and a full check do; raises StorageError."""
        with ExitStack() as stack:
            wal = stack.enter_context(closing(Wal.load(self.path / "wal")))
            state = stack.enter_context(
                closing(LastSignState.load(self.path / "sign-state", self.key.public_key))
            )
            with pytest.raises(DoubleSignRefused):
                state.check_and_record(wal.height, 0, SignStep.PRECOMMIT, b"another", self.key.sign)
            store = stack.enter_context(closing(LevelDbStore(self.path / "store")))
            ledger = Ledger(store, self.forge.spec)
            ledger.state.check_integrity()
            return Found(list(store.iterate()), wal.height, list(wal.replay()), state.state)

    def _restore(self) -> None:
        shutil.rmtree(self.path)
        shutil.copytree(self.path.with_name("kept"), self.path)

    def list_names(self) -> list[str]:
        """The files that are flipped."""
        paths = [path for path in self.path.rglob("*") if path.is_file() and path.stat().st_size]
        return sorted(str(path.relative_to(self.path)) for path in paths if path.name not in HARMLESS)

    def try_flipped(self, name: str, chance: Random) -> str:
        """Flips one byte, opens the files, and restores the byte; returns what was found."""
        path = self.path / name
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)
        path.write_bytes(data)
        try:
            found = self.open()
        except REFUSALS[Path(name).parts[0]] as error:
            return "refused" if ADVICE.search(str(error)) else f"refused: {error}"
        finally:
            self._restore()
        return self._judge(name, found)

    def _judge(self, name: str, found: Found) -> str:
        """Same, or without what cannot be told from a write that was never confirmed."""
        whole = self.whole
        if found == whole:
            return "same"
        if name == "wal":
            assert found == whole._replace(entries=whole.entries[:-1])
            return "cut"
        assert name.endswith(".log") and found == whole._replace(pairs=self.before_last_block)
        # The head is two below the log: the node knows that it has forgotten a block, and signs nothing.
        return "cut"


def test_no_flipped_byte_goes_unseen(tmp_path: Path) -> None:
    """In log, sign-state, and every file of the store: refused, or all as it was, or the last write undone.

    The last write is the one that no later one confirms; what it was is fetched again, and not signed again.
    """
    files = Files(tmp_path / "node")
    names, chance = files.list_names(), Random(1)
    endings = [name.rsplit("/", maxsplit=1)[-1] for name in names]
    assert {"CURRENT", "wal", "sign-state"} <= {*endings}
    assert {".log", ".ldb"} < {Path(name).suffix for name in names}
    outcomes = Counter[tuple[str, str]]()
    for number in range(FLIPS):
        name = names[number % len(names)]
        outcomes[name, files.try_flipped(name, chance)] += 1
    assert sum(outcomes.values()) == FLIPS
    for name in names:
        refused, same = outcomes[name, "refused"], outcomes[name, "same"]
        assert refused > 0 and same < refused, (name, outcomes)
        # Only of a table some bytes mean nothing: its filter's name, its padding.
        assert same == 0 or name.endswith(".ldb"), (name, outcomes)
