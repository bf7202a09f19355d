"""Debts: what each payer was sent without pay, over all its sessions with this host.

Prepaid chunks that a lost connection swallowed are sent again for free, since an honest buyer must not pay
twice. A payer that cuts connections on purpose would get each chunk several times, so the bytes are kept
under the payer's account: at DEBT_BYTES_MAX nothing more is sent again for free, in any session. A debt
falls by one byte for FALL_RATIO bytes paid.

Bounded: beyond DEBTS_MAX payers the smallest debt is forgotten, which costs the host at most that debt.
Used on the loop: a write without sync takes microseconds.
"""

from chain.primitives.codec import decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import Address, Uint
from storage.errors import CorruptStore
from storage.kv import KeyColumn, KeyValueStore, Prefix

DEBT_BYTES_MAX = 2**20
DEBTS_MAX = 4096
FALL_RATIO = 8
"""An honest connection may break once in 8 MiB without end; a thief gains an eighth of what it pays."""


class DebtBook:
    """The debts to one host, in a database that it shares with the host's vouchers.

    Invariant: every debt is positive and at most DEBT_BYTES_MAX.
    """

    def __init__(self, store: KeyValueStore, host: Address) -> None:
        self._host = host
        self._store = store
        self._column = KeyColumn(store, Prefix.DEBT)
        self._debts = {key[len(host) :]: _load(data) for key, data in self._column.iterate(host)}

    def get(self, payer: Address) -> int:
        """Bytes that the payer owes."""
        return self._debts.get(payer, 0)

    def can_owe(self, payer: Address, size_bytes: int) -> bool:
        """Whether so many bytes more may be sent without pay."""
        return self.get(payer) + size_bytes <= DEBT_BYTES_MAX

    def owe(self, payer: Address, size_bytes: int) -> None:
        """Notes bytes that are sent without pay."""
        self._set(payer, self.get(payer) + size_bytes)
        if len(self._debts) > DEBTS_MAX:
            others = (one for one in self._debts if one != payer)
            self._set(min(others, key=self._debts.__getitem__), 0)

    def pay(self, payer: Address, size_bytes: int) -> None:
        """Lowers the debt for bytes that were paid in any session."""
        if payer in self._debts:
            self._set(payer, self._debts[payer] - size_bytes // FALL_RATIO)

    def _set(self, payer: Address, debt: int) -> None:
        if debt > 0:
            self._debts[payer] = debt
        else:
            self._debts.pop(payer, None)
        value = encode(debt) if debt > 0 else None
        self._store.write_batch([self._column.entry(self._host + payer, value)], sync=False)


def _load(data: bytes) -> int:
    try:
        return decode(Uint, data)
    except DecodeError as error:
        raise CorruptStore(f"a kept debt is damaged: {error}") from error
