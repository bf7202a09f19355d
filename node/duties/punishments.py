"""Writes to the log what the chain has done to the account of this node, and which command comes next.

Jail and slashes are logged as errors: the node goes on, and its operator may look at nothing but the log.
"""

from typing import Any, cast

import structlog

from chain.block import EventRecord
from chain.jsonable import get_fields
from chain.modules import offences
from chain.modules.possession.types import Missed
from chain.modules.schedule import MODULES
from chain.modules.staking.types import Jailed, Slashed, Tombstoned
from chain.primitives.codec import Record, decode
from chain.primitives.types import Address, Height
from node.ledger.ledger import CommittedBlock

_log = structlog.get_logger("punishments")

_NEXT: dict[type[Record], str] = {
    Missed: "vidya doctor",
    Jailed: "vidya doctor, then vidya tx unjail",
    Tombstoned: "vidya leave",
    Slashed: "vidya doctor",
    offences.EquivocationProven: "vidya validator audit",
    offences.MissesPunished: "vidya doctor",
    offences.WentOffline: "vidya doctor, then vidya host add",
    offences.RevealsWithheld: "vidya doctor",
    offences.DemandsFailed: "vidya doctor",
}
"""Event -> what its host or validator does about it."""
_WARNINGS = (Missed,)
"""Logged as warnings: one alone costs nothing but the pay of an epoch."""
_KINDS = {
    (module.index, index): (f"{module.name}.{kind.__name__}", kind)
    for module in MODULES
    for index, kind in module.events.items()
    if kind in _NEXT
}


class Punishments:
    """Watches final blocks for one account; an observer has none, and nothing is watched."""

    def __init__(self, account: Address | None) -> None:
        self._account = account

    def on_committed(self, committed: CommittedBlock) -> None:
        """A block became final."""
        if self._account is None:
            return
        for event in committed.list_events():
            self.look_at(event, committed.block.header.height)

    def look_at(self, event: EventRecord, height: Height) -> None:
        """Logs the event if it is about the account."""
        name, kind = _KINDS.get((event.module, event.index), ("", None))
        if kind is None:
            return
        fields = decode(kind, event.fields)
        offender = getattr(fields, "host", None) or getattr(fields, "validator", None)
        if offender != self._account:
            return
        log = _log.warning if kind in _WARNINGS else _log.error
        log(name, height=height, next=_NEXT[kind], **_list_plain(fields))


def _list_plain(fields: Record) -> dict[str, int | str]:
    """The numbers and texts of an event, without its height and account."""
    names = [name for name, *_ in get_fields(cast(Any, type(fields))) if name != "height"]
    values = {name: getattr(fields, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, int | str)}
