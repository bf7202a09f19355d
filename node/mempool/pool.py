"""The pool of transactions that wait for a block.

A pure data structure: it knows the head only through `HeadFacts`, holds no lock and opens nothing. Callers
have checked each transaction and its signature (`node.mempool.gossip`).

Rules: one transaction per (account, nonce), which a better tip replaces; an account's transactions wait in a
run of nonces, of which only the unbroken part from its next nonce is offered to blocks; what pays best per
weight goes first; when the pool is full the worst payer's last transaction leaves. Duties are kept
apart, settlements last among them. Any key may send a duty, so each duty call waits only once, whoever signed
it.

Only `select` walks the whole pool. A block touches its own senders and what expires with it, and the worst
payer is found in a heap of the last transactions of all runs.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import NamedTuple, Protocol

from chain.errors import InvalidTransaction
from chain.modules import sessions
from chain.primitives.types import Address, Amount, Hash, Height, Nonce, Weight
from chain.transaction import Call, SignedTransaction

POOL_TRANSACTIONS_MAX = 20_000
POOL_BYTES_MAX = 64 * 2**20
ACCOUNT_TRANSACTIONS_MAX = 256
DUTIES_MAX = 4_096
DUTIES_BYTES_MAX = 32 * 2**20
SETTLEMENTS_MAX = DUTIES_MAX // 2
"""A settlement may wait an epoch, a proof may not: settlements must not crowd out proofs."""
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
        """Tip per million units of weight, by which the pool orders."""
        return self.signed.transaction.tip * 1_000_000 // max(self.weight, 1)

    @property
    def cost(self) -> Amount:
        """The most that fee and tip may take from the sender."""
        return self.signed.transaction.fee_max + self.signed.transaction.tip


class HeadFacts(Protocol):
    """What the pool asks about the state at the head."""

    @property
    def height(self) -> Height:
        """Height of the head."""

    def get_nonce(self, who: Address) -> Nonce:
        """Next nonce of an account."""

    def get_free(self, who: Address) -> Amount:
        """Free balance of an account."""


class Run:
    """The waiting transactions of one account."""

    def __init__(self, next_nonce: Nonce) -> None:
        self.next_nonce = next_nonce
        """Of the account, at the head."""
        self.by_nonce: dict[Nonce, Pooled] = {}

    @property
    def tail(self) -> Pooled:
        """The transaction with the highest nonce: only it can leave without a gap."""
        return self.by_nonce[max(self.by_nonce)]


class Mempool:
    """Waiting transactions, bounded in number, bytes and per account."""

    def __init__(self) -> None:
        self._by_id: dict[Hash, Pooled] = {}
        self._runs: dict[Address, Run] = {}
        self._tails: list[tuple[int, Hash]] = []
        """Heap of (tip rate, id) of every tail, and of some that are none any more."""
        self._duties: dict[Hash, Pooled] = {}
        self._duty_calls: dict[Call, Hash] = {}
        self._expiries: dict[Height, dict[Hash, None]] = {}
        self._refusals: OrderedDict[Hash, str] = OrderedDict()
        self.bytes_used = 0
        self.duty_bytes_used = 0
        self._settlements = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, tx_id: Hash) -> bool:
        return tx_id in self._by_id

    def get(self, tx_id: Hash) -> Pooled | None:
        """A waiting transaction."""
        return self._by_id.get(tx_id)

    def get_refusal(self, tx_id: Hash) -> str | None:
        """Why a transaction was refused, or why it left, if that is still remembered."""
        return self._refusals.get(tx_id)

    def get_next_nonce(self, who: Address, state_nonce: Nonce) -> Nonce:
        """The first nonce from `state_nonce` on that no waiting transaction uses."""
        run = self._runs.get(who)
        while run is not None and state_nonce in run.by_nonce:
            state_nonce += 1
        return state_nonce

    def list_ids(self, count_max: int = POOL_TRANSACTIONS_MAX + DUTIES_MAX) -> tuple[Hash, ...]:
        """Ids of what waits, oldest first."""
        return tuple(islice(self._by_id, count_max))

    # In.

    def add(self, pooled: Pooled, facts: HeadFacts) -> None:
        """Adds a transaction. If it raises InvalidTransaction, only the memory of refusals has changed."""
        if pooled.tx_id in self._by_id:
            raise InvalidTransaction("already_pooled")
        try:
            leaving = self._check_duty(pooled) if pooled.is_duty else self._check_paying(pooled, facts)
        except InvalidTransaction as error:
            self.remember_refusal(pooled.tx_id, error.code)
            raise
        for other, reason in leaving:
            self._remove(other, reason)
        self._insert(pooled, facts)

    def _check_duty(self, pooled: Pooled) -> list[tuple[Pooled, str]]:
        if pooled.signed.transaction.calls[0] in self._duty_calls:
            raise InvalidTransaction("already_pooled", "the same duty, by another sender")
        is_over = self.duty_bytes_used + pooled.size_bytes > DUTIES_BYTES_MAX
        if is_over or len(self._duties) >= DUTIES_MAX:
            raise InvalidTransaction("pool_full", "duties")
        if is_settlement(pooled) and self._settlements >= SETTLEMENTS_MAX:
            raise InvalidTransaction("pool_full", "settlements")
        return []

    def _check_paying(self, pooled: Pooled, facts: HeadFacts) -> list[tuple[Pooled, str]]:
        """The transactions that must leave to make room, each with the reason; raises InvalidTransaction if
        it is not better than those.
        """
        transaction = pooled.signed.transaction
        run = self._runs.get(transaction.sender)
        waiting = run.by_nonce if run is not None else {}
        rival = waiting.get(transaction.nonce)
        if rival is None and len(waiting) >= ACCOUNT_TRANSACTIONS_MAX:
            raise InvalidTransaction("too_many_pooled", f"{ACCOUNT_TRANSACTIONS_MAX} wait for this account")
        if rival is not None and not _is_better(pooled, rival):
            raise InvalidTransaction(
                "replacement_underpriced", f"tip of the other is {rival.signed.transaction.tip}"
            )
        # An account must be able to pay for everything of it that waits, or the pool could be filled for
        # free.
        owed = sum(other.cost for other in waiting.values() if other is not rival) + pooled.cost
        free = facts.get_free(transaction.sender)
        if owed > free:
            raise InvalidTransaction("insufficient_balance", f"fees of all that waits exceed {free}")
        return [(rival, "replaced")] if rival is not None else self._find_room(pooled)

    def _find_room(self, pooled: Pooled) -> list[tuple[Pooled, str]]:
        """The tails that must leave, the worst payers first."""
        leaving: list[Pooled] = []
        count = len(self._by_id) - len(self._duties)
        size = self.bytes_used - self.duty_bytes_used + pooled.size_bytes
        while count - len(leaving) >= POOL_TRANSACTIONS_MAX or size > POOL_BYTES_MAX:
            worst = self._pop_worst()
            if worst is not None:
                leaving.append(worst)
                size -= worst.size_bytes
            if worst is None or worst.tip_rate >= pooled.tip_rate:
                for tail in leaving:
                    self._push_tail(tail)
                raise InvalidTransaction("pool_full", "others pay more")
        return [(tail, "evicted") for tail in leaving]

    def _pop_worst(self) -> Pooled | None:
        """Takes the tail that pays least out of the heap, and entries that are tails no longer."""
        while self._tails:
            pooled = self._by_id.get(heappop(self._tails)[1])
            if pooled is not None and self._runs[pooled.signed.transaction.sender].tail is pooled:
                return pooled
        return None

    def _push_tail(self, pooled: Pooled) -> None:
        heappush(self._tails, (pooled.tip_rate, pooled.tx_id))
        if len(self._tails) > 2 * POOL_TRANSACTIONS_MAX:
            self._tails = [(run.tail.tip_rate, run.tail.tx_id) for run in self._runs.values()]
            heapify(self._tails)

    def _insert(self, pooled: Pooled, facts: HeadFacts) -> None:
        transaction = pooled.signed.transaction
        self._by_id[pooled.tx_id] = pooled
        self.bytes_used += pooled.size_bytes
        self._expiries.setdefault(transaction.valid_until, {})[pooled.tx_id] = None
        if pooled.is_duty:
            self._duties[pooled.tx_id] = pooled
            self._duty_calls[transaction.calls[0]] = pooled.tx_id
            self.duty_bytes_used += pooled.size_bytes
            self._settlements += is_settlement(pooled)
            return
        run = self._runs.get(transaction.sender)
        if run is None:
            run = self._runs[transaction.sender] = Run(facts.get_nonce(transaction.sender))
        run.by_nonce[transaction.nonce] = pooled
        if run.tail is pooled:
            self._push_tail(pooled)

    # Out.

    def _remove(self, pooled: Pooled, reason: str | None) -> None:
        transaction = pooled.signed.transaction
        del self._by_id[pooled.tx_id]
        self.bytes_used -= pooled.size_bytes
        self._forget_expiry(transaction.valid_until, pooled.tx_id)
        if pooled.is_duty:
            del self._duties[pooled.tx_id]
            del self._duty_calls[transaction.calls[0]]
            self.duty_bytes_used -= pooled.size_bytes
            self._settlements -= is_settlement(pooled)
        else:
            self._remove_from_run(transaction.sender, transaction.nonce)
        if reason is not None:
            self.remember_refusal(pooled.tx_id, reason)

    def _remove_from_run(self, sender: Address, nonce: Nonce) -> None:
        run = self._runs[sender]
        was_tail = max(run.by_nonce) == nonce
        del run.by_nonce[nonce]
        if not run.by_nonce:
            del self._runs[sender]
        elif was_tail:
            self._push_tail(run.tail)

    def _forget_expiry(self, height: Height, tx_id: Hash) -> None:
        bucket = self._expiries[height]
        del bucket[tx_id]
        if not bucket:
            del self._expiries[height]

    def remember_refusal(self, tx_id: Hash, code: str) -> None:
        """Remembers the reason for a while, for clients that ask about the transaction."""
        self._refusals[tx_id] = code
        self._refusals.move_to_end(tx_id)
        if len(self._refusals) > REFUSALS_KEPT_MAX:
            self._refusals.popitem(last=False)

    def on_refused(self, refused: Iterable[tuple[SignedTransaction, InvalidTransaction]]) -> None:
        """These could not go into a block: those that never will are removed, the others wait."""
        for signed, error in refused:
            pooled = self._by_id.get(signed.id)
            if pooled is not None and error.code not in WAITING_CODES:
                self._remove(pooled, error.code)

    def on_block(self, included: Iterable[tuple[Hash, SignedTransaction]], facts: HeadFacts) -> None:
        """A block was finalised: removes what is in it, what its nonces overtook, and what expired."""
        for tx_id, signed in included:
            pooled = self._by_id.get(tx_id)
            if pooled is not None:
                self._remove(pooled, None)
            self._refusals.pop(tx_id, None)
            self._advance(signed.transaction.sender, facts)
        # Heights differ by the lifetime of a transaction at most, so there are few of them.
        for height in [height for height in self._expiries if height <= facts.height]:
            for tx_id in list(self._expiries[height]):
                self._remove(self._by_id[tx_id], "expired")

    def _advance(self, sender: Address, facts: HeadFacts) -> None:
        """Sets the account's next nonce; transactions below it are removed."""
        run = self._runs.get(sender)
        if run is None:
            return
        run.next_nonce = facts.get_nonce(sender)
        for nonce in [nonce for nonce in run.by_nonce if nonce < run.next_nonce]:
            self._remove(run.by_nonce[nonce], "nonce_too_low")

    def select(self, count_max: int) -> Iterator[Pooled]:
        """Candidates for the next block: duties first, settlements last among them, then the best payers,
        each account in the order of nonces.
        """
        duties = sorted(self._duties.values(), key=is_settlement)[:count_max]
        yield from duties
        left = count_max - len(duties)
        heads = (run.by_nonce.get(run.next_nonce) for run in self._runs.values())
        ready = [_rank(pooled) for pooled in heads if pooled is not None]
        heapify(ready)
        while ready and left > 0:
            pooled = heappop(ready)[-1]
            yield pooled
            left -= 1
            transaction = pooled.signed.transaction
            following = self._runs[transaction.sender].by_nonce.get(transaction.nonce + 1)
            if following is not None:
                heappush(ready, _rank(following))


def is_settlement(pooled: Pooled) -> bool:
    """Whether it is a settlement, a duty that a payer can cause in any number, at a price."""
    return pooled.is_duty and pooled.signed.transaction.calls[0].module == sessions.MODULE.index


def _rank(pooled: Pooled) -> tuple[int, Hash, Pooled]:
    return -pooled.tip_rate, pooled.tx_id, pooled


def _is_better(pooled: Pooled, rival: Pooled) -> bool:
    offered, held = pooled.signed.transaction.tip, rival.signed.transaction.tip
    return offered > held and offered * 100 >= held * REPLACEMENT_PERCENT_MIN
