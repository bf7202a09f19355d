"""What users paid and withdrew, recomputed from the events of a chain by arithmetic of its own.

The invariants of modules hold that no money is made or lost. They do not say that the right account got it at
the right time. Here each settlement is compared with the price of its bytes, each session with its deposit,
and each withdrawal with what had unlocked by then.
"""

from collections import Counter
from collections.abc import Iterator

from chain.modules.sessions import Settled
from chain.modules.sessions.types import SessionOpened
from chain.modules.staking.types import Unbonded, Withdrawn
from chain.primitives.codec import Record
from chain.primitives.types import Address, Amount, Era, Hash, Height
from chain.runtime import decode_event
from node.ledger.ledger import Ledger
from tests.sim.checks.checkers import Violation

GIB = 2**30


def iterate_events(chain: Ledger, height: Height) -> Iterator[Record]:
    """All events of a block, in order."""
    receipts = chain.get_receipts(height)
    if receipts is not None:
        yield from (decode_event(record)[1] for record in receipts.start)
        for receipt in receipts.transactions:
            yield from (decode_event(record)[1] for record in receipt.events)
        yield from (decode_event(record)[1] for record in receipts.end)


def check_economy(chain: Ledger) -> list[Violation]:
    """Settlements and withdrawals of the whole chain."""
    settlements, withdrawals = _Settlements(), _Withdrawals()
    parameters = chain.get_parameters()
    era_blocks = parameters.epoch_blocks * parameters.era_epochs
    for height in range(1, chain.height + 1):
        era = (height - 1) // era_blocks
        for event in iterate_events(chain, height):
            settlements.add(event)
            withdrawals.add(era, event)
    return [Violation("economy", fault) for fault in (*settlements.faults, *withdrawals.faults)]


class _Settlements:
    """What each host got of each session."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._deposits: dict[Hash, Amount] = {}
        self._bytes: Counter[tuple[Hash, Address]] = Counter()
        self._amounts: Counter[tuple[Hash, Address]] = Counter()

    def add(self, event: Record) -> None:
        match event:
            case SessionOpened():
                self._deposits[event.session] = event.deposit
            case Settled():
                self._settle(event)

    def _settle(self, event: Settled) -> None:
        name = event.session, event.host
        self._bytes[name] += event.bytes
        self._amounts[name] += event.amount
        price = -(-self._bytes[name] * event.price_per_gib // GIB)
        paid = sum(amount for (session, _), amount in self._amounts.items() if session == event.session)
        what = f"session {event.session.hex()[:8]}"
        if self._amounts[name] != price:
            self.faults.append(f"{what}: {self._amounts[name]} paid for bytes that cost {price}")
        if paid > self._deposits.get(event.session, 0):
            self.faults.append(f"{what}: {paid} paid of a deposit of {self._deposits.get(event.session)}")
        if event.income + event.to_lockers + event.burned != event.amount:
            self.faults.append(f"{what}: the parts are not the whole")


class _Withdrawals:
    """What each account unbonded, by the era in which it unlocks, and what it withdrew."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._unlocking: dict[Address, Counter[Era]] = {}
        self._withdrawn: Counter[Address] = Counter()

    def add(self, era: Era, event: Record) -> None:
        match event:
            case Unbonded():
                self._unlocking.setdefault(event.account, Counter())[event.unlocks_in] += event.amount
            case Withdrawn():
                self._withdraw(era, event)

    def _withdraw(self, era: Era, event: Withdrawn) -> None:
        who = event.account
        self._withdrawn[who] += event.amount
        unlocking = self._unlocking.get(who, Counter[Era]())
        unlocked = sum(amount for unlocks_in, amount in unlocking.items() if unlocks_in <= era)
        if self._withdrawn[who] > unlocked:
            detail = f"{self._withdrawn[who]} withdrawn by era {era}, {unlocked} had unlocked"
            self.faults.append(f"{who.hex()[:8]}: {detail}")
