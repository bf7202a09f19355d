"""What tests of downloads share: a datum, its hosts and a reader."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio

from chain.content import CHUNK_BYTES, Manifest, compute_datum_id
from chain.primitives.types import Hash
from node.content.downloads import (
    DownloadLimits,
    DownloadResult,
    Outcome,
)
from node.content.lane import ContentLane
from p2p.memory import MemoryHub
from p2p.switch.switch import Switch
from storage.content.store import ContentStore
from storage.content.tree import build_datum
from tests.node.cluster import VIDYA
from tests.node.content.content_world import (
    ContentChain,
    ContentHost,
    open_host,
    open_reader,
    write_source,
)

CHUNKS = 16
SIZE = (CHUNKS - 1) * CHUNK_BYTES + 777
QUICK = DownloadLimits(
    attempts_per_host_max=2,
    attempt_pause_seconds=0.01,
    stall_seconds_max=0.2,
    takeover_seconds=0.02,
    unconfirmed_seconds=0.05,
)
T = TypeVar("T")
PLENTY = [VIDYA, VIDYA, VIDYA]


@dataclass
class Scene:
    """Three hosts that hold a datum by the chain, and a reader with a session."""

    chain: ContentChain
    source: Path
    manifest: Manifest
    path: Path
    hub: MemoryHub = field(default_factory=MemoryHub)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    session: Hash = b""
    """The session of the reader, once there is one."""

    @property
    def datum(self) -> Hash:
        """The datum's id."""
        return compute_datum_id(self.manifest)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything opened in this block ends with it, within half a minute."""
        with trio.fail_after(30):
            async with self.stack:
                yield

    async def open(self, opening: AbstractAsyncContextManager[T]) -> T:
        """Opens something until `running` ends."""
        return await self.stack.enter_async_context(opening)

    async def open_hosts(self, *numbers: int) -> list[ContentHost]:
        """Honest hosts, serving until `running` ends."""
        opened = []
        for number in numbers:
            person = self.chain.hosts[number]
            hosting = open_host(self.hub, self.chain, person, self.path, self.source)
            opened.append(await self.open(hosting))
        return opened

    async def open_reader(self) -> tuple[Switch, ContentLane, ContentStore]:
        """The reader, with an empty store."""
        return await self.open(open_reader(self.hub, self.chain, self.path))


def build_scene(path: Path, **chain_options: int) -> Scene:
    """A datum with three hosts, and no network yet."""
    source = write_source(path, SIZE)
    manifest, chain = build_datum(source).manifest, ContentChain(3, **chain_options)
    chain.host(manifest)
    return Scene(chain, source, manifest, path)


def check_same(scene: Scene, store: ContentStore) -> None:
    """Asserts that the store exports the source byte for byte."""
    out = scene.path / "out"
    store.export(scene.datum, out)
    for name in ("a.bin", "b.bin"):
        assert (out / name).read_bytes() == (scene.source / name).read_bytes()


def get_outcomes(result: DownloadResult) -> list[Outcome]:
    """The outcome of each host, in the order of the job."""
    return [report.outcome for report in result.hosts]
