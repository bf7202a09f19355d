"""Admission to the pool, and the duty to report equivocations, without a loop.

The real ones (`node.mempool.gossip`, `node.duties.duties`) consist of tasks; the same code decides here:
`PoolGossip.check`, the real mempool, the real call.
"""

from collections.abc import Callable, Collection, Iterable

from chain.errors import ChainError, InvalidTransaction
from chain.modules import offences, staking, validators
from chain.primitives.codec import encode
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash, Height, PeerId
from chain.runtime import build_call
from chain.transaction import (
    Transaction,
    compute_transaction_id,
    decode_transaction,
    sign_transaction,
)
from chain.votes import Evidence, compute_evidence_hash, get_offence_height, get_offender
from node.ledger.ledger import CommittedBlock, Ledger
from node.mempool.admission import PoolAdmission
from node.mempool.pool import Mempool
from p2p.wire.messages import PoolMessage, Transactions
from tests.sim.world.signatures import Signatures

VALID_BLOCKS = 3
Relay = Callable[[PoolMessage, Collection[PeerId]], None]


class Pool:
    """Takes transactions in, and passes on what is new."""

    def __init__(self, ledger: Ledger, mempool: Mempool, signatures: Signatures, relay: Relay) -> None:
        self._ledger = ledger
        self._mempool = mempool
        self._signatures = signatures
        self._relay = relay
        self._check = PoolAdmission(ledger, signatures.verify)

    def connected(self, send: Callable[[PoolMessage], None]) -> None:
        """A new peer gets the transactions of the pool."""
        waiting = [pooled for tx_id in self._mempool.list_ids() if (pooled := self._mempool.get(tx_id))]
        if waiting:
            send(Transactions(tuple(encode(pooled.signed) for pooled in waiting)))

    def submit(self, data: bytes) -> InvalidTransaction | None:
        """A transaction of this node's own clients; the refusal, if any."""
        try:
            self._take(data)
        except InvalidTransaction as error:
            return error
        self._relay(Transactions((data,)), ())
        return None

    def on_message(self, peer: PeerId, message: PoolMessage) -> None:
        """Transactions that peers relay; known and stale ones are dropped."""
        if isinstance(message, Transactions):
            fresh = tuple(data for data in message.transactions if self._try(data))
            if fresh:
                self._relay(Transactions(fresh), (peer,))

    def _try(self, data: bytes) -> bool:
        try:
            self._take(data)
        except ChainError:
            return False
        return True

    def _take(self, data: bytes) -> None:
        tx_id = compute_transaction_id(data)
        if tx_id in self._mempool:
            raise InvalidTransaction("already_pooled")
        signed = decode_transaction(data)
        pooled = self._check.check(tx_id, signed, len(data))
        self._signatures.check(signed)
        self._mempool.add(pooled, self._ledger)


class Duties:
    """Brings evidence on chain, as `node.duties.duties` does: what is open and not under way is sent."""

    def __init__(
        self, ledger: Ledger, submit: Callable[[bytes], InvalidTransaction | None], key: KeyPair
    ) -> None:
        self._ledger = ledger
        self._submit = submit
        self._key = key
        self._evidence: dict[Hash, Evidence] = {}
        self._under_way: dict[Hash, Height] = {}

    def report(self, evidence: Evidence) -> None:
        """As Duties.report."""
        self._evidence[compute_evidence_hash(evidence)] = evidence

    def on_committed(self, _: CommittedBlock) -> None:
        """After every block, what is open is sent."""
        height = self._ledger.height + 1
        for name, evidence in list(self._evidence.items()):
            if not self._is_punishable(evidence):
                del self._evidence[name]
            elif self._under_way.get(name, 0) < height:
                self._under_way[name] = height + VALID_BLOCKS - 1
                self._submit(self._build(evidence, height + VALID_BLOCKS - 1))

    def _is_punishable(self, evidence: Evidence) -> bool:
        state, head = self._ledger.state, self._ledger.head
        if staking.is_tombstoned(state, get_offender(evidence)):
            return False
        return not validators.is_expired(state, head.height, head.time_ms, get_offence_height(evidence))

    def _build(self, evidence: Evidence, valid_until: Height) -> bytes:
        calls = (build_call(offences.Report(evidence)),)
        genesis_hash, sender = self._ledger.genesis_hash, self._key.public_key
        transaction = Transaction(1, genesis_hash, sender, 0, valid_until, 0, 0, calls)
        return encode(sign_transaction(self._key, transaction))


def list_ids(transactions: Iterable[bytes]) -> list[Hash]:
    """Ids of encoded transactions."""
    return [decode_transaction(data).id for data in transactions]
