"""The command `vidya`: what verbs there are, and where each is found.

A verb's file is imported when the verb is used, and the files import nothing heavy at their top, so that
`vidya --help` answers at once and wallet commands never load libp2p or LevelDB.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from cli.terminal.options import build_callback

VERBS = {
    "devnet": "cli.commands.devnet",
    "node": "cli.commands.node",
    "join": "cli.commands.join",
    "validator": "cli.commands.validator",
    "wallet": "cli.commands.wallet",
    "tx": "cli.commands.tx",
    "query": "cli.commands.query",
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
    """Finds verbs by `VERBS`."""

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
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.callback()(build_callback("A proof-of-stake chain for a data collective: validators host content."))


def main() -> None:
    """The entry point."""
    app(prog_name="vidya")


if __name__ == "__main__":
    main()
