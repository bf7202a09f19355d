"""Credit: what a session was sent by this host and what it has paid.

A host sends at most CREDIT_BYTES beyond the best voucher of a session, over all streams and reconnections: so
much it loses to a client that never pays (docs/spec/content-exchange.md, "Credit"). The account lives in
memory; a restart of the host forgets unpaid chunks, which costs the host as much again.
"""

from collections import OrderedDict

from chain.content import CHUNK_BYTES
from chain.modules import sessions
from chain.modules.sessions import SignedVoucher
from chain.primitives.types import Height
from node.content.vouchers import Terms
from p2p.notifier import Notifier
from p2p.wire.messages import UNPAID_CHUNKS_MAX

CREDIT_BYTES = UNPAID_CHUNKS_MAX * CHUNK_BYTES
RESENDS_MAX = 16
"""Unpaid chunks that one session may be sent once more, after lost connections."""


class CreditAccount:
    """The credit of one session, over all its streams.

    Invariants: `sent_bytes` - `paid_bytes` is at most CREDIT_BYTES; `unpaid` are the latest chunks that make
    up this difference. Sending one of those again costs no credit, so a client whose connection was cut loses
    nothing, and a client that cuts it on purpose gains nothing.
    """

    def __init__(self, terms: Terms, size_bytes: int, best: SignedVoucher | None, settled_bytes: int) -> None:
        self.terms = terms
        self.size_bytes = size_bytes
        self.best = best
        self.paid_bytes = max(best.voucher.bytes if best else 0, settled_bytes)
        self.sent_bytes = self.paid_bytes
        self.unpaid: OrderedDict[int, int] = OrderedDict()
        self.checked_at: Height = 0
        self._resends_left = RESENDS_MAX
        self._changed = Notifier()

    def compute_size(self, chunk: int) -> int:
        """Bytes of a chunk; 0 if the datum has no chunk of that number."""
        return max(0, min(CHUNK_BYTES, self.size_bytes - chunk * CHUNK_BYTES))

    def has_credit(self, chunk: int) -> bool:
        """Whether the chunk may be sent before the next voucher."""
        if chunk in self.unpaid:
            return self._resends_left > 0
        return self.sent_bytes + self.compute_size(chunk) - self.paid_bytes <= CREDIT_BYTES

    def is_covered(self, chunk: int) -> bool:
        """Whether the allotment can pay for the chunk beside all that was sent."""
        if chunk in self.unpaid:
            return True
        owed = self.sent_bytes + self.compute_size(chunk)
        return sessions.compute_price(owed, self.terms.price_per_gib) <= self.terms.limit

    def charge(self, chunk: int) -> None:
        """Notes that the chunk is sent."""
        if chunk in self.unpaid:
            self._resends_left -= 1
            self.unpaid.move_to_end(chunk)
        else:
            self.unpaid[chunk] = self.compute_size(chunk)
            self.sent_bytes += self.unpaid[chunk]

    def pay(self, signed: SignedVoucher) -> None:
        """Gives credit for a voucher that was checked and kept."""
        self.best, self.paid_bytes = signed, signed.voucher.bytes
        self.sent_bytes = max(self.sent_bytes, self.paid_bytes)
        while sum(self.unpaid.values()) > self.sent_bytes - self.paid_bytes:
            self.unpaid.popitem(last=False)
        self.wake()

    def wake(self) -> None:
        """Wakes the streams that wait for credit."""
        self._changed.notify_all()

    async def wait(self) -> None:
        """Returns at the next voucher, or at anything else that may end the wait for credit."""
        await self._changed.wait()
