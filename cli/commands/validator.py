"""`vidya validator`: keys and sign-state of a validator: moved, renewed, audited. Asks no node."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import CliError
from cli.terminal import output
from cli.terminal.options import Settings, command

if TYPE_CHECKING:
    from storage.sign_state import SignState

app = typer.Typer(
    no_args_is_help=True, help="A validator's keys and sign-state: move, renew, audit.",
    rich_markup_mode=None, add_completion=False,
)  # fmt: skip

File = Annotated[Path, typer.Argument(metavar="FILE", help="The validator, under a password.")]


@app.callback()
def validator() -> None:
    """A validator's keys and sign-state: move, renew, audit."""


@command(app)
def export(
    settings: Settings,
    file: File,
    weak: Annotated[bool, typer.Option("--weak", help="Quick to open and to guess: for devnets.")] = False,
) -> None:
    """Take the validator out of a stopped node (--home), which signs nothing from now on."""
    from cli.commands.wallet import choose_profile
    from cli.context.keys import read_password
    from node.home.home import Home
    from node.home.validator_files import export_validator

    password = read_password(settings, file.name, is_new=True)
    state = export_validator(Home(settings.home), file, password, profile=choose_profile(weak))
    output.say(f"the node in {settings.home} no longer validates; `vidya validator import` moves it")
    emit(settings, state)


@command(app, "import")
def import_validator(settings: Settings, file: File) -> None:
    """Make a stopped node (--home) of the same network and account go on as the validator in FILE."""
    from cli.context.keys import read_password
    from node.home import validator_files
    from node.home.home import Home

    state = validator_files.import_validator(Home(settings.home), file, read_password(settings, file.name))
    output.say("the node watches the chain before it signs; its log says until which height")
    emit(settings, state)


@command(app, "forget-signatures")
def forget_signatures(
    settings: Settings,
    signed_up_to: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**53,
            metavar="HEIGHT",
            help="Your word that the key signed nothing above, and runs nowhere: sign without a watch.",
        ),
    ] = None,
) -> None:
    """Make a new sign-state and log where they are missing or damaged; the node watches before it signs."""
    from node.home.home import Home
    from node.home.validator_files import forget_signatures

    if signed_up_to is not None:
        confirm(settings, f"nothing above height {signed_up_to} was signed, and no other node has this key")
    aside = forget_signatures(Home(settings.home), signed_up_to)
    settings.emit({"home": str(settings.home), "set_aside": [str(path) for path in aside]})


@command(app)
def audit(
    settings: Settings,
    logs: Annotated[
        list[Path] | None, typer.Argument(metavar="[LOG]...", help="More logs, of other machines.")
    ] = None,
) -> None:
    """Read all that the keys of --home, and of more logs, have signed; fails if a slot was signed twice."""
    from node.home.home import Home
    from storage.sign_log import find_conflicts, load_signatures

    paths = [Home(settings.home).sign_log, *(logs or ())]
    records = [record for path in paths for record in load_signatures(path)]
    for slot in (conflicts := find_conflicts(records)):
        key = slot.public_key.hex()
        output.say(f"signed twice: height {slot.height}, round {slot.round}, step {slot.step}, key {key}")
    heights = [record.height for record in records]
    settings.emit(
        {
            "signatures": len(records),
            "first_height": min(heights, default=None),
            "last_height": max(heights, default=None),
            "signed_twice": len(conflicts),
        }
    )
    if conflicts:
        raise CliError("signed_twice", f"{len(conflicts)} slots have two messages of one key")


def confirm(settings: Settings, claim: str) -> None:
    """Asks the operator to confirm a claim; raises CliError, UsageFault."""
    from cli.terminal.confirmation import Confirmation
    from cli.terminal.confirmation import confirm as ask

    shown = Confirmation([f"You say that {claim}"], lost_if=["that is not true: the stake"])
    ask(settings, shown, "Is it true?", "nothing was changed")


def emit(settings: Settings, state: "SignState") -> None:
    """What was moved."""
    height, round, _ = state.slot
    settings.emit(
        {
            "home": str(settings.home),
            "consensus_key": state.public_key.hex(),
            "signed_height": height,
            "signed_round": round,
        }
    )
