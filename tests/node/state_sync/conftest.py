"""A scene for each test of state sync, over one honest chain; surveys follow each other at once."""

from collections.abc import AsyncIterator, Iterator

import pytest

from node.state_sync import fetching, run, sources
from tests.node.state_sync.scene import Chain, Scene, make_chain


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """An honest chain, made once."""
    with make_chain() as made:
        yield made


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes surveys follow each other at once."""
    monkeypatch.setattr(fetching, "SURVEY_SECONDS", 0.01)
    monkeypatch.setattr(run, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(run, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(sources, "BUSY_SECONDS", 0.01)


@pytest.fixture
async def scene(chain: Chain) -> AsyncIterator[Scene]:
    """A node without a store."""
    async with Scene(chain).open() as opened:
        yield opened
