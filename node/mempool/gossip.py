"""Transactions between peers: each is sent once per link, in batches.

A transaction of a client or a peer is checked (size, form, admission, signature) and then added to the pool.
What the pool took is relayed to all other peers: small transactions whole, large ones by id. A peer that
sends invalid transactions loses points; what is only stale is charged to its allowance (`allowance`).
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable

import trio

from chain.errors import ChainError, InvalidTransaction
from chain.primitives.codec import encode
from chain.primitives.types import Hash, PeerId
from chain.transaction import compute_transaction_id, decode_identified
from node.ledger.ledger import Ledger
from node.ledger.signatures import SignatureMemory
from node.mempool.admission import PoolAdmission
from node.mempool.allowance import HOPELESS_CODES, PEERS_MAX, Allowance
from node.mempool.batches import split_batches
from node.mempool.pool import Mempool, Pooled
from node.network.peer_streams import PeerStreams
from p2p.errors import PeerFault
from p2p.network import Network
from p2p.recent import RecentTable
from p2p.wire.messages import IDS_MAX, PoolMessage, TransactionIds, Transactions, TransactionsWanted
from p2p.wire.protocols import POOL

WHOLE_BYTES_MAX = 4096
"""Larger transactions are announced by id and sent when wanted."""
BATCH_BYTES_MAX = 2**19
ANSWER_BYTES_MAX = 4 * 2**20
OUTBOX_SECONDS_MAX = 10.0
SEEN_MAX = 100_000
JUNK_POINTS = 10
FORGED_POINTS = 25
FLOOD_POINTS = 25
TURN_COUNT = 32
"""Transactions that are checked without a pause, which takes some 3 ms."""
PENALISED_CODES = frozenset(
    (
        "bad_signature",
        "unknown_call",
        "malformed_arguments",
        "other_network",
        "duty_not_alone",
        "duty_with_fee",
    )
)


class PoolGossip:
    """Admits transactions to the mempool and passes them on."""

    def __init__(
        self, network: Network, ledger: Ledger, mempool: Mempool, signatures: SignatureMemory
    ) -> None:
        self._ledger = ledger
        self._mempool = mempool
        self._signatures = signatures
        self._blame = network.blame
        self._seen: OrderedDict[Hash, None] = OrderedDict()
        self._allowances = RecentTable[PeerId, Allowance](Allowance, PEERS_MAX)
        self._turns = trio.Lock()
        """One peer's transactions are checked at a time: many peers hold up the loop no longer than one."""
        self._check = PoolAdmission(ledger, signatures.verify)
        self.streams: PeerStreams[PoolMessage] = PeerStreams(network, POOL, PoolMessage, self._receive)

    async def run_peer(self, peer: PeerId) -> None:
        """Serves one connected peer's outbox; announces first what waits here."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.streams.run_peer, peer)
            await self.streams.wait_for(peer, OUTBOX_SECONDS_MAX)
            ids = self._mempool.list_ids()
            for start in range(0, len(ids), IDS_MAX):
                self.streams.post(peer, TransactionIds(ids[start : start + IDS_MAX]))

    async def submit(self, batch: Iterable[bytes]) -> list[tuple[Hash, InvalidTransaction | None]]:
        """Admit transactions of this node's own clients; per transaction its id and the refusal, if any."""
        results: list[tuple[Hash, InvalidTransaction | None]] = []
        admitted: list[Pooled] = []
        for data in batch:
            tx_id = compute_transaction_id(data)
            try:
                admitted.append(await self._admit(tx_id, data))
                results.append((tx_id, None))
            except InvalidTransaction as error:
                results.append((tx_id, error))
        self._relay(admitted, ())
        return results

    async def _admit(self, tx_id: Hash, data: bytes) -> Pooled:
        """Checks a transaction and adds it: cheap checks, then the signature, then a duty's execution."""
        try:
            signed = decode_identified(tx_id, data)
        except ChainError as error:
            raise InvalidTransaction("malformed", str(error)) from error
        pooled = self._check.check_form(tx_id, signed, len(data))
        if tx_id in self._mempool:
            raise InvalidTransaction("already_pooled")
        if not await self._signatures.check_all((signed,)):
            raise InvalidTransaction("bad_signature")
        self._check.check_duty(pooled)
        self._mempool.add(pooled, self._ledger)
        return pooled

    def _relay(self, admitted: list[Pooled], source: Collection[PeerId]) -> None:
        small = (encode(pooled.signed) for pooled in admitted if pooled.size_bytes <= WHOLE_BYTES_MAX)
        for batch in split_batches(small, BATCH_BYTES_MAX):
            self.streams.broadcast(Transactions(batch), but=source)
        large = tuple(pooled.tx_id for pooled in admitted if pooled.size_bytes > WHOLE_BYTES_MAX)
        for start in range(0, len(large), IDS_MAX):
            self.streams.broadcast(TransactionIds(large[start : start + IDS_MAX]), but=source)

    # Inbound.

    async def _receive(self, peer: PeerId, message: PoolMessage) -> None:
        match message:
            case Transactions(transactions):
                await self._on_transactions(peer, transactions)
            case TransactionIds(ids):
                wanted = tuple(
                    tx_id for tx_id in ids if tx_id not in self._mempool and tx_id not in self._seen
                )
                if wanted and await self.streams.wait_for(peer, OUTBOX_SECONDS_MAX):
                    self.streams.post(peer, TransactionsWanted(wanted))
            case TransactionsWanted(ids):
                self._on_wanted(peer, ids)

    def _on_wanted(self, peer: PeerId, ids: tuple[Hash, ...]) -> None:
        """Sends what fits into one answer and the peer's allowance; it gets the rest from others, or in a
        block.
        """
        allowance = self._allowances.get(peer)
        found, size = [], 0
        for tx_id in ids:
            pooled = self._mempool.get(tx_id)
            if pooled is None or size + pooled.size_bytes > ANSWER_BYTES_MAX:
                continue
            if allowance.try_wanted(pooled.size_bytes):
                found.append(pooled)
                size += pooled.size_bytes
        for batch in split_batches((encode(pooled.signed) for pooled in found), BATCH_BYTES_MAX):
            self.streams.post(peer, Transactions(batch))

    async def _on_transactions(self, peer: PeerId, transactions: tuple[bytes, ...]) -> None:
        """Takes in a batch, a few at a time, so that votes and proposals wait for a few only. What follows a
        fault in the batch is not looked at.
        """
        admitted: list[Pooled] = []
        try:
            for start in range(0, len(transactions), TURN_COUNT):
                await self._take(peer, transactions[start : start + TURN_COUNT], admitted)
        except PeerFault as fault:
            self._blame(peer, fault)
        finally:
            self._relay(admitted, (peer,))

    async def _take(self, peer: PeerId, batch: tuple[bytes, ...], admitted: list[Pooled]) -> None:
        """Adds to `admitted` what the pool takes of a few transactions; raises PeerFault for the rest."""
        faults: list[PeerFault] = []
        async with self._turns:
            fresh = self._choose_fresh(batch)
            checked = [one for key, data in fresh if (one := self._check_foreign(peer, key, data, faults))]
        good = await self._signatures.check_all(pooled.signed for pooled in checked)
        if len(good) < len(checked):
            faults.append(PeerFault("transaction not signed by its sender", FORGED_POINTS))
        well_signed = {id(signed) for signed in good}
        offered = [one for one in checked if id(one.signed) in well_signed]
        async with self._turns:
            taken = [one for one in offered if self._offer(peer, one, faults)]
        admitted += taken
        if faults:
            raise faults[0]
        await self._allowances.get(peer).pay_late(len(fresh) - len(taken))

    def _choose_fresh(self, batch: tuple[bytes, ...]) -> list[tuple[Hash, bytes]]:
        """What is neither in the pool nor was seen lately; from now on it was."""
        fresh = []
        for data in batch:
            tx_id = compute_transaction_id(data)
            if tx_id not in self._seen and tx_id not in self._mempool:
                self._remember(tx_id)
                fresh.append((tx_id, data))
        return fresh

    def _check_foreign(
        self, peer: PeerId, tx_id: Hash, data: bytes, faults: list[PeerFault]
    ) -> Pooled | None:
        if faults:
            self._forget(tx_id)
            return None
        try:
            return self._check.check_form(tx_id, decode_identified(tx_id, data), len(data))
        except ChainError as error:
            self._note_refusal(peer, tx_id, error, faults)
        return None

    def _note_refusal(self, peer: PeerId, tx_id: Hash, error: ChainError, faults: list[PeerFault]) -> None:
        """A refusal is forgotten, if the transaction may be taken later, or becomes a fault."""
        code = error.code if isinstance(error, InvalidTransaction) else None
        if code is None or code in PENALISED_CODES:
            faults.append(PeerFault(f"transaction: {error}", JUNK_POINTS))
            return
        self._forget(tx_id)
        if code in HOPELESS_CODES and not self._allowances.get(peer).try_hopeless():
            faults.append(PeerFault(f"too many transactions like this: {error}", FLOOD_POINTS))

    def _offer(self, peer: PeerId, pooled: Pooled, faults: list[PeerFault]) -> bool:
        try:
            self._check.check_duty(pooled)
            self._mempool.add(pooled, self._ledger)
        except InvalidTransaction as error:
            self._forget(pooled.tx_id)
            if error.code == "duty_refused":
                self._note_refusal(peer, pooled.tx_id, error, faults)
            return False
        return True

    def _forget(self, tx_id: Hash) -> None:
        """Allows it to be offered again: later its sender may have funds, or the pool room."""
        self._seen.pop(tx_id, None)

    def _remember(self, tx_id: Hash) -> None:
        self._seen[tx_id] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
