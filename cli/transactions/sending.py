"""Sending a transaction: dry run, fee, question, signature, finality.

A transaction has an expiry height, so each ends for certain: final, refused, or expired without effect. When
another program of the same owner took the nonce first, it is tried and signed once more; if it would now do
something else, or may cost more than was confirmed, it is confirmed again. The key never leaves this process;
the node gets signed bytes. The id is said before they leave, so that whatever happens it can be looked up.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chain.modules.schedule import MODULES
from chain.primitives.codec import encode, replace
from chain.runtime import build_call
from chain.transaction import (
    TRANSACTION_VERSION,
    Transaction,
    compute_transaction_id,
    sign_transaction,
)
from cli.context.keys import WalletAccount
from cli.context.network import NetworkContext
from cli.context.readable import make_readable
from cli.errors import CliError, OutcomeUnknown, RequestRefused
from cli.exits import ExitCode
from cli.terminal import output
from cli.terminal.confirmation import Confirmation, confirm
from cli.transactions.describing import Describer, Effect
from cli.transactions.refusals import build_refusal, tell_bounds

EXPIRY_BLOCKS = 60
FEE_MARGIN = 2
"""The bound that is signed, in fees of the head: the fee is what is paid, and may rise by 1/8 per block."""
POLL_SECONDS = 0.15
SILENCE_SECONDS_MAX = 60.0
"""How long the node may be silent before the outcome is called unknown."""
OVER = frozenset(("final", "expired", "rejected"))
UNCERTAIN = frozenset((ExitCode.FAILURE, ExitCode.UNREACHABLE))
"""Exit codes of refusals after which the node may have taken the transaction all the same."""
NONCE_LOST = frozenset(("nonce_too_low", "replacement_underpriced"))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the sender wants of a transaction."""

    tip: int = 0
    fee_max: int | None = None
    expiry_blocks: int | None = None
    is_waiting: bool = True


@dataclass(frozen=True, slots=True)
class Draft:
    """An unsigned transaction and what the node says it would do."""

    transaction: Transaction
    fee: int
    weight: int
    events: list[Any]
    error: dict[str, Any] | None
    balance: int | None
    """What the sender has afterwards; None if the node does not say."""

    @property
    def effect(self) -> Effect:
        """As it is shown before it is signed."""
        bound = self.transaction.fee_max
        return Effect(self.fee, bound, self.transaction.tip, self.balance, self.events)

    def goes_beyond(self, confirmed: "Draft") -> bool:
        """Whether it would do something else than was confirmed, or may cost more."""
        return self.transaction.fee_max > confirmed.transaction.fee_max or self.events != confirmed.events


def draft(network: NetworkContext, account: bytes, calls: Sequence[Any], wishes: Wishes) -> Draft:
    """The transaction at the account's next nonce, tried by the node without effect."""
    status = network.check_synced()
    lifetime = network.spec.system.parameters.transaction_lifetime_blocks_max
    is_duty = any(is_duty_call(call) for call in calls)
    transaction = Transaction(
        version=TRANSACTION_VERSION,
        genesis_hash=network.genesis_hash,
        sender=account,
        nonce=0 if is_duty else get_next_nonce(network, account),
        valid_until=status["height"] + min(wishes.expiry_blocks or EXPIRY_BLOCKS, lifetime),
        fee_max=0,
        tip=0 if is_duty else wishes.tip,
        calls=tuple(build_call(call) for call in calls),
    )
    answer = network.client.post("/v1/transactions/dry-run", encode(transaction).hex())
    fee = int(answer["fee"])
    if not is_duty:
        fee_max = fee * FEE_MARGIN if wishes.fee_max is None else wishes.fee_max
        transaction = replace(transaction, fee_max=fee_max)
    return Draft(
        transaction, fee, int(answer["weight"]), answer["events"], answer["error"], answer.get("balance")
    )


def try_out(
    network: NetworkContext, account: bytes, calls: Sequence[Any], wishes: Wishes | None = None
) -> dict[str, Any]:
    """What the calls would cost and do, for `--dry-run`: nothing is signed."""
    made = draft(network, account, calls, wishes or Wishes())
    error = made.error and {
        **made.error,
        "message": tell_bounds(network, made.error["code"], made.error["message"]),
    }
    told = {"fee": made.fee, "weight": made.weight, "nonce": made.transaction.nonce}
    return {**told, "error": error, "events": made.events}


def show_trial(network: NetworkContext, account: bytes, calls: Sequence[Any]) -> None:
    """What `try_out` tells, as the result of the command."""
    network.settings.emit(make_readable(network, try_out(network, account, calls)))


def is_duty_call(call: Any) -> bool:
    """Whether the call pays no fee."""
    return any(
        spec.is_duty for module in MODULES for spec in module.calls.values() if spec.kind is type(call)
    )


def get_next_nonce(network: NetworkContext, account: bytes) -> int:
    """The nonce after all that is included or waiting."""
    found = network.client.get(f"/v1/accounts/{network.address(account)}")
    return int(found["nonce_next"])


