"""`vidya join`: from nothing to a validator-host, step by step; run again, it goes on where it was.

folder      made for the account --from, if there is none
node        started in the background, if it does not run; it begins at a snapshot of peers, or with --full
            at genesis
synced      waited for
standing    one transaction: bond, host record, candidacy, beacon chain, membership; what is lacking of it
content     datums of the catalogue that fit the disk, least hosted first, fetched by paid sessions
registered  to be proven from the epoch after next on
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.node import ChainFile
from cli.errors import CliError, UsageFault
from cli.terminal import output
from cli.terminal.options import Settings, command

if TYPE_CHECKING:
    from cli.context.keys import Account
    from cli.context.network import NetworkContext
    from node.home.home import Home

app = typer.Typer(rich_markup_mode=None, add_completion=False)

START_SECONDS_MAX = 60.0
SYNC_SECONDS_MAX = 24 * 3600.0
CAPACITY = "10MiB"
COMMISSION = "5%"
DISK_SHARE = 10
"""A tenth of the disk stays for the index and for what grows."""


@command(app, "join")
def join(
    settings: Settings,
    chain: ChainFile,
    stake: Annotated[str, typer.Option(metavar="AMOUNT", help="To bond in all.")],
    disk: Annotated[str, typer.Option(metavar="SIZE", help="For hosted content.")] = "5GB",
    commission: Annotated[str, typer.Option(metavar="SHARE", help="Of what delegators earn.")] = COMMISSION,
    capacity: Annotated[str, typer.Option(metavar="SIZE", help="Upload per second to declare.")] = CAPACITY,
    p2p_listen: Annotated[str | None, typer.Option(metavar="ADDRESS", help="/ip4/0.0.0.0/tcp/7700")] = None,
    p2p_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="As others reach it, if that differs.")
    ] = None,
    api_port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Execute every block from genesis instead of taking a snapshot.")
    ] = False,
    trust: Annotated[
        str, typer.Option(metavar="HEIGHT:HASH", help="A final block you trust, if genesis is too old.")
    ] = "",
) -> None:
    """Become a validator-host: folder, node, sync, bond, content; each step only if it is not done."""
    from cli.context.keys import find_account
    from cli.context.network import load_spec
    from cli.terminal.amounts import parse_share, parse_size

    spec, account = load_spec(chain), find_account(settings)
    quota = parse_size(disk)
    check_reach(spec, p2p_listen, p2p_address)
    sync = {"state_sync": not full, "trust": check_trust(trust, full)}
    home = prepare_home(settings, chain, account, p2p_listen, api_port, {"disk_bytes": quota, **sync})
    set_sync(home, sync)
    with node_left_running(home):
        network = start(home, settings)
        wait_synced(network)
        wish = {
            "stake": network.parse_amount(stake),
            "commission_ppm": parse_share(commission),
            "capacity": parse_size(capacity),
            "addresses": (get_address(home, p2p_address),),
        }
        take_standing(network, account, home, wish)
        chosen = choose_datums(network, account, quota)
        host_datums(network, account, chosen)
        settings.emit(describe(network, account, home, chosen))


@contextmanager
def node_left_running(home: "Home") -> Iterator[None]:
    """Says of a node that goes on after a failure or a signal where it is, and what stops it."""
    from cli.nodes.processes import find_process

    try:
        yield
    except BaseException:
        output.end_line()
        if (pid := find_process(home)) is not None:
            output.say(
                f"the node goes on running: process {pid}; `vidya node stop --home {home.path}` ends it"
            )
        raise


def check_reach(spec: Any, listen: str | None, address: str | None) -> None:
    """Raises UsageFault if others could not reach the host: its address is put on chain."""
    from cli.nodes.homes import is_local

    if is_local(spec) or address or (listen and not listen.startswith(("/ip4/0.0.0.0/", "/ip6/::/"))):
        return
    raise UsageFault(
        "say where others reach this host", "--p2p-address /ip4/203.0.113.5/tcp/7700 (or /dns/NAME/tcp/7700)"
    )


def check_trust(trust: str, full: bool) -> str:
    """The block to trust, as the node's settings name it; raises UsageFault."""
    from node.home.config import ANCHOR

    if trust and full:
        raise UsageFault("--full executes every block and trusts none", "one of --full and --trust")
    if trust and ANCHOR.fullmatch(trust.lower()) is None:
        raise UsageFault(f"no block is named {trust}", "--trust HEIGHT:HASH, the hash as 64 hex digits")
    return trust.lower()


