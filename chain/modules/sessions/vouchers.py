"""Sessions: vouchers and prices. Pure, for payers and hosts off the chain as well.

A host keeps only the highest voucher: amounts are cumulative. A voucher names network, session and host, so
it is valid nowhere else.
"""

from typing import Annotated

from msgspec import Meta

from chain.modules.catalogue import GIB
from chain.primitives.codec import Record
from chain.primitives.fixed_point import div_up
from chain.primitives.hashing import Domain, hash_record, signing_bytes
from chain.primitives.keys import KeyPair, is_signed_by
from chain.primitives.types import Address, Amount, Hash, PublicKey, Signature
from chain.votes import Verify

VOUCHER_BYTES_MAX = 2**48
"""256 TiB from one host: keeps sums over a session below 2^63 at any price."""


class Voucher(Record):
    """A promise to pay the host `amount` in total for `bytes` in total of this session."""

    genesis_hash: Hash
    session: Hash
    host: Address
    bytes: Annotated[int, Meta(ge=0, le=VOUCHER_BYTES_MAX)]
    amount: Amount


class SignedVoucher(Record):
    """A voucher, signed by the session's voucher key (domain SIGN_VOUCHER)."""

    voucher: Voucher
    signature: Signature


def sign_voucher(key: KeyPair, voucher: Voucher) -> SignedVoucher:
    """The voucher, signed by the session's key."""
    return SignedVoucher(voucher, key.sign(signing_bytes(Domain.SIGN_VOUCHER, voucher.genesis_hash, voucher)))


def is_voucher_signed(signed: SignedVoucher, voucher_key: PublicKey, verify: Verify = is_signed_by) -> bool:
    """Whether the session's key signed the voucher."""
    message = signing_bytes(Domain.SIGN_VOUCHER, signed.voucher.genesis_hash, signed.voucher)
    return verify(voucher_key, message, signed.signature)


def compute_session_id(genesis_hash: Hash, payer: Address, counter: int) -> Hash:
    """The id of an account's session number `counter`, from 0."""
    return hash_record(Domain.SESSION, (genesis_hash, payer, counter))


def compute_price(size_bytes: int, price_per_gib: Amount) -> Amount:
    """The price of so many bytes, rounded up."""
    return div_up(size_bytes * price_per_gib, GIB)
