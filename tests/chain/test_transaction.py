"""Transactions as bytes: one form, one name, one signer, bounded."""

import pytest
from hypothesis import given

from chain.errors import DecodeError, InvalidTransaction
from chain.primitives.codec import encode, replace
from chain.primitives.hashing import Domain, hash_bytes, signing_bytes
from chain.primitives.keys import KeyPair
from chain.transaction import (
    ARGUMENTS_BYTES_MAX,
    CALLS_MAX,
    TRANSACTION_BYTES_MAX,
    Call,
    SignedTransaction,
    Transaction,
    check_signature,
    compute_transaction_id,
    decode_transaction,
    sign_transaction,
)
from tests.chain.support.record_strategies import build_strategy

KEY = KeyPair(b"k" * 32)
TRANSACTION = Transaction(1, b"g" * 32, KEY.public_key, 3, 4, 5, 6, (Call(1, 2, b"arguments"),))
SIGNED = sign_transaction(KEY, TRANSACTION)


@given(build_strategy(SignedTransaction))
def test_what_is_encoded_decodes_to_the_same(signed: SignedTransaction) -> None:
    """And its name is the hash of its bytes, signature and all."""
    data = encode(signed)
    assert decode_transaction(data) == signed
    assert signed.id == compute_transaction_id(data) == hash_bytes(Domain.TRANSACTION, data)


def test_the_layout_is_pinned() -> None:
    """Field by field as docs/spec/transactions.md has it."""
    expected = (
        b"\x92\x98\x01" + b"\xc4\x20" + b"g" * 32 + b"\xc4\x20" + KEY.public_key + b"\x03\x04\x05\x06"
        b"\x91\x93\x01\x02\xc4\x09arguments" + b"\xc4\x40" + SIGNED.signature
    )
    assert encode(SIGNED) == expected


def test_what_is_signed_names_purpose_and_network() -> None:
    """Domain 64, genesis hash, transaction; nothing else passes."""
    message = bytes((64,)) + b"g" * 32 + encode(TRANSACTION)
    assert SIGNED.signature == KEY.sign(message)
    check_signature(SIGNED)
    for wrong in (
        encode(TRANSACTION),
        signing_bytes(Domain.SIGN_VOUCHER, b"g" * 32, TRANSACTION),
        signing_bytes(Domain.SIGN_TRANSACTION, b"h" * 32, TRANSACTION),
    ):
        with pytest.raises(InvalidTransaction, match="bad_signature"):
            check_signature(SignedTransaction(TRANSACTION, KEY.sign(wrong)))


@pytest.mark.parametrize(
    "transaction",
    [
        replace(TRANSACTION, version=0),
        replace(TRANSACTION, version=2),
        replace(TRANSACTION, sender=b"s" * 31),
        replace(TRANSACTION, genesis_hash=b""),
        replace(TRANSACTION, nonce=2**63),
        replace(TRANSACTION, fee_max=-1),
        replace(TRANSACTION, tip=2**64 - 1),
        replace(TRANSACTION, calls=()),
        replace(TRANSACTION, calls=TRANSACTION.calls * (CALLS_MAX + 1)),
        replace(TRANSACTION, calls=(Call(256, 0, b""),)),
        replace(TRANSACTION, calls=(Call(0, 0, bytes(ARGUMENTS_BYTES_MAX + 1)),)),
    ],
)
def test_fields_out_of_bounds_are_no_transaction(transaction: Transaction) -> None:
    """Other versions, lengths, numbers and counts."""
    with pytest.raises(DecodeError):
        decode_transaction(encode(SignedTransaction(transaction, bytes(64))))


def test_a_transaction_is_bounded_as_a_whole() -> None:
    """The largest arguments fit; the byte beyond the bound does not."""
    largest = Call(1, 1, bytes(ARGUMENTS_BYTES_MAX))

    def build(filling: int) -> bytes:
        calls = (largest, Call(1, 1, bytes(filling)))
        return encode(SignedTransaction(replace(TRANSACTION, calls=calls), bytes(64)))

    room = TRANSACTION_BYTES_MAX - len(build(1_000)) + 1_000
    assert len(build(room)) == TRANSACTION_BYTES_MAX
    decode_transaction(build(room))
    with pytest.raises(DecodeError, match="at most"):
        decode_transaction(build(room + 1))


def test_every_prefix_and_every_longer_text_is_refused() -> None:
    """Bytes are taken whole or not at all."""
    data = encode(SIGNED)
    for wrong in (*(data[:length] for length in range(len(data))), data + b"\0", data + data):
        with pytest.raises(DecodeError):
            decode_transaction(wrong)
