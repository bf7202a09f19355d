"""`vidya devnet`: up, down, status, logs, reset."""

import os
import shlex
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal import output
from cli.terminal.options import Settings, command

if TYPE_CHECKING:
    from cli.devnet.plan import Devnet

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

FOLDER = "~/.vidya/devnet"
START_SECONDS_MAX = 90.0
REFRESH_SECONDS = 1.0
Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where all of it lies.")]


@app.callback()
def devnet() -> None:
    """A network on this machine: validator-hosts, funded accounts, content hosted and proven."""


@command(app)
def up(
    settings: Settings,
    validators: Annotated[int | None, typer.Option(min=1, max=32, help="Nodes; 4 by default.")] = None,
    content: Annotated[
        Path | None, typer.Option(exists=True, help="Folder to publish; else a sample.")
    ] = None,
    folder: Folder = Path(FOLDER),
    json_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what is there as JSON.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready.")] = False,
    block_ms: Annotated[int | None, typer.Option(min=100, max=60_000, help="Block interval.")] = None,
) -> None:
    """Start it, or start it again; stays and shows it until Ctrl-C, which stops the nodes."""
    import signal

    from cli.nodes.processes import stop_nodes

    network = open_devnet(folder)
    is_new = not network.exists
    prepare(network, validators, block_ms, content)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    confirmed = replace(settings, is_confirmed=True, is_quiet=True, password_file=network.password_file)
    try:
        bring_up(network, confirmed, None if is_new else content)
        if json_out is not None:
            json_out.write_bytes(network.summary_file.read_bytes())
        show_ready(network, is_detached=detach)
        if detach:
            settings.emit(network.load_summary() if settings.format != "table" else describe_nodes(network))
            return
        watch(network)
    except BaseException:
        output.end_line()
        output.say("stopping the nodes")
        stop_nodes(network.list_homes())
        raise
    stop_nodes(network.list_homes())


@command(app)
def down(settings: Settings, folder: Folder = Path(FOLDER)) -> None:
    """Stop the nodes; everything stays for the next `up`."""
    from cli.nodes.processes import stop_nodes

    count = stop_nodes(open_devnet(folder).list_homes())
    output.say(f"stopped {count} nodes")


@command(app)
def status(settings: Settings, folder: Folder = Path(FOLDER)) -> None:
    """Each node: whether it runs, and where it is."""
    settings.emit(describe_nodes(open_devnet(folder)))


@command(app)
def logs(
    settings: Settings,
    name: Annotated[str, typer.Argument(help="node0, node1, ...")] = "node0",
    folder: Folder = Path(FOLDER),
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=10_000)] = 40,
) -> None:
    """The end of a node's log."""
    from cli.errors import UsageFault
    from cli.nodes.processes import read_log_end

    homes = {home.path.name: home for home in open_devnet(folder).list_homes()}
    if name not in homes:
        raise UsageFault(f"there is no {name}; there are {', '.join(homes)}")
    output.print_record(read_log_end(homes[name], lines))


@command(app)
def reset(settings: Settings, folder: Folder = Path(FOLDER)) -> None:
    """Stop the nodes and delete the devnet: its chain, its keys, its sample."""
    from cli.errors import UsageFault
    from cli.nodes.processes import stop_nodes

    network = open_devnet(folder)
    if not network.is_begun:
        raise UsageFault(f"there is no devnet in {network.path}")
    if not settings.is_confirmed and not (output.can_ask() and output.ask(f"delete all in {network.path}?")):
        raise UsageFault(f"this deletes all in {network.path}", "-y confirms it")
    if network.exists:
        stop_nodes(network.list_homes())
    delete(network)
    output.say(f"deleted {network.path}")


def open_devnet(path: Path) -> "Devnet":
    """The devnet of a folder, whether it exists or not."""
    from cli.devnet.plan import Devnet

    return Devnet(Path(os.path.abspath(path.expanduser())))


def delete(network: "Devnet") -> None:
    """What `create` and seeding made, and nothing else."""
    for name in ("nodes", "wallet", "content", "downloads"):
        shutil.rmtree(network.path / name, ignore_errors=True)
    files = (network.summary_file, network.chain_file, network.password_file, network.environment_file)
    for file in (*files, network.seeded_file):
        file.unlink(missing_ok=True)
    if network.path.is_dir() and not any(network.path.iterdir()):
        network.path.rmdir()


def prepare(network: "Devnet", validators: int | None, block_ms: int | None, content: Path | None) -> None:
    """The folder, made if it is not there."""
    from cli.devnet.plan import create
    from cli.errors import UsageFault

    if not network.exists:
        output.say(f"making a chain spec, keys and {validators or 4} nodes in {network.path}")
        create(network, validators or 4, block_ms, content)
        return
    count = len(network.load_summary()["nodes"])
    if validators not in (None, count) or block_ms is not None:
        raise UsageFault(
            f"there is a devnet of {count} nodes in {network.path}", "`vidya devnet reset`, or --dir"
        )
    output.say(f"starting the devnet in {network.path} again")


