"""Options that every command has, and how a function becomes a command.

`@command(app)` gives a function the options below and takes care of what ends it: the function gets
`Settings` first and its own parameters after. An option counts wherever it stands (`vidya -o json status`,
`vidya status -o json`); the environment is asked last. Expected failures become a message and an exit code.
"""

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.models import OptionInfo

from cli.errors import CliError, OutcomeUnknown, UsageFault, explain, list_expected
from cli.exits import ExitCode
from cli.signals import get_exit_code, interruptible
from cli.terminal import output
from cli.terminal.output import Format
from cli.terminal.sent import SentTransactions
from cli.terminal.streams import OutputFailed
from cli.terminal.tables import Columns

_PANEL = "Everywhere"
VALUE_NAMES: dict[Any, str] = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT", list[str]: "TEXT"}
HOME = Path("~/.vidya")


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one command."""

    api: str | None
    """As typed; `cli.context.network.find_url` says which node is asked."""
    home: Path
    is_home_typed: bool
    sender: str | None
    format: Format
    password_file: Path | None
    is_confirmed: bool
    is_quiet: bool = False
    """Transactions are not shown one by one: for verbs that send many."""
    is_wide: bool = False
    """Ids whole in tables."""
    is_verbose: bool = False
    """Say also which node is asked, and why."""
    sent: SentTransactions = field(default_factory=SentTransactions)
    """What this command has sent so far."""

    def emit(self, data: Any, columns: Columns = ()) -> None:
        """The result, in the format asked for."""
        output.emit(data, self.format, columns, is_wide=self.is_wide)


def complete_key(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the wallet's keys that begin so, for the shell's completion."""
    from node.keys import keystore

    homes = [Path(ctx.params.get("home") or os.environ.get("VIDYA_HOME") or HOME), HOME]
    try:
        names = [name for home in homes for name in keystore.get_names(home.expanduser() / "wallet")]
    except (OSError, RuntimeError, keystore.KeystoreError):
        return []  # a completion has nobody to tell
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


OPTIONS: dict[str, Any] = {
    "api": Annotated[
        str | None,
        typer.Option("--api", metavar="URL", help="Node to ask. [env: VIDYA_API]", rich_help_panel=_PANEL),
    ],
    "home": Annotated[
        str | None,
        typer.Option(
            "--home",
            metavar="DIR",
            help="Wallet, and node if it is here. [env: VIDYA_HOME; ~/.vidya]",
            rich_help_panel=_PANEL,
        ),
    ],
    "sender": Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME|ADDRESS",
            help="Key to sign with.",
            rich_help_panel=_PANEL,
            autocompletion=complete_key,
        ),
    ],
    "format": Annotated[
        Format | None,
        typer.Option("--output", "-o", help="Format of data on stdout.", rich_help_panel=_PANEL),
    ],
    "password_file": Annotated[
        str | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            help="Password of the key. [env: VIDYA_PASSWORD_FILE]",
            rich_help_panel=_PANEL,
        ),
    ],
    "yes": Annotated[
        bool | None,
        typer.Option("--yes", "-y", show_default=False, help="Ask nothing.", rich_help_panel=_PANEL),
    ],
    "wide": Annotated[
        bool | None,
        typer.Option("--wide", show_default=False, help="Ids whole in tables.", rich_help_panel=_PANEL),
    ],
    "verbose": Annotated[
        bool | None,
        typer.Option(
            "--verbose", show_default=False, help="Say which node is asked.", rich_help_panel=_PANEL
        ),
    ],
}
"""Name of the parameter -> its declaration; all are optional."""


DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what it would do; send nothing.", rich_help_panel="Transaction"),
]


def show_version(is_wanted: bool) -> None:
    """Prints the version and ends the command."""
    if is_wanted:
        from node.version import VERSION

        output.print_record(f"vidya {VERSION}")
        raise typer.Exit(ExitCode.OK)


VERSION_OPTION = Annotated[
    bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
]


def build_settings(given: dict[str, Any]) -> Settings:
    """What was typed, completed by the environment."""
    environment = os.environ.get
    home = given.get("home") or environment("VIDYA_HOME")
    password_file = given.get("password_file") or environment("VIDYA_PASSWORD_FILE")
    return Settings(
        api=given.get("api"),
        # Absolute, since a node started in the background has a working folder of its own.
        home=_expand(home or str(HOME)).absolute(),
        is_home_typed=bool(given.get("home")),
        sender=given.get("sender") or environment("VIDYA_FROM"),
        format=given.get("format") or Format(environment("VIDYA_OUTPUT") or "table"),
        password_file=_expand(password_file) if password_file else None,
        is_confirmed=bool(given.get("yes")),
        is_wide=bool(given.get("wide")),
        is_verbose=bool(given.get("verbose")),
    )