def send(
    network: NetworkContext, account: WalletAccount, calls: Sequence[Any], wishes: Wishes | None = None
) -> dict[str, Any]:
    """The whole way; returns what became of it. Raises RequestRefused, OutcomeUnknown."""
    wishes = wishes or Wishes()
    made = draft(network, account.address, calls, wishes)
    check_draft(network, made)
    confirm_draft(network, account, calls, made)
    try:
        tx_id = submit(network, account, made.transaction)
    except RequestRefused as error:
        if error.code not in NONCE_LOST:
            raise
        made = draft_again(network, account, calls, wishes, made)
        tx_id = submit(network, account, made.transaction)
    if not wishes.is_waiting:
        return {"id": tx_id, "status": "pooled", "valid_until": made.transaction.valid_until}
    return wait_final(network, tx_id, made.transaction.valid_until)


def draft_again(
    network: NetworkContext, account: WalletAccount, calls: Sequence[Any], wishes: Wishes, confirmed: Draft
) -> Draft:
    """The same calls at the next nonce, tried again; confirmed again if they go beyond what was confirmed."""
    output.say("another transaction took the nonce; trying once more")
    made = draft(network, account.address, calls, wishes)
    if made.fee <= confirmed.transaction.fee_max:
        made = replace_bound(made, confirmed.transaction.fee_max)
    check_draft(network, made)
    if made.goes_beyond(confirmed):
        output.say("it would now have another effect, or may cost more:")
        confirm_draft(network, account, calls, made)
    return made


def replace_bound(made: Draft, fee_max: int) -> Draft:
    """The draft with another bound of its fee."""
    return dataclasses.replace(made, transaction=replace(made.transaction, fee_max=fee_max))


def check_draft(network: NetworkContext, made: Draft) -> None:
    """Raises RequestRefused if the state machine would refuse the calls, or the fee bound is too low."""
    if made.error is not None:
        raise build_refusal(network, made.error)
    if made.transaction.fee_max < made.fee:
        fee, bound = network.amount(made.fee), network.amount(made.transaction.fee_max)
        raise RequestRefused("fee_too_low", f"the fee is {fee}, --fee-max allows {bound}")


def confirm_draft(network: NetworkContext, account: WalletAccount, calls: Sequence[Any], made: Draft) -> None:
    """Shows what would happen, and asks unless that was waived; raises CliError, UsageFault."""
    describer = Describer(network, account.name)
    shown = Confirmation(
        actions=[describer.describe(call) for call in calls],
        cost=describer.describe_cost(made.effect),
        locked_until=describer.list_locks(calls, made.events),
        lost_if=describer.list_losses(calls, made.events),
    )
    confirm(network.settings, shown, "Send it?", "nothing was sent")


def submit(network: NetworkContext, account: WalletAccount, transaction: Transaction) -> str:
    """Signs and hands in; returns the id. Raises RequestRefused."""
    return submit_bytes(network, encode(sign_transaction(account.key, transaction)))


def submit_bytes(network: NetworkContext, signed: bytes) -> str:
    """Hands in signed bytes; returns the id, which is said first. Raises RequestRefused."""
    tx_id, sent = compute_transaction_id(signed).hex(), network.settings.sent
    if not network.settings.is_quiet:
        output.say(f"transaction {tx_id}")
    sent.add(tx_id)
    try:
        (outcome,) = network.client.post("/v1/transactions", [signed.hex()])["results"]
    except RequestRefused as error:
        if error.exit not in UNCERTAIN:
            sent.settle(tx_id)
        raise
    if outcome["error"] is not None:
        sent.settle(tx_id)
        raise build_refusal(network, outcome["error"])
    return tx_id


def wait_final(network: NetworkContext, tx_id: str, valid_until: int) -> dict[str, Any]:
    """What became of a transaction; waits until that is certain. Raises RequestRefused, OutcomeUnknown."""
    heard_at = time.monotonic()
    while True:
        try:
            found = network.client.get(f"/v1/transactions/{tx_id}", valid_until=valid_until)
            heard_at = time.monotonic()
            if found["status"] in OVER:
                network.settings.sent.settle(tx_id)
                return check_outcome(network, found)
            output.show_line(f"waiting for a block: {found['status']}")
        except CliError as error:
            if error.code != "unreachable":
                raise
            if time.monotonic() - heard_at > SILENCE_SECONDS_MAX:
                raise OutcomeUnknown(f"{tx_id}: {error.message}", f"`vidya query tx {tx_id}`") from error
        time.sleep(POLL_SECONDS)


def check_outcome(network: NetworkContext, found: dict[str, Any]) -> dict[str, Any]:
    """The outcome of a transaction that is over; raises RequestRefused if its calls did nothing."""
    output.end_line()
    error, receipt = found["error"], found["receipt"]
    if found["status"] != "final":
        raise build_refusal(network, error, f" (transaction {found['id']})")
    if error is not None:
        place = f" (transaction {found['id']}, height {found['height']}, the fee is kept)"
        raise build_refusal(network, error, place)
    told = {"id": found["id"], "status": found["status"], "height": found["height"]}
    return {**told, "fee": receipt["fee"], "events": receipt["events"]}


def list_events(outcome: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The fields of the events of one kind that a final transaction left, at least one, in order."""
    found = [event["fields"] for event in outcome["events"] if event["name"] == name]
    if not found:
        raise CliError("unexpected", f"transaction {outcome['id']} left no {name}")
    return found
