"""What a buyer has promised to one host of a session, and what came for it.

The buyer pays ahead by at most PREPAID_BYTES_MAX: so much can be lost to a host that takes and does not
deliver, whatever it claims, over all connections of a session. To keep this bound over restarts of the
buyer, both figures are on disk before a voucher leaves.
"""

from collections.abc import Iterable

from chain.modules import sessions
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import Record, decode, encode
from chain.primitives.errors import DecodeError
from chain.primitives.types import HASH_BYTES, Address, Amount, Hash, Uint
from node.content.downloads.types import DownloadJob, HostFailed, Outcome, SessionHost
from node.content.prepayment import PREPAID_BYTES_MAX
from p2p.errors import PeerFault
from p2p.wire.messages import Granted
from storage.errors import CorruptStore
from storage.kv import KeyColumn, KeyValueStore, Prefix


class HostPayments(Record):
    """Bytes promised to a host in a session, bytes that verified of it, and those noted as lost to it."""

    promised: Uint = 0
    verified: Uint = 0
    noted: Uint = 0


class PaymentBook:
    """The payments of this buyer's sessions, by session and host, in a database.

    Used on the loop: a write without sync takes microseconds and survives the death of the process.
    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._column = KeyColumn(store, Prefix.PAYMENT)

    def get(self, session: Hash, host: Address) -> HostPayments | None:
        """What is known of a host in a session; raises CorruptStore."""
        data = self._column.get(session + host)
        try:
            return None if data is None else decode(HostPayments, data)
        except DecodeError as error:
            raise CorruptStore(f"kept payments are damaged: {error}") from error

    def keep(self, session: Hash, host: Address, payments: HostPayments) -> None:
        """Writes what is known of a host in a session."""
        self._store.write_batch([self._column.entry(session + host, encode(payments))], sync=False)

    def list_sessions(self) -> set[Hash]:
        """The sessions with payments."""
        return {key[:HASH_BYTES] for key, _ in self._column.iterate()}

    def forget(self, session_ids: Iterable[Hash]) -> None:
        """Deletes the payments of sessions that are over."""
        keys = [key for session in session_ids for key, _ in self._column.iterate(session)]
        self._store.write_batch([self._column.entry(key, None) for key in keys], sync=False)


class PaymentAccount:
    """The payments to one host of a session, over all connections.

    `unseen_bytes` is what the host says it has sent beyond what verified here. Invariant: `promised_bytes` -
    `verified_bytes` is at most PREPAID_BYTES_MAX.
    """

    def __init__(self, book: PaymentBook, job: DownloadJob, host: SessionHost, genesis_hash: Hash) -> None:
        self._book, self._job, self._host, self._genesis_hash = book, job, host, genesis_hash
        known = book.get(job.session, host.account) or HostPayments()
        self.promised_bytes, self.verified_bytes = known.promised, known.verified
        self._noted_bytes = known.noted
        self.unseen_bytes = 0

    @property
    def counted_bytes(self) -> int:
        """Bytes that the host counts as sent, less what is under way."""
        return self.verified_bytes + self.unseen_bytes

    @property
    def promised(self) -> Amount:
        """Base units that the host can claim with our vouchers."""
        return self._compute_price(self.promised_bytes)

    @property
    def lost_bytes(self) -> int:
        """Bytes that were promised and have not verified."""
        return max(0, self.promised_bytes - self.verified_bytes)

    @property
    def lost(self) -> Amount:
        """The price of `lost_bytes`, in base units."""
        return self.promised - self._compute_price(self.promised_bytes - self.lost_bytes)

    def resume(self, granted: Granted) -> SignedVoucher | None:
        """Compares what the host says with what is known here; returns the voucher that it is missing.

        Raises PeerFault if the host says what an honest one cannot.
        """
        shown_bytes = 0
        if granted.best is not None:
            self._check_own(granted.best)
            shown_bytes = granted.best.voucher.bytes
        if not self.promised_bytes:
            # The first payment, or this buyer has no record of earlier ones: it can only believe the host.
            self.promised_bytes, self.verified_bytes = shown_bytes, min(granted.sent_bytes, shown_bytes)
        self.promised_bytes = max(self.promised_bytes, shown_bytes)
        if granted.sent_bytes > self.promised_bytes:
            raise PeerFault("says that it sent more than was paid")
        self.unseen_bytes = max(0, granted.sent_bytes - self.verified_bytes)
        is_outdated = self.promised_bytes > max(shown_bytes, granted.sent_bytes)
        return self._sign(self.promised_bytes) if is_outdated else None

    def _check_own(self, signed: SignedVoucher) -> None:
        voucher, job = signed.voucher, self._job
        is_ours = sessions.is_voucher_signed(signed, job.voucher_key.public_key)
        if not is_ours or (voucher.session, voucher.host) != (job.session, self._host.account):
            raise PeerFault("shows a voucher that this client never signed")

    def can_pay(self, size_bytes: int) -> bool:
        """Whether the allotment covers this many bytes beyond what the host counts as sent."""
        total = max(self.promised_bytes, self.counted_bytes + size_bytes)
        return self._compute_price(total) <= self._host.limit

    def build_voucher(self, ahead_bytes: int) -> SignedVoucher | None:
        """The voucher that pays this many bytes ahead of what the host counts as sent; None if it would not
        be higher than the last. Never more than PREPAID_BYTES_MAX ahead of what verified.

        Raises HostFailed beyond the allotment. When it returns, the voucher is on the buyer's disk.
        """
        total = min(self.counted_bytes + ahead_bytes, self.verified_bytes + PREPAID_BYTES_MAX)
        if total <= self.promised_bytes:
            return None
        if self._compute_price(total) > self._host.limit:
            raise HostFailed(Outcome.ALLOTMENT_SPENT, "the next voucher would exceed the allotment")
        self.promised_bytes = total
        self.save()
        return self._sign(total)

    def count_verified(self, size_bytes: int, *, is_again: bool) -> None:
        """Counts a chunk that verified. One that was sent again is no more than what was unseen of it."""
        if is_again:
            size_bytes = min(size_bytes, self.unseen_bytes)
            self.unseen_bytes -= size_bytes
        self.verified_bytes += size_bytes
        self.save()

    def note_lost(self) -> int:
        """Bytes lost to the host since the last call, in any run; negative if it has made up for some."""
        added = self.lost_bytes - self._noted_bytes
        self._noted_bytes = self.lost_bytes
        self.save()
        return added

    def save(self) -> None:
        """Writes both figures, once anything was promised."""
        if not self.promised_bytes:
            return
        payments = HostPayments(self.promised_bytes, self.verified_bytes, self._noted_bytes)
        self._book.keep(self._job.session, self._host.account, payments)

    def _sign(self, size_bytes: int) -> SignedVoucher:
        job, amount = self._job, self._compute_price(size_bytes)
        voucher = Voucher(self._genesis_hash, job.session, self._host.account, size_bytes, amount)
        return sessions.sign_voucher(job.voucher_key, voucher)

    def _compute_price(self, size_bytes: int) -> Amount:
        return sessions.compute_price(size_bytes, self._job.price_per_gib)
