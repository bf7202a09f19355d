"""Transactions that left this process while a command ran.

From the moment a signed transaction is handed in, "failed" is no longer a safe answer: whoever reads it would
send again and pay twice. So a command that ends in any other way than by saying what became of each of them
ends with `OUTCOME_UNKNOWN` and their ids.
"""

from dataclasses import dataclass, field

from cli.errors import CliError, OutcomeUnknown


@dataclass(slots=True)
class SentTransactions:
    """Ids of this command's transactions, oldest first."""

    open: list[str] = field(default_factory=list)
    """Handed in, and what became of them is not known."""
    over: list[str] = field(default_factory=list)
    """Final, refused or expired for certain."""

    def add(self, tx_id: str) -> None:
        """Called before the bytes leave."""
        self.open.append(tx_id)

    def settle(self, tx_id: str) -> None:
        """Its outcome is certain."""
        if tx_id in self.open:
            self.open.remove(tx_id)
            self.over.append(tx_id)

    def build_unknown(self, why: str, *, is_output_lost: bool = False) -> CliError | None:
        """The error to end with instead of `why`; None if that can be said as it is.

        If the result cannot be written, finished transactions count too: their outcome was not told.
        """
        ids = [*self.over, *self.open] if is_output_lost else self.open
        if not ids:
            return None
        what = "transaction" if len(ids) == 1 else "transactions"
        known = "its outcome is unknown" if len(ids) == 1 else "their outcome is unknown"
        message = f"{why}; {what} {', '.join(ids)} was sent, {known}: do not send it again before you looked"
        return OutcomeUnknown(message, f"`vidya query tx {ids[-1]}`")
