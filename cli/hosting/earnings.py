"""`vidya host explain`, `earnings`, `forecast`: what hosting pays now, has paid, and would pay for more."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal import output
from cli.terminal.options import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.context.network import NetworkContext

Who = Annotated[str | None, typer.Argument(metavar="[ADDRESS|NAME]", help="Whose; your node's if none.")]
FORECASTS_MAX = 1_000


def explain(
    settings: Settings,
    who: Who = None,
    era: Annotated[
        int | None, typer.Option(min=0, max=2**40, help="Show what this era paid, by epochs.")
    ] = None,
) -> None:
    """What the running epoch pays with every factor, and what is withheld until when."""
    from cli.context.network import connect
    from cli.screens.earnings import build_pay
    from cli.screens.showing import show

    network = connect(settings)
    if era is not None:
        explain_era(network, find_host(network, who), era)
        return
    found = network.client.get(f"/v1/hosts/{find_host(network, who)}/pay")
    show(network, found, lambda reader, one: build_pay(network, reader, one))


def explain_era(network: "NetworkContext", host: str | None, era: int) -> None:
    """What an era has paid an account, from the events in the last block of each epoch."""
    from cli.screens.earnings import EPOCH_COLUMNS, build_sums

    rows = list_epochs(network, str(host), era)
    is_table = network.settings.format is output.Format.TABLE
    network.settings.emit([build_sums(network, one) for one in rows] if is_table else rows, EPOCH_COLUMNS)


def list_epochs(network: "NetworkContext", host: str, era: int) -> list[dict[str, int]]:
    """What each epoch of an era has paid an account, as far as the epochs are over; raises CliError."""
    from cli.screens.earnings import sum_events

    system = network.spec.system.parameters
    height = network.get_status()["height"]
    rows = []
    for epoch in range(era * system.era_epochs, (era + 1) * system.era_epochs):
        last = (epoch + 1) * system.epoch_blocks
        if last <= height:
            block = network.client.get(f"/v1/blocks/{last}", limit=1)
            rows.append({"epoch": epoch, **sum_events(block["events_end"], host)})
    return rows


def earnings(
    settings: Settings,
    who: Who = None,
    eras: Annotated[int, typer.Option(min=1, max=1_000, help="How many eras, the newest first.")] = 5,
) -> None:
    """What each era has paid, by reason, how much of it was withheld, and when the last part is free."""
    from cli.context.network import connect
    from cli.screens.earnings import ERA_COLUMNS, build_era

    network = connect(settings)
    host = str(find_host(network, who))
    grants = {one["era"]: one for one in network.client.get(f"/v1/hosts/{host}/pay")["grants"]}
    rows = list(iterate_eras(network, host, eras, grants))
    if settings.format is output.Format.TABLE:
        settings.emit([build_era(network, one) for one in rows], ERA_COLUMNS)
    else:
        settings.emit(rows)


def iterate_eras(
    network: "NetworkContext", host: str, count: int, grants: dict[int, Any]
) -> "Iterator[dict[str, int | None]]":
    """The newest eras, the current one first, as far back as the node keeps blocks."""
    from cli.errors import CliError
    from cli.exits import ExitCode

    newest: int = network.get_status()["era"]
    for era in range(newest, max(newest - count, -1), -1):
        output.show_line(f"reading era {era}")
        try:
            epochs = list_epochs(network, host, era)
        except CliError as error:
            if error.exit is not ExitCode.NOT_FOUND:
                raise
            output.say(f"this node keeps no blocks of era {era}, nor of earlier ones")
            break
        names = [name for name in epochs[0] if name != "epoch"] if epochs else []
        sums = {name: sum(one[name] for one in epochs) for name in names}
        free = grants[era]["last_release_era"] + 1 if era in grants else None
        yield {"era": era, **sums, "free_in_era": free}
    output.end_line()


def forecast(settings: Settings, who: Who = None) -> None:
    """What a GiB of each datum would bring in an era, how much of it withheld, and until when."""
    from itertools import islice

    from cli.context.network import connect
    from cli.context.readable import Reader
    from cli.screens.earnings import FORECAST_COLUMNS, build_forecast

    network = connect(settings)
    host = find_host(network, who, is_required=False)
    found: list[Any] = list(islice(network.list_pages("/v1/forecast", "forecasts", host=host), FORECASTS_MAX))
    found.sort(key=lambda one: (-one["pay_per_gib"], one["datum"]))
    if settings.format is output.Format.TABLE:
        reader = Reader(network)
        found = [build_forecast(network, reader, one) for one in found]
        say_terms(network, host)
    settings.emit(found, FORECAST_COLUMNS)


def find_host(network: "NetworkContext", who: str | None, *, is_required: bool = True) -> str | None:
    """The address of the account named, else of the node's own; raises CliError if there must be one."""
    from cli.errors import CliError

    if who is not None:
        return network.address(network.find_address(who))
    own: str | None = network.get_status()["account"]
    if own is None and is_required:
        raise CliError("no_account", "this node observes: it hosts for nobody", "name an account")
    return own


def say_terms(network: "NetworkContext", host: str | None) -> None:
    """On stderr: for whom, what must be pledged, how much of the pay is withheld until when."""
    from cli.terminal.amounts import format_share

    found = network.client.get("/v1/forecast", host=host, limit=1)
    pledge, share = network.amount(found["pledge_per_gib"]), format_share(found["withheld_ppm"])
    until = found["released_until_era"]
    output.say(f"per era, for {'a new host' if host is None else 'this host'}, if nobody else moves")
    output.say(
        f"pledged per GiB: {pledge}; withheld: {share}, "
        f"the last part until era {until + 1} ({network.clock.describe_era(until + 1)})"
    )
