"""The scrub: damage on disk is found, marked and reported while nobody asks for the chunk."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from chain.content import CHUNK_BYTES, compute_datum_id
from node.content import scrub
from node.content.lane import ContentLane
from node.content.scrub import Scrubber
from storage.content.store import ContentStore
from tests.node.content.content_world import QUOTA_BYTES, write_source
from tests.node.forge import wait_until
from tests.storage.content.rigs import flip, list_missing

FAST = 2**40
CHUNKS = 10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ContentStore]:
    """A store that hosts nothing yet."""
    with ContentStore(tmp_path / "store", QUOTA_BYTES) as opened:
        yield opened


@asynccontextmanager
async def open_scrubber(store: ContentStore, bytes_per_second: int) -> AsyncIterator[Scrubber]:
    """A scrub that runs until the block ends."""
    scrubber = Scrubber(ContentLane(store), bytes_per_second)
    async with trio.open_nursery() as nursery:
        await nursery.start(scrubber.run)
        yield scrubber
        nursery.cancel_scope.cancel()


def publish(store: ContentStore, tmp_path: Path, seed: int = 1) -> tuple[bytes, Path]:
    """A datum of CHUNKS chunks, and the largest of its files."""
    folder = write_source(tmp_path, CHUNKS * CHUNK_BYTES, seed)
    datum = compute_datum_id(store.publish(folder))
    return datum, max(folder.iterdir(), key=lambda path: path.stat().st_size)


async def test_damage_is_found_marked_and_reported(store: ContentStore, tmp_path: Path) -> None:
    """A flipped bit makes the chunk missing, is logged with its place, and counted once."""
    datum, path = publish(store, tmp_path)
    flip(path, path.stat().st_size - 1)
    with capture_logs() as logs:
        async with open_scrubber(store, FAST) as scrubber:
            await wait_until(lambda: scrubber.bytes_read == CHUNKS * CHUNK_BYTES)
    missing = list_missing(store, datum)
    assert len(missing) == scrubber.chunks_damaged == 1
    [entry] = [entry for entry in logs if entry["event"] == "chunks_damaged"]
    assert (entry["datum"], entry["chunks"], entry["log_level"]) == (datum.hex(), tuple(missing), "error")


async def test_the_scrub_begins_again(
    store: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage after the first pass is found by a later one."""
    monkeypatch.setattr(scrub, "PASS_SECONDS_MIN", 0.01)
    datum, path = publish(store, tmp_path)
    async with open_scrubber(store, FAST) as scrubber:
        await wait_until(lambda: scrubber.bytes_read >= CHUNKS * CHUNK_BYTES)
        assert scrubber.chunks_damaged == 0
        flip(path, 0)
        await wait_until(lambda: scrubber.chunks_damaged == 1)
    assert len(list_missing(store, datum)) == 1


async def test_the_rate_is_kept(
    store: ContentStore, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Ten chunks at one chunk a second take ten seconds, less the last batch."""
    publish(store, tmp_path)
    started = trio.current_time()
    async with open_scrubber(store, CHUNK_BYTES) as scrubber:
        while not scrubber.passes:  # noqa: ASYNC110 - no event tells of the end of a pass
            await trio.sleep(0.1)
    assert trio.current_time() - started >= CHUNKS


async def test_a_rate_of_zero_reads_nothing(store: ContentStore, tmp_path: Path) -> None:
    """The task ends at once."""
    publish(store, tmp_path)
    scrubber = Scrubber(ContentLane(store), 0)
    await scrubber.run()
    assert scrubber.bytes_read == 0


async def test_a_source_that_is_away_stops_no_other_datum(store: ContentStore, tmp_path: Path) -> None:
    """It is logged and passed over; nothing of it is marked, since the folder may come back."""
    data = [publish(store, tmp_path, seed) for seed in (1, 2)]
    (away, moved), (_, damaged) = data
    moved.parent.rename(tmp_path / "away")
    flip(damaged, 0)
    with capture_logs() as logs:
        async with open_scrubber(store, FAST) as scrubber:
            await wait_until(lambda: scrubber.passes == 1)
    assert [entry["datum"] for entry in logs if entry["event"] == "datum_not_scrubbed"] == [away]
    assert scrubber.chunks_damaged == 1
    assert list_missing(store, away) == []


async def test_a_datum_that_is_removed_meanwhile_is_left(store: ContentStore, tmp_path: Path) -> None:
    """Removing is no failure of the scrub."""
    datum, _ = publish(store, tmp_path)
    with capture_logs() as logs:
        async with open_scrubber(store, CHUNK_BYTES * 100) as scrubber:
            await wait_until(lambda: scrubber.bytes_read > 0)
            await scrubber.content.run(lambda store: store.remove(datum))
            await wait_until(lambda: scrubber.passes == 1)
    assert scrubber.bytes_read < CHUNKS * CHUNK_BYTES
    assert logs == []
