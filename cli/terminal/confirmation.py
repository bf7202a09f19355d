"""The one way to ask before something is done that costs, locks or deletes.

    Send 12.5 VIDYA  alice -> bob (vdev1vgh2k...xphl)
      fee 0.000199 (at most 0.000398), left 999,987.4998
      locked until era 21 (in 3 days)
      lost if it signs twice for one block
    Send it? [y/N]

With -y the same is shown and nothing is asked.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cli.errors import CliError, UsageFault
from cli.exits import ExitCode
from cli.terminal import output
from cli.terminal.options import Settings
from cli.terminal.style import paint


class Confirmation(NamedTuple):
    """What is about to happen."""

    actions: Sequence[str]
    """Verb, amount, from whom to whom: a line each."""
    cost: str = ""
    """Fee, its bound, what remains."""
    locked_until: Sequence[str] = ()
    """When what is locked is free again."""
    lost_if: Sequence[str] = ()
    """What makes one lose it."""

    def list_lines(self) -> list[str]:
        """As it is shown."""
        return [
            *self.actions,
            *([f"  {self.cost}"] if self.cost else []),
            *(f"  {paint('locked until', 'warning')} {text}" for text in self.locked_until),
            *(f"  {paint('lost if', 'bad')} {text}" for text in self.lost_if),
        ]


def confirm(
    settings: Settings, what: Confirmation, question: str = "Go on?", refused: str = "nothing was done"
) -> None:
    """Shows it and asks; raises CliError if the answer is no, UsageFault if nobody can answer."""
    if not settings.is_quiet:
        for line in what.list_lines():
            output.say(line)
    if settings.is_confirmed:
        return
    if not output.can_ask():
        raise UsageFault("nobody is here to confirm this", "-y confirms it beforehand")
    if not output.ask(question):
        raise CliError("not_confirmed", refused, status=ExitCode.NOT_ALLOWED)
