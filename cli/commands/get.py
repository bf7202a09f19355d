"""`vidya get`: a datum bought from its hosts, by this process alone; no node of one's own is needed.

A session is opened on chain, chunks come from several hosts at once against vouchers, each is verified before
it is paid. The verified chunks and the session lie in HOME/downloads/ID until the files are exported, so that
a download that was cut off goes on, on the same session while that is open.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import RequestRefused
from cli.terminal import output
from cli.terminal.options import Settings, command

if TYPE_CHECKING:
    from cli.content.sessions import Opened
    from cli.context.keys import Account
    from cli.context.network import NetworkContext
    from node.content.downloads import DownloadJob, DownloadLimits, DownloadResult, Progress

app = typer.Typer(rich_markup_mode=None, add_completion=False)

QUOTA_SPARE_BYTES = 64 * 2**20
SPARE_BLOCKS = 8
"""A session that ends sooner is not used again."""
HOST_COLUMNS = ("host", "outcome", "chunks", "bytes", "paid", "reason")


@command(app, "get")
def get(
    settings: Settings,
    id: Annotated[str, typer.Argument(help="Datum, as `vidya search` lists it.")],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the files; else one named by the id.")
    ] = None,
    max_price: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Per GiB, at most.")] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="SIZE", help="Bytes per second, at most.")
    ] = None,
) -> None:
    """Download a datum, verified and paid chunk by chunk, from several hosts at once."""
    from cli.content.catalogue import require_datum
    from cli.content.sessions import close_sessions
    from cli.context.keys import find_account
    from cli.context.names import find_datum
    from cli.context.network import connect

    network = connect(settings)
    account, entry = find_account(settings), require_datum(network, find_datum(network, id))
    ensure_member(network, account)
    price_max = network.parse_amount(max_price) if max_price else None
    folder = settings.home / "downloads" / entry["id"]
    opened = resume_session(network, folder) or begin_session(network, account, entry, folder, price_max)
    job, target = build_job(network, entry, opened), (to or Path(entry["id"])).expanduser()
    try:
        result = run_download(network, job, folder / "store", target, rate)
    except KeyboardInterrupt:
        # The session stays open for the next try, which may come soon.
        raise
    except BaseException:
        close_sessions(network, account, [opened.session])
        raise
    close_sessions(network, account, [opened.session])
    report(network, job, result, target)
    forget(folder)


def ensure_member(network: "NetworkContext", account: "Account") -> None:
    """Passes the gate if the account has not, after asking as for any transaction."""
    from chain.modules.membership import Join
    from cli.transactions.sending import send

    found = network.client.get(f"/v1/accounts/{network.address(account.address)}")["membership"]
    if found is not None and found["unlocks_in"] is None:
        return
    gate = network.spec.membership.parameters
    locked, paid = network.amount(gate.lock), network.amount(gate.fee_lockers + gate.fee_burned)
    output.say(f"{account.name} is no member yet; joining locks {locked} and costs {paid}")
    send(network, account, [Join()])


def resume_session(network: "NetworkContext", folder: Path) -> "Opened | None":
    """The session of an earlier try, if it is still open."""
    from msgspec import MsgspecError, json

    from cli.content.catalogue import get_if_there
    from cli.content.sessions import Opened

    try:
        saved = json.decode((folder / "session.json").read_bytes())
        opened = Opened(**{**saved, "voucher_secret": bytes.fromhex(saved["voucher_secret"])})
    except (FileNotFoundError, MsgspecError, TypeError, ValueError, KeyError):
        return None
    found = get_if_there(network, f"/v1/sessions/{opened.session}")
    if found is None or found["session"]["is_closing"]:
        return None
    is_long_enough = found["session"]["expires_at"] > network.get_status()["height"] + SPARE_BLOCKS
    return opened if is_long_enough else None


def begin_session(
    network: "NetworkContext", account: "Account", entry: dict[str, Any], folder: Path, price_max: int | None
) -> "Opened":
    """A new session, noted in the folder."""
    from msgspec import json

    from cli.content.sessions import open_sessions
    from node.home.home import write_private

    (opened,) = open_sessions(network, account, [entry], price_max)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "session.json"
    file.unlink(missing_ok=True)
    write_private(file, json.encode({**opened._asdict(), "voucher_secret": opened.voucher_secret.hex()}))
    output.say(f"session {opened.session}: deposit {network.amount(opened.deposit)}, the rest returns")
    return opened


def build_job(network: "NetworkContext", entry: dict[str, Any], opened: "Opened") -> "DownloadJob":
    """What to fetch and from whom."""
    from chain.primitives.keys import KeyPair
    from node.content.downloads import DownloadJob, SessionHost

    addresses = {host["address"]: tuple(host["addresses"]) for host in entry["hosts"]}
    allotments = network.client.get(f"/v1/sessions/{opened.session}")["allotments"]
    return DownloadJob(
        session=bytes.fromhex(opened.session),
        opened_at=opened.height,
        datum=bytes.fromhex(entry["id"]),
        root=bytes.fromhex(entry["datum"]["root"]),
        size_bytes=entry["datum"]["size_bytes"],
        price_per_gib=opened.price_per_gib,
        voucher_key=KeyPair(opened.voucher_secret),
        hosts=tuple(
            SessionHost(network.find_address(one["host"]), addresses.get(one["host"], ()), one["limit"])
            for one in allotments
        ),
    )


def run_download(
    network: "NetworkContext", job: "DownloadJob", store: Path, target: Path, rate: str | None
) -> "DownloadResult":
    """Fetches what is missing and writes the files, in an event loop of its own.

    Raises KeyboardInterrupt if a signal ended it; what was paid for is kept.
    """
    import trio

    from cli.nodes.homes import find_cause
    from cli.signals import build_interruption
    from cli.terminal.amounts import parse_size
    from node.content.downloads import DownloadLimits
    from node.logs import configure_logs
    from node.stopping import run_until_stopped

    configure_logs("error")
    limits = DownloadLimits(bytes_per_second_max=parse_size(rate) if rate else None)
    run = DownloadRun(network, job, store, target, limits)
    try:
        stopped = trio.run(run_until_stopped, run.fetch_and_export)
    except BaseExceptionGroup as group:
        raise find_cause(group) from group
    if run.result is not None:
        return run.result
    run.say_stopped()
    assert stopped is not None, "it ends with a result or by a signal"
    raise build_interruption(stopped)


class DownloadRun:
    """One try: fetches with a throw-away identity on the network, then writes the files."""

    def __init__(
        self,
        network: "NetworkContext",
        job: "DownloadJob",
        store: Path,
        target: Path,
        limits: "DownloadLimits",
    ) -> None:
        self._network, self._job, self._store, self._target, self._limits = (
            network,
            job,
            store,
            target,
            limits,
        )
        self.result: DownloadResult | None = None
        self._progress: Progress | None = None

    async def fetch_and_export(self) -> None:
        """Sets `result`; raises what the own disk refuses."""
        import secrets

        from node.content.downloads import download
        from node.content.lane import ContentLane
        from node.network.light_peer import open_light_network
        from storage.content.store import ContentStore

        job = self._job
        with ContentStore(self._store, 2 * job.size_bytes + QUOTA_SPARE_BYTES) as opened:
            lane = ContentLane(opened)
            async with open_light_network(secrets.token_bytes(32), self._network.genesis_hash) as network:
                result = await download(network, lane, job, self._show, self._limits)
            output.end_line()
            if result.is_complete:
                await lane.run(lambda content: content.export(job.datum, self._target))
        self.result = result

    def _show(self, progress: "Progress") -> None:
        self._progress = progress
        output.show_line(describe(self._network, progress))

    def say_stopped(self) -> None:
        """Where a signal stopped it."""
        from cli.terminal.amounts import format_size

        done = 0 if self._progress is None else self._progress.bytes_done
        output.end_line()
        output.say(
            f"stopped at {format_size(done)} of {format_size(self._job.size_bytes)}, run it again to resume"
        )


def describe(network: "NetworkContext", progress: "Progress") -> str:
    """One line: how far, how fast, from how many, for how much."""
    from cli.terminal.amounts import format_size
    from node.content.downloads import Outcome

    serving = sum(host.outcome is Outcome.SERVING for host in progress.hosts)
    left = "" if progress.seconds_left is None else f", {progress.seconds_left} s left"
    done = f"{format_size(progress.bytes_done)} of {format_size(progress.bytes_total)}"
    rate = f"{format_size(progress.bytes_per_second)}/s from {serving} hosts"
    return f"{done}, {rate}, paid {network.amount(progress.paid)}{left}"


def report(network: "NetworkContext", job: "DownloadJob", result: "DownloadResult", target: Path) -> None:
    """What each host did and was paid; raises RequestRefused if the datum is not complete."""
    from cli.context.readable import make_readable

    rows = [
        {
            "host": network.address(host.account),
            "outcome": host.outcome.value,
            "chunks": host.chunks,
            "bytes": host.bytes,
            "paid": host.paid,
            "reason": host.reason,
        }
        for host in result.hosts
    ]
    if not result.is_complete:
        tried = "; ".join(f"{row['host']}: {row['outcome']} {row['reason']}".rstrip() for row in rows)
        code, missing = "download_failed", f"{result.chunks_missing} chunks are missing"
        raise RequestRefused(code, f"{missing}; hosts tried: {tried}", "run it again; it goes on where it is")
    output.say(f"{target}: complete, verified, paid {network.amount(result.paid)}")
    if network.settings.format is output.Format.TABLE:
        network.settings.emit(make_readable(network, rows), HOST_COLUMNS)
    else:
        told = {"datum": job.datum.hex(), "to": str(target), "bytes": job.size_bytes, "paid": result.paid}
        network.settings.emit({**told, "hosts": rows})


def forget(folder: Path) -> None:
    """The files are where they should be: chunks and session are needed no more."""
    import shutil

    shutil.rmtree(folder / "store", ignore_errors=True)
    (folder / "session.json").unlink(missing_ok=True)
    folder.rmdir()
