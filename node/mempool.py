"""The pool of transactions that wait for a block.

A pure data structure: it knows the head only through `HeadFacts`, holds no lock, opens nothing. What
enters was checked by `check_admission` and had its signature verified before.

Rules: one transaction per (account, nonce), which a better tip replaces; an account's transactions wait
in a run of nonces, of which only the unbroken part from its next nonce is offered to blocks; what pays
best per weight goes first; when the pool is full the worst payer's last transaction leaves. Duties have a
shelf of their own and no order.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

from chain.errors import InvalidTransaction
from chain.primitives.types import Address, Amount, Hash, Height, Nonce, Weight
from chain.transaction import SignedTransaction, get_transaction_id

POOL_TRANSACTIONS_MAX = 20_000
POOL_BYTES_MAX = 64 * 2**20
ACCOUNT_TRANSACTIONS_MAX = 256
DUTIES_MAX = 4_096
REPLACEMENT_PERCENT_MIN = 110
"""A replacement must offer at least this much of the tip it replaces."""
REFUSALS_KEPT_MAX = 10_000
WAITING_CODES = frozenset(("block_full", "nonce_too_high", "fee_too_low"))
"""Reasons that the next block may lift."""


class Pooled(NamedTuple):
    """A waiting transaction and what the pool orders it by."""

    tx_id: Hash
    signed: SignedTransaction
    size_bytes: int
    weight: Weight
    is_duty: bool

    @property
    def tip_rate(self) -> int:
        """Tip per million units of weight: what a proposer earns for the room."""
        return self.signed.transaction.tip * 1_000_000 // max(self.weight, 1)


class HeadFacts(Protocol):
    """What the pool asks about the state at the head."""

    @property
    def height(self) -> Height:
        """Height of the head."""

    def get_nonce(self, who: Address) -> Nonce:
        """Next nonce of an account."""

    def get_free(self, who: Address) -> Amount:
        """Free balance of an account."""


class Mempool:
    """Waiting transactions, bounded in number, bytes and per account."""

    def __init__(self) -> None:
        self._by_id: dict[Hash, Pooled] = {}
        self._runs: dict[Address, dict[Nonce, Pooled]] = {}
        self._duties: dict[Hash, Pooled] = {}
        self._refusals: OrderedDict[Hash, str] = OrderedDict()
        self.bytes_used = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, tx_id: Hash) -> bool:
        return tx_id in self._by_id

    def get(self, tx_id: Hash) -> Pooled | None:
        """A waiting transaction."""
        return self._by_id.get(tx_id)

    def get_refusal(self, tx_id: Hash) -> str | None:
        """Why a transaction was refused or left lately; None if nothing is remembered."""
        return self._refusals.get(tx_id)

    def get_next_nonce(self, who: Address, state_nonce: Nonce) -> Nonce:
        """The first nonce from `state_nonce` on that no waiting transaction uses."""
        run = self._runs.get(who, {})
        while state_nonce in run:
            state_nonce += 1
        return state_nonce

    def list_ids(self) -> tuple[Hash, ...]:
        """Ids of all that waits, oldest first."""
        return tuple(self._by_id)

    def add(self, pooled: Pooled, facts: HeadFacts) -> None:
        """Take a transaction in; raises InvalidTransaction and changes nothing but the memory of refusals."""
        if pooled.tx_id in self._by_id:
            raise InvalidTransaction("already_pooled")
        try:
            if pooled.is_duty:
                self._check_duty_room()
            else:
                self._make_room(pooled, facts)
        except InvalidTransaction as error:
            self.remember_refusal(pooled.tx_id, error.code)
            raise
        self._insert(pooled)

    def _check_duty_room(self) -> None:
        if len(self._duties) >= DUTIES_MAX:
            raise InvalidTransaction("pool_full", "duties")

    def _make_room(self, pooled: Pooled, facts: HeadFacts) -> None:
        transaction = pooled.signed.transaction
        run = self._runs.get(transaction.sender, {})
        rival = run.get(transaction.nonce)
        if rival is None and len(run) >= ACCOUNT_TRANSACTIONS_MAX:
            raise InvalidTransaction("too_many_pooled", f"{ACCOUNT_TRANSACTIONS_MAX} wait for this account")
        if rival is not None and not _is_better(pooled, rival):
            raise InvalidTransaction(
                "replacement_underpriced", f"tip of the other is {rival.signed.transaction.tip}"
            )
        self._check_affordable(pooled, rival, run, facts)
        if rival is not None:
            self._remove(rival, "replaced")
        while (
            len(self._by_id) >= POOL_TRANSACTIONS_MAX or self.bytes_used + pooled.size_bytes > POOL_BYTES_MAX
        ):
            worst = self._find_worst()
            if worst is None or worst.tip_rate >= pooled.tip_rate:
                raise InvalidTransaction("pool_full", "others pay more")
            self._remove(worst, "evicted")

    def _check_affordable(
        self, pooled: Pooled, rival: Pooled | None, run: dict[Nonce, Pooled], facts: HeadFacts
    ) -> None:
        """All that waits for an account must be payable by it, or a pool could be filled for free."""
        sender = pooled.signed.transaction.sender
        owed = sum(_compute_cost(other) for other in run.values() if other is not rival)
        free = facts.get_free(sender)
        if owed + _compute_cost(pooled) > free:
            raise InvalidTransaction("insufficient_balance", f"fees of all that waits exceed {free}")

    def _insert(self, pooled: Pooled) -> None:
        self._by_id[pooled.tx_id] = pooled
        self.bytes_used += pooled.size_bytes
        if pooled.is_duty:
            self._duties[pooled.tx_id] = pooled
        else:
            transaction = pooled.signed.transaction
            self._runs.setdefault(transaction.sender, {})[transaction.nonce] = pooled

    def _remove(self, pooled: Pooled, reason: str | None) -> None:
        del self._by_id[pooled.tx_id]
        self.bytes_used -= pooled.size_bytes
        if pooled.is_duty:
            del self._duties[pooled.tx_id]
        else:
            transaction = pooled.signed.transaction
            run = self._runs[transaction.sender]
            del run[transaction.nonce]
            if not run:
                del self._runs[transaction.sender]
        if reason is not None:
            self.remember_refusal(pooled.tx_id, reason)

    def remember_refusal(self, tx_id: Hash, code: str) -> None:
        """Keep the reason for a while, for who asks about the transaction."""
        self._refusals[tx_id] = code
        self._refusals.move_to_end(tx_id)
        if len(self._refusals) > REFUSALS_KEPT_MAX:
            self._refusals.popitem(last=False)

    def _find_worst(self) -> Pooled | None:
        """The last transaction of the run whose last one pays least; runs lose from the end, so none
        breaks.
        """
        tails = (run[max(run)] for run in self._runs.values())
        return min(tails, key=lambda pooled: (pooled.tip_rate, pooled.tx_id), default=None)

    def on_refused(self, refused: Iterable[tuple[SignedTransaction, InvalidTransaction]]) -> None:
        """A proposer could not take these in; those that will never fit leave, the others wait."""
        for signed, error in refused:
            pooled = self._by_id.get(get_transaction_id(signed))
            if pooled is not None and error.code not in WAITING_CODES:
                self._remove(pooled, error.code)

    def on_block(self, included: Iterable[Hash], facts: HeadFacts) -> None:
        """A block was finalised: what is in it, what it overtook and what expired leaves."""
        for tx_id in included:
            pooled = self._by_id.get(tx_id)
            if pooled is not None:
                self._remove(pooled, None)
            self._refusals.pop(tx_id, None)
        for pooled in list(self._by_id.values()):
            code = _find_staleness(pooled, facts)
            if code is not None:
                self._remove(pooled, code)

    def select(self, facts: HeadFacts, count_max: int) -> Iterator[Pooled]:
        """Candidates for the next block: duties first, then the best payers, each account in the order of
        nonces.
        """
        duties = list(self._duties.values())[:count_max]
        yield from duties
        left = count_max - len(duties)
        ready = [_rank(run[nonce]) for nonce, run in self._find_heads(facts)]
        heapify(ready)
        while ready and left > 0:
            pooled = heappop(ready)[-1]
            yield pooled
            left -= 1
            transaction = pooled.signed.transaction
            following = self._runs.get(transaction.sender, {}).get(transaction.nonce + 1)
            if following is not None:
                heappush(ready, _rank(following))

    def _find_heads(self, facts: HeadFacts) -> Iterator[tuple[Nonce, dict[Nonce, Pooled]]]:
        for sender, run in self._runs.items():
            nonce = facts.get_nonce(sender)
            if nonce in run:
                yield nonce, run


def _rank(pooled: Pooled) -> tuple[int, Hash, Pooled]:
    return -pooled.tip_rate, pooled.tx_id, pooled


def _is_better(pooled: Pooled, rival: Pooled) -> bool:
    offered, held = pooled.signed.transaction.tip, rival.signed.transaction.tip
    return offered > held and offered * 100 >= held * REPLACEMENT_PERCENT_MIN


def _compute_cost(pooled: Pooled) -> Amount:
    transaction = pooled.signed.transaction
    return transaction.fee_max + transaction.tip


def _find_staleness(pooled: Pooled, facts: HeadFacts) -> str | None:
    transaction = pooled.signed.transaction
    if transaction.valid_until <= facts.height:
        return "expired"
    if not pooled.is_duty and transaction.nonce < facts.get_nonce(transaction.sender):
        return "nonce_too_low"
    return None
