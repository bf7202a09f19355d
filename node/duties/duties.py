"""Duties: transactions that this node sends by itself (docs/adr/005-duties-prove-themselves.md).

They are proofs of possession for its account, settlements of its vouchers, releases of its allotments, and
evidence that consensus found.
After each block the state tells the open duties. An open duty is sent, and sent again if it was not included
in time. So nothing has to survive a crash but the vouchers.

Duties pay no fee. Any key may send them: this node uses a key of its own, never the account's. A release
alone is signed by the key of the node's peer id, since it gives up a claim.
Not here: the rules (chain), the pool (`node.mempool`), fetching again data that was found missing.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import structlog
import trio

from chain.errors import InvalidTransaction
from chain.modules import hosting, offences, possession, sessions, staking, system, validators
from chain.modules.possession import Duty, EraStanding, Prove, ProvenLeaf
from chain.modules.sessions import SignedVoucher
from chain.primitives.codec import Record, encode
from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Epoch, Hash, Height
from chain.runtime import build_call
from chain.state import StateReader
from chain.transaction import Transaction, sign_transaction
from chain.votes import Evidence, compute_evidence_hash, get_offence_height, get_offender
from node.content.lane import ContentLane
from node.content.vouchers import SortedVouchers, VoucherBook, sort_vouchers
from node.duties.releases import Claim, build_releases, list_claims
from node.ledger.lane import Lane
from node.ledger.ledger import CommittedBlock, LedgerReader, LedgerView
from storage.content.store import ContentStore
from storage.errors import StorageError

_log = structlog.get_logger("duties")

VALID_BLOCKS = 3
"""A duty that was not included in this many blocks is sent again."""
EVIDENCE_MAX = 256
RELEASED_AT_ONCE_MAX = 256
"""Sessions that are released after one block, so that sessions that end together do not fill the pool."""

Submit = Callable[[Iterable[bytes]], Awaitable[list[tuple[Hash, InvalidTransaction | None]]]]
Key = tuple[str, str, str]
"""Names a duty: its kind and what it is about."""


class Hosting(NamedTuple):
    """Store and vouchers of a node that hosts for an account, and the key of its peer id."""

    content: ContentLane
    book: VoucherBook
    peer_key: KeyPair


class _OpenDuty(NamedTuple):
    """A duty that the chain would take now: a call, or a proof whose leaves are still to be read."""

    key: Key
    valid_until: Height
    what: Record | Duty


class _StateFacts(NamedTuple):
    """What the state says about the duties of this node."""

    height: Height
    epoch: Epoch
    proofs: tuple[Duty, ...]
    vouchers: SortedVouchers
    claims: tuple[Claim, ...]
    evidence: tuple[Evidence, ...]
    era: EraStanding | None
    """Of a candidate; None if this node's account is none."""