def _expand(text: str) -> Path:
    """The path behind a `~`; raises UsageFault."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageFault(f"{text!r}: {error}") from error


def command(app: typer.Typer, name: str | None = None, **details: Any) -> Callable[[Any], Any]:
    """Declares a function of `Settings` and its own parameters as a command of `app`."""

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name, **details)(wrap(function, inspect.signature(function, eval_str=True)))
        return function

    return declare


def wrap(function: Callable[..., None], signature: inspect.Signature) -> Callable[..., None]:
    """The function with the options of every command in place of its first parameter."""

    def run(**values: Any) -> None:
        ctx: typer.Context = values.pop("ctx")
        given = dict(ctx.obj or {})
        given.update({key: value for key in OPTIONS if (value := values.pop(key)) is not None})
        with ending(given) as settings:
            function(settings, **values)

    _, *own = signature.parameters.values()
    for one in own:
        name_value(one.annotation)
    shown = [_build_parameter("ctx", typer.Context), *(one.replace(kind=one.KEYWORD_ONLY) for one in own)]
    shown += [_build_parameter(key, kind, None) for key, kind in OPTIONS.items()]
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__annotations__ = {one.name: one.annotation for one in shown}
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return run


def name_value(annotation: Any) -> None:
    """In help an option that takes a number or a file says so in words, not by the name of a type."""
    kinds = get_args(get_args(annotation)[0]) or get_args(annotation)[:1] if get_args(annotation) else ()
    for info in getattr(annotation, "__metadata__", ()):
        if isinstance(info, OptionInfo) and info.metavar is None:
            info.metavar = next((VALUE_NAMES[kind] for kind in kinds if kind in VALUE_NAMES), None)


def remember(ctx: typer.Context, **given: Any) -> None:
    """Keeps the options that stood before the name of the command."""
    ctx.obj = {key: value for key, value in given.items() if value is not None}


def build_callback(doc: str) -> Callable[..., None]:
    """The callback of the root command: it takes the options that stand before the verb."""

    def root(**values: Any) -> None:
        values.pop("version")
        remember(values.pop("ctx"), **values)

    shown = [_build_parameter("ctx", typer.Context), _build_parameter("version", VERSION_OPTION, False)]
    shown += [_build_parameter(key, kind, None) for key, kind in OPTIONS.items()]
    root.__doc__ = doc
    root.__annotations__ = {one.name: one.annotation for one in shown}
    root.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return root


def _build_parameter(name: str, kind: Any, *default: Any) -> inspect.Parameter:
    value = default[0] if default else inspect.Parameter.empty
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=kind)


@contextmanager
def ending(given: dict[str, Any]) -> Iterator[Settings]:
    """The settings of a command; turns what ends it into a message and an exit code."""
    sent = SentTransactions()
    try:
        with interruptible():
            _check_environment()
            yield replace(build_settings(given), sent=sent)
    except KeyboardInterrupt as error:
        output.end_line()
        stopped = sent.build_unknown("stopped")
        if stopped is None:
            raise typer.Exit(get_exit_code(error)) from None
        raise _say(stopped, given) from None
    except BrokenPipeError:
        # The reader of stdout has seen enough (`vidya query events | head`).
        lost = sent.build_unknown("nobody reads stdout", is_output_lost=True)
        raise (_say(lost, given) if lost else typer.Exit(ExitCode.OK)) from None
    except list_expected() as error:
        output.end_line()
        told = explain(error)
        if not isinstance(told, OutcomeUnknown):
            is_lost = isinstance(told, OutputFailed)
            told = sent.build_unknown(told.message, is_output_lost=is_lost) or told
        raise _say(told, given) from None
    finally:
        if sent.open and sys.exc_info()[0] not in (None, typer.Exit):
            # A bug: its traceback follows.
            output.say(str(sent.build_unknown("the program failed")))


def _say(error: CliError, given: dict[str, Any]) -> typer.Exit:
    """Says the error; returns the exception that ends the command."""
    output.say_error(error, given.get("format") or get_usual_format())
    return typer.Exit(error.exit)


def get_usual_format() -> Format:
    """The format of VIDYA_OUTPUT; a table if that names no format."""
    wanted = os.environ.get("VIDYA_OUTPUT", "")
    return Format(wanted) if wanted in list(Format) else Format.TABLE


def _check_environment() -> None:
    wanted = os.environ.get("VIDYA_OUTPUT")
    if wanted and wanted not in list(Format):
        raise UsageFault(f"VIDYA_OUTPUT is {wanted!r}; table, json or jsonl are known")