def prepare_home(
    settings: Settings,
    chain: Path,
    account: "Account",
    listen: str | None,
    api_port: int | None,
    changes: dict[str, Any],
) -> "Home":
    """The node's folder, made or found; raises CliError if it is for another network or account."""
    from chain.genesis import compute_genesis_hash
    from chain.primitives.addresses import encode_address
    from cli.context.network import load_spec
    from cli.nodes.homes import build_config, create_home
    from node.home.config import load_config
    from node.home.home import Home

    home, spec = Home(settings.home), load_spec(chain)
    address = encode_address(spec.prefix, account.address)
    if not home.chain_file.exists():
        config = build_config(spec, listen, api_port, {"account": address, **changes})
        output.say(f"folder: making {home.path} for {address}")
        return create_home(home.path, chain.read_bytes(), config)
    if compute_genesis_hash(home.load_spec()) != compute_genesis_hash(spec):
        raise CliError("other_network", f"{home.path} is a node of another network", "--home DIR")
    if load_config(home.config_file).account != address:
        raise CliError(
            "other_account", f"the node in {home.path} is not for {address}", "--from NAME, or --home DIR"
        )
    output.say(f"folder: {home.path} is there")
    return home


def set_sync(home: "Home", sync: dict[str, Any]) -> None:
    """How the node gets its store, as long as it has none: another try may name another block."""
    from msgspec.structs import replace

    from node.home.config import format_config, load_config

    config = load_config(home.config_file)
    wanted = replace(config, **sync)
    if wanted != config and not home.store.exists():
        home.config_file.write_text(format_config(wanted))


def start(home: "Home", settings: Settings) -> "NetworkContext":
    """The node, running."""
    from cli.context.network import NetworkContext
    from cli.nodes.processes import connect_home, find_process, start_node, try_status, wait_until
    from node.home.config import load_config

    found = find_process(home)
    pid = found or start_node(home)
    output.say(f"node: process {pid} {'runs already' if found else 'started'}, log {home.log_file}")
    limit = SYNC_SECONDS_MAX if load_config(home.config_file).state_sync else START_SECONDS_MAX
    wait_until("the node to answer", [home], lambda: try_status(home) is not None, limit)
    return NetworkContext(settings, connect_home(home))


def wait_synced(network: "NetworkContext") -> None:
    """Until the node is at the head of the network."""
    deadline = time.monotonic() + SYNC_SECONDS_MAX
    age_max = max(30_000, 10 * network.spec.system.parameters.block_ms)
    while True:
        status = network.get_status()
        is_fresh = time.time_ns() // 1_000_000 - status["head_time_ms"] < age_max
        if status["peers"] and not status["syncing"] and status["height"] and is_fresh:
            break
        if time.monotonic() > deadline:
            raise CliError("not_synced", f"not synced at height {status['height']}", "`vidya peers` says why")
        output.show_line(f"synced: {status['height']} of {status['sync_target']}, {status['peers']} peers")
        time.sleep(0.2)
    output.end_line()
    output.say(f"synced: height {status['height']}, {status['peers']} peers")


def get_address(home: "Home", p2p_address: str | None) -> str:
    """Where others reach the node, with its peer id."""
    from node.home.config import load_config
    from node.keys.derivation import KeyRole
    from p2p.identity import PeerAddress, compute_peer_id_of_seed, parse_listen_address

    text = p2p_address or load_config(home.config_file).p2p_listen
    peer = compute_peer_id_of_seed(home.load_secret(KeyRole.NETWORK))
    return str(PeerAddress(*parse_listen_address(text), peer))


def take_standing(network: "NetworkContext", account: "Account", home: "Home", wish: dict[str, Any]) -> None:
    """What the chain must know of a validator-host, in one transaction."""
    from cli.transactions.sending import send

    calls = list_missing_calls(network, account, home, wish)
    if not calls:
        output.say("standing: bonded, host, candidate, beacon, member")
        return
    names = ", ".join(type(call).__name__ for call in calls)
    output.say(f"standing: {names}")
    send(network, account, calls)


def list_missing_calls(
    network: "NetworkContext", account: "Account", home: "Home", wish: dict[str, Any]
) -> list[Any]:
    """The calls whose effect is not there yet."""
    from chain.modules.beacon import CommitChain
    from chain.modules.hosting import RegisterHost
    from chain.modules.membership import Join
    from chain.modules.staking import Bond
    from chain.modules.validators import Validate
    from cli.content.actions import get_if_there, list_pages
    from node.keys.derivation import KeyRole
    from p2p.identity import compute_peer_id_of_seed, parse_address

    text = network.address(account.address)
    stored, host = network.client.get(f"/v1/accounts/{text}"), get_if_there(network, f"/v1/hosts/{text}")
    key = home.load_key(KeyRole.CONSENSUS).public_key
    candidates = {one["address"]: one for one in list_pages(network, "/v1/validators", "candidates")}
    calls: list[Any] = []
    if stored["bond"]["active"] < wish["stake"]:
        calls.append(Bond(wish["stake"] - stored["bond"]["active"]))
    if host is None or tuple(host["host"]["addresses"]) != wish["addresses"]:
        peer = compute_peer_id_of_seed(home.load_secret(KeyRole.NETWORK))
        assert parse_address(wish["addresses"][0]).peer == peer
        calls.append(RegisterHost(peer, wish["addresses"], wish["capacity"]))
    standing = candidates.get(text)
    if standing is None or standing["consensus_key"] != key.hex() or standing["is_chilled"]:
        calls.append(
            Validate(key, wish["commission_ppm"] if standing is None else standing["commission_ppm"])
        )
    if not has_beacon(network, account):
        calls.append(CommitChain(*build_beacon(home)))
    if stored["membership"] is None:
        calls.append(Join())
    return calls