class Duties:
    """The open duties of one node; `served` is None where nothing is hosted."""

    def __init__(
        self, ledger: LedgerReader, lane: Lane, submit: Submit, key: KeyPair, served: Hosting | None
    ) -> None:
        self._ledger, self._lane, self._submit, self._key = ledger, lane, submit, key
        self._hosting = served
        self._evidence: dict[Hash, Evidence] = {}
        self._under_way: dict[Key, Height] = {}
        self._alive: dict[Hash, None] = {}
        self._epoch: Epoch | None = None
        self._is_on_course = True
        self._epoch_vouchers: dict[Hash, SignedVoucher] = {}
        self._wake, self._woken = trio.open_memory_channel[None](1)

    # For other parts of the node.

    def on_committed(self, _: CommittedBlock) -> None:
        """Has the duties checked after a final block; several blocks may be checked as one."""
        try:
            self._wake.send_nowait(None)
        except trio.WouldBlock:
            return  # the check that is due will see this block too

    def report(self, evidence: Evidence) -> None:
        """Takes evidence to be sent. Above EVIDENCE_MAX it is dropped: other nodes have seen the
        offence too.
        """
        if len(self._evidence) >= EVIDENCE_MAX:
            _log.warning("evidence_dropped", waiting=len(self._evidence))
            return
        self._evidence[compute_evidence_hash(evidence)] = evidence

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sends open duties after every block, until cancelled."""
        task_status.started()
        await self.work()
        async for _ in self._woken:
            await self.work()

    async def work(self) -> None:
        """Sends the open duties that are not under way."""
        facts = await self._gather()
        self._warn_of_era(facts.era)
        due = tuple(self._list_open(facts))
        keys = frozenset((*(one.key for one in due), *map(_build_release_key, facts.claims)))
        self._under_way = {key: until for key, until in self._under_way.items() if key in keys}
        for one in due:
            if self._is_idle(one.key, facts.height):
                await self._send(one)
        await self._release(facts)

    def _warn_of_era(self, era: EraStanding | None) -> None:
        """Logs once that the account cannot be elected for the next era, as soon as that is known."""
        is_on_course = era is None or era.is_on_course
        if era is not None and self._is_on_course and not is_on_course:
            _log.error("not_eligible_in_next_era", **era._asdict(), next="vidya host add, then vidya doctor")
        self._is_on_course = is_on_course

    # Finding open duties.

    async def _gather(self) -> _StateFacts:
        """What is open at the head, read in a thread: there may be many vouchers."""
        vouchers = self._hosting.book.list() if self._hosting else ()
        evidence = tuple(self._evidence.values())
        view = self._ledger.view
        facts = await self._lane.run(lambda: self._look(view, vouchers, evidence))
        for one in evidence:
            if one not in facts.evidence:
                self._evidence.pop(compute_evidence_hash(one), None)
        self._forget_over(vouchers, facts.vouchers.over)
        return facts

    def _forget_over(self, vouchers: tuple[SignedVoucher, ...], over: tuple[Hash, ...]) -> None:
        """Drops vouchers of sessions that ended. One whose session this node never saw stays: its own
        chain may be behind.
        """
        ended = [session for session in over if session in self._alive]
        if ended and self._hosting is not None:
            self._hosting.book.forget(ended)
        sessions_of = (signed.voucher.session for signed in vouchers)
        self._alive = {session: None for session in sessions_of if session not in over}

    def _look(
        self, view: LedgerView, vouchers: tuple[SignedVoucher, ...], evidence: tuple[Evidence, ...]
    ) -> _StateFacts:
        state, height = view.state, view.height + 1
        epoch = system.compute_epoch(view.get_parameters(), height)
        host = self._hosting.book.host if self._hosting else None
        return _StateFacts(
            height=height,
            epoch=epoch,
            proofs=() if host is None else possession.list_open_duties(state, host),
            vouchers=sort_vouchers(state, vouchers, height, epoch),
            claims=self._list_claims(view, vouchers),
            evidence=tuple(one for one in evidence if _is_punishable(view, one)),
            era=_get_era(state, host),
        )

    def _list_claims(self, view: LedgerView, vouchers: tuple[SignedVoucher, ...]) -> tuple[Claim, ...]:
        """What this node can release; nothing while another node's peer id is registered for its account."""
        if self._hosting is None:
            return ()
        host, key = self._hosting.book.host, self._hosting.peer_key.public_key
        if not hosting.is_operated_by(view.state, host, key):
            return ()
        best = {signed.voucher.session: signed for signed in vouchers}
        return list_claims(view.state, host, view.height + 1, best.get)

    def _list_open(self, facts: _StateFacts) -> Iterator[_OpenDuty]:
        until = facts.height + VALID_BLOCKS - 1
        for proof in facts.proofs:
            key = ("prove", str(proof.epoch), proof.demanded.hex() if proof.demanded else "")
            yield _OpenDuty(key, min(until, proof.deadline - 1), proof)
        for signed in self._pick_vouchers(facts):
            key = ("settle", signed.voucher.session.hex(), str(signed.voucher.bytes))
            yield _OpenDuty(key, until, sessions.Settle(signed))
        for evidence in facts.evidence:
            key = ("report", compute_evidence_hash(evidence).hex(), "")
            yield _OpenDuty(key, until, offences.Report(evidence))

    def _pick_vouchers(self, facts: _StateFacts) -> Iterator[SignedVoucher]:
        """Vouchers of running sessions that were due when the epoch began. The chain takes one settlement per
        session and epoch, which is not to be spent on the first chunk.
        """
        running = {signed.voucher.session: signed for signed in facts.vouchers.running}
        if facts.epoch != self._epoch:
            self._epoch, self._epoch_vouchers = facts.epoch, running
        for session, signed in self._epoch_vouchers.items():
            if session in running:
                yield signed

    # Sending.

    async def _send(self, one: _OpenDuty) -> None:
        self._under_way[one.key] = one.valid_until
        call = await self._prove(one.what) if isinstance(one.what, Duty) else one.what
        if call is not None:
            await self._send_call(one.key, call, self._key, one.valid_until)

    async def _release(self, facts: _StateFacts) -> None:
        """Releases the ended sessions that are not under way, in as few transactions as there can be."""
        if self._hosting is None:
            return
        waiting = (one for one in facts.claims if self._is_idle(_build_release_key(one), facts.height))
        claims, until = tuple(islice(waiting, RELEASED_AT_ONCE_MAX)), facts.height + VALID_BLOCKS - 1
        self._under_way |= {_build_release_key(one): until for one in claims}
        for call in build_releases(self._hosting.book.host, claims):
            key = "release", str(facts.height), f"{len(call.vouchers)} + {len(call.others)} sessions"
            await self._send_call(key, call, self._hosting.peer_key, until)

    def _is_idle(self, key: Key, height: Height) -> bool:
        return self._under_way.get(key, 0) < height

    async def _send_call(self, key: Key, call: Record, signer: KeyPair, valid_until: Height) -> None:
        transaction = Transaction(
            version=1,
            genesis_hash=self._ledger.genesis_hash,
            sender=signer.public_key,
            nonce=0,
            valid_until=valid_until,
            fee_max=0,
            tip=0,
            calls=(build_call(call),),
        )
        [(tx_id, refusal)] = await self._submit([encode(sign_transaction(signer, transaction))])
        if refusal is None:
            _log.info("duty_sent", duty=key, tx=tx_id.hex())
        else:
            _log.warning("duty_not_taken", duty=key, reason=str(refusal))

    async def _prove(self, duty: Duty) -> Prove | None:
        """The proof with its leaves; None, with an error in the log, if a leaf cannot be read."""
        # `_look` lists proofs only where something is hosted.
        assert self._hosting is not None
        try:
            leaves = await self._hosting.content.run(lambda store: _read_leaves(store, duty))
        except StorageError as error:
            _log.error("leaf_lost", epoch=duty.epoch, reason=str(error))
            return None
        return Prove(self._hosting.book.host, duty.epoch, leaves, duty.demanded)


def _build_release_key(claim: Claim) -> Key:
    return "release", claim[0].hex(), ""


def _get_era(state: StateReader, who: Address | None) -> EraStanding | None:
    """How the account stands in the era, if it is a candidate."""
    if who is None or validators.get_candidate(state, who) is None:
        return None
    return possession.get_era_standing(state, who)


def _is_punishable(view: LedgerView, evidence: Evidence) -> bool:
    if staking.is_tombstoned(view.state, get_offender(evidence)):
        return False
    height = get_offence_height(evidence)
    return not validators.is_expired(view.state, view.height, view.head.time_ms, height)


def _read_leaves(store: ContentStore, duty: Duty) -> tuple[ProvenLeaf, ...]:
    places = duty.challenges
    return tuple(ProvenLeaf(*store.read_leaf(place.datum, place.leaf_index)) for place in places)
