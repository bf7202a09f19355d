"""The command `vidya`: what verbs there are, and where each is found.

A verb's file is imported when the verb is used, and the files import nothing heavy at their top, so that
`vidya --help` answers at once and wallet commands never load libp2p or LevelDB.
"""

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from cli.errors import CliError
from cli.terminal import output
from cli.terminal.options import build_callback
from cli.terminal.streams import prepare_streams
from cli.terminal.usage import check_text, find_format, say_usage_error

VERBS = {
    "devnet": "cli.commands.devnet",
    "node": "cli.commands.node",
    "join": "cli.commands.join",
    "leave": "cli.commands.leave",
    "validator": "cli.commands.validator",
    "wallet": "cli.commands.wallet",
    "tx": "cli.commands.tx",
    "query": "cli.commands.query",
    "lock": "cli.commands.lock",
    "jury": "cli.juries.commands",
    "light": "cli.commands.light",
    "publish": "cli.commands.content",
    "get": "cli.commands.get",
    "host": "cli.commands.host",
    "search": "cli.commands.content",
    "verify": "cli.commands.content",
    "chain": "cli.commands.chain",
    "status": "cli.commands.operations",
    "peers": "cli.commands.operations",
    "doctor": "cli.commands.operations",
    "config": "cli.commands.operations",
}
"""Verb -> file; its `app` is the verb, or has a command of that name."""


class LazyGroup(TyperGroup):
    """Finds verbs by `VERBS`; says what is wrong with a command line in the format asked for."""

    def main(self, args: Any = None, prog_name: str | None = None, **more: Any) -> Any:  # type: ignore[override]
        """Runs a command line; ends the process with its exit code."""
        words = sys.argv[1:] if args is None else list(args)
        try:
            check_text(words)
            code = super().main(words, prog_name, **{**more, "standalone_mode": False})
        except CliError as error:
            output.say_error(error, find_format(words))
            code = error.exit
        except TyperException as error:
            code = say_usage_error(error, words)
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which newcomers need them."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Imports the file of the verb."""
        if cmd_name not in VERBS:
            return None
        loaded = get_command(import_module(VERBS[cmd_name]).app)
        found: Any = getattr(loaded, "commands", {}).get(cmd_name, loaded)
        found.name = cmd_name
        return found


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.callback()(build_callback("A proof-of-stake chain for a data collective: validators host content."))


def main() -> None:
    """The entry point."""
    prepare_streams()
    app(prog_name="vidya")


if __name__ == "__main__":
    main()
