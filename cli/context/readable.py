"""Answers of the API as a screen shows them: amounts in tokens, sizes and shares in their units, periods with
the time they mean, names and titles in place of ids.

What a value is follows from its field's name. Programs (`-o json`) get the data as it is: base units, bytes,
milliseconds, parts per million, ids whole.
"""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from cli.context.clock import ChainClock
from cli.context.network import NetworkContext
from cli.errors import CliError
from cli.terminal.amounts import format_duration, format_share, format_size
from cli.terminal.cells import Cell, format_cell, is_id, shorten
from cli.terminal.output import Format
from cli.terminal.streams import has_unicode
from cli.terminal.wording import format_count, get_words


def _fields(names: str) -> frozenset[str]:
    return frozenset(names.split())


AMOUNTS = _fields(
    "active amount balance base_fee bond burned committed delegated delegated_to deposit earned escrow fee "
    "accrued claimable claimed fee_max forfeited free fresh genesis income leaving limit "
    "listing_fee_min locked lost minted needed paid pledge_per_gib price_max_per_gib price_per_gib refunded "
    "required spent sponsored stake tip to_delegators to_lockers total withheld"
)
SIZES = _fields(
    "bytes bytes_downloaded bytes_held bytes_served bytes_total lost_bytes paid_bytes quota_bytes size_bytes "
    "used_bytes"
)
RATES = _fields("capacity bytes_per_second")
EPOCHS = _fields(
    "decided_in drawn_in epoch from_epoch hosted_from_epoch last_proven reveals_from until_epoch"
)
ERAS = _fields("bond_until commission_era earns_from ends_era era from_era since_era unlocks_in wanted_in")
HEIGHTS = _fields("ends_at expires_at valid_until listed_at opened_at deadline")
TITLES_MAX = 1000
_SECONDS_MAX = 253_402_300_799


class Reader:
    """Converts values of one network; asks for what it needs when it first needs it."""

    def __init__(self, network: NetworkContext, names: Mapping[str, str] | None = None) -> None:
        """`names` of addresses, if not those of the wallet's keys."""
        self._network = network
        self._given_names = names

    def read(self, value: Any, field: str = "") -> Any:
        """The value with cells in place of what a screen shows differently."""
        if field == "standing" and isinstance(value, Mapping):
            return self._read_standing(value)
        if field.startswith("events") and isinstance(value, list):
            return [self._read_event(one) for one in value]
        if isinstance(value, Mapping):
            return {key: self.read(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.read(item, field) for item in value]
        if isinstance(value, bool) or value is None or isinstance(value, Cell):
            return value
        return self._read_number(value, field) if isinstance(value, int) else self._read_text(value, field)

    def _read_number(self, value: int, field: str) -> Any:
        if field in AMOUNTS:
            return Cell(self._network.amount(value), is_number=True)
        if field in SIZES:
            return Cell(format_size(value), is_number=True)
        if field in RATES:
            return Cell(f"{format_size(value)}/s", is_number=True)
        if field == "pay_factor" or field.endswith("_ppm"):
            return Cell(format_share(value), is_number=True)
        if field.endswith("time_ms"):
            return Cell(format_time(value))
        if field.endswith("_ms"):
            return Cell(format_duration(value), is_number=True)
        for fields, describe in self._periods:
            if field in fields:
                return Cell(f"{value} ({describe(self._clock, value)})")
        return value

    _periods: tuple[tuple[frozenset[str], Callable[[ChainClock, int], str]], ...] = (
        (EPOCHS, ChainClock.describe_epoch),
        (ERAS, ChainClock.describe_era),
        (HEIGHTS, ChainClock.describe_height),
    )

    def _read_text(self, value: Any, field: str) -> Any:
        if field == "window":
            return build_marks(value)
        if not isinstance(value, str) or not is_id(value):
            return value
        if value in self._names:
            return self.build_name(value)
        title = self._titles.get(value) if field == "datum" else None
        return value if title is None else Cell(title, full=f"{title}  {value}")

    def build_name(self, address: str) -> Cell:
        """The name of a key of the wallet in place of its address; else the short address."""
        name = self._names.get(address)
        if name is None:
            return Cell(shorten(address), full=address)
        return Cell(name, "name", full=f"{name}  {address}")

    def describe_epoch(self, epoch: int) -> str:
        """`epoch 57 (in 2 min)`."""
        return f"epoch {epoch} ({self._clock.describe_epoch(epoch)})"

    def _read_standing(self, value: Mapping[str, Any]) -> Any:
        return self.build_state(value)

    def build_state(self, standing: Mapping[str, Any], *, otherwise: str = "active") -> Cell:
        """In one word what an account's standing is, and until when."""
        if standing.get("is_tombstoned"):
            return Cell("TOMBSTONED (forever)", "bad")
        if standing.get("is_jailed"):
            return Cell(f"JAILED {self.describe_jail(standing)}", "bad")
        return Cell(otherwise, "good" if otherwise == "active" else "")

    def describe_jail(self, standing: Mapping[str, Any]) -> str:
        """Until when a jailed account cannot return."""
        until = standing.get("jailed_until", 0)
        return "until it unjails" if self._clock.is_begun(until) else f"until {self.describe_epoch(until)}"

    def _read_event(self, event: Any) -> Any:
        if not isinstance(event, Mapping) or not isinstance(event.get("fields"), Mapping):
            return event
        fields = {name: _shorten_list(value) for name, value in self.read(event["fields"]).items()}
        told = ", ".join(f"{get_words(name)} {format_cell(value)}" for name, value in fields.items())
        return {"event": event.get("name"), "details": Cell(told)}

    @cached_property
    def _clock(self) -> ChainClock:
        return self._network.clock

    @cached_property
    def _names(self) -> Mapping[str, str]:
        from cli.context.keys import ACCOUNT_ROLES, list_keys

        if self._given_names is not None:
            return self._given_names
        keys = [key for key in list_keys(self._network.settings) if key.role in ACCOUNT_ROLES]
        return {self._network.address(key.address): key.name for key in keys}

    @cached_property
    def _titles(self) -> dict[str, str]:
        """Titles that only one datum has, by its id."""
        try:
            found = self._network.client.get("/v1/datums", limit=TITLES_MAX)["datums"]
        except (CliError, KeyError, TypeError):
            return {}
        titles = [one["title"] for one in found]
        return {one["id"]: format_cell(one["title"]) for one in found if titles.count(one["title"]) == 1}


def _shorten_list(value: Any) -> Any:
    """Records inside of an event are counted: they would not fit a line."""
    is_records = isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    return format_count(len(value), "entry") if is_records else value


def make_readable(network: NetworkContext, data: Any) -> Any:
    """The data for the format asked for."""
    return Reader(network).read(data) if network.settings.format is Format.TABLE else data


def build_marks(window: str) -> Cell:
    """Proofs as a row of marks, the newest last: proven, missed, missed but covered."""
    marks = {"p": "✓", "m": "✗", "c": "~"} if has_unicode(sys.stdout) else {"p": "+", "m": "x", "c": "~"}
    row = "".join(marks.get(letter, "?") for letter in window)
    return Cell(row or "none yet", "bad" if "m" in window else "good" if window else "")


def format_time(time_ms: int) -> str:
    """UTC, to the second."""
    seconds = min(time_ms // 1000, _SECONDS_MAX)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
