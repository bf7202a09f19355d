"""`vidya node`: make a node's folder, run a node, set a damaged store aside."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import UsageFault
from cli.terminal.options import Settings, command

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

P2P_PORT = 7700
LOOPBACK = "127.0.0.1"
ChainFile = Annotated[Path, typer.Option("--chain", metavar="FILE", help="Chain spec of the network.")]
AccountOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Account that the node validates and hosts for; without one it observes."
    ),
]
Listen = Annotated[
    str | None,
    typer.Option("--p2p-listen", metavar="ADDRESS", help="Where peers connect: /ip4/0.0.0.0/tcp/7700."),
]
ApiPort = Annotated[
    int | None,
    typer.Option("--api-port", metavar="PORT", min=0, max=65535, help="Port of the API; 0: any free one."),
]
Disk = Annotated[str | None, typer.Option("--disk", metavar="SIZE", help="Space for hosted content: 5GB.")]


@app.callback()
def node() -> None:
    """Nodes: make one's folder, run it, mend it."""


@command(app)
def init(
    settings: Settings,
    chain: ChainFile,
    account: AccountOption = None,
    api_port: ApiPort = None,
    p2p_listen: Listen = None,
    disk: Disk = None,
) -> None:
    """Make a node's folder (--home) with fresh keys; the account's key stays in your wallet."""
    from chain.primitives.addresses import decode_address
    from cli.context.network import load_spec
    from cli.hosting.home import check_disk
    from cli.nodes.homes import build_config, create_home, describe_home
    from cli.terminal.amounts import parse_size
    from node.home.chain_file import check_chain_spec
    from node.home.home import Home

    spec = load_spec(chain)
    check_chain_spec(chain, spec)
    if account is not None:
        decode_address(spec.prefix, account)
    changes: dict[str, Any] = {"account": account or ""}
    if disk is not None:
        changes["disk_bytes"] = parse_size(disk)
        check_disk(Home(settings.home), changes["disk_bytes"])
    home = create_home(settings.home, chain.read_bytes(), build_config(spec, p2p_listen, api_port, changes))
    settings.emit(describe_home(home))


@command(app)
def resync(settings: Settings) -> None:
    """Set the store of the node in --home aside, if it is damaged: the next start syncs it from peers."""
    from node.home.home import Home

    home = Home(settings.home)
    home.load_spec()
    settings.emit({"home": str(home.path), "set_aside": str(home.set_store_aside())})


@command(app)
def start(
    settings: Settings,
    dev: Annotated[
        bool, typer.Option("--dev", help="One validator, fast blocks, in a temporary folder.")
    ] = False,
) -> None:
    """Run the node in --home until Ctrl-C or SIGTERM."""
    if not __debug__:
        raise UsageFault("a node's assertions guard its votes: start it without python -O")
    if dev:
        from cli.devnet.single import run_dev

        run_dev(settings)
    else:
        from cli.nodes.homes import run_home
        from node.home.home import Home

        run_home(Home(settings.home))


@command(app)
def stop(settings: Settings) -> None:
    """Stop the node in --home, however it was started; its data stays."""
    from cli.nodes.processes import stop_nodes
    from node.home.home import Home
    from node.home.process import find_process

    home = Home(settings.home)
    home.load_spec()
    pid = find_process(home.path)
    stop_nodes([home])
    settings.emit({"home": str(home.path), "stopped": pid})
