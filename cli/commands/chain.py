"""`vidya chain`: chain specs: read one, check it, make one for a collective of your own.

Making one takes two steps. Every future validator makes its node's keys and says who it is: `chain seat`
prints a seat. Whoever founds the network gathers the seats: `chain new` makes the spec, whose hash is the
network's name. Then each runs `vidya node init --chain FILE` on the folder of its seat, and starts.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.terminal.options import Settings, command

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Chain spec.")]
COMMISSION = "5%"


@app.callback()
def chain() -> None:
    """Chain specs: show, check, make one for an own collective."""


@command(app)
def show(settings: Settings, file: File) -> None:
    """What a network starts from, in short."""
    from chain.genesis import compute_genesis_hash
    from chain.primitives.addresses import encode_address
    from cli.context.network import load_spec
    from cli.terminal.amounts import format_amount

    spec = load_spec(file)
    parameters = spec.system.parameters
    supply = sum(amount for _, amount in spec.balances.accounts)
    settings.emit(
        {
            "name": spec.name,
            "chain_id": compute_genesis_hash(spec).hex(),
            "prefix": spec.prefix,
            "supply": format_amount(supply, spec.decimals, spec.symbol),
            "accounts": len(spec.balances.accounts),
            "block_ms": parameters.block_ms,
            "epoch_blocks": parameters.epoch_blocks,
            "era_epochs": parameters.era_epochs,
            "validators": [encode_address(spec.prefix, who) for who, _, _ in spec.validators.validators],
            "seeds": list(spec.seeds),
        }
    )


@command(app)
def check(settings: Settings, file: File) -> None:
    """Whether a chain can start from it: every rule that a node checks."""
    from chain.genesis import compute_genesis_hash
    from cli.context.network import load_spec
    from node.home.chain_file import check_chain_spec

    spec = load_spec(file)
    entries = check_chain_spec(file, spec)
    settings.emit({"is_valid": True, "chain_id": compute_genesis_hash(spec).hex(), "state_entries": entries})


@command(app)
def seat(
    settings: Settings,
    bond: Annotated[
        str, typer.Option(metavar="AMOUNT", help="Stake of the validator at genesis, in tokens.")
    ],
    p2p_address: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where others reach the node: /ip4/203.0.113.5/tcp/7700.")
    ],
    prefix: Annotated[str, typer.Option(help="Prefix of the network's addresses.")] = "vidya",
    commission: Annotated[
        str, typer.Option(metavar="SHARE", help="Its share of what delegators earn.")
    ] = COMMISSION,
) -> None:
    """Make the keys of a future validator's node in --home, for the account --from; prints its seat."""
    from chain.modules.beacon import compute_chain
    from chain.primitives.addresses import encode_address
    from chain.spec_builder import BEACON_LINKS
    from cli.context.keys import find_account
    from cli.terminal.amounts import parse_share
    from node.duties.reveals import compute_chain_secret
    from node.home.home import Home
    from node.keys.derivation import KeyRole
    from p2p.identity import PeerAddress, compute_peer_id_of_seed, parse_listen_address

    home = Home(settings.home)
    home.create_keys()
    peer = compute_peer_id_of_seed(home.load_secret(KeyRole.NETWORK))
    settings.emit(
        {
            "account": encode_address(
                prefix, find_account(settings, "say whose seat it is: --from NAME").address
            ),
            "bond": bond,
            "commission_ppm": parse_share(commission),
            "consensus_key": home.load_key(KeyRole.CONSENSUS).public_key.hex(),
            "beacon_tip": compute_chain(
                compute_chain_secret(home.load_secret(KeyRole.BEACON), 0), BEACON_LINKS
            ).hex(),
            "beacon_links": BEACON_LINKS,
            "address": str(PeerAddress(*parse_listen_address(p2p_address), peer)),
        }
    )


@command(app)
def new(
    settings: Settings,
    name: Annotated[str, typer.Option(help="Name of the network.")],
    seat: Annotated[
        list[Path], typer.Option(exists=True, help="File that `chain seat -o json` printed; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The new chain spec; never overwritten.")],
    account: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS=AMOUNT", help="Balance of an account at genesis; may be repeated."),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Parameters to begin with: public, devnet or minimal.")
    ] = "public",
    prefix: Annotated[str | None, typer.Option(help="Prefix of addresses.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of the token.")] = None,
) -> None:
    """Make a chain spec out of seats and balances."""
    from chain.genesis import build_genesis_state, compute_genesis_hash, format_chain_spec
    from chain.primitives.codec import replace
    from cli.errors import UsageFault
    from node.home.profiles import load_profile

    if profile not in ("public", "devnet", "minimal"):
        raise UsageFault(f"no profile {profile!r}; public, devnet, minimal")
    base = load_profile(profile)
    base = replace(base, prefix=prefix or base.prefix, symbol=symbol or base.symbol)
    spec = assemble(base, name, seat, account or [])
    build_genesis_state(spec)
    with out.open("xb") as file:
        file.write(format_chain_spec(spec))
    settings.emit({"file": str(out), "chain_id": compute_genesis_hash(spec).hex()})


def assemble(base: Any, name: str, seats: list[Path], accounts: list[str]) -> Any:
    """The spec: each seat has its bond and passes the gate; others own what was said."""
    from chain.primitives.addresses import decode_address
    from chain.spec_builder import build_spec
    from cli.errors import UsageFault
    from cli.terminal.amounts import parse_amount

    placed = [read_seat(file, base) for file in seats]
    gate = base.membership.parameters
    entry = gate.lock + gate.fee_lockers + gate.fee_burned
    balances = [(one.account, one.bond + entry) for one in placed]
    for text in accounts:
        who, separator, amount = text.partition("=")
        if not separator:
            raise UsageFault(f"{text!r}: write ADDRESS=AMOUNT")
        balances.append((decode_address(base.prefix, who), parse_amount(amount, base.decimals, base.symbol)))
    return build_spec(
        base,
        name=name,
        time_ms=time.time_ns() // 1_000_000,
        seats=placed,
        accounts=balances,
        members=[one.account for one in placed],
    )


def read_seat(file: Path, base: Any) -> Any:
    """A seat out of what `chain seat -o json` printed; raises UsageFault."""
    from chain.primitives.addresses import decode_address
    from chain.spec_builder import GenesisValidator
    from cli.context.files import read_json
    from cli.errors import UsageFault
    from cli.terminal.amounts import parse_amount
    from p2p.identity import parse_address

    document = read_json(file)
    try:
        return GenesisValidator(
            account=decode_address(base.prefix, document["account"]),
            consensus_key=bytes.fromhex(document["consensus_key"]),
            bond=parse_amount(document["bond"], base.decimals, base.symbol),
            commission_ppm=document["commission_ppm"],
            beacon_tip=bytes.fromhex(document["beacon_tip"]),
            beacon_links=document["beacon_links"],
            peer_id=parse_address(document["address"]).peer,
            addresses=(document["address"],),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageFault(f"{file} is no seat: {error!r}", "`vidya chain seat -o json > FILE`") from error
