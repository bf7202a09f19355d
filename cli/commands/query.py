"""`vidya query`: what the chain says. `--prove` checks the node's answer here (`cli.light.proofs`)."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.screens.showing import show
from cli.terminal import output
from cli.terminal.options import Settings, command

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Who = Annotated[str | None, typer.Argument(help="Address, or name of a key.")]
Id = Annotated[str, typer.Argument(help="64 hexadecimal digits.")]
DatumId = Annotated[str, typer.Argument(metavar="ID|TITLE", help="Id, its beginning, or the title.")]
Prove = Annotated[bool, typer.Option("--prove", help="Verify it here, by a state proof and its certificate.")]
Chain = Annotated[
    Path | None, typer.Option("--chain", metavar="FILE", help="Trust this chain spec alone, and no node.")
]
Anchor = Annotated[
    str | None,
    typer.Option("--trust", metavar="HEIGHT:HASH", help="With --chain: a block named by somebody you trust."),
]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Entries at most.")]
DATUM_COLUMNS = ("id", "title", "category", "size_bytes", "holdings", "is_admitted")


@app.callback()
def query() -> None:
    """What the chain says: accounts, blocks, transactions, validators, hosts, datums, supply."""


def ask(settings: Settings, path: str, **parameters: Any) -> None:
    """Show what the API answers."""
    from cli.context.network import connect
    from cli.context.readable import make_readable

    network = connect(settings)
    settings.emit(make_readable(network, network.client.get(path, **parameters)))


def show_list(
    settings: Settings, path: str, name: str, columns: tuple[str, ...], limit: int, **more: Any
) -> None:
    """Show up to `limit` records of a list that comes in pages."""
    from itertools import islice

    from cli.context.network import connect
    from cli.context.readable import make_readable

    network = connect(settings)
    records = list(islice(network.list_pages(path, name, limit=limit, **more), limit))
    settings.emit(make_readable(network, records), columns)


@command(app)
def account(
    settings: Settings, who: Who = None, prove: Prove = False, chain: Chain = None, trust: Anchor = None
) -> None:
    """An account: balance, bond, delegations, membership. --from NAME if none is given."""
    from cli.context.keys import find_own_address
    from cli.context.readable import make_readable
    from cli.screens.accounts import build_account

    network = connect_for(settings, chain)
    address = network.find_address(who) if who else find_own_address(settings)
    if prove or chain or trust:
        proven = prove_account(network, address, choose_trust(network, chain, trust))
        settings.emit(make_readable(network, proven))
        return
    found = network.client.get(f"/v1/accounts/{network.address(address)}")
    found.pop("proof", None)
    show(network, found, build_account)


def prove_account(network: Any, address: bytes, trust: Any) -> dict[str, Any]:
    """What is stored under an account, decoded from values that were proven here."""
    from chain.jsonable import to_json
    from chain.modules import balances, membership, staking
    from chain.primitives.codec import decode
    from cli.light import proofs as light

    text = network.address(address)
    stored: dict[str, Any] = {
        "balances.accounts": balances.ACCOUNTS,
        "staking.ledgers": staking.LEDGERS,
        "membership.memberships": membership.MEMBERSHIPS,
    }
    answer = network.client.get(f"/v1/accounts/{text}", prove=True)["proof"]
    keys = {name: storage.key(address) for name, storage in stored.items()}
    proven = light.check_answer(answer, keys, trust)
    shown = {
        name.partition(".")[2]: None
        if value is None
        else to_json(decode(stored[name].kind, value), network.spec.prefix)
        for name, value in proven.values.items()
    }
    return {"address": text, **shown, "proof": proven.describe()}


def choose_trust(network: Any, chain: Path | None, trust: str | None) -> Any:
    """The light client over the node asked, if there is a chain spec; else the signatures alone."""
    from cli.errors import UsageFault
    from cli.light import proofs as light
    from cli.light.trusting import open_light_client

    if chain is None:
        if trust is not None:
            raise UsageFault("--trust needs a chain spec to begin with", "--chain FILE")
        return light.trust_signatures(network.genesis_hash)
    client = open_light_client(network.settings, network.spec, network.client, trust=trust)
    return light.trust_client(client)


def connect_for(settings: Settings, chain: Path | None) -> Any:
    """The node; with a chain spec of one's own nothing about the network is taken from the node."""
    from cli.context.network import connect, load_spec

    network = connect(settings)
    if chain is not None:
        network.spec = load_spec(chain)
    return network


@command(app)
def block(
    settings: Settings, height: Annotated[str, typer.Argument(help="Height, hash, or latest.")] = "latest"
) -> None:
    """A final block with its transactions and events."""
    from cli.context.names import parse_block
    from cli.context.network import connect
    from cli.screens.blocks import build_block
    from cli.transactions.describing import Describer

    network = connect(settings)
    found = network.client.get(f"/v1/blocks/{parse_block(height)}")
    show(network, found, lambda reader, one: build_block(reader, Describer(network, reader=reader), one))


