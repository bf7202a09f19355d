"""Vouchers of this host: checked as the chain will check them, kept on disk, listed when due.

Only the highest voucher of a session counts, so one per session is kept, with what was sent for it. Both are
written before a chunk is sent for the voucher: a crash of the process loses no voucher that was used. A power
cut loses at most those since the last `sync`, which is due every SYNC_WRITES vouchers and at the end of a
stream.

VoucherRefused   the chain would not settle the voucher; the message says why

Not here: what is sent for them (`service`), how they get on chain (`node.duties`).
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from chain.modules import sessions
from chain.modules.sessions import SignedVoucher
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import ChainError, DecodeError
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Address, Amount, Epoch, Hash, Height, PublicKey, Uint, Uint32
from chain.state import StateReader
from chain.votes import Verify
from storage.errors import CorruptStore
from storage.kv import KeyColumn, KeyValueStore, Prefix

SYNC_WRITES = 64
"""16 MiB at a voucher per chunk."""


class VoucherRefused(ChainError):
    """The chain would not settle the voucher."""


T = TypeVar("T", bound=Record)


class Delivery(Record):
    """What a session was sent: bytes in total, and the latest chunks, oldest first."""

    sent_bytes: Uint
    recent: tuple[Uint32, ...]


class Terms(NamedTuple):
    """What the session on chain fixes for this host: `price_per_gib` and `limit` in base units."""

    genesis_hash: Hash
    session: Hash
    datum: Hash
    host: Address
    payer: Address
    voucher_key: PublicKey
    price_per_gib: Amount
    limit: Amount


def check_voucher(
    signed: SignedVoucher, terms: Terms, paid_bytes: int, verify: Verify = is_signed_by
) -> None:
    """Raises VoucherRefused unless the chain would settle the voucher beyond `paid_bytes`
    (`chain.modules.sessions`, Settle). The signature comes last, since it costs most.
    """
    voucher = signed.voucher
    if (voucher.genesis_hash, voucher.session, voucher.host) != (
        terms.genesis_hash,
        terms.session,
        terms.host,
    ):
        raise VoucherRefused("for another network, session or host")
    if voucher.bytes <= paid_bytes:
        raise VoucherRefused(f"not above {paid_bytes} bytes")
    if voucher.amount != sessions.compute_price(voucher.bytes, terms.price_per_gib):
        raise VoucherRefused("not the price of its bytes")
    if voucher.amount > terms.limit:
        raise VoucherRefused(f"above the allotment of {terms.limit}")
    if not sessions.is_voucher_signed(signed, terms.voucher_key, verify):
        raise VoucherRefused("not signed by the session's key")


class VoucherBook:
    """The best voucher of each session and what was sent for it, for one host, in a database of its own.

    Used on the loop, except `sync`: a write without sync takes microseconds, less than a switch of threads.
    """

    def __init__(self, store: KeyValueStore, host: Address) -> None:
        self.host = host
        self._store = store
        self._vouchers = KeyColumn(store, Prefix.VOUCHER)
        self._sent = KeyColumn(store, Prefix.DELIVERY)
        self._best = {key: _load(SignedVoucher, data) for key, data in self._vouchers.iterate(host)}
        self._deliveries = {key: _load(Delivery, data) for key, data in self._sent.iterate(host)}
        self._unsynced = 0

    @property
    def is_sync_due(self) -> bool:
        """Whether SYNC_WRITES vouchers were written since the last sync."""
        return self._unsynced >= SYNC_WRITES

    def get(self, session: Hash) -> SignedVoucher | None:
        """The best voucher of a session."""
        return self._best.get(self.host + session)

    def get_delivery(self, session: Hash) -> Delivery | None:
        """What a session was sent, as last written; None if nothing is known of it."""
        return self._deliveries.get(self.host + session)

    def list(self) -> tuple[SignedVoucher, ...]:
        """The best voucher of every session that has one."""
        return tuple(self._best.values())

    def keep(self, signed: SignedVoucher, delivery: Delivery) -> None:
        """Writes a checked voucher in place of the one before, unless that one is as high, and what was sent
        so far; in one batch.
        """
        key = self.host + signed.voucher.session
        known = self._best.get(key)
        if known is not None and known.voucher.bytes >= signed.voucher.bytes:
            return
        entries = [self._vouchers.entry(key, encode(signed)), self._sent.entry(key, encode(delivery))]
        self._store.write_batch(entries, sync=False)
        self._best[key], self._deliveries[key] = signed, delivery
        self._unsynced += 1

    def keep_delivery(self, session: Hash, delivery: Delivery) -> None:
        """Writes what a session was sent."""
        key = self.host + session
        if key in self._best and self._deliveries.get(key) != delivery:
            self._store.write_batch([self._sent.entry(key, encode(delivery))], sync=False)
            self._deliveries[key] = delivery
            self._unsynced += 1

    def sync(self) -> None:
        """When this returns, all written so far survives a power cut. Blocks: call it in a thread."""
        if self._unsynced:
            self._unsynced = 0
            self._store.write_batch([], sync=True)

    def forget(self, session_ids: Iterable[Hash]) -> None:
        """Deletes the vouchers and deliveries of sessions that are over."""
        keys = [self.host + session_id for session_id in session_ids]
        columns = (self._vouchers, self._sent)
        self._store.write_batch([one.entry(key, None) for key in keys for one in columns], sync=False)
        for key in keys:
            self._best.pop(key, None)
            self._deliveries.pop(key, None)


def _load(kind: type[T], data: bytes) -> T:
    try:
        return decode(kind, data)
    except DecodeError as error:
        raise CorruptStore(f"a kept {kind.__name__} is damaged: {error}") from error


class SortedVouchers(NamedTuple):
    """The vouchers of a book, sorted by what is to be done with them. Those of ended sessions are settled
    with the release of the allotment (`node.duties.releases`).
    """

    running: tuple[SignedVoucher, ...]
    """Due, of running sessions: settled once per epoch."""
    over: tuple[Hash, ...]
    """Sessions that the state does not have any more."""


def sort_vouchers(
    state: StateReader, vouchers: Iterable[SignedVoucher], height: Height, epoch: Epoch
) -> SortedVouchers:
    """Sorts vouchers by what a block at `height` would settle of them."""
    running: list[SignedVoucher] = []
    over: list[Hash] = []
    for signed in vouchers:
        session_id = signed.voucher.session
        session = sessions.get_session(state, session_id)
        if session is None:
            over.append(session_id)
        elif sessions.is_running(session, height) and sessions.is_due(state, signed.voucher, height, epoch):
            running.append(signed)
    return SortedVouchers(tuple(running), tuple(over))
