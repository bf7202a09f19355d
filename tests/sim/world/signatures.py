"""Signatures of a run: each is verified once for all nodes, since what is valid for one is valid for all."""

from chain.errors import InvalidTransaction
from chain.primitives.hashing import Domain, signing_bytes
from chain.primitives.keys import is_signed_by
from chain.primitives.types import PublicKey, Signature
from chain.transaction import SignedTransaction


class Signatures:
    """Verifies, and remembers the verdicts, which are the same on all nodes."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, bytes], bool] = {}

    def verify(self, public_key: PublicKey, message: bytes, signature: Signature) -> bool:
        """As `is_signed_by`."""
        name = public_key, message, signature
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = is_signed_by(public_key, message, signature)
        return known

    def check(self, signed: SignedTransaction) -> None:
        """As `chain.transaction.check_signature`."""
        transaction = signed.transaction
        message = signing_bytes(Domain.SIGN_TRANSACTION, transaction.genesis_hash, transaction)
        if not self.verify(transaction.sender, message, signed.signature):
            raise InvalidTransaction("bad_signature")