@command(app)
def tx(settings: Settings, id: Id) -> None:
    """What became of a transaction."""
    from cli.context.names import parse_id
    from cli.context.network import connect
    from cli.screens.blocks import build_transaction
    from cli.transactions.describing import Describer

    network = connect(settings)
    found = network.client.get(f"/v1/transactions/{parse_id(id, 'transaction')}")
    show(
        network, found, lambda reader, one: build_transaction(reader, Describer(network, reader=reader), one)
    )


@command(app)
def validators(settings: Settings) -> None:
    """Who decides blocks, and who stands for election."""
    from cli.context.network import connect
    from cli.context.readable import Reader
    from cli.screens import hosts as screens

    network = connect(settings)
    found = network.client.get("/v1/validators")
    if settings.format is output.Format.TABLE:
        found["candidates"] = list(network.list_pages("/v1/validators", "candidates"))
    show(network, found, screens.build_validators, screens.VALIDATOR_COLUMNS)
    for line in screens.list_warnings(Reader(network), found["candidates"]):
        output.warn(line)


@command(app)
def hosts(settings: Settings, who: Who = None, limit: Limit = 100) -> None:
    """Hosts; or one of them with what it holds and how it proved."""
    from itertools import islice

    from cli.context.network import connect
    from cli.screens import hosts as screens

    network = connect(settings)
    if who is None:
        found = list(islice(network.list_pages("/v1/hosts", "hosts", limit=limit), limit))
        show(network, found, screens.build_hosts, screens.HOST_COLUMNS)
    else:
        address = network.address(network.find_address(who))
        show(network, network.client.get(f"/v1/hosts/{address}"), screens.build_host)


@command(app)
def datum(settings: Settings, id: DatumId) -> None:
    """An entry of the catalogue and who hosts it now."""
    from cli.context.names import find_datum
    from cli.context.network import connect
    from cli.screens.datums import build_datum

    network = connect(settings)
    show(network, network.client.get(f"/v1/datums/{find_datum(network, id)}"), build_datum)


@command(app)
def datums(
    settings: Settings,
    text: Annotated[str, typer.Option(help="Text in title, tags or description.")] = "",
    category: Annotated[str, typer.Option(help="Only this category.")] = "",
    limit: Limit = 100,
) -> None:
    """The catalogue."""
    show_list(
        settings, "/v1/datums", "datums", DATUM_COLUMNS, limit, text=text or None, category=category or None
    )


@command(app)
def params(settings: Settings) -> None:
    """The parameters of every module, in base units."""
    from cli.context.network import connect

    settings.emit(connect(settings).client.get("/v1/params"))


@command(app)
def supply(
    settings: Settings,
    why: Annotated[bool, typer.Option("--why", help="Minted by pool, burned by cause.")] = False,
) -> None:
    """How many tokens there are, minted and burned, and what the pots hold."""
    from cli.context.network import connect
    from cli.screens.supply import build_supply

    network = connect(settings)
    found = network.client.get("/v1/supply")
    settings.emit(build_supply(network, found, why) if settings.format is output.Format.TABLE else found)


@command(app)
def price(
    settings: Settings,
    why: Annotated[bool, typer.Option("--why", help="Who gets it, and where it comes from.")] = False,
) -> None:
    """What a GiB of a download costs now."""
    from cli.context.network import connect
    from cli.screens.price import build_price, compute_parts

    network = connect(settings)
    parts = compute_parts(network.client.get("/v1/params"))
    settings.emit(build_price(network, parts, why) if settings.format is output.Format.TABLE else parts)


@command(app)
def session(settings: Settings, id: Id) -> None:
    """An open session: what its hosts have claimed, who has not released, when the rest returns."""
    from cli.context.names import parse_id
    from cli.context.network import connect
    from cli.screens.sessions import build_session

    network = connect(settings)
    show(network, network.client.get(f"/v1/sessions/{parse_id(id, 'session')}"), build_session)


@command(app)
def proof(
    settings: Settings,
    key: Annotated[str, typer.Argument(help="State key, hex.")],
    chain: Chain = None,
    trust: Anchor = None,
) -> None:
    """The raw value of a state key, verified here."""
    from cli.errors import UsageFault
    from cli.light import proofs as light

    network = connect_for(settings, chain)
    try:
        wanted = bytes.fromhex(key)
    except ValueError as error:
        raise UsageFault(f"{key[:80]!r} is not hex") from error
    name = wanted.hex()
    answer = network.client.get("/v1/proof", key=name)
    proven = light.check_answer(answer, {name: wanted}, choose_trust(network, chain, trust))
    value = proven.values[name]
    settings.emit({"key": key, "value": None if value is None else value.hex(), "proof": proven.describe()})


@command(app)
def events(
    settings: Settings,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="block, transaction or event.")] = None,
    since: Annotated[str | None, typer.Option(help="Id of an event; what follows it is shown.")] = None,
) -> None:
    """What becomes final, as it does, a JSON line each; until Ctrl-C."""
    from msgspec import json

    from cli.context.network import connect

    fields: dict[str, str] = {}
    for line in connect(settings).client.stream_lines("/v1/events", kinds=kind or None, since=since):
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            shown = {"id": fields["id"], "kind": fields["event"], "data": json.decode(fields["data"])}
            output.emit(shown, output.Format.JSONL)
            fields = {}
