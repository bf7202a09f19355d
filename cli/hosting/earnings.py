"""`vidya host explain`: what hosting pays now, and what of it is withheld."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.terminal import output
from cli.terminal.options import Settings

if TYPE_CHECKING:
    from cli.context.network import NetworkContext

Who = Annotated[str | None, typer.Argument(metavar="[ADDRESS|NAME]", help="Whose; your node's if none.")]


def explain(settings: Settings, who: Who = None) -> None:
    """What the running epoch pays with every factor, and what is withheld until when."""
    from cli.context.network import connect
    from cli.context.readable import Reader
    from cli.screens.earnings import build_pay

    network = connect(settings)
    found = network.client.get(f"/v1/hosts/{find_host(network, who)}/pay")
    is_table = settings.format is output.Format.TABLE
    settings.emit(build_pay(network, Reader(network), found) if is_table else found)


def find_host(network: "NetworkContext", who: str | None) -> str:
    """The address of the account named, else of the node's own; raises CliError if it has none."""
    from cli.errors import CliError

    if who is not None:
        return network.address(network.find_address(who))
    own: str | None = network.get_status()["account"]
    if own is None:
        raise CliError("no_account", "this node observes: it hosts for nobody", "name an account")
    return own
