"""`vidya join`: from nothing to a validator-host, step by step; run again, it goes on where it was.

checked     stake, disk and addresses, before anything is made; what fits, before anything is bonded
folder      made for the account --from, if there is none; settings that are typed change one that is there
node        started in the background, if it does not run; it begins at a snapshot of peers, or with --full
            at genesis
synced      waited for
standing    one transaction: bond, host record, candidacy, beacon chain, membership; what is missing of it
content     datums of the catalogue that fit disk and bond, least hosted first, fetched by paid sessions
registered  to be proven from the epoch after next on
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.node import ApiPort, ChainFile
from cli.terminal import output
from cli.terminal.options import Settings, command

if TYPE_CHECKING:
    from cli.context.keys import WalletAccount
    from cli.context.network import NetworkContext
    from cli.hosting.selection import Hosted
    from cli.hosting.standing import Wish
    from node.home.home import Home

app = typer.Typer(rich_markup_mode=None, add_completion=False)

CAPACITY = "10MiB"
COMMISSION = "5%"


Stake = Annotated[str, typer.Option("--stake", metavar="AMOUNT", help="Bond of the account afterwards.")]
JoinDisk = Annotated[
    str | None, typer.Option("--disk", metavar="SIZE", help="Space for hosted content; 5GiB for a new node.")
]
Commission = Annotated[
    str, typer.Option("--commission", metavar="SHARE", help="Your share of what delegators earn.")
]
Capacity = Annotated[str, typer.Option("--capacity", metavar="SIZE", help="Upload per second to declare.")]
JoinListen = Annotated[
    str | None,
    typer.Option("--p2p-listen", metavar="ADDRESS", help="Where peers connect: /ip4/0.0.0.0/tcp/7700."),
]
Reached = Annotated[
    str | None, typer.Option("--p2p-address", metavar="ADDRESS", help="As others reach it, if that differs.")
]
Full = Annotated[
    bool, typer.Option("--full", help="Execute every block from genesis instead of taking a snapshot.")
]
Trust = Annotated[
    str,
    typer.Option("--trust", metavar="HEIGHT:HASH", help="A final block you trust, if genesis is too old."),
]


@command(app, "join")
def join(
    settings: Settings,
    chain: ChainFile,
    stake: Stake,
    disk: JoinDisk = None,
    commission: Commission = COMMISSION,
    capacity: Capacity = CAPACITY,
    p2p_listen: JoinListen = None,
    p2p_address: Reached = None,
    api_port: ApiPort = None,
    full: Full = False,
    trust: Trust = "",
) -> None:
    """Become a validator-host: folder, node, sync, bond, content; each step only if it is not done."""
    from chain.primitives.addresses import encode_address
    from cli.context.keys import find_account
    from cli.context.network import load_spec
    from cli.hosting.home import check_reach, check_trust, prepare_home
    from cli.hosting.standing import Wish, check_stake
    from cli.terminal.amounts import parse_amount, parse_share, parse_size
    from node.home.chain_file import check_chain_spec

    spec, account = load_spec(chain), find_account(settings)
    wish = Wish(
        stake=parse_amount(stake, spec.decimals, spec.symbol),
        commission_ppm=parse_share(commission),
        capacity=parse_size(capacity),
        reached_at=p2p_address or p2p_listen,
    )
    check_chain_spec(chain, spec)
    check_stake(spec, wish.stake)
    check_reach(spec, p2p_listen, p2p_address)
    typed = {
        "disk_bytes": None if disk is None else parse_size(disk),
        "p2p_listen": p2p_listen,
        "api_port": api_port,
    }
    changes = {name: value for name, value in typed.items() if value is not None}
    sync = {"state_sync": not full, "trust": check_trust(trust, full)}
    home = prepare_home(
        settings.home,
        chain.read_bytes(),
        spec,
        encode_address(spec.prefix, account.address),
        {**changes, **sync},
    )
    become_host(settings, account, home, wish)


def become_host(settings: Settings, account: "WalletAccount", home: "Home", wish: "Wish") -> None:
    """Everything that needs the running node."""
    from cli.hosting import selection
    from cli.hosting.home import node_left_running, start, wait_synced
    from cli.hosting.standing import take_standing
    from cli.nodes.locks import hold
    from node.home.config import load_config

    lock = hold(home.path / "join.lock", f"joins with the node in {home.path}", "wait until it is done")
    with lock, node_left_running(home):
        network = start(home, settings)
        wait_synced(network)
        room = selection.compute_room(network, load_config(home.config_file).disk_bytes, wish.stake)
        chosen = selection.choose_datums(network, account, room)
        output.say(selection.describe_choice(network, chosen, selection.list_held(network, account)))
        take_standing(network, account, home, wish)
        hosted = selection.host_datums(network, account, room, chosen)
        settings.emit(describe(network, account, home, hosted))


def describe(
    network: "NetworkContext", account: "WalletAccount", home: "Home", hosted: "Hosted"
) -> dict[str, Any]:
    """Where it all is, and when the account can be elected."""
    height = compute_election_height(network, account)
    say_election(network, home, height)
    return {
        "account": network.address(account.address),
        "home": str(home.path),
        "api": network.client.url,
        "datums": hosted.datums,
        "failed": [{"id": datum, "reason": reason} for datum, reason in hosted.failures.items()],
        "election_height": height,
    }


def compute_election_height(network: "NetworkContext", account: "WalletAccount") -> int | None:
    """The end of the first era in which something can be proven; None if nothing is hosted."""
    from cli.hosting.selection import list_held

    held, parameters = list_held(network, account).values(), network.spec.system.parameters
    if not held:
        return None
    ready: int = max(network.get_status()["epoch"], min(one["from_epoch"] for one in held))
    return (ready // parameters.era_epochs + 1) * parameters.era_epochs * parameters.epoch_blocks


def say_election(network: "NetworkContext", home: "Home", height: int | None) -> None:
    """What happens next, and what shows it."""
    if height is None:
        output.say("nothing is hosted, so it is not elected; `vidya host add ID` changes that")
        return
    blocks = max(height - network.get_status()["height"], 0)
    seconds = blocks * network.spec.system.parameters.block_ms // 1000
    output.say(f"elected at height {height}, in about {seconds} s, if it proves what it hosts")
    output.say(f"`vidya query validators` shows it; `vidya host status --home {home.path}` how it proves")
