"""`vidya jury`: challenge a datum, and judge one when drawn.

A juror acts twice: it *votes*, hidden, and *reveals* the vote when all have voted. What is lost by silence is
said before a vote is sent. The vote is found again by the juror's key alone.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.screens.showing import show as show_screen
from cli.terminal import output
from cli.terminal.options import Settings, command

if TYPE_CHECKING:
    from cli.context.keys import WalletAccount
    from cli.context.network import NetworkContext

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)

Case = Annotated[int, typer.Argument(min=0, max=2**53, help="As `vidya jury list` numbers them.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is time.")]
CALLS_MAX = 16


class Verdict(StrEnum):
    """What a juror says about a datum."""

    JUNK = "junk"
    SOUND = "sound"


@app.callback()
def jury() -> None:
    """Juries: challenge a datum; serve, vote and reveal as a juror; list and show cases."""


@command(app)
def serve(settings: Settings, amount: Annotated[str, typer.Argument(help="Tokens, as 100.")]) -> None:
    """Lock a bond to be drawn as a juror, or add to it; the age of the whole bond begins again."""
    from chain.modules.juries import ServeAsJuror
    from cli.context.network import connect

    network = connect(settings)
    (bonded,) = send_calls(network, [ServeAsJuror(network.parse_amount(amount))], "JurorBonded")
    era = network.client.get(f"/v1/juries/jurors/{bonded['juror']}")["drawn_from"]
    output.say(f"it can be drawn from era {era} on ({network.clock.describe_era(era)})")
    emit_fields(network, {**bonded, "drawn_from": era})


@command(app)
def retire(settings: Settings) -> None:
    """Take the bond of a juror back; refused while it sits in a jury."""
    from chain.modules.juries import RetireAsJuror
    from cli.context.network import connect

    network = connect(settings)
    (retired,) = send_calls(network, [RetireAsJuror()], "JurorRetired")
    emit_fields(network, retired)


@command(app)
def challenge(
    settings: Settings, datum: Annotated[str, typer.Argument(metavar="ID|TITLE", help="The datum.")]
) -> None:
    """Say that a datum is junk, for a bond, and have a jury decide."""
    from chain.modules.juries import ChallengeDatum
    from cli.context.names import find_datum
    from cli.context.network import connect
    from cli.juries.cases import describe_epoch

    network = connect(settings)
    call = ChallengeDatum(bytes.fromhex(find_datum(network, datum)))
    (opened,) = send_calls(network, [call], "CaseOpened")
    output.say(f"case {opened['case']}: the jury is drawn in {describe_epoch(network, opened['drawn_in'])}")
    emit_fields(network, opened)


@command(app, "list")
def list_open(settings: Settings) -> None:
    """Open cases: phase, until when it lasts, and what is asked of you (--from NAME)."""
    from cli.context.keys import find_account
    from cli.context.network import connect
    from cli.context.readable import Reader
    from cli.juries.cases import list_cases
    from cli.screens.juries import CASE_COLUMNS, build_cases

    network = connect(settings)
    who = network.address(find_account(settings).address) if settings.sender else None
    cases = list(list_cases(network, who))
    if settings.format is output.Format.TABLE:
        cases = build_cases(Reader(network), cases)
    settings.emit(cases, CASE_COLUMNS)


@command(app)
def show(settings: Settings, case: Case, wait: Wait = False) -> None:
    """An open case with its jury; of a decided one, the verdict and what was paid to whom."""
    from cli.context.network import connect
    from cli.errors import CliError
    from cli.exits import ExitCode
    from cli.juries.cases import find_case, find_decision, wait_for_epoch
    from cli.screens.juries import build_case, build_decision

    network = connect(settings)
    found = find_case(network, case)
    if found is not None and wait:
        wait_for_epoch(network, found["case"]["decided_in"], f"verdict in case {case}")
        found = None
    if found is not None:
        show_screen(network, found, build_case)
    elif (decided := find_decision(network, case)) is not None:
        show_screen(network, decided, build_decision)
    else:
        message = f"case {case} is not open, and no verdict is found in the blocks of this node"
        raise CliError("not_found", message, "`vidya jury list`", ExitCode.NOT_FOUND)


@command(app)
def vote(settings: Settings, case: Case, verdict: Verdict, wait: Wait = False) -> None:
    """Vote as a drawn juror; hidden until you reveal it with `vidya jury reveal`."""
    from chain.modules.juries import CommitVerdict
    from cli.context.keys import find_account
    from cli.context.network import connect
    from cli.juries.cases import require_phase, require_seat, say_duty
    from cli.juries.votes import VERDICTS, build_commitment, check_first_vote, find_vote

    network, account, is_junk = connect(settings), find_account(settings), VERDICTS[verdict.value]
    found = require_phase(network, case, "commit", is_waiting=wait)
    commitment = require_seat(network, account, found)["commitment"]
    known = find_vote(account.key, network.genesis_hash, case, commitment)
    check_first_vote(case, known, is_junk=is_junk)
    say_duty(network, account, found["case"])
    if known is None:
        if commitment is not None:
            output.warn("another program has sent a vote with this key; it is replaced")
        call = CommitVerdict(case, build_commitment(account.key, network.genesis_hash, case, is_junk=is_junk))
        send_calls(network, [call], "VerdictCommitted")
    else:
        output.say("this vote is on the chain already; nothing was sent")
    emit_fields(network, {"case": case, "juror": network.address(account.address), "vote": verdict.value})


@command(app)
def reveal(
    settings: Settings,
    case: Annotated[int | None, typer.Argument(min=0, max=2**53, help="All that are due, if none.")] = None,
    wait: Wait = False,
) -> None:
    """Reveal your vote in a case, or in every case in which it is due."""
    from cli.context.keys import find_account
    from cli.context.network import connect
    from cli.juries.cases import require_phase, require_seat
    from cli.juries.votes import build_reveal

    network, account = connect(settings), find_account(settings)
    if case is None:
        reveal_all(network, account)
        return
    seat = require_seat(network, account, require_phase(network, case, "reveal", is_waiting=wait))
    if seat["is_junk"] is None:
        call = build_reveal(account.key, network.genesis_hash, case, seat)
        send_calls(network, [call], "VerdictRevealed")
        seat["is_junk"] = call.is_junk
    else:
        output.say("this vote is revealed already; nothing was sent")
    emit_revealed(network, [{"case": case, "juror": seat["juror"], "is_junk": seat["is_junk"]}])


def reveal_all(network: "NetworkContext", account: "WalletAccount") -> None:
    """Every vote that is due; what cannot be revealed is named, and the others go on."""
    from cli.errors import CliError
    from cli.juries.cases import list_due
    from cli.juries.votes import build_reveal

    calls = []
    for one in list_due(network, account):
        try:
            calls.append(build_reveal(account.key, network.genesis_hash, one["case"], one["seat"]))
        except CliError as error:
            output.warn(f"{error.message}; {error.hint}" if error.hint else error.message)
    revealed: list[dict[str, Any]] = []
    for start in range(0, len(calls), CALLS_MAX):
        revealed += send_calls(network, calls[start : start + CALLS_MAX], "VerdictRevealed")
    if not calls:
        output.say("no vote is to be revealed now")
    emit_revealed(network, revealed)


def send_calls(network: "NetworkContext", calls: list[Any], event: str) -> list[dict[str, Any]]:
    """Signs and sends calls of this module; the fields of the events that they leave."""
    from cli.context.keys import find_account
    from cli.transactions.sending import list_events, send

    return list_events(send(network, find_account(network.settings), calls), f"juries.{event}")


def emit_fields(network: "NetworkContext", fields: dict[str, Any]) -> None:
    """The fields of an event."""
    show_screen(network, fields, lambda reader, found: reader.read(found))


def emit_revealed(network: "NetworkContext", revealed: list[dict[str, Any]]) -> None:
    """A row per vote that is revealed."""
    from cli.screens.juries import build_revealed

    show_screen(network, revealed, build_revealed)
