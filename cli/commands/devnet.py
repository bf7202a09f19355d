"""`vidya devnet`: up, down, status, logs, reset."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.terminal import output
from cli.terminal.options import Settings, command
from cli.terminal.wording import format_count

if TYPE_CHECKING:
    from cli.devnet.plan import Devnet

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

FOLDER = "~/.vidya/devnet"
START_SECONDS_MAX = 90.0
Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Folder of the devnet.")]


@app.callback()
def devnet() -> None:
    """A network on this machine: validator-hosts, funded accounts, content hosted and proven."""


@command(app)
def up(
    settings: Settings,
    validators: Annotated[
        int | None, typer.Option(min=1, max=32, help="How many nodes; 4 by default.")
    ] = None,
    content: Annotated[
        Path | None, typer.Option(exists=True, help="Folder to publish; a sample if none.")
    ] = None,
    folder: Folder = Path(FOLDER),
    json_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write nodes, accounts and datums there as JSON.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the network is ready; the nodes go on running.")
    ] = False,
    block_ms: Annotated[
        int | None, typer.Option(min=100, max=60_000, help="Block interval in milliseconds.")
    ] = None,
    first_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_000, help="First port of a new devnet; 7700 by default, 0: any free ones."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="MODULE.NAME=N", help="Parameter of a new chain spec; may be repeated."
        ),
    ] = None,
) -> None:
    """Start it, or start it again; stays and shows it until Ctrl-C, which stops the nodes it started."""
    from cli.devnet.keeping import describe_nodes, running_nodes, watch

    network = open_devnet(folder)
    is_new = not network.exists
    prepare(network, validators, block_ms, content, first_port, tuple(changes or ()))
    confirmed = replace(settings, is_confirmed=True, is_quiet=True, password_file=network.password_file)
    with running_nodes(network, is_detached=detach) as started:
        bring_up(network, confirmed, None if is_new else content)
        if json_out is not None:
            json_out.write_bytes(network.summary_file.read_bytes())
        show_ready(network, is_detached=detach)
        if detach:
            settings.emit(network.load_summary() if settings.format != "table" else describe_nodes(network))
        else:
            watch(network, is_own=bool(started))


@command(app)
def down(settings: Settings, folder: Folder = Path(FOLDER)) -> None:
    """Stop the nodes; everything stays for the next `up`."""
    from cli.nodes.processes import stop_nodes

    count = stop_nodes(open_devnet(folder).list_homes())
    output.say(f"stopped {format_count(count, 'node')}")


@command(app)
def status(settings: Settings, folder: Folder = Path(FOLDER)) -> None:
    """Each node: whether it runs, and where it is."""
    from cli.devnet.keeping import describe_nodes

    settings.emit(describe_nodes(open_devnet(folder)))


@command(app)
def logs(
    settings: Settings,
    name: Annotated[str, typer.Argument(help="node0, node1, ...")] = "node0",
    folder: Folder = Path(FOLDER),
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=10_000, help="How many lines.")] = 40,
) -> None:
    """The end of a node's log."""
    from cli.errors import UsageFault
    from cli.nodes.processes import read_log_end

    homes = {home.path.name: home for home in open_devnet(folder).list_homes()}
    if name not in homes:
        raise UsageFault(f"there is no {name}; there are {', '.join(homes)}")
    output.print_record(read_log_end(homes[name], lines))


@command(app)
def fund(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME|ADDRESS", help="Who gets it.")],
    amount: Annotated[str, typer.Argument(help="How much.")] = "10000",
    folder: Folder = Path(FOLDER),
) -> None:
    """Give an account some of the devnet's money, which is worth nothing elsewhere."""
    from cli.devnet.faucet import give

    network = open_devnet(folder)
    confirmed = replace(settings, is_confirmed=True, is_quiet=True)
    settings.emit(give(network, confirmed, name, amount))


@command(app)
def reset(settings: Settings, folder: Folder = Path(FOLDER)) -> None:
    """Stop the nodes and delete the devnet: its chain, its keys, its sample."""
    from cli.devnet.plan import delete, lock_making
    from cli.errors import UsageFault
    from cli.nodes.processes import stop_nodes

    network = open_devnet(folder)
    if not network.is_begun:
        raise UsageFault(f"there is no devnet in {network.path}")
    if not settings.is_confirmed and not (output.can_ask() and output.ask(f"delete all in {network.path}?")):
        raise UsageFault(f"this deletes all in {network.path}", "-y confirms it")
    if not network.exists:
        lock_making(network).release()  # refused while another command makes it
    stop_nodes(network.find_homes())
    delete(network)
    output.say(f"deleted {network.path}")


def open_devnet(path: Path) -> "Devnet":
    """The devnet of a folder, whether it exists or not."""
    from cli.devnet.plan import Devnet

    return Devnet(Path(os.path.abspath(path.expanduser())))


def prepare(
    network: "Devnet",
    validators: int | None,
    block_ms: int | None,
    content: Path | None,
    first_port: int | None,
    changes: tuple[str, ...],
) -> None:
    """The folder, made if it is not there."""
    from cli.devnet.plan import FIRST_PORT, Options, create
    from cli.errors import UsageFault

    if not network.exists:
        port = FIRST_PORT if first_port is None else first_port
        options = Options(validators or 4, block_ms, content, port, changes)
        output.say(
            f"making a chain spec, keys and {format_count(options.validators, 'node')} in {network.path}"
        )
        create(network, options)
        return
    count = len(network.load_summary()["nodes"])
    if validators not in (None, count) or block_ms is not None or first_port is not None or changes:
        raise UsageFault(
            f"there is a devnet of {format_count(count, 'node')} in {network.path}",
            "`vidya devnet reset`, or --dir",
        )
    output.say(f"starting the devnet in {network.path} again")


def bring_up(network: "Devnet", settings: Settings, content: Path | None) -> None:
    """Nodes running, blocks final, content hosted by all and proven."""
    from chain.genesis import compute_genesis_hash
    from cli.devnet import seeding
    from cli.nodes import processes

    homes, own = network.list_homes(), compute_genesis_hash(network.load_spec()).hex()
    heights: dict[str, int] = {}

    def is_met() -> bool:
        # Where a port is taken, the node of another network answers in place of one that has ended.
        answers = [processes.try_status(home) for home in homes]
        found = [one if one is not None and one["chain_id"] == own else None for one in answers]
        heights.update({home.path.name: one["height"] for home, one in zip(homes, found, strict=True) if one})
        return all(one is not None and one["height"] >= 2 and not one["syncing"] for one in found)

    processes.wait_until("every node to have block 2", homes, is_met, START_SECONDS_MAX)
    output.say(f"blocks are final: {', '.join(f'{name} {height}' for name, height in heights.items())}")
    if not network.seeded_file.exists():
        seeding.spread_genesis_content(network, settings)
    if content is not None:
        publish_more(network, settings, content)


def publish_more(network: "Devnet", settings: Settings, content: Path) -> None:
    """A folder that was named when the devnet was there already."""
    from cli.devnet import genesis_content, seeding

    sources = genesis_content.list_sources(network.path / "content", content)
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
    nodes = {node["name"] for node in summary["nodes"]}
    for account in summary["accounts"]:
        if account["name"] not in nodes:
            output.say(f"  {account['name']:8} {account['address']}")
    for datum in summary["datums"]:
        output.say(f"  {datum['id']}  {datum['title']}")
    output.say("\nnext, in another terminal:\n" if not is_detached else "\nnext:\n")
    for line in list_next_commands(network, summary["datums"]):
        output.say(f"  {line}", is_whole=True)
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
