"""Blocks, headers, receipts, and the roots that bind them.

A block is a header, its inherents (put in by the proposer, unsigned, mandatory: the beacon reveal and the
commit of the last block; the time is in the header) and its transactions. The header carries the roots of
its own block: the state after it, its extrinsics, its receipts. So everything about a block can be checked
against its finalised header. Transactions are bound by their ids, so that the short form of a block (header,
inherents, ids) can be checked before a single transaction is fetched.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from chain.list_tree import compute_list_root
from chain.primitives.codec import Record, encode
from chain.primitives.hashing import Domain, hash_record
from chain.primitives.types import Address, Amount, Hash, Height, TimeMs, Uint8, Uint32, Weight
from chain.transaction import SignedTransaction
from chain.votes import CommitCertificate

BLOCK_BYTES_MAX = 5 * 2**20
"""Bytes of a block's transactions; no chain spec may allow more. With header and inherents, which need less
than half a MiB, a block fits into one frame of every protocol that carries it (p2p, 6 MiB).
"""
TRANSACTIONS_MAX = 20_000


class Header(Record):
    """The part of a block that validators vote on, by its hash."""

    spec_version: Uint32
    height: Height
    time_ms: TimeMs
    """The proposer's clock (proposer-based timestamps), after the parent's."""
    parent_hash: Hash
    """Hash of the parent's header; at height 0 of the chain spec."""
    proposer: Address
    extrinsics_root: Hash
    receipts_root: Hash
    state_root: Hash
    """Root of the state after this block."""
    validators_hash: Hash
    """Hash of the roster that decides this height: accounts, keys and powers."""
    next_validators_hash: Hash
    """Hash of the roster that decides the next height."""
    priorities_hash: Hash
    """Hash of the set that decides this height, with its proposer priorities."""


class Inherents(Record):
    """The entries that the proposer must add; if one is wrong, the block is invalid."""

    beacon_reveal: Hash | None
    last_commit: CommitCertificate | None


class Block(Record):
    """A header, and the inherents and transactions that it binds."""

    header: Header
    inherents: Inherents
    transactions: Annotated[tuple[SignedTransaction, ...], Meta(max_length=TRANSACTIONS_MAX)]


class EventRecord(Record):
    """An event in its encoded form, as receipts hold it."""

    module: Uint8
    index: Uint8
    fields: bytes


class Receipt(Record):
    """The outcome of a transaction; `error` is (module, number, call) of a refusal, None if all calls ran."""

    error: tuple[Uint8, Uint8, Uint8] | None
    fee: Amount
    tip: Amount
    weight: Weight
    events: tuple[EventRecord, ...]


class BlockReceipts(Record):
    """The events of hooks before and after the transactions, and one receipt per transaction."""

    start: tuple[EventRecord, ...]
    transactions: tuple[Receipt, ...]
    end: tuple[EventRecord, ...]


def compute_header_hash(header: Header) -> Hash:
    """The hash that names a block."""
    return hash_record(Domain.HEADER, header)


def compute_extrinsics_root(inherents: Inherents, tx_ids: Iterable[Hash]) -> Hash:
    """Root over the inherents (entry 0) and the ids of the transactions, in order."""
    return compute_list_root((encode(inherents), *tx_ids))


def list_transaction_ids(block: Block) -> tuple[Hash, ...]:
    """The ids of a block's transactions, in order."""
    return tuple(signed.id for signed in block.transactions)


def is_whole(block: Block) -> bool:
    """Whether inherents and transactions are those that the header binds."""
    root = compute_extrinsics_root(block.inherents, list_transaction_ids(block))
    return root == block.header.extrinsics_root


def list_receipt_entries(receipts: BlockReceipts) -> tuple[bytes, ...]:
    """The entries under the receipts root: start events, one per transaction, end events."""
    return (
        encode(receipts.start),
        *(encode(receipt) for receipt in receipts.transactions),
        encode(receipts.end),
    )


def compute_receipts_root(receipts: BlockReceipts) -> Hash:
    """Root over `list_receipt_entries`."""
    return compute_list_root(list_receipt_entries(receipts))