def bring_up(network: "Devnet", settings: Settings, content: Path | None) -> None:
    """Nodes running, blocks final, content hosted by all and proven."""
    from cli.devnet import seeding
    from cli.nodes import processes

    homes = network.list_homes()
    for home in homes:
        pid = processes.start_node(home)
        output.say(f"{home.path.name}: process {pid}, {processes.get_url(home)}, log {home.log_file}")
    heights: dict[str, int] = {}

    def is_met() -> bool:
        found = [processes.try_status(home) for home in homes]
        heights.update({home.path.name: one["height"] for home, one in zip(homes, found, strict=True) if one})
        return all(one is not None and one["height"] >= 2 and not one["syncing"] for one in found)

    processes.wait_until("every node to have block 2", homes, is_met, START_SECONDS_MAX)
    output.say(f"blocks are final: {', '.join(f'{name} {height}' for name, height in heights.items())}")
    if not network.seeded_file.exists():
        seeding.seed_library(network, settings)
    if content is not None:
        publish_more(network, settings, content)


def publish_more(network: "Devnet", settings: Settings, content: Path) -> None:
    """A folder that was named when the devnet was there already."""
    from cli.devnet import library, seeding

    sources = library.list_sources(network.path / "content", content)
    summary = network.load_summary()
    known = {datum["id"]: datum for datum in summary["datums"]}
    known.update({datum["id"]: datum for datum in seeding.seed(network, settings, sources)})
    network.save_summary({**summary, "datums": list(known.values())})


def show_ready(network: "Devnet", *, is_detached: bool) -> None:
    """Where everything is, and what to type next."""
    summary = network.load_summary()
    output.say()
    for node in summary["nodes"]:
        output.say(f"  {node['name']:8} {node['api']}  {node['account']}")
    for account in summary["accounts"]:
        output.say(f"  {account['name']:8} {account['address']}")
    for datum in summary["datums"]:
        output.say(f"  {datum['id']}  {datum['title']}")
    output.say("\nnext, in another terminal:\n" if not is_detached else "\nnext:\n")
    for line in list_next_commands(network, summary["datums"]):
        output.say(f"  {line}")
    output.say()


def list_next_commands(network: "Devnet", datums: list[dict[str, Any]]) -> list[str]:
    """Commands that work as they are printed."""
    is_script = sys.argv[0].endswith("vidya")
    vidya = shlex.quote(sys.argv[0]) if is_script else f"{shlex.quote(sys.executable)} -m cli.main"
    folder = shlex.quote(str(network.path))
    variables = (f"{name}={shlex.quote(value)}" for name, value in network.get_variables().items())
    lines = [
        f"export {' '.join(variables)}",
        f"{vidya} status",
        f"{vidya} wallet list",
        f"{vidya} tx send bob 12.5 --from alice -y",
        f"{vidya} query account bob --prove --chain {shlex.quote(str(network.chain_file))}",
        f"{vidya} search",
    ]
    if datums:
        lines.append(f"{vidya} get {datums[0]['id']} --to {folder}/fetched --from alice -y")
    return [*lines, f"{vidya} devnet down --dir {folder}"]


def describe_nodes(network: "Devnet") -> list[dict[str, Any]]:
    """A line per node."""
    from cli.nodes.processes import find_process, get_url, try_status

    rows = []
    for home in network.list_homes():
        found = try_status(home) or {}
        state = "running" if found else "stopped" if find_process(home) is None else "starting"
        rows.append(
            {
                "name": home.path.name,
                "state": state,
                "height": found.get("height"),
                "peers": found.get("peers"),
                "validator": found.get("is_validator"),
                "process": find_process(home),
                "api": get_url(home),
                "home": str(home.path),
            }
        )
    return rows


def watch(network: "Devnet") -> None:
    """A live line on a terminal, until Ctrl-C or SIGTERM; raises CliError if all nodes have stopped."""
    from cli.errors import CliError
    from cli.nodes.processes import find_process, reap_children

    output.say("Ctrl-C stops the nodes")
    try:
        while True:
            reap_children()
            rows = describe_nodes(network)
            shown = (f"{row['name']} {row['height'] or row['state']}" for row in rows)
            output.show_line(f"{time.strftime('%H:%M:%S')}  " + "  ".join(shown))
            if all(find_process(home) is None for home in network.list_homes()):
                hint = f"`vidya devnet logs --dir {network.path}`"
                raise CliError("nodes_stopped", "all nodes have stopped", hint)
            time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        output.end_line()
        output.say("stopping the nodes")
