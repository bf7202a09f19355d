"""One try of a download by this process: an event loop, a throw-away identity, chunks, files.

A signal stops it; what was paid for is in the store then, and the next try goes on with it.
"""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import trio

from cli.content.purchase import Entry, Folder, open_store
from cli.context.network import NetworkContext
from cli.nodes.homes import find_cause
from cli.signals import build_interruption
from cli.terminal import output
from cli.terminal.amounts import format_size
from cli.terminal.progress import Transfer, describe_sources, show_transfer
from node.content.downloads import (
    BuyerMemory,
    DownloadJob,
    DownloadLimits,
    DownloadResult,
    LossBook,
    Outcome,
    PaymentBook,
    Progress,
    download,
)
from node.content.lane import ContentLane
from node.logs import configure_logs
from node.network.light_peer import open_light_network
from node.stopping import run_until_stopped
from storage.kv import LevelDbStore


def run_download(
    network: NetworkContext, entry: Entry, job: DownloadJob, folder: Folder, target: Path, rate: int | None
) -> DownloadResult:
    """Fetches what is missing and writes the files; raises KeyboardInterrupt if a signal ended it."""
    configure_logs("error")
    run = DownloadRun(network, entry, job, folder, target, DownloadLimits(bytes_per_second_max=rate))
    try:
        stopped = trio.run(run_until_stopped, run.fetch_and_export)
    except BaseExceptionGroup as group:
        raise find_cause(group) from group
    if run.result is not None:
        return run.result
    assert stopped is not None, "it ends with a result or by a signal"
    run.say_stopped()
    raise build_interruption(stopped)


class DownloadRun:
    """Fetches a datum, then writes its files."""

    def __init__(
        self,
        network: NetworkContext,
        entry: Entry,
        job: DownloadJob,
        folder: Folder,
        target: Path,
        limits: DownloadLimits,
    ) -> None:
        self._network, self._entry, self._job, self._limits = network, entry, job, limits
        self._folder, self._target = folder, target
        self._bytes_done = 0
        self.result: DownloadResult | None = None

    async def fetch_and_export(self) -> None:
        """Sets `result`; raises what the own disk refuses."""
        job = self._job
        with open_store(self._folder, self._entry) as store, open_memory(self._folder) as memory:
            lane = ContentLane(store)
            async with open_light_network(secrets.token_bytes(32), self._network.genesis_hash) as network:
                result = await download(network, lane, job, self._show, self._limits, memory)
            output.end_line()
            if result.is_complete:
                await lane.run(lambda content: content.export(job.datum, self._target, job.paths))
        self.result = result

    def _show(self, progress: Progress) -> None:
        self._bytes_done = progress.bytes_done
        show_transfer(describe(self._network, self._entry["datum"]["title"], progress))

    def say_stopped(self) -> None:
        """Where a signal stopped it."""
        done, total = format_size(self._bytes_done), format_size(self._job.size_bytes)
        output.end_line()
        output.say(f"stopped at {done} of {total}, run it again to resume")


@contextmanager
def open_memory(folder: Folder) -> Iterator[BuyerMemory]:
    """What earlier tries have noted of payments and of hosts."""
    with closing(LevelDbStore(folder.payments, "move it away, and the session beside it")) as store:
        yield BuyerMemory(PaymentBook(store), LossBook(folder.losses))


def describe(network: NetworkContext, title: str, progress: Progress) -> Transfer:
    """How far, how fast, from how many, for how much."""
    serving = sum(host.outcome is Outcome.SERVING for host in progress.hosts)
    return Transfer(
        title=title,
        bytes_done=progress.bytes_done,
        bytes_total=progress.bytes_total,
        bytes_per_second=progress.bytes_per_second,
        seconds_left=progress.seconds_left,
        paid=network.amount(progress.paid),
        remark=describe_sources(serving, progress.unsold_chunks, progress.unsold_seconds),
    )


def export_kept(entry: Entry, folder: Folder, target: Path, paths: tuple[str, ...]) -> None:
    """Writes the files of a datum that an earlier try has fetched."""
    with open_store(folder, entry) as store:
        store.export(bytes.fromhex(entry["id"]), target, paths)
