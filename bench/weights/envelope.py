"""The envelope's weight: what a transaction costs before its calls, and what a byte of it costs.

Counted is all CPU of one validator per transaction of a block of transfers: decoding from the wire once for
the pool and once in the block, one verification, execution, the roots of extrinsics and receipts, and the
commit of block and receipts; less what the transfer itself takes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.execution import BLOCK_TRANSACTIONS, Rig
from bench.weights.clock import KeyCost, measure
from chain import runtime
from chain.block import Inherents, list_transaction_ids
from chain.commitment import TreeUpdate
from chain.module import Context
from chain.modules import balances, beacon, fees
from chain.primitives.codec import encode, replace
from chain.primitives.hashing import Domain, hash_bytes
from chain.state import Changes, Overlay
from chain.transaction import (
    Call,
    SignedTransaction,
    check_signature,
    compute_transaction_id,
    decode_identified,
    decode_transaction,
    sign_transaction,
)
from storage.chain_store import StoredBlock
from storage.kv import LevelDbStore
from storage.state_store import StateStore

ACCOUNTS = 4_000
LONG_BYTES = 64 * 2**10
PASSES_OVER_BYTES = 2
"""Decoded, hashed, encoded: on entering the pool, and in its block."""


class _Rooted:
    """The state under a block, with the tree of that block known: executing on it leaves out the root."""

    def __init__(self, state: StateStore, update: TreeUpdate) -> None:
        self.get = state.get
        self.scan = state.scan
        self._update = update

    def compute_update(self, version: int, changes: Changes) -> TreeUpdate:
        """What was computed before."""
        return self._update


def measure_envelope(directory: Path, keys: KeyCost) -> list[dict[str, Any]]:
    """One row: the envelope per transaction and per byte. The sender's account is one changed key."""
    rig = Rig(directory / "ledgers", ACCOUNTS)
    for _ in range(2):
        rig.run_block()
    size = len(encode(rig.make_transactions()[0]))
    rig.nonces = [rig.ledger.get_nonce(key.public_key) for key in rig.keys]
    store = LevelDbStore(directory / "blocks")
    whole = measure(_prepare_block(rig, store)) / BLOCK_TRANSACTIONS
    transfer = measure(lambda: _prepare_transfer(rig))
    per_byte = _measure_byte(rig, store)
    store.close()
    declared = fees.get_parameters(rig.ledger.state)
    return [
        {
            "figure": "weights_envelope",
            "transaction_us": round(whole - transfer - size * per_byte + keys.per_key, 1),
            "transaction_weight": declared.transaction_weight,
            "byte_us": round(per_byte, 4),
            "byte_weight_ppm": declared.byte_weight_ppm,
            "transfer_bytes": size,
            "key_us": round(keys.per_key, 1),
            "value_byte_us": round(keys.per_byte, 4),
        }
    ]


def _prepare_block(rig: Rig, store: LevelDbStore) -> Callable[[], Callable[[], object]]:
    """One block from the wire to the disk, without root and commit of the state."""
    transactions = rig.make_transactions()
    data = [encode(signed) for signed in transactions]
    ledger, parent, height = rig.strict, rig.strict.head, rig.strict.height + 1
    chain = beacon.get_chain(ledger.state, rig.validator.public_key, 0)
    inherents = Inherents(rig.reveals.get_next_link(chain), ledger.get_certificate(height - 1))
    result, refused = rig.ledger.build(rig.validator.public_key, height * 1000, inherents, transactions)
    assert not refused, refused[0]
    certificate = encode(rig.certify(height, result.block_hash))
    view = _Rooted(ledger.state, result.update)

    def work() -> None:
        for one in data:
            decode_identified(compute_transaction_id(one), one)
        again = runtime.execute_block(view, ledger.genesis_hash, parent, result.block)
        header, block = encode(again.block.header), encode(again.block)
        tx_ids = list_transaction_ids(again.block)
        stored = StoredBlock(height, header, block, certificate, encode(again.receipts), tx_ids)
        store.write_batch(ledger.chain.stage_block(stored), sync=False)

    return lambda: work


def _prepare_transfer(rig: Rig) -> Callable[[], object]:
    """Only the call of a transfer, in an empty block."""
    sender, recipient = rig.keys[0].public_key, rig.keys[1].public_key
    call = runtime.build_call(balances.Send(recipient, 1))
    ctx = Context(
        Overlay(rig.ledger.state),
        genesis_hash=rig.ledger.genesis_hash,
        height=rig.ledger.height + 1,
        time_ms=0,
        epoch=0,
        era=0,
        proposer=rig.validator.public_key,
    )
    balances.use_nonce(ctx.state, sender)
    return lambda: runtime.dispatch(ctx, sender, (runtime.decode_call(call),))


def _measure_byte(rig: Rig, store: LevelDbStore) -> float:
    """What a longer transaction costs more, per byte: decoding, signature, id, encoding, disk."""
    short, long = _pad(rig, 0), _pad(rig, LONG_BYTES)
    more = measure(_prepare_bytes(store, long)) - measure(_prepare_bytes(store, short))
    return more / (len(encode(long)) - len(encode(short)))


def _pad(rig: Rig, size: int) -> SignedTransaction:
    transaction = rig.make_transactions()[0].transaction
    padded = replace(transaction, sender=rig.keys[0].public_key, calls=(Call(1, 1, bytes(size)),))
    return sign_transaction(rig.keys[0], padded)


def _prepare_bytes(store: LevelDbStore, signed: SignedTransaction) -> Callable[[], Callable[[], object]]:
    data = encode(signed)

    def work() -> None:
        for _ in range(PASSES_OVER_BYTES):
            decoded = decode_transaction(data)
            hash_bytes(Domain.LIST_LEAF, decoded.id)
            encode(decoded)
        check_signature(signed)
        store.write_batch([(data[:32], data)], sync=False)

    return lambda: work
