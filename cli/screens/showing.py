"""Shows an answer as a screen for people, or as it is for programs."""

from typing import TYPE_CHECKING, Any

from cli.terminal.output import Format

if TYPE_CHECKING:
    from cli.context.network import NetworkContext


def show(network: "NetworkContext", found: Any, build: Any, columns: Any = ()) -> None:
    """An answer as the screen that `build` makes of a Reader and it; as it is for programs."""
    from cli.context.readable import Reader

    is_table = network.settings.format is Format.TABLE
    network.settings.emit(build(Reader(network), found) if is_table else found, columns)
