"""`vidya status`, `peers`, `doctor`, `config show`: how a node is."""

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal import output
from cli.terminal.options import Settings, command

if TYPE_CHECKING:
    from cli.context.network import NetworkContext
    from node.home.home import Home

app = typer.Typer(rich_markup_mode=None, add_completion=False)
config = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)
app.add_typer(config, name="config")

REFRESH_SECONDS = 1.0
CLOCK_SECONDS_MAX = 30
DISK_BYTES_MIN = 2**30
PEER_COLUMNS = ("peer_id", "address", "is_outbound", "is_accepted", "software", "height_at_hello", "score")


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

    network = connect(settings)
    if watch:
        watch_status(network)
    else:
        settings.emit(make_readable(network, network.get_status()))


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
    line = f"height {found['height']}  epoch {found['epoch']}  {found['peers']} peers  {state}"
    if is_live:
        output.show_line(line)
    else:
        settings.emit(line if settings.format is output.Format.TABLE else found)


@command(app)
def peers(settings: Settings) -> None:
    """Connections, and why peers are not used."""
    from cli.context.network import connect

    found = connect(settings).client.get("/v1/peers")
    if settings.format is not output.Format.TABLE:
        settings.emit(found)
        return
    settings.emit(found["peers"], PEER_COLUMNS)
    for ban in found["bans"]:
        output.say(f"banned for {ban['seconds_left']} s: {ban['peer_id']}: {ban['reason']}")
    for one in found["reasons"]:
        output.say(f"unused: {one['peer_id']}: {one['reason']}")


@command(app)
def doctor(settings: Settings) -> None:
    """Look at the node in --home for what commonly goes wrong."""
    from cli.errors import CliError
    from node.home.home import Home

    rows = [*check_machine(settings.home), *check_home(Home(settings.home)), *check_node(settings)]
    settings.emit(rows, ("check", "ok", "found"))
    if not all(row["ok"] for row in rows):
        raise CliError("unwell", "something is wrong", "see the lines that say no")


def build_row(check: str, is_ok: bool, found: str) -> dict[str, Any]:
    """A line of the report."""
    return {"check": check, "ok": is_ok, "found": found}


def check_machine(home: Path) -> list[dict[str, Any]]:
    """Interpreter and disk."""
    from cli.terminal.amounts import format_size

    version = sys.version_info[:2]
    nearest = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    return [
        build_row("python 3.11 or 3.12", (3, 11) <= version <= (3, 12), ".".join(map(str, version))),
        build_row("assertions are on", __debug__, "yes" if __debug__ else "python -O"),
        build_row("space on disk", free >= DISK_BYTES_MIN, f"{format_size(free)} free"),
    ]


def check_home(home: "Home") -> list[dict[str, Any]]:
    """The node's folder."""
    from chain.errors import InvalidChainSpec
    from node.home.home import NODE_ROLES, HomeError
    from node.keys.keystore import KeystoreError

    rows = []
    try:
        rows.append(build_row("chain spec", True, home.load_spec().name))
        for role in NODE_ROLES:
            home.load_secret(role)
        rows.append(build_row("own keys open", True, ", ".join(role.value for role in NODE_ROLES)))
        private = [home.password_file, home.token_file]
        exposed = [path.name for path in private if path.stat().st_mode & 0o077]
        rows.append(build_row("secrets are private", not exposed, ", ".join(exposed) or "mode 0600"))
    except (HomeError, InvalidChainSpec, KeystoreError, OSError) as error:
        rows.append(build_row("node's folder", False, str(error)))
    return rows


def check_node(settings: Settings) -> list[dict[str, Any]]:
    """The running node."""
    from cli.context.network import connect, find_url
    from cli.errors import CliError

    try:
        found = connect(settings).get_status()
    except CliError as error:
        return [build_row("node answers", False, error.message)]
    lag = time.time_ns() // 1_000_000 - found["head_time_ms"]
    is_signing = not found["is_validator"] or found["signing"] == "signing"
    signing = " ".join(part for part in (found["signing"], found["signing_reason"]) if part)
    shown = f"head {found['height']} is {lag // 1000} s old"
    return [
        build_row("node answers", True, find_url(settings)[0]),
        build_row("synced", not found["syncing"], f"height {found['height']} of {found['sync_target']}"),
        build_row("has peers", found["peers"] > 0, str(found["peers"])),
        build_row("clock and chain agree", abs(lag) < CLOCK_SECONDS_MAX * 1000, shown),
        build_row("key signs, if it should", is_signing, signing),
        build_row("loop is quick", found["loop_lag_ms"] < 1000, f"{found['loop_lag_ms']} ms"),
    ]


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
