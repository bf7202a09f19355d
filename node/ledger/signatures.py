"""Each signature is verified once per node.

A bounded memory of valid signatures, shared by consensus, execution and the pool. A verification costs 55-75
us. libsodium releases the interpreter lock meanwhile, so batches run in worker threads beside the loop.
"""

from collections import OrderedDict
from collections.abc import Iterable

import trio
from blake3 import blake3

from chain.primitives.errors import ChainError
from chain.primitives.keys import is_signed_by
from chain.primitives.types import HASH_BYTES, SIGNATURE_BYTES, PublicKey, Signature
from chain.transaction import SignedTransaction, check_signature

REMEMBERED_MAX = 200_000
INLINE_MAX = 4
"""Fewer signatures than this are verified in the caller's thread: another thread would cost more."""


class _Memory:
    """A bounded set of hashes that forgets the oldest."""

    def __init__(self, count_max: int) -> None:
        self._hashes: OrderedDict[bytes, None] = OrderedDict()
        self._count_max = count_max

    def __contains__(self, key: bytes) -> bool:
        return key in self._hashes

    def add(self, key: bytes) -> None:
        """Remembers a hash."""
        self._hashes[key] = None
        while len(self._hashes) > self._count_max:
            self._hashes.popitem(last=False)


class SignatureMemory:
    """Verifies signatures and remembers the valid ones. Forgetting one costs time, never safety."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._good = _Memory(remembered_max)
        self._good_transactions = _Memory(remembered_max)
        """Ids: an id binds sender, message and signature."""
        self._threads = trio.CapacityLimiter(2)

    def verify(self, public_key: PublicKey, message: bytes, signature: Signature) -> bool:
        """As `is_signed_by`; the second time it is only a look-up."""
        if len(public_key) != HASH_BYTES or len(signature) != SIGNATURE_BYTES:
            return False  # Else two of them could look alike when put together.
        key = blake3(public_key + signature + message).digest()
        if key in self._good:
            return True
        if not is_signed_by(public_key, message, signature):
            return False
        self._good.add(key)
        return True

    def check(self, signed: SignedTransaction) -> None:
        """As `chain.transaction.check_signature`, remembered; raises InvalidTransaction."""
        if signed.id not in self._good_transactions:
            check_signature(signed)
            self._good_transactions.add(signed.id)

    async def check_all(self, batch: Iterable[SignedTransaction]) -> list[SignedTransaction]:
        """The transactions of the batch that are validly signed, in order; verified in a worker thread if
        there are many.
        """
        signed = list(batch)
        if len(signed) < INLINE_MAX:
            return self._filter(signed)
        return await trio.to_thread.run_sync(self._filter, signed, limiter=self._threads)

    def _filter(self, batch: list[SignedTransaction]) -> list[SignedTransaction]:
        good = []
        for signed in batch:
            try:
                self.check(signed)
            except ChainError:
                continue
            good.append(signed)
        return good
