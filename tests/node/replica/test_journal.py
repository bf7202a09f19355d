"""The journal: inputs and bodies of any size are read back exactly up to the last sync."""

from pathlib import Path

import pytest

from chain.modules import balances
from chain.primitives.codec import encode, replace
from chain.votes import VoteKind
from consensus.types import HeightStarted, TimeoutElapsed, TimeoutKind, VoteReceived
from node.replica import journal as journal_module
from node.replica.journal import PIECE_BYTES, Journal
from storage.wal import FRAME_BYTES_MAX, Wal
from tests.node.forge import ALICE, Forge

STARTED = HeightStarted(1)
ELAPSED = TimeoutElapsed(TimeoutKind.PROPOSE, 1, 0)


@pytest.fixture(scope="module")
def forge() -> Forge:
    """A chain with nothing but genesis."""
    return Forge()


def reopen(path: Path) -> list[object]:
    """The notes that a node reads at its start."""
    wal = Wal.load(path)
    notes = Journal(wal).read()
    wal.close()
    return list(notes)


def test_notes_come_back_in_order_as_far_as_they_were_synced(tmp_path: Path, forge: Forge) -> None:
    """Notes that were not synced are gone after a crash; nothing had followed from them."""
    path = tmp_path / "wal"
    wal = Wal.create(path, 1)
    journal = Journal(wal)
    voted = VoteReceived(forge.vote(forge.people[0], VoteKind.PREVOTE, None))
    for note in (STARTED, voted):
        journal.note(note)
    journal.write(journal.take())
    journal.note(ELAPSED)
    wal.close()
    assert reopen(path) == [STARTED, voted]


def test_a_block_longer_than_an_entry_and_than_a_frame_comes_back_whole(tmp_path: Path, forge: Forge) -> None:
    """A body lies between inputs in order, and is written once however often it is noted."""
    small = forge.build().block
    big = replace(small, transactions=(forge.sign(ALICE, balances.Burn(1)),) * 15_000)
    assert len(encode(big)) > FRAME_BYTES_MAX
    path = tmp_path / "wal"
    wal = Wal.create(path, 1)
    journal = Journal(wal)
    journal.note(STARTED)
    for name, block in ((b"small", small), (b"big", big), (b"big", big), (b"small", small)):
        journal.note_block(name, block)
    journal.note(ELAPSED)
    journal.write(journal.take())
    wal.close()
    assert reopen(path) == [STARTED, small, big, ELAPSED]


def test_pieces_of_a_block_that_was_cut_off_do_not_spoil_the_next(
    tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in the middle of a long write leaves pieces; the block is written again after the start."""
    monkeypatch.setattr(journal_module, "PIECE_BYTES", 100)
    path, result = tmp_path / "wal", forge.build()
    wal = Wal.create(path, 1)
    journal = Journal(wal)
    journal.note_block(result.block_hash, result.block)
    for entry in journal._pending[:-1]:
        wal.append(1, entry)
    wal.sync()
    wal.close()
    assert reopen(path) == []
    wal = Wal.load(path)
    journal = Journal(wal)
    journal.note(STARTED)
    journal.note_block(result.block_hash, result.block)
    journal.write(journal.take())
    wal.close()
    assert reopen(path) == [STARTED, result.block]


def test_bodies_have_a_budget_and_votes_go_on(
    tmp_path: Path, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies beyond the bound are not kept, because a full log would stop the validator."""
    first, second = forge.build(), forge.build(gap_ms=11)
    monkeypatch.setattr(journal_module, "BODIES_BYTES_MAX", len(encode(first.block)))
    wal = Wal.create(tmp_path / "wal", 1)
    journal = Journal(wal)
    journal.note_block(first.block_hash, first.block)
    journal.note_block(second.block_hash, second.block)
    journal.note(STARTED)
    journal.write(journal.take())
    assert journal.read() == [first.block, STARTED]
    journal.start(2)
    journal.note_block(second.block_hash, second.block)
    journal.write(journal.take())
    assert journal.read() == [second.block]
    wal.close()


def test_another_height_starts_with_nothing(tmp_path: Path, forge: Forge) -> None:
    """A new height drops synced and pending notes alike."""
    wal = Wal.create(tmp_path / "wal", 1)
    journal = Journal(wal)
    journal.note(STARTED)
    journal.write(journal.take())
    journal.note(ELAPSED)
    journal.start(7)
    journal.write(journal.take())
    assert (journal.height, journal.read()) == (7, [])
    wal.close()


def test_what_came_out_of_the_log_does_not_go_in_again(tmp_path: Path, forge: Forge) -> None:
    """A body that was read from the log is not written again: restarts must not grow the log."""
    result = forge.build()
    wal = Wal.create(tmp_path / "wal", 1)
    journal = Journal(wal)
    journal.on_restored(result.block_hash, result.block)
    journal.note_block(result.block_hash, result.block)
    journal.write(journal.take())
    assert journal.read() == []
    wal.close()


def test_pieces_fit_into_entries_and_frames() -> None:
    """The longest entry, with tag and length, is within the log's bound."""
    assert PIECE_BYTES + 5 <= 2**20
    assert PIECE_BYTES * 2 <= FRAME_BYTES_MAX
