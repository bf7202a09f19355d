"""`vidya tx`: every call of the state machine, batches, and transactions signed elsewhere."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from cli.terminal.options import DryRun, Settings, command, wrap

if TYPE_CHECKING:
    from cli.context.network import NetworkContext
    from cli.transactions.calls import Field, Verb

_PANEL = "Transaction"
_FIELD = "field_"
"""Keeps fields of calls apart from the options of every transaction: a beacon chain has a `tip` too."""

Tip = Annotated[
    str | None, typer.Option("--tip", metavar="AMOUNT", help="Tip for the proposer.", rich_help_panel=_PANEL)
]
FeeMax = Annotated[
    str | None,
    typer.Option("--fee-max", metavar="AMOUNT", help="Most that the fee may be.", rich_help_panel=_PANEL),
]
Expiry = Annotated[
    int | None,
    typer.Option(
        "--expiry", min=1, metavar="BLOCKS", help="Void after so many blocks.", rich_help_panel=_PANEL
    ),
]
GenerateOnly = Annotated[
    bool, typer.Option("--generate-only", help="Print it unsigned.", rich_help_panel=_PANEL)
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for finality.", rich_help_panel=_PANEL)]
Memo = Annotated[
    str | None,
    typer.Option(
        "--memo",
        metavar="TEXT",
        help="A text beside the call; everybody can read it.",
        rich_help_panel=_PANEL,
    ),
]
WISHES: dict[str, tuple[Any, Any]] = {
    "tip": (Tip, None),
    "fee_max": (FeeMax, None),
    "expiry": (Expiry, None),
    "dry_run": (DryRun, False),
    "generate_only": (GenerateOnly, False),
    "no_wait": (NoWait, False),
    "memo": (Memo, None),
}


class CallGroup(TyperGroup):
    """Builds the verbs from the state machine when the first is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs, in the order of modules."""
        return list(self._load())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One verb."""
        return self._load().get(cmd_name)

    def _load(self) -> Any:
        if "send" not in self.commands:
            calls: Any = get_command(build_app())
            self.commands = {**calls.commands, **self.commands}
        return self.commands


app = typer.Typer(cls=CallGroup, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


@app.callback()
def tx() -> None:
    """Transactions: every call of the chain; dry run, fee, question, signature, finality."""


def build_app() -> typer.Typer:
    """A command per call."""
    from cli.transactions.calls import list_verbs

    calls = typer.Typer(rich_markup_mode=None, add_completion=False)
    for verb in list_verbs():
        run = build_function(verb)
        calls.command(verb.name, help=verb.help)(wrap(run, inspect.signature(run)))
    return calls


def build_function(verb: "Verb") -> Any:
    """The function of a verb, with a parameter per field."""

    def run(settings: Settings, **values: Any) -> None:
        from cli.context.network import connect
        from cli.transactions.calls import build_arguments

        network = connect(settings)
        wishes = {key: values.pop(key) for key in WISHES}
        typed = {key.removeprefix(_FIELD): value for key, value in values.items()}
        run_calls(network, [build_arguments(network, verb, typed)], wishes)

    scalars = [field for field in verb.fields if not field.is_list]
    shown = [_parameter("settings", Settings)]
    shown += [build_parameter(field, len(scalars)) for field in verb.fields]
    shown += [_parameter(key, kind, default) for key, (kind, default) in WISHES.items()]
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__name__ = verb.name.replace("-", "_")
    return run


def build_parameter(field: "Field", scalars: int) -> inspect.Parameter:
    """An argument where there are few of them, else an option."""
    from cli.transactions.calls import POSITIONAL_MAX

    flag = "--" + field.name.replace("_", "-")
    metavar = field.metavar
    if field.is_list:
        kind: Any = Annotated[list[str] | None, typer.Option(flag, metavar=metavar, help="May be repeated.")]
        return _parameter(_FIELD + field.name, kind, None)
    if scalars <= POSITIONAL_MAX:
        shown = field.name.upper()
        return _parameter(_FIELD + field.name, Annotated[str, typer.Argument(metavar=shown, help=metavar)])
    kind = Annotated[str, typer.Option(flag, metavar=metavar)]
    return _parameter(_FIELD + field.name, kind, *([""] if field.name == "description" else []))


def _parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def run_calls(network: "NetworkContext", calls: list[Any], values: dict[str, Any]) -> None:
    """What each verb does with its calls."""
    from chain.modules.balances import LeaveMemo
    from cli.context.keys import find_account
    from cli.health.host import check_ready
    from cli.transactions import sending

    account = find_account(network.settings)
    calls = [*calls, *([LeaveMemo(values["memo"])] if values["memo"] is not None else [])]
    tip, fee_max = (network.parse_amount(values[key]) if values[key] else None for key in ("tip", "fee_max"))
    wishes = sending.Wishes(tip or 0, fee_max, values["expiry"], not values["no_wait"])
    if values["dry_run"]:
        tried = sending.try_out(network, account.address, calls, wishes)
        network.settings.emit(show_amounts(network, tried))
    elif values["generate_only"]:
        network.settings.emit(
            describe_unsigned(network, sending.draft(network, account.address, calls, wishes))
        )
    else:
        check_ready(network, network.address(account.address), calls)
        show_outcome(network, sending.send(network, account, calls, wishes))


def show_outcome(network: "NetworkContext", found: dict[str, Any]) -> None:
    """What became of a transaction."""
    from cli.screens.blocks import build_outcome
    from cli.screens.showing import show

    show(network, found, build_outcome)


def describe_unsigned(network: "NetworkContext", made: Any) -> dict[str, Any]:
    """A transaction to be signed elsewhere: readable, and the bytes that count."""
    from chain.jsonable import to_json
    from chain.primitives.codec import encode
    from chain.runtime import decode_calls

    transaction = made.transaction
    calls = [
        {
            "call": f"{one.module.name}.{one.spec.name}",
            "arguments": to_json(one.arguments, network.spec.prefix),
        }
        for one in decode_calls(transaction)
    ]
    readable = {**to_json(transaction, network.spec.prefix), "calls": calls}
    return {"transaction": readable, "unsigned": encode(transaction).hex()}


def show_amounts(network: "NetworkContext", data: Any) -> Any:
    """Amounts and sizes in their units for a table; JSON stays as the API gives it."""
    from cli.context.readable import make_readable

    return make_readable(network, data)


@command(app)
def batch(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help='JSON list of {"call": "balances.send", "arguments": {...}}.')],
    tip: Tip = None,
    fee_max: FeeMax = None,
    expiry: Expiry = None,
    dry_run: DryRun = False,
    generate_only: GenerateOnly = False,
    no_wait: NoWait = False,
    memo: Memo = None,
) -> None:
    """Several calls in one transaction: all of them happen, or none."""
    from cli.context.files import read_json
    from cli.context.network import connect
    from cli.transactions.calls import read_batch

    network = connect(settings)
    given = (tip, fee_max, expiry, dry_run, generate_only, no_wait, memo)
    run_calls(network, read_batch(network, read_json(file)), dict(zip(WISHES, given, strict=True)))


