"""The ledger: the one place where blocks are executed, kept and made final.

It holds the chain store and the state store over one database and moves them together: `commit` writes
block, certificate, receipts, state and head in one synced batch, or nothing. A block is executed once per
node: the result that was computed before prevoting is kept by block hash until its height is final.

Who may read what, from which thread:
- The lane (one job at a time): `live`, `execute`, `build`, `commit`. A commit changes `live` step by step.
- The loop: the ledger's own attributes. They show one head, and move in one turn of the loop, by `move_head`.
- Any other thread, and whoever keeps reading across an await: `view`, taken once. A view never changes.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from chain import runtime
from chain.block import (
    Block,
    BlockReceipts,
    EventRecord,
    Header,
    Inherents,
    compute_header_hash,
    list_transaction_ids,
)
from chain.commitment import Proof
from chain.errors import ForgedBody, InvalidBlock, InvalidTransaction
from chain.genesis import ChainSpec, build_genesis_header, build_genesis_state, compute_genesis_hash
from chain.modules import balances, system, validators
from chain.primitives.codec import decode, encode
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Address, Amount, Hash, Height, Nonce, TimeMs
from chain.runtime import BlockResult, CheckSignature
from chain.state import MemoryState
from chain.transaction import SignedTransaction, check_signature
from chain.validator_set import Roster, ValidatorSet, build_roster
from chain.votes import CommitCertificate, Verify
from storage.chain_store import ChainStore, StoredBlock
from storage.errors import RESYNC, CorruptStore
from storage.kv import Entry, KeyValueStore
from storage.snapshots import SNAPSHOTS_KEPT
from storage.state_store import StateStore

INTEGRITY_BLOCKS = 1_000
"""Newest heights whose hash chain is verified at every start."""
PRUNED_BLOCKS_MAX = 64
"""Bodies dropped with one block: more than one only after `blocks_kept` was lowered."""
WATCHED_BLOCKS_MAX = 20
"""A validator looks for signatures of its key in so many blocks (`node.replica.signing.guard`)."""
RESULTS_KEPT_MAX = 8
"""Executed candidates of one height; in practice there is one per round."""


class OtherNetwork(Exception):
    """The data directory belongs to another chain spec."""


class LedgerView:
    """Chain and state at one head. Over a frozen store it never changes, and any thread may read it; the
    store keeps what it shows for as long as somebody holds it.
    """

    def __init__(self, chain: ChainStore, state: StateStore, head: Header, head_hash: Hash) -> None:
        self.chain = chain
        self.state = state
        self.head = head
        self.head_hash = head_hash
        self.height: Height = head.height

    def get_header(self, height: Height) -> Header | None:
        """A final header."""
        data = self.chain.get_header(height)
        return None if data is None else decode(Header, data)

    def get_block(self, height: Height) -> Block | None:
        """A final block; None also if it was pruned."""
        data = self.chain.get_block(height)
        return None if data is None else decode(Block, data)

    def get_certificate(self, height: Height) -> CommitCertificate | None:
        """What made a block final; None for genesis."""
        data = self.chain.get_certificate(height)
        return decode(CommitCertificate, data) if data else None

    def get_roster(self, roster_hash: Hash) -> Roster | None:
        """A roster that a final header names."""
        data = self.chain.get_roster(roster_hash)
        return None if data is None else decode(Roster, data)

    def get_receipts(self, height: Height) -> BlockReceipts | None:
        """What became of a block's transactions; None also if they were pruned."""
        data = self.chain.get_receipts(height)
        return None if data is None else decode(BlockReceipts, data)

    def prove(self, key: bytes, height: Height) -> Proof:
        """Proof of a state key at a recent height; raises UnknownVersion."""
        return self.state.prove(key, height)

    def get_nonce(self, who: Address) -> Nonce:
        """Next nonce of an account."""
        return balances.get_account(self.state, who).nonce

    def get_free(self, who: Address) -> Amount:
        """Free balance of an account."""
        return balances.get_balance(self.state, who)

    def get_parameters(self) -> system.Parameters:
        """Time and size of the chain."""
        return system.get_parameters(self.state)

    def get_validators(self) -> ValidatorSet:
        """The set that decides the height after the head."""
        return validators.get_current(self.state)


