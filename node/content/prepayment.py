"""Prepayment: what a session has paid at this host, and what was sent for it.

A host sends a chunk only if the best voucher of the session covers it beside all that was sent, over all
streams and reconnections (docs/spec/content-exchange.md, "Paying ahead"). The figures survive a restart
(`vouchers.VoucherBook`), so neither side pays for a lost connection.
"""

from collections import OrderedDict

from chain.content import CHUNK_BYTES
from chain.modules import sessions
from chain.modules.sessions import SignedVoucher
from chain.primitives.types import Height
from node.content.vouchers import Delivery, Terms
from p2p.notifier import Notifier
from p2p.wire.messages import RECENT_CHUNKS_MAX

PREPAID_BYTES_MAX = 4 * CHUNK_BYTES
"""Most bytes, 1 MiB, that a buyer pays a host ahead in a session, and so can lose to it."""


class PrepaidAccount:
    """What one session has paid and was sent, over all its streams.

    Invariants: `sent_bytes` is at most `paid_bytes`. `recent` are the latest chunks sent, oldest first; they
    hold at least the last PREPAID_BYTES_MAX of `sent_bytes`, so every chunk that a lost connection can have
    swallowed is among them. Sending one of these again is not counted as sent.
    """

    def __init__(
        self,
        terms: Terms,
        size_bytes: int,
        best: SignedVoucher | None,
        delivery: Delivery | None,
        settled_bytes: int,
    ) -> None:
        self.terms = terms
        self.size_bytes = size_bytes
        self.best = best
        self.paid_bytes = max(best.voucher.bytes if best else 0, settled_bytes)
        # Without a record of deliveries everything that was paid counts as sent: the host lost its book, and
        # would otherwise send all of it again.
        known = delivery or Delivery(self.paid_bytes, ())
        self.sent_bytes = known.sent_bytes
        self.recent = OrderedDict((chunk, self.compute_size(chunk)) for chunk in known.recent)
        self.checked_at: Height = 0
        self._noted_bytes = self.sent_bytes
        self._changed = Notifier()

    @property
    def delivery(self) -> Delivery:
        """What was sent, for the disk."""
        return Delivery(self.sent_bytes, tuple(self.recent))

    @property
    def is_note_due(self) -> bool:
        """Whether so much was sent since the last `take_note` that a restart would forget more than 1 MiB."""
        return self.sent_bytes - self._noted_bytes >= PREPAID_BYTES_MAX

    def take_note(self) -> Delivery:
        """`delivery`, which the caller writes now."""
        self._noted_bytes = self.sent_bytes
        return self.delivery

    def compute_size(self, chunk: int) -> int:
        """Bytes of a chunk; 0 if the datum has no chunk of that number."""
        return max(0, min(CHUNK_BYTES, self.size_bytes - chunk * CHUNK_BYTES))

    def is_paid(self, chunk: int) -> bool:
        """Whether the best voucher covers the chunk beside all that was sent."""
        return self.sent_bytes + self.compute_size(chunk) <= self.paid_bytes

    def is_covered(self, chunk: int) -> bool:
        """Whether the allotment can pay for the chunk beside all that was sent."""
        owed = self.sent_bytes + self.compute_size(chunk)
        return sessions.compute_price(owed, self.terms.price_per_gib) <= self.terms.limit

    def charge(self, chunk: int) -> None:
        """Notes that the chunk, which is paid, is sent."""
        size = self.compute_size(chunk)
        self.sent_bytes += size
        self.recent[chunk] = size
        self.recent.move_to_end(chunk)
        if len(self.recent) > RECENT_CHUNKS_MAX:
            self.recent.popitem(last=False)

    def pay(self, signed: SignedVoucher) -> None:
        """Counts a voucher that was checked and kept."""
        self.best, self.paid_bytes = signed, signed.voucher.bytes
        self.wake()

    def wake(self) -> None:
        """Wakes the streams that wait for a voucher."""
        self._changed.notify_all()

    async def wait(self) -> None:
        """Returns at the next voucher, or at anything else that may end the wait for one."""
        await self._changed.wait()
