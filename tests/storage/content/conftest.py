"""A folder to publish, a store that publishes, a store that fetches."""

import pytest

from chain.content import CHUNK_BYTES
from storage.content.store import ContentStore
from tests.storage.content.rigs import QUOTA, TAIL, write_files


@pytest.fixture
def source(tmp_path):
    """A folder of four chunks: small files, empty ones, and one across chunk boundaries."""
    sizes = {"a.txt": 10, "b/empty": 0, "b/large.bin": 3 * CHUNK_BYTES, "b/z": 1, "c d/é": TAIL, "end": 0}
    return write_files(tmp_path / "source", sizes)


@pytest.fixture
def seeder(tmp_path, source):
    with ContentStore(tmp_path / "seeder", QUOTA) as store:
        yield store


@pytest.fixture
def leecher(tmp_path):
    with ContentStore(tmp_path / "leecher", QUOTA) as store:
        yield store
