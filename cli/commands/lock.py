"""`vidya lock`: tokens locked for weeks, which share what the collective does not spend elsewhere.

What a lock promises, until when its amount is locked, and what leaving early costs is shown before the
question. Curves are computed here, from the chain spec, by the functions that the chain pays with.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal import output
from cli.terminal.options import DryRun, Settings, command
from cli.terminal.wording import format_count

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Number = Annotated[int, typer.Argument(min=0, max=2**53, help="As `vidya lock list` numbers them.")]
Weeks = Annotated[
    int,
    typer.Option(min=1, max=520, help="Weeks to promise; `vidya lock curve` says how long a week is here."),
]


@app.callback()
def lock() -> None:
    """Lock tokens for weeks: make, list, extend, claim, leave; curve shows what a term is worth, and how
    long a week of this network is.
    """


@command(app)
def curve(settings: Settings) -> None:
    """What a term weighs, and how what a lock has accrued vests, by the network's parameters."""
    from cli.context.network import connect
    from cli.screens.lockers import build_curve, draw_curve

    network = connect(settings)
    built = build_curve(network.spec.lockers.parameters)
    settings.emit(draw_curve(built) if settings.format is output.Format.TABLE else built)
    output.say(describe_week(network))


@command(app)
def make(
    settings: Settings,
    amount: Annotated[str, typer.Argument(help="Tokens to lock, as 12.5.")],
    weeks: Weeks,
    dry_run: DryRun = False,
) -> None:
    """Lock an amount; what the term is worth is shown before the question."""
    from chain.modules.lockers import LockTokens
    from cli.context.network import connect

    network = connect(settings)
    call = LockTokens(network.parse_amount(amount), weeks)
    say_promise(network, call.amount, weeks)
    send_one(network, call, "lockers.Locked", is_dry_run=dry_run)


@command(app)
def extend(settings: Settings, number: Number, weeks: Weeks, dry_run: DryRun = False) -> None:
    """Promise weeks from now on, for everything that the lock has accrued: claim first what has vested."""
    from chain.modules.lockers import ExtendLock
    from cli.context.network import connect

    network = connect(settings)
    found = find_lock(network, number)
    if found["claimable"]:
        output.warn(f"{network.amount(found['claimable'])} can be claimed now; `vidya lock claim {number}`")
    say_promise(network, found["amount"], weeks)
    send_one(network, ExtendLock(number, weeks), "lockers.LockExtended", is_dry_run=dry_run)


@command(app)
def claim(settings: Settings, number: Number, dry_run: DryRun = False) -> None:
    """Take what has vested; the lock goes on."""
    from chain.modules.lockers import ClaimLock
    from cli.context.network import connect

    send_one(connect(settings), ClaimLock(number), "lockers.LockClaimed", is_dry_run=dry_run)


@command(app)
def leave(settings: Settings, number: Number, dry_run: DryRun = False) -> None:
    """Take the amount and what has vested; the rest stays with the other lockers, which is said before."""
    from chain.modules.lockers import LeaveLock
    from cli.context.network import connect

    send_one(connect(settings), LeaveLock(number), "lockers.LockLeft", is_dry_run=dry_run)


@command(app, "list")
def list_locks(
    settings: Settings,
    who: Annotated[str | None, typer.Argument(metavar="[ADDRESS|NAME]", help="Whose; yours if none.")] = None,
) -> None:
    """Open locks: until when, what they have accrued, what could be claimed, what leaving would forfeit."""
    from cli.context.keys import find_own_address
    from cli.context.network import connect
    from cli.context.readable import Reader
    from cli.screens.lockers import LOCK_COLUMNS, build_lock

    network = connect(settings)
    address = find_own_address(settings) if who is None else network.find_address(who)
    locks = network.client.get(f"/v1/lockers/{network.address(address)}")["locks"]
    if settings.format is output.Format.TABLE:
        reader = Reader(network)
        locks = [build_lock(reader, network.number, one) for one in locks]
        say_totals(network)
    settings.emit(locks, LOCK_COLUMNS)


def find_lock(network: "NetworkContext", number: int) -> dict[str, Any]:
    """The open lock of the account that signs; raises CliError."""
    from cli.context.keys import find_account
    from cli.errors import CliError
    from cli.exits import ExitCode

    address = network.address(find_account(network.settings).address)
    locks = network.client.get(f"/v1/lockers/{address}")["locks"]
    for one in locks:
        if one["number"] == number:
            found: dict[str, Any] = one
            return found
    raise CliError("not_found", f"there is no open lock {number}", "`vidya lock list`", ExitCode.NOT_FOUND)


def send_one(network: "NetworkContext", call: Any, event: str, *, is_dry_run: bool) -> None:
    """Signs and sends a call; shows the event that it leaves. A dry run shows what it would cost and do."""
    from cli.context.keys import find_account
    from cli.screens.lockers import build_lock
    from cli.screens.showing import show
    from cli.transactions.sending import list_events, send, show_trial

    account = find_account(network.settings)
    if is_dry_run:
        show_trial(network, account.address, [call])
        return
    (fields,) = list_events(send(network, account, [call]), event)
    show(network, fields, lambda reader, found: build_lock(reader, network.number, found))


def say_promise(network: "NetworkContext", amount: int, weeks: int) -> None:
    """On stderr: what the amount weighs, and which share of its earnings may be taken after which time."""
    import sys

    from chain.modules.lockers import compute_weight
    from cli.screens.lockers import build_promise, list_promise
    from cli.terminal.style import render_for
    from cli.terminal.tables import FoldingTable

    parameters = network.spec.lockers.parameters
    if not 1 <= weeks <= parameters.weeks_max:
        return  # the dry run refuses it, with the bounds
    weight = network.number(compute_weight(parameters, amount, weeks))
    promised = f"{network.amount(amount)} for {weeks} of {parameters.weeks_max} weeks weighs {weight}"
    output.say(f"{describe_week(network)}; {promised}; of what it earns, yours is")
    rows = build_promise(list_promise(parameters, weeks), parameters.week_eras)
    output.say(render_for(FoldingTable(rows), sys.stderr).rstrip("\n"))


def describe_week(network: "NetworkContext") -> str:
    """How long a week of locks is by the chain spec: on a devnet a week is an era of minutes."""
    eras = network.spec.lockers.parameters.week_eras
    return f"a week is {format_count(eras, 'era')} here ({network.clock.describe_eras(eras)})"


def say_totals(network: "NetworkContext") -> None:
    """On stderr: all locks together, and what waits for them."""
    found = network.client.get("/v1/lockers")
    locked, fund, payable = (network.amount(found[name]) for name in ("locked", "fund", "payable"))
    output.say(f"all lockers: {locked} locked; the fund of {fund} pays {payable} at the end of the era")
