"""`vidya status`, `peers`, `doctor`, `config show`: how a node is."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal import output
from cli.terminal.cells import shorten
from cli.terminal.options import Settings, command
from cli.terminal.wording import format_count

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

app = typer.Typer(rich_markup_mode=None, add_completion=False)
config = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)
app.add_typer(config, name="config")

REFRESH_SECONDS = 1.0
PEER_COLUMNS = (
    *("peer_id", "address", "is_outbound", "is_accepted", "software", "height_at_hello", "score"),
    "connections",
)


@config.callback()
def settings_of_node() -> None:
    """Settings of the node in --home."""


@command(app)
def status(
    settings: Settings,
    watch: Annotated[
        bool, typer.Option("--watch", help="Until Ctrl-C; a line per block if nobody watches.")
    ] = False,
) -> None:
    """Where the node is: height, peers, synced or not."""
    from cli.context.network import connect
    from cli.context.readable import make_readable
    from cli.health.host import warn_of_account

    network = connect(settings)
    if watch:
        watch_status(network)
    else:
        found = network.get_status()
        settings.emit(make_readable(network, found))
        warn_of_account(network, found["account"])


def watch_status(network: "NetworkContext") -> None:
    """A line per block on stdout, or one that is replaced on a terminal; returns at Ctrl-C."""
    is_live = (
        network.settings.format is output.Format.TABLE and output.is_terminal() and output.is_private_screen()
    )
    height = -1
    try:
        while True:
            found = network.get_status()
            if found["height"] != height:
                height = found["height"]
                show_status(network.settings, found, is_live=is_live)
            time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        output.end_line()


def show_status(settings: Settings, found: dict[str, Any], *, is_live: bool) -> None:
    """One line of text, or the record in the format asked for."""
    state = f"syncing to {found['sync_target']}" if found["syncing"] else "synced"
    line = (
        f"height {found['height']}  epoch {found['epoch']}  {format_count(found['peers'], 'peer')}  {state}"
    )
    if is_live:
        output.show_line(line)
    else:
        settings.emit(line if settings.format is output.Format.TABLE else found)


@command(app)
def peers(settings: Settings) -> None:
    """Peers, one line each, and why others are not used."""
    from cli.context.network import connect

    found = connect(settings).client.get("/v1/peers")
    if settings.format is not output.Format.TABLE:
        settings.emit(found)
        return
    settings.emit(list_peers(found["peers"]), PEER_COLUMNS)
    for ban in found["bans"]:
        who = ban["hosts"] or shorten(ban["peer_id"])
        output.say(f"banned for {ban['seconds_left']} s: {who}: {ban['reason']}")
    for one in found["reasons"]:
        output.say(f"unused: {shorten(one['peer_id'])}: {one['reason']}")


def list_peers(connections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line per peer: of several connections the one that was dialled from here, and how many there are."""
    by_peer: dict[str, list[dict[str, Any]]] = {}
    for one in connections:
        by_peer.setdefault(one["peer_id"], []).append(one)
    return [
        {**max(own, key=lambda one: (one["is_accepted"], one["is_outbound"])), "connections": len(own)}
        for own in by_peer.values()
    ]


@command(app)
def doctor(
    settings: Settings,
    read_all: Annotated[bool, typer.Option("--all", help="Read all content, not a sample.")] = False,
) -> None:
    """Look at the node in --home, or at each node of the devnet there, for what commonly goes wrong."""
    from cli.errors import CliError

    rows = examine(settings, is_all=read_all)
    settings.emit(rows, tuple(rows[0]))
    wrong = [row for row in rows if not row["ok"]]
    if wrong:
        raise CliError("unwell", f"{len(wrong)} of {len(rows)} checks failed", wrong[0]["next"])


def examine(settings: Settings, *, is_all: bool) -> list[dict[str, Any]]:
    """All checks that apply to the home: a devnet, a node, or neither."""
    from dataclasses import replace

    from cli.context.network import is_node_home
    from cli.devnet.plan import Devnet
    from cli.health import doctor
    from node.home.home import Home

    devnet, machine = Devnet(settings.home), doctor.check_machine(settings.home)
    if devnet.exists and settings.api is None:
        rows = doctor.format_rows(machine, "-")
        for home in devnet.list_homes():
            own = replace(settings, home=home.path, is_home_typed=True)
            found = [*doctor.check_home(home), *doctor.check_process(own, home, is_all=is_all)]
            rows += doctor.format_rows(found, home.path.name)
        return rows
    if is_node_home(settings.home) and settings.api is None:
        home = Home(settings.home)
        found = [*doctor.check_home(home), *doctor.check_process(settings, home, is_all=is_all)]
        return doctor.format_rows([*machine, *found])
    return doctor.format_rows([*machine, *doctor.check_asked_node(settings)])


@command(config)
def show(
    settings: Settings,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each setting comes from.")] = False,
) -> None:
    """Every setting of the node in --home."""
    import tomllib

    import msgspec

    from node.home.config import NodeConfig, load_config
    from node.home.home import Home

    file = Home(settings.home).config_file
    loaded = msgspec.to_builtins(load_config(file))
    if not origin:
        settings.emit(loaded)
        return
    written = tomllib.loads(file.read_text()) if file.is_file() else {}
    names = [field.name for field in msgspec.structs.fields(NodeConfig)]
    rows = [
        {"setting": name, "value": loaded[name], "origin": str(file) if name in written else "default"}
        for name in names
    ]
    settings.emit(rows, ("setting", "value", "origin"))
