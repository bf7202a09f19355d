"""Admission to the pool: the checks that a transaction passes before it may wait for a block.

The order is that of cost: form, network, lifetime, kind, nonce, fee, weight and funds against the head
(`check_form`); then the signature, which is left to the caller; then a duty is executed on a layer, since it
pays no fee (`check_duty`). So nobody makes a node execute in another's name.
"""

from chain import runtime
from chain.errors import InvalidTransaction
from chain.modules import balances, fees, system
from chain.primitives.types import NO_HASH, Hash, Weight
from chain.state import StateReader
from chain.transaction import SignedTransaction, Transaction
from chain.votes import Verify
from node.ledger.ledger import LedgerReader
from node.mempool.pool import ACCOUNT_TRANSACTIONS_MAX, Pooled

VIEW_KEYS_MAX = 50_000


class _KnownState:
    """The state at one head, with a cache of what was read."""

    def __init__(self, state: StateReader, head_hash: Hash) -> None:
        self.head_hash = head_hash
        self.scan = state.scan
        self._get = state.get
        self._known: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        if key not in self._known:
            if len(self._known) >= VIEW_KEYS_MAX:
                self._known.clear()
            self._known[key] = self._get(key)
        return self._known[key]


class PoolAdmission:
    """Checks transactions against the head."""

    def __init__(self, ledger: LedgerReader, verify: Verify) -> None:
        """`verify` remembers signatures, so that a duty's are not verified again when a block has it."""
        self._ledger = ledger
        self._verify = verify
        self._known: _KnownState | None = None

    def check(self, tx_id: Hash, signed: SignedTransaction, size_bytes: int) -> Pooled:
        """The transaction as the pool keeps it; raises InvalidTransaction if it can be in no coming block."""
        pooled = self.check_form(tx_id, signed, size_bytes)
        self.check_duty(pooled)
        return pooled

    def check_form(self, tx_id: Hash, signed: SignedTransaction, size_bytes: int) -> Pooled:
        """Everything but signature and execution; raises InvalidTransaction."""
        transaction, state = signed.transaction, self._get_state()
        calls = runtime.decode_calls(transaction)
        is_duty = runtime.check_kind(transaction, calls)
        run = self._start_block()
        runtime.check_place(run.ctx, run.parameters, transaction)
        weight = runtime.compute_weight(state, calls, size_bytes)
        duty_max = system.compute_duty_weight_max(run.parameters.block_weight_max)
        if weight > (duty_max if is_duty else run.parameters.block_weight_max - duty_max):
            raise InvalidTransaction("too_heavy", f"weight {weight}")
        if not is_duty:
            self._check_paying(transaction, weight)
        return Pooled(tx_id, signed, size_bytes, weight, is_duty)

    def check_duty(self, pooled: Pooled) -> None:
        """Executes a duty, whose signature is good; raises InvalidTransaction."""
        if not pooled.is_duty:
            return
        transaction = pooled.signed.transaction
        calls = runtime.decode_calls(transaction)
        error, _ = runtime.dispatch(self._start_block().ctx, transaction.sender, calls)
        if error is not None:
            raise InvalidTransaction("duty_refused", runtime.get_error_code(error)[0])

    def _start_block(self) -> runtime.BlockRun:
        view, genesis_hash = self._ledger.view, self._ledger.genesis_hash
        height, time_ms = view.height + 1, view.head.time_ms + 1
        return runtime.start_block(self._get_state(), genesis_hash, height, time_ms, NO_HASH, self._verify)

    def _get_state(self) -> StateReader:
        """The head's state; what many transactions ask for is read once per head."""
        view = self._ledger.view
        if self._known is None or self._known.head_hash != view.head_hash:
            self._known = _KnownState(view.state, view.head_hash)
        return self._known

    def _check_paying(self, transaction: Transaction, weight: Weight) -> None:
        expected = balances.get_account(self._get_state(), transaction.sender).nonce
        if transaction.nonce < expected:
            raise InvalidTransaction("nonce_too_low", f"next is {expected}")
        if transaction.nonce >= expected + ACCOUNT_TRANSACTIONS_MAX:
            raise InvalidTransaction("nonce_too_high", f"next is {expected}")
        fee = fees.compute_fee(self._get_state(), weight)
        if transaction.fee_max < fee:
            raise InvalidTransaction("fee_too_low", f"needs {fee}, bound is {transaction.fee_max}")
        # The pool compares with all that waits of the account; this alone saves a signature's verification.
        free = balances.get_balance(self._get_state(), transaction.sender)
        if transaction.fee_max + transaction.tip > free:
            raise InvalidTransaction("insufficient_balance", f"fee and tip exceed {free}")
