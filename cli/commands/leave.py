"""`vidya leave`: out of the validators and hosts, with all of the stake; run again until nothing is left."""

from typing import TYPE_CHECKING, Any

import typer

from cli.terminal import output
from cli.terminal.options import DryRun, Settings, command

if TYPE_CHECKING:
    from cli.context.network import NetworkContext
    from cli.hosting.leaving import HostPosition

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@command(app, "leave")
def leave(settings: Settings, dry_run: DryRun = False) -> None:
    """Stop standing, drop the content, unbond, withdraw: what can be done now, and when the rest can."""
    from cli.context.keys import find_account
    from cli.context.network import connect
    from cli.hosting.leaving import list_calls, load_position
    from cli.transactions.sending import send, show_trial

    network, account = connect(settings), find_account(settings)
    text = network.address(account.address)
    calls = list_calls(load_position(network, text))
    if dry_run and calls:
        show_trial(network, account.address, calls)
        return
    if calls:
        send(network, account, calls)
    settings.emit(describe(network, load_position(network, text), text))


def describe(network: "NetworkContext", position: "HostPosition", account: str) -> dict[str, Any]:
    """What is left, and what to type next."""
    from cli.hosting.leaving import list_steps

    steps = list_steps(network, position)
    if position.is_gone:
        output.say("nothing is bonded or hosted any more; `vidya node stop` ends the node")
    else:
        output.say("run `vidya leave` again at the times that are named")
    rows = [one._asdict() for one in steps]
    return {"account": account, "is_over": position.is_gone, "steps": rows}