def has_beacon(network: "NetworkContext", account: "Account") -> bool:
    """Whether the chain knows a beacon chain of the account, in use or to come."""
    from chain.modules.beacon import CHAINS, NEXT_CHAINS

    keys = (CHAINS.key(account.address), NEXT_CHAINS.key(account.address))
    answers = (network.client.get("/v1/proof", key=key.hex()) for key in keys)
    return any(answer["entries"][0]["value"] is not None for answer in answers)


def build_beacon(home: "Home") -> tuple[bytes, int]:
    """(tip, links) of the node's first beacon chain."""
    from chain.modules.beacon import compute_chain
    from chain.spec_builder import BEACON_LINKS
    from node.duties.reveals import compute_chain_secret
    from node.keys.derivation import KeyRole

    return compute_chain(
        compute_chain_secret(home.load_secret(KeyRole.BEACON), 0), BEACON_LINKS
    ), BEACON_LINKS


def choose_datums(network: "NetworkContext", account: "Account", quota: int) -> list[dict[str, Any]]:
    """What to host: what is registered already, then the least hosted that fits disk and bond."""
    from cli.content.actions import list_holdings, list_pages

    held = list_holdings(network, account.address)
    bond = network.client.get(f"/v1/accounts/{network.address(account.address)}")["bond"]["active"]
    room = min(quota - quota // DISK_SHARE, compute_bytes_covered(network, bond))
    room -= sum(one["size_bytes"] for one in held.values())
    chosen = []
    datums = list(list_pages(network, "/v1/datums", "datums", limit=500))
    for datum in sorted(datums, key=lambda one: (one["holdings"], one["size_bytes"])):
        if datum["id"] in held:
            chosen.append(datum)
        elif datum["size_bytes"] <= room and datum["holdings"]:
            room -= datum["size_bytes"]
            chosen.append(datum)
    return chosen


def compute_bytes_covered(network: "NetworkContext", bond: int) -> int:
    """Bytes that a bond may stand for."""
    from chain.modules.catalogue import GIB

    per_gib = network.spec.hosting.parameters.bond_per_gib
    return bond * GIB // per_gib if per_gib else 2**62


def host_datums(network: "NetworkContext", account: "Account", chosen: list[dict[str, Any]]) -> None:
    """Fetched and registered."""
    from cli.content.actions import ensure_registered, fetch_into_node, list_holdings
    from cli.terminal.amounts import format_size

    if not chosen:
        output.say("content: the catalogue has nothing that fits; `vidya host add ID` later")
        return
    total = format_size(sum(one["size_bytes"] for one in chosen))
    output.say(f"content: {len(chosen)} datums, {total}")
    fetch_into_node(network, account, [one["id"] for one in chosen])
    held = list_holdings(network, account.address)
    missing = [bytes.fromhex(one["id"]) for one in chosen if one["id"] not in held]
    from_epoch = ensure_registered(network, account, missing)
    output.say("registered" if from_epoch is None else f"registered: counts from epoch {from_epoch} on")


def describe(
    network: "NetworkContext", account: "Account", home: "Home", chosen: list[dict[str, Any]]
) -> dict[str, Any]:
    """Where it all is, and when the account can be elected."""
    from cli.content.actions import list_holdings

    status, parameters = network.get_status(), network.spec.system.parameters
    held = list_holdings(network, account.address).values()
    ready = max(status["epoch"], min((one["from_epoch"] for one in held), default=0))
    era = ready // parameters.era_epochs
    height = (era + 1) * parameters.era_epochs * parameters.epoch_blocks
    seconds = max(height - status["height"], 0) * parameters.block_ms // 1000
    output.say(
        f"elected at the end of era {era}, height {height}, in about {seconds} s, if it proves what it hosts"
    )
    output.say(f"`vidya query validators` shows it; `vidya host status --home {home.path}` how it proves")
    return {
        "account": network.address(account.address),
        "home": str(home.path),
        "api": network.client.url,
        "datums": [one["id"] for one in chosen],
        "election_height": height,
    }
