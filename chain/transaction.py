"""Transactions: 1-16 calls of one account, run all or none, with nonce, expiry height, fee bound and tip.

A *duty* is a transaction of exactly one duty call. It pays no fee and uses no nonce (both fields are zero),
and is valid while its duty is open. Any key may send it, because its arguments carry their own proof.
"""

from functools import cached_property
from typing import Annotated

from msgspec import Meta

from chain.errors import InvalidTransaction
from chain.primitives.codec import Record, decode, encode
from chain.primitives.hashing import Domain, hash_bytes, signing_bytes
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Address, Amount, Hash, Height, Nonce, Signature, Uint8

TRANSACTION_VERSION = 1
TRANSACTION_BYTES_MAX = 128 * 2**10
CALLS_MAX = 16
ARGUMENTS_BYTES_MAX = 96 * 2**10


class Call(Record):
    """One call of a transaction: module, call, and the canonical encoding of its arguments."""

    module: Uint8
    index: Uint8
    arguments: Annotated[bytes, Meta(max_length=ARGUMENTS_BYTES_MAX)]


class Transaction(Record):
    """A transaction without its signature: the bytes that the sender signs."""

    version: Annotated[int, Meta(ge=TRANSACTION_VERSION, le=TRANSACTION_VERSION)]
    genesis_hash: Hash
    sender: Address
    nonce: Nonce
    valid_until: Height
    fee_max: Amount
    tip: Amount
    calls: Annotated[tuple[Call, ...], Meta(min_length=1, max_length=CALLS_MAX)]


class SignedTransaction(Record, dict=True):
    """A transaction and its sender's signature (domain SIGN_TRANSACTION).

    Id and size are computed once per object: pool, proposals and blocks of a node share it.
    """

    transaction: Transaction
    signature: Signature

    @property
    def id(self) -> Hash:
        """`compute_transaction_id` of its encoding."""
        return self._measured[0]

    @property
    def size_bytes(self) -> int:
        """Length of its encoding."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[Hash, int]:
        data = encode(self)
        return compute_transaction_id(data), len(data)


def sign_transaction(key: KeyPair, transaction: Transaction) -> SignedTransaction:
    """Sign a transaction with its sender's key."""
    message = signing_bytes(Domain.SIGN_TRANSACTION, transaction.genesis_hash, transaction)
    return SignedTransaction(transaction, key.sign(message))


def decode_transaction(data: bytes) -> SignedTransaction:
    """Decode untrusted bytes; raises DecodeError."""
    return decode(SignedTransaction, data, TRANSACTION_BYTES_MAX)


def decode_identified(tx_id: Hash, data: bytes) -> SignedTransaction:
    """As `decode_transaction`, of bytes whose id was computed before."""
    signed = decode_transaction(data)
    vars(signed)["_measured"] = tx_id, len(data)
    return signed


def compute_transaction_id(data: bytes) -> Hash:
    """The id of a transaction: BLAKE3 of its signed bytes."""
    return hash_bytes(Domain.TRANSACTION, data)


def check_signature(signed: SignedTransaction) -> None:
    """Raises InvalidTransaction unless the sender signed. The costliest check: 55-75 us."""
    transaction = signed.transaction
    message = signing_bytes(Domain.SIGN_TRANSACTION, transaction.genesis_hash, transaction)
    if not is_signed_by(transaction.sender, message, signed.signature):
        raise InvalidTransaction("bad_signature")