class CommittedBlock(NamedTuple):
    """A block that is final, as listeners see it."""

    block: Block
    block_hash: Hash
    certificate: CommitCertificate
    receipts: BlockReceipts
    tx_ids: tuple[Hash, ...]
    view: LedgerView
    """Chain and state right after the block."""

    @property
    def included(self) -> Iterator[tuple[Hash, SignedTransaction]]:
        """The block's transactions with their ids."""
        return zip(self.tx_ids, self.block.transactions, strict=True)

    def list_events(self) -> Iterator[EventRecord]:
        """All events of the block, in order."""
        yield from self.receipts.start
        for receipt in self.receipts.transactions:
            yield from receipt.events
        yield from self.receipts.end


class LedgerReader(Protocol):
    """What threads other than the loop's and the lane's may use of a ledger."""

    spec: ChainSpec
    genesis_hash: Hash
    view: LedgerView
    """At the newest head that the loop knows; to be taken once, and read from then on."""


class Ledger(LedgerView):
    """The final chain of this node and the state after it."""

    def __init__(
        self,
        store: KeyValueStore,
        spec: ChainSpec,
        *,
        check: CheckSignature = check_signature,
        verify: Verify = is_signed_by,
        blocks_kept: int = 0,
    ) -> None:
        """`blocks_kept` is how many of the newest blocks keep their bodies, if that is more than
        `compute_blocks_kept_min`; 0: all.
        """
        self.spec = spec
        self.genesis_hash = compute_genesis_hash(spec)
        self._store = store
        self._check = check
        self._verify = verify
        self._blocks_kept = blocks_kept
        self._results: dict[Hash, BlockResult | InvalidBlock] = {}
        chain, state = ChainStore(store), StateStore(store)
        if state.head is None:
            self._write_genesis(chain, state)
        chain.check_integrity(INTEGRITY_BLOCKS)
        head = _load_head(chain, state)
        self._live = LedgerView(chain, state, head, compute_header_hash(head))
        self.view = self._freeze()
        super().__init__(self.view.chain, self.view.state, head, self.view.head_hash)
        self._check_network()

    def _write_genesis(self, chain: ChainStore, state: StateStore) -> None:
        changes = build_genesis_state(self.spec)
        update = state.compute_update(0, changes)
        memory = MemoryState()
        memory.apply(changes)
        header = build_genesis_header(self.spec, memory, update.root)
        block = Block(header, Inherents(None, None), ())
        receipts = encode(BlockReceipts((), (), ()))
        roster = encode(build_roster(validators.get_current(memory)))
        stored = StoredBlock(0, encode(header), encode(block), None, receipts, (), (roster,))
        self._store.write_batch([*chain.stage_block(stored), *state.stage(update, changes)])
        state.on_written(update)

    def _check_network(self) -> None:
        genesis = self.get_header(0)
        if genesis is not None and genesis.parent_hash != self.genesis_hash:
            raise OtherNetwork(f"the data directory is of network {genesis.parent_hash.hex()[:16]}")

    # What is read.

    @property
    def live(self) -> LedgerView:
        """Chain and state as the last commit left them: for jobs of the lane only."""
        return self._live

    def _freeze(self) -> LedgerView:
        """A view of the live chain and state as they are now."""
        frozen, live = self._store.snapshot(), self._live
        return LedgerView(ChainStore(frozen), StateStore(frozen), live.head, live.head_hash)

    def move_head(self, committed: CommittedBlock) -> None:
        """Shows the loop and all other threads the head that a commit has made; called in the loop."""
        self.view = view = committed.view
        self.chain, self.state = view.chain, view.state
        self.head, self.head_hash, self.height = view.head, view.head_hash, view.height

    # Blocks.

    def execute(self, block: Block) -> BlockResult:
        """The effect of a candidate for the next height, computed at most once; raises InvalidBlock.

        A verdict is kept by the header's hash, so it must be about what the header binds. A body that does
        not match the header (ForgedBody) is the sender's fault, so no verdict is kept.
        """
        block_hash = compute_header_hash(block.header)
        known = self._results.get(block_hash)
        if known is None:
            known = self._run(block)
            self._remember(block_hash, known)
        if isinstance(known, InvalidBlock):
            raise known
        if known.block != block:
            raise ForgedBody("another body than the one that was executed")
        return known

    def _run(self, block: Block) -> BlockResult | InvalidBlock:
        try:
            return runtime.execute_block(
                self.live.state,
                self.genesis_hash,
                self.live.head,
                block,
                check=self._check,
                verify=self._verify,
            )
        except ForgedBody:
            raise
        except InvalidBlock as error:
            return error

    def build(
        self,
        proposer: Address,
        time_ms: TimeMs,
        inherents: Inherents,
        candidates: Iterable[SignedTransaction],
    ) -> tuple[BlockResult, list[tuple[SignedTransaction, InvalidTransaction]]]:
        """A block for the next height, and the candidates that could not go in."""
        result, refused = runtime.build_block(
            self.live.state,
            self.genesis_hash,
            self.live.head,
            proposer=proposer,
            time_ms=time_ms,
            inherents=inherents,
            candidates=candidates,
            check=self._check,
            verify=self._verify,
        )
        self._remember(result.block_hash, result)
        return result, refused

    def _remember(self, block_hash: Hash, result: BlockResult | InvalidBlock) -> None:
        self._results[block_hash] = result
        while len(self._results) > RESULTS_KEPT_MAX:
            del self._results[next(iter(self._results))]

    def commit(self, result: BlockResult, certificate: CommitCertificate) -> CommittedBlock:
        """Makes an executed block the live head, durably; `move_head` then shows it to others. The caller has
        verified the certificate.
        """
        header = result.block.header
        live = self.live
        # `execute` takes no block but the next one, and a commit clears its results; consensus and sync look
        # the block up by the hash that the certificate names.
        assert header.height == live.height + 1
        assert certificate.block_hash == result.block_hash
        tx_ids = list_transaction_ids(result.block)
        stored = StoredBlock(
            header.height,
            encode(header),
            encode(result.block),
            encode(certificate),
            encode(result.receipts),
            tx_ids,
            self._list_new_rosters(header),
        )
        self._store.write_batch(
            [
                *live.chain.stage_block(stored),
                *live.state.stage(result.update, result.changes),
                *self._stage_pruning(header.height),
            ]
        )
        live.state.on_written(result.update)
        self._live = LedgerView(live.chain, live.state, header, result.block_hash)
        self._results.clear()
        return CommittedBlock(
            result.block, result.block_hash, certificate, result.receipts, tx_ids, self._freeze()
        )

    def _stage_pruning(self, height: Height) -> list[Entry]:
        """Batch entries that drop the bodies which `height` as the head makes too old."""
        if not self._blocks_kept:
            return []
        kept = max(self._blocks_kept, compute_blocks_kept_min(self.live.get_parameters()))
        return self.live.chain.stage_prune(max(0, height - kept + 1), PRUNED_BLOCKS_MAX)

    def _list_new_rosters(self, header: Header) -> tuple[bytes, ...]:
        """The roster of the next height, if it differs from this one's."""
        if header.next_validators_hash == header.validators_hash:
            return ()
        return (encode(build_roster(validators.get_next(self.live.state))),)


def compute_blocks_kept_min(parameters: system.Parameters) -> int:
    """How many of the newest blocks every node keeps: blocks that are younger than evidence may be, blocks
    that a node needs which joins at the oldest snapshot offered, and blocks in which a validator looks for
    signatures of its key.

    Light clients need headers, certificates and rosters, which are never dropped.
    """
    since_snapshot = (SNAPSHOTS_KEPT + 1) * parameters.epoch_blocks
    return max(parameters.evidence_age_blocks, since_snapshot, WATCHED_BLOCKS_MAX)


def _load_head(chain: ChainStore, state: StateStore) -> Header:
    """The header of the head; raises CorruptStore if chain and state do not agree."""
    extent = chain.get_extent()
    if extent is None or state.head is None or extent.head != state.head.version:
        raise CorruptStore(f"chain and state are not of one height; {RESYNC}")
    data = chain.get_header(extent.head)
    if data is None:
        raise CorruptStore(f"the header of the head, {extent.head}, is missing; {RESYNC}")
    header = decode(Header, data)
    if header.state_root != state.head.root:
        raise CorruptStore(f"the state is not that of block {extent.head}; {RESYNC}")
    return header
