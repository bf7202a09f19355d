"""`vidya host`: what your own node (--home) hosts."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.hosting import earnings
from cli.terminal import output
from cli.terminal.options import DryRun, Settings, command

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Ids = Annotated[list[str], typer.Argument(help="Datums, as `vidya search` lists them.")]
COLUMNS = ("datum", "size_bytes", "here", "registered", "from_epoch", "until_epoch", "folder")


@app.callback()
def host() -> None:
    """Hosting: add, drop, list, status ask your own node (--home); explain, earnings and forecast ask any."""


@command(app)
def add(settings: Settings, ids: Ids) -> None:
    """Have the node fetch datums from their hosts, paid by --from, and register to host them."""
    from cli.content.fetching import build_failure, fetch_into_node
    from cli.content.holdings import ensure_registered
    from cli.context.keys import find_account
    from cli.context.names import find_datum
    from cli.context.network import connect_own

    network, account = connect_own(settings), find_account(settings)
    names = list(dict.fromkeys(find_datum(network, one) for one in ids))
    failures = fetch_into_node(network, account, names)
    fetched = [one for one in names if one not in failures]
    from_epoch = ensure_registered(network, account, [bytes.fromhex(one) for one in fetched])
    if fetched:
        settings.emit({"datums": fetched, "hosted_from_epoch": from_epoch})
    if failures:
        raise build_failure(failures, len(names))


@command(app)
def drop(
    settings: Settings,
    ids: Ids,
    forget: Annotated[
        bool, typer.Option("--forget", help="Delete the bytes; only what is not registered.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Stop hosting datums: they are registered until two epochs later, and must be proven until then."""
    from chain.modules.hosting import RegisterSubset
    from cli.content.holdings import list_holdings
    from cli.context.keys import find_account
    from cli.context.names import find_datum
    from cli.context.network import connect_own
    from cli.errors import UsageFault
    from cli.transactions.sending import list_events, send, show_trial

    network, account = connect_own(settings), find_account(settings)
    names = [find_datum(network, one) for one in ids]
    held = list_holdings(network, account.address)
    if forget:
        forget_datums(network, names, held)
        return
    registered = [name for name in names if name in held and held[name]["until_epoch"] is None]
    for name in names:
        if name not in registered:
            output.say(f"not registered by {account.name}, or dropped already: {name}")
    if not registered:
        raise UsageFault("none of these is registered by this account", "`vidya host list`")
    calls = [RegisterSubset((), tuple(map(bytes.fromhex, registered)))]
    if dry_run:
        show_trial(network, account.address, calls)
        return
    outcome = send(network, account, calls)
    settings.emit(list_events(outcome, "hosting.HoldingDropped"), ("datum", "until_epoch"))


def forget_datums(network: "NetworkContext", names: list[str], held: dict[str, Any]) -> None:
    """Has the node delete each that it may; raises CliError with those that stay, and why."""
    from cli.errors import CliError

    deleted, failures = [], {}
    for name in names:
        if is_in_effect(network, held.get(name)):
            failures[name] = "still to be proven"
            continue
        try:
            deleted.append(network.client.delete(f"/v1/content/{name}"))
        except CliError as error:
            failures[name] = error.message
    network.settings.emit(deleted, ("datum",))
    if failures:
        told = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        message = f"{len(failures)} of {len(names)} datums were not deleted: {told}"
        raise CliError("not_deleted", message, "`vidya host list` says until when they are to be proven")


def is_in_effect(network: "NetworkContext", holding: dict[str, Any] | None) -> bool:
    """Whether a holding must still be proven."""
    if holding is None:
        return False
    until = holding["until_epoch"]
    return until is None or network.get_status()["epoch"] < until


@command(app, "list")
def list_content(settings: Settings) -> None:
    """What is on the node's disk and what is registered on chain."""
    from chain.primitives.addresses import decode_address
    from cli.content.holdings import list_holdings
    from cli.context.network import connect_own
    from cli.context.readable import make_readable

    network = connect_own(settings)
    own, local = network.get_status()["account"], network.client.get("/v1/content")
    held = {} if own is None else list_holdings(network, decode_address(network.spec.prefix, own))
    here = {one["datum"]: one for one in local["datums"]}
    rows = [describe(datum, here.get(datum), held.get(datum)) for datum in sorted({*here, *held})]
    settings.emit(make_readable(network, rows), COLUMNS)
    used, quota = (
        make_readable(network, {"used_bytes": local[name]}) for name in ("used_bytes", "quota_bytes")
    )
    output.say(f"disk: {used['used_bytes']} of {quota['used_bytes']}")


def describe(datum: str, here: dict[str, Any] | None, held: dict[str, Any] | None) -> dict[str, Any]:
    """A line of the list."""
    size = (here or held or {})["size_bytes"]
    return {
        "datum": datum,
        "size_bytes": size,
        "here": f"{here['chunks_held']} of {here['chunks']} chunks" if here else "missing",
        "registered": held is not None,
        "from_epoch": held and held["from_epoch"],
        "until_epoch": held and held["until_epoch"],
        "folder": here and here["folder"],
    }


@command(app)
def status(settings: Settings) -> None:
    """How the node's account does as a host: proofs, jail, what it has earned by serving."""
    from cli.context.network import connect_own
    from cli.context.readable import make_readable
    from cli.errors import CliError
    from cli.health.host import warn_of_account

    network = connect_own(settings)
    own = network.get_status()["account"]
    if own is None:
        raise CliError("no_account", "this node observes: it hosts for nobody", "`vidya join`")
    found, account = network.client.get(f"/v1/hosts/{own}"), network.client.get(f"/v1/accounts/{own}")
    effective = {"datums": found["effective"]["datums"], "size_bytes": found["effective"]["bytes"]}
    record = {
        "account": own,
        "in_effect": effective,
        "possession": found["possession"],
        "standing": found["standing"],
        "open_duties": len(found["duties"]),
        "traffic": account["traffic"],
        "withheld": account["withheld"],
    }
    settings.emit(make_readable(network, record))
    warn_of_account(network, own)


command(app)(earnings.explain)
command(app)(earnings.earnings)
command(app)(earnings.forecast)