@command(app)
def history(
    settings: Settings,
    who: Annotated[str | None, typer.Argument(help="Address, or name of a key; else --from.")] = None,
    blocks: Annotated[int, typer.Option(min=1, max=100_000, help="Newest blocks that are read.")] = 300,
) -> None:
    """What an account sent and received, its rewards and slashes, in the newest blocks."""
    from cli.context.keys import find_own_address
    from cli.context.network import connect
    from cli.context.readable import Reader
    from cli.screens.history import COLUMNS, build_history, iterate_history
    from cli.terminal.output import Format
    from cli.transactions.describing import Describer

    network = connect(settings)
    address = network.address(network.find_address(who) if who else find_own_address(settings))
    found: Any = list(iterate_history(network, address, blocks))
    if settings.format is Format.TABLE:
        reader = Reader(network)
        found = build_history(reader, Describer(network, reader=reader), found)
    settings.emit(found, COLUMNS)


@command(app)
def sign(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="What --generate-only printed.")],
) -> None:
    """Sign a transaction that --generate-only printed; asks no node."""
    from chain.primitives.codec import decode, encode
    from chain.transaction import Transaction, compute_transaction_id, sign_transaction
    from cli.context.files import read_hex
    from cli.context.keys import find_account
    from cli.errors import UsageFault

    transaction = decode(Transaction, read_hex(file, "unsigned"))
    account = find_account(settings)
    if account.address != transaction.sender:
        raise UsageFault(f"the transaction is not of {account.name}", "--from NAME")
    signed = encode(sign_transaction(account.key, transaction))
    settings.emit({"id": compute_transaction_id(signed).hex(), "signed": signed.hex()})


@command(app)
def broadcast(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="What `tx sign` printed.")],
    no_wait: NoWait = False,
) -> None:
    """Hand in a signed transaction and wait for finality."""
    from chain.transaction import decode_transaction
    from cli.context.files import read_hex
    from cli.context.network import connect
    from cli.transactions import sending

    data = read_hex(file, "signed")
    valid_until = decode_transaction(data).transaction.valid_until
    network = connect(settings)
    tx_id = sending.submit_bytes(network, data)
    if no_wait:
        show_outcome(network, {"id": tx_id, "status": "pooled", "valid_until": valid_until})
    else:
        show_outcome(network, sending.wait_final(network, tx_id, valid_until))
