"""`vidya publish`, `search`, `verify`: from a folder to the catalogue and back to one that can be trusted."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal import output
from cli.terminal.cells import Cell, cut_text
from cli.terminal.options import DryRun, Settings, command

if TYPE_CHECKING:
    from cli.context.keys import WalletAccount
    from cli.context.network import NetworkContext

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app)
def publish(
    settings: Settings,
    path: Annotated[Path, typer.Argument(exists=True, help="File or folder; it is hosted where it lies.")],
    title: Annotated[
        str | None, typer.Option(help="Title in the catalogue; the name of the folder by default.")
    ] = None,
    category: Annotated[str, typer.Option(help="Category in the catalogue.")] = "data",
    tags: Annotated[
        list[str] | None, typer.Option("--tag", "--tags", help="Word to find it by; may be repeated.")
    ] = None,
    no_host: Annotated[
        bool, typer.Option("--no-host", help="List it only; do not register to host it.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Put a file or folder into the catalogue and host it with your own node (--home)."""
    from chain.modules.catalogue import TITLE_BYTES_MAX
    from cli.content import catalogue
    from cli.content.holdings import ensure_registered
    from cli.context.keys import find_account
    from cli.context.network import connect_own
    from cli.context.readable import make_readable

    network, account = connect_own(settings), find_account(settings)
    if not no_host:
        check_host(network, account)
    name = title or cut_text(path.resolve().name, TITLE_BYTES_MAX)
    if dry_run:
        try_listing(network, account, path, name, category, tags or ())
        return
    output.show_line(f"the node reads {path}")
    published = catalogue.publish(network, path)
    output.end_line()
    datum = published["datum"]
    listed = catalogue.get_if_there(network, f"/v1/datums/{datum}")
    if listed is None:
        listing = catalogue.build_listing(published, name, category, tags or ())
        catalogue.ensure_listed(network, account, [listing])
    elif (name := listed["datum"]["title"]) != title:
        output.say(f"it is listed already, as {name!r} by {listed['datum']['lister']}; that stays as it is")
    if not no_host:
        ensure_registered(network, account, [bytes.fromhex(datum)])
    from_epoch = None if no_host else get_first_epoch(network, account, datum)
    told = {"datum": datum, "title": name, "size_bytes": published["size_bytes"]}
    told |= {"files": published["files"], "hosted_from_epoch": from_epoch}
    if settings.format is not output.Format.TABLE:
        told["is_new"] = listed is None
    settings.emit(make_readable(network, told))


def try_listing(
    network: "NetworkContext",
    account: "WalletAccount",
    path: Path,
    title: str,
    category: str,
    tags: Sequence[str],
) -> None:
    """What listing it would cost; the files are read here, and no node gets them."""
    from cli.content.catalogue import build_listing, describe_manifest
    from cli.transactions.sending import show_trial
    from node.content.private_files import check_public
    from storage.content.tree import build_datum

    check_public(path)
    listing = build_listing(describe_manifest(build_datum(path).manifest), title, category, tags)
    show_trial(network, account.address, [listing])


def check_host(network: "NetworkContext", account: "WalletAccount") -> None:
    """Raises CliError if the account cannot host with this node; before anything is listed."""
    from cli.content.holdings import list_holdings
    from cli.errors import UsageFault

    own = network.get_status()["account"]
    if own != network.address(account.address):
        raise UsageFault(f"this node hosts for {own}, not for {account.name}", "--from NAME, or --no-host")
    list_holdings(network, account.address)


def get_first_epoch(network: "NetworkContext", account: "WalletAccount", datum: str) -> int | None:
    """The epoch from which on the account's holding of the datum counts."""
    from cli.content.holdings import list_holdings

    holding = list_holdings(network, account.address).get(datum)
    return None if holding is None else holding["from_epoch"]


@command(app)
def search(
    settings: Settings,
    text: Annotated[str, typer.Argument(help="In title, tags or description; all if empty.")] = "",
    category: Annotated[str, typer.Option(help="Only this category.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries at most.")] = 50,
) -> None:
    """The catalogue; `vidya get` takes the id."""
    from itertools import islice

    from cli.context.network import connect
    from cli.context.readable import Reader
    from cli.screens.datums import SEARCH_COLUMNS, build_found

    network = connect(settings)
    wanted = {"text": text or None, "category": category or None}
    found = list(islice(network.list_pages("/v1/datums", "datums", limit=limit, **wanted), limit))
    if settings.format is not output.Format.TABLE or not found:
        settings.emit(found, SEARCH_COLUMNS)
        return
    price = network.client.get("/v1/params")["sessions"]["price_per_gib"]
    settings.emit(build_found(network, Reader(network), found, price), SEARCH_COLUMNS)
    output.say(f"price: all of a datum, in {network.spec.symbol}, at {network.number(price)} per GiB now")


@command(app)
def verify(
    settings: Settings,
    path: Annotated[Path, typer.Argument(exists=True, help="File or folder.")],
    id: Annotated[str, typer.Argument(help="Datum it should be.")],
) -> None:
    """Whether a file or folder is the datum of that id, byte for byte; asks no node."""
    from chain.content import compute_datum_id
    from cli.errors import RequestRefused
    from cli.terminal.amounts import format_size
    from cli.transactions.calls import read_id
    from storage.content.tree import build_datum

    wanted = read_id(id)
    built = build_datum(path)
    found = compute_datum_id(built.manifest)
    if found != wanted:
        raise RequestRefused(
            "differs", f"{path} is datum {found.hex()}", f"`vidya get {id}` downloads the other"
        )
    told: dict[str, Any] = {"datum": id, "path": str(path), "files": len(built.manifest.files)}
    length = built.manifest.length
    is_table = settings.format is output.Format.TABLE
    size = Cell(format_size(length), is_number=True) if is_table else length
    settings.emit({**told, "size_bytes": size, "is_equal": True})
