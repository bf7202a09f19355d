"""Each signature is verified once per node.

A bounded memory of signatures that were good, shared by consensus, execution and the pool. Verification costs
55-75 us; libsodium lets go of the interpreter meanwhile, so batches run in worker threads beside the loop.
"""

from collections import OrderedDict
from collections.abc import Iterable

import trio
from blake3 import blake3

from chain.errors import InvalidTransaction
from chain.primitives.errors import ChainError
from chain.primitives.hashing import Domain, signing_bytes
from chain.primitives.keys import is_signed_by
from chain.primitives.types import HASH_BYTES, SIGNATURE_BYTES, PublicKey, Signature
from chain.transaction import SignedTransaction

REMEMBERED_MAX = 200_000
INLINE_MAX = 4
"""Fewer signatures than this are verified at once: a thread would cost more."""


class SignatureMemory:
    """Verifies, and remembers what was good. Forgetting costs time, never safety."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._remembered_max = remembered_max
        self._threads = trio.CapacityLimiter(2)

    def verify(self, public_key: PublicKey, message: bytes, signature: Signature) -> bool:
        """As `is_signed_by`; the second time it costs a look-up."""
        if len(public_key) != HASH_BYTES or len(signature) != SIGNATURE_BYTES:
            return False  # Else two of them could look alike when put together.
        key = blake3(public_key + signature + message).digest()
        if key in self._good:
            return True
        if not is_signed_by(public_key, message, signature):
            return False
        self._good[key] = None
        while len(self._good) > self._remembered_max:
            self._good.popitem(last=False)
        return True

    def check(self, signed: SignedTransaction) -> None:
        """As `chain.transaction.check_signature`, remembered; raises InvalidTransaction."""
        transaction = signed.transaction
        message = signing_bytes(Domain.SIGN_TRANSACTION, transaction.genesis_hash, transaction)
        if not self.verify(transaction.sender, message, signed.signature):
            raise InvalidTransaction("bad_signature")

    async def check_all(self, batch: Iterable[SignedTransaction]) -> list[SignedTransaction]:
        """Those of the batch that are well signed, in order; in a worker thread if there are many."""
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
