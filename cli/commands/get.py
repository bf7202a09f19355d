"""`vidya get`: a datum bought from its hosts, by this process alone; no node of one's own is needed.

Everything that can be known beforehand is looked at before a session is opened: whether the target has the
datum already, can be written and has room, and whether hosts answer. Then chunks come from several hosts at
once against vouchers, each verified before it is paid. A try that was cut off goes on, on the same session
while that is open.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import RequestRefused
from cli.terminal import output
from cli.terminal.options import Settings, command
from cli.terminal.wording import format_count

if TYPE_CHECKING:
    from cli.content.purchase import Entry, Folder
    from cli.context.network import NetworkContext
    from node.content.downloads import DownloadJob, DownloadResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)

HOST_COLUMNS = ("host", "outcome", "chunks", "bytes", "paid", "lost", "reason")


@command(app, "get")
def get(
    settings: Settings,
    id: Annotated[str, typer.Argument(help="Datum, as `vidya search` lists it.")],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the files; else one named by the id.")
    ] = None,
    max_price: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Most that a GiB may cost.")] = None,
    rate: Annotated[str | None, typer.Option("--rate", metavar="SIZE", help="Most bytes per second.")] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--file", metavar="PATH", help="Only this file or folder of the datum; may be repeated."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show price, time and hosts; buy nothing.")
    ] = False,
) -> None:
    """Download a datum, verified and paid chunk by chunk, from several hosts at once."""
    from cli.content.catalogue import require_datum
    from cli.content.purchase import Folder, look_at_store
    from cli.content.targets import check_target, is_complete_at
    from cli.context.names import find_datum
    from cli.context.network import connect

    network = connect(settings)
    entry = require_datum(network, find_datum(network, id))
    target, paths = (to or Path(entry["id"])).expanduser(), tuple(files or ())
    if is_complete_at(target, entry):
        output.say(f"{target} has all of it already, verified; nothing was bought")
        emit_result(settings, entry, target, 0, [])
        return
    if dry_run:
        show_quote(network, entry)
        return
    folder = Folder(settings.home / "downloads" / entry["id"])
    with folder.lock():
        kept = look_at_store(folder, entry, paths)
        check_target(target, kept.manifest, paths)
        if kept.is_complete:
            export_again(settings, entry, folder, target, paths)
        else:
            if not paths:
                check_room(entry, folder, target, kept.held_bytes)
            buy(network, entry, folder, target, paths=paths, max_price=max_price, rate=rate)


def show_quote(network: "NetworkContext", entry: "Entry") -> None:
    """What it would cost, for --from if that was named."""
    from cli.content.purchase import build_quote
    from cli.context.keys import find_account
    from cli.context.readable import make_readable

    account = find_account(network.settings) if network.settings.sender else None
    network.settings.emit(make_readable(network, build_quote(network, entry, account)))


def check_room(entry: "Entry", folder: "Folder", target: Path, held_bytes: int) -> None:
    """Raises TargetRefused if the chunks and the files do not fit the disks that they go to."""
    from cli.content.targets import check_space

    size = entry["datum"]["size_bytes"]
    check_space({folder.path: max(size - held_bytes, 0), target: size})


def export_again(
    settings: Settings, entry: "Entry", folder: "Folder", target: Path, paths: tuple[str, ...]
) -> None:
    """Writes the files that an earlier try has fetched."""
    from cli.content.downloading import export_kept

    export_kept(entry, folder, target, paths)
    output.say(f"{target}: complete, verified; an earlier try had paid for it")
    emit_result(settings, entry, target, 0, [])
    folder.forget()


def buy(
    network: "NetworkContext",
    entry: "Entry",
    folder: "Folder",
    target: Path,
    *,
    paths: tuple[str, ...],
    max_price: str | None,
    rate: str | None,
) -> None:
    """Opens a session or goes on with one, downloads, and gets the rest of the deposit back."""
    from cli.content import purchase
    from cli.content.downloading import run_download
    from cli.content.sessions import close_sessions
    from cli.context.keys import find_account
    from cli.terminal.amounts import parse_size

    price_max = network.parse_amount(max_price) if max_price else None
    rate_max = parse_size(rate) if rate else None
    account, opened = find_account(network.settings), purchase.resume_session(network, folder)
    if opened is None:
        usable = purchase.require_hosts(network, entry)
        purchase.ensure_member(network, account)
        opened = purchase.begin_session(network, account, usable, folder, price_max)
    job = purchase.build_job(network, entry, opened, paths)
    try:
        result = run_download(network, entry, job, folder, target, rate_max)
    except KeyboardInterrupt:
        # The session stays open for the next try, which may come soon.
        raise
    except BaseException:
        close_sessions(network, account, [opened.session])
        raise
    close_sessions(network, account, [opened.session])
    report(network, entry, job, result, target)
    folder.forget()


def report(
    network: "NetworkContext", entry: "Entry", job: "DownloadJob", result: "DownloadResult", target: Path
) -> None:
    """What each host did and was paid; raises RequestRefused if the datum is not complete."""
    from cli.content.sessions import say_lost

    rows = [
        {
            "host": network.address(host.account),
            "outcome": host.outcome.value,
            "chunks": host.chunks,
            "bytes": host.bytes,
            "paid": host.paid,
            "paid_bytes": host.paid_bytes,
            "lost_bytes": host.lost_bytes,
            "lost": host.lost,
            "reason": host.reason,
        }
        for host in result.hosts
    ]
    for host in result.hosts:
        say_lost(network, network.address(host.account), host.lost_bytes, host.lost, host.reason)
    if not result.is_complete:
        tried = "; ".join(f"{row['host']}: {row['outcome']} {row['reason']}".rstrip() for row in rows)
        code, missing = "download_failed", f"{format_count(result.chunks_missing, 'chunk')} missing"
        raise RequestRefused(code, f"{missing}; hosts tried: {tried}", "run it again; it goes on where it is")
    output.say(f"{target}: complete, verified, paid {network.amount(result.paid)}")
    emit_result(network.settings, entry, target, result.paid, rows, network)


def emit_result(
    settings: Settings,
    entry: "Entry",
    target: Path,
    paid: int,
    rows: list[dict[str, Any]],
    network: "NetworkContext | None" = None,
) -> None:
    """A table of hosts for people; for programs what was got, too."""
    from cli.context.readable import make_readable

    if settings.format is not output.Format.TABLE:
        told = {"datum": entry["id"], "to": str(target), "bytes": entry["datum"]["size_bytes"], "paid": paid}
        settings.emit({**told, "hosts": rows})
    elif network is not None:
        settings.emit(make_readable(network, rows), HOST_COLUMNS)
