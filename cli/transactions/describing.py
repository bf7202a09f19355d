"""A transaction in words, before it is signed: what happens, what it costs, what is locked, what may be lost.

Sentences are kept by the name of the call; a call without one is told by its fields, so that none is signed
unseen. Periods come from the events of the dry run and from the chain spec.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from chain.jsonable import to_json
from chain.modules.schedule import MODULES
from cli.context.network import NetworkContext
from cli.context.readable import Reader
from cli.terminal.amounts import format_duration, format_share
from cli.terminal.cells import Cell, format_cell, is_id, shorten
from cli.terminal.wording import format_count

SENTENCES = {
    "balances.send": "Send {amount}  {sender} -> {recipient}",
    "balances.burn_own": "Burn {amount} of {sender}",
    "balances.leave_memo": "Memo: {text}",
    "staking.bond": "Bond {amount} of {sender}",
    "staking.unbond": "Unbond {amount} of {sender}",
    "staking.withdraw": "Withdraw what has unlocked, to {sender}",
    "staking.delegate": "Delegate {amount}  {sender} -> {host}",
    "staking.undelegate": "Take back {amount}  {host} -> {sender}",
    "validators.validate": "Stand for election as {sender}, commission {commission_ppm}",
    "validators.chill": "Stand for no more elections as {sender}",
    "validators.set_commission": "Set the commission of {sender} to {commission_ppm}",
    "beacon.commit_chain": "Commit to {links} beacon reveals of {sender}",
    "membership.join": "Join the collective as {sender}",
    "membership.leave": "Leave the collective as {sender}",
    "membership.withdraw_lock": "Withdraw the lock of {sender}",
    "catalogue.list_datum": "List {title} ({size_bytes}, {category}) in the catalogue, by {sender}",
    "catalogue.delist": "Take {datum} out of the catalogue",
    "catalogue.sponsor": "Bond {amount} of {sender} as a sponsor of {datum}",
    "catalogue.leave_sponsorship": "Give notice as a sponsor of {datum}, by {sender}",
    "catalogue.withdraw_sponsorship": "Withdraw the bond of {sender} for {datum}",
    "juries.serve_as_juror": "Lock {amount} of {sender} as a juror's bond",
    "juries.retire_as_juror": "Retire as a juror, and take the bond of {sender} back",
    "juries.challenge_datum": "Challenge {datum} as junk, by {sender}",
    "juries.commit_verdict": "Commit to a verdict in case {case}, as {sender}",
    "juries.reveal_verdict": "Reveal the verdict in case {case}, as {sender}: junk {is_junk}",
    "hosting.register_host": "Register {sender} as a host at {addresses}",
    "hosting.register_subset": "Change what {sender} hosts: {add_count} more, {drop_count} fewer",
    "possession.prove": "Prove {leaves_count} of {host} for epoch {epoch}",
    "possession.challenge": "Ask {host} to prove {datum}",
    "sessions.open_session": "Open a session for {datum} with {allotments_count}, by {sender}",
    "sessions.close_session": "Close session {session}",
    "sessions.settle": "Settle a voucher, by {sender}",
    "sessions.release": "Claim nothing more of ended sessions, as {host}",
    "offences.report": "Report a double signature, by {sender}",
    "offences.unjail": "Leave jail as {sender}",
    "offences.declare_loss": "Declare {datum} lost by {sender}",
    "lockers.lock_tokens": "Lock {amount} of {sender} for {weeks}",
    "lockers.extend_lock": "Promise {weeks} from now on for lock {number} of {sender}",
    "lockers.claim_lock": "Claim what has vested of lock {number}, to {sender}",
    "lockers.leave_lock": "Leave lock {number}; its amount and what has vested go to {sender}",
}
"""Name of a call -> what it does; fields of the call in braces."""


COUNTED = {"leaves": "leaf", "allotments": "host"}
"""Lists of a call that are told by their number -> what is counted."""
FIELD_CHARS_MAX = 160
"""Longer texts of a call are cut: descriptions, raw bytes."""


class Effect(NamedTuple):
    """What a dry run says: the fee, its bound, the balance afterwards, the events."""

    fee: int
    fee_max: int
    tip: int
    balance: int | None
    events: Sequence[Mapping[str, Any]]


class Describer:
    """Tells the calls of one sender."""

    def __init__(self, network: NetworkContext, sender: str = "", reader: Reader | None = None) -> None:
        self._network, self._sender = network, sender
        self._reader = reader or Reader(network)

    def describe(self, call: Any) -> str:
        """One call on one line."""
        fields = to_json(call, self._network.spec.prefix)
        return self.describe_fields(get_call_name(call), fields, self._sender)

    def describe_fields(self, name: str, fields: Mapping[str, Any], sender: str) -> str:
        """The same, of a call as the API gives it."""
        shown = {key: self._show(key, value) for key, value in fields.items()}
        counts = {
            f"{key}_count": format_count(len(value), COUNTED[key]) if key in COUNTED else str(len(value))
            for key, value in fields.items()
            if isinstance(value, list)
        }
        if name in SENTENCES:
            return SENTENCES[name].format(**shown, **counts, sender=sender)
        told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in shown.items())
        verb = name.partition(".")[2].replace("_", " ").capitalize()
        return f"{verb} as {sender}{': ' if told else ''}{told}"

    def _show(self, field: str, value: Any) -> str:
        """A known account by name and short address, an unknown one by its whole address."""
        if field == "weeks" and isinstance(value, int):
            return self._describe_weeks(value)
        read = self._reader.read(value, field)
        if isinstance(read, Cell) and isinstance(value, str) and is_id(value):
            return f"{read.text} ({shorten(value)})"
        if isinstance(value, list) and value:
            return ", ".join(value) if isinstance(value[0], str) else format_count(len(value), "entry")
        if isinstance(value, Mapping):
            return ", ".join(value)
        text = format_cell(read)
        return text if len(text) <= FIELD_CHARS_MAX else f"{text[:FIELD_CHARS_MAX]}..."

    def describe_cost(self, effect: Effect) -> str:
        """`fee 0.000199 (at most 0.000398), left 999,987.4998`."""
        number = self._network.number
        parts = [f"fee {number(effect.fee)} (at most {number(effect.fee_max)})"]
        if effect.tip:
            parts.append(f"tip {number(effect.tip)}")
        if effect.balance is not None:
            parts.append(f"left {number(effect.balance)}")
        return ", ".join(parts)

    def list_locks(self, calls: Sequence[Any], events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Until when what is locked stays locked."""
        fields = [event.get("fields", {}) for event in events]
        told = [text for call in calls for text in self._list_locks_of(get_call_name(call))]
        for name in ("unlocks_in", "ends_era"):
            eras = {one[name] for one in fields if isinstance(one.get(name), int)}
            told += [f"era {era} ({self._network.clock.describe_era(era)})" for era in sorted(eras)]
        if ends := [one["expires_at"] for one in fields if isinstance(one.get("expires_at"), int)]:
            when = self._network.clock.describe_height(max(ends))
            window = self._describe_window()
            told.append(f"the sessions end, block {max(ends)} at the latest ({when})")
            told.append(f"their hosts release what is not spent, {window} later at the latest")
        told += [self._describe_decision(one) for one in fields if isinstance(one.get("drawn_in"), int)]
        return list(dict.fromkeys(told))

    def _describe_decision(self, opened: Mapping[str, Any]) -> str:
        """When the bond of a challenge is free, if it is not lost."""
        parameters = self._network.spec.juries.parameters
        epoch = opened["drawn_in"] + parameters.commit_epochs + parameters.reveal_epochs
        when, bond = self._network.clock.describe_epoch(epoch), self._network.amount(opened["bond"])
        return f"the jury has decided, epoch {epoch} ({when}): {bond}"

    def _list_locks_of(self, name: str) -> Iterator[str]:
        spec = self._network.spec
        if name in ("staking.bond", "staking.delegate"):
            eras = spec.staking.parameters.unbonding_eras
            yield f"you take it back, and {self._describe_eras(eras)} after that"
        elif name == "membership.join":
            eras = spec.membership.parameters.unlocking_eras
            lock = self._network.amount(spec.membership.parameters.lock)
            yield f"you leave the collective, and {self._describe_eras(eras)} after that: {lock}"
        elif name == "catalogue.list_datum":
            bond = self._network.amount(spec.catalogue.parameters.curator_bond)
            eras = spec.catalogue.parameters.curator_bond_eras
            yield f"{self._describe_eras(eras)} have passed after this one, whoever hosts it then: {bond}"
        elif name == "sessions.close_session":
            yield f"its hosts release what is not spent, {self._describe_window()} later at the latest"
        elif name == "juries.serve_as_juror":
            yield "you retire, which you can whenever you sit in no jury"
        elif name == "catalogue.sponsor":
            eras = spec.catalogue.parameters.sponsor_notice_eras
            yield f"you give notice, and {self._describe_eras(eras)} after that"

    def list_losses(self, calls: Sequence[Any], events: Sequence[Mapping[str, Any]] = ()) -> list[str]:
        """What makes one lose what is at stake, and how much of it."""
        told = [text for call in calls for text in self._list_losses_of(get_call_name(call))]
        for event in events:
            if forfeited := event.get("fields", {}).get("forfeited"):
                amount = self._network.amount(forfeited)
                told.append(f"you leave now: {amount} of what it accrued, which the other lockers keep")
        return list(dict.fromkeys(told))

    def _list_losses_of(self, name: str) -> Iterator[str]:
        spec = self._network.spec
        offences, window = spec.offences.parameters, spec.possession.parameters.window_epochs
        double, miss = format_share(offences.equivocation_ppm_min), format_share(offences.miss_slash_ppm)
        if name in ("staking.bond", "validators.validate"):
            yield f"your key signs two votes in one place: {double} of the stake or more"
        if name in ("staking.bond", "hosting.register_subset"):
            share = format_share(offences.miss_jail_ppm)
            yield f"what you host is not proven in {share} of {window} epochs: {miss} of the stake, and jail"
        if name in ("lockers.lock_tokens", "lockers.extend_lock"):
            yield "you leave before that: what it has earned and has not vested, never the amount"
        if name == "staking.delegate":
            yield f"the host signs two votes in one place: {double} of the stake or more"
        if name == "catalogue.sponsor":
            yield "a jury finds the datum to be junk: all of the bond"
        if name == "juries.challenge_datum":
            yield "the jury does not find the datum to be junk: all of the bond"
        if name in ("juries.serve_as_juror", "juries.commit_verdict"):
            share = format_share(spec.juries.parameters.silent_ppm)
            drawn = "you are drawn and" if name == "juries.serve_as_juror" else "you"
            yield f"{drawn} reveal no verdict: {share} of the bond"

    def _describe_weeks(self, weeks: int) -> str:
        """With the time they mean: the chain spec says how many eras a locker's week has."""
        eras = weeks * self._network.spec.lockers.parameters.week_eras
        return f"{format_count(weeks, 'week')} ({self._network.clock.describe_eras(eras)})"

    def _describe_window(self) -> str:
        """How long hosts may still settle after the end of a session."""
        spec = self._network.spec
        return format_duration(spec.sessions.parameters.settle_blocks * spec.system.parameters.block_ms)

    def _describe_eras(self, eras: int) -> str:
        return f"{format_count(eras, 'era')} ({self._network.clock.describe_eras(eras)})"


def get_call_name(call: Any) -> str:
    """`balances.send`."""
    for module in MODULES:
        for spec in module.calls.values():
            if spec.kind is type(call):
                return f"{module.name}.{spec.name}"
    raise AssertionError(f"no module has the call {type(call).__name__}")
