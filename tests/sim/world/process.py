"""One process of a validator: the real replica, gossip and sync over the simulated machine that it runs on.

`Process` implements `node.replica.ports.World`: clocks, timers, the lane and peers, all decided by the seed.
"""

import random as standard_random
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from chain.modules import beacon, system
from chain.primitives.codec import Record, encode
from chain.primitives.types import Hash, Height, PeerId, TimeMs
from chain.validator_set import get_validator
from chain.votes import Certificate, Evidence, build_certificate_votes, get_vote_signing_bytes
from node.duties.reveals import Reveals
from node.ledger.ledger import CommittedBlock, Ledger, LedgerView
from node.ledger.snapshots import write_snapshot
from node.mempool.pool import Mempool
from node.replica.gossip import Gossip
from node.replica.journal import Journal
from node.replica.ports import CommitBlock, Timer
from node.replica.replica import ConsensusHalted, Replica
from node.replica.signing.signer import Signer
from node.replica.sync.server import SyncServer
from node.replica.sync.sync import Sync
from node.replica.timing import build_synchrony, build_timeouts
from p2p.errors import NetworkError, PeerFault, PeerGone, PeerSlow, Refused
from p2p.wire.messages import (
    BlockWanted,
    CommitMessage,
    ConsensusMessage,
    LightBlockReply,
    LightBlockRequest,
    PolkaMessage,
    PoolMessage,
    Refusal,
    SnapshotRequest,
    SyncRequest,
    Votes,
)
from storage.errors import StorageError
from storage.sign_state import LastSignState
from storage.wal import Wal
from tests.sim.checks.history import Finality, Reported, iterate_messages
from tests.sim.world.disk import SimStore
from tests.sim.world.machine import SIGN_STATE, WAL, Crashed, Machine
from tests.sim.world.pool import Duties, Pool
from tests.sim.world.snapshots import SnapshotDisk, answer_snapshot
from tests.sim.world.wire import NUMBER_BYTES, decode_message, decode_reply

T = TypeVar("T")
R = TypeVar("R", bound=Record)

NOBODY: PeerId = b""
"""A light client is no peer of the network."""


class LaneLedger(Ledger):
    """Its live state may be read in jobs of the lane only."""

    _is_in_lane = False

    @property
    def live(self) -> LedgerView:
        """As Ledger.live."""
        assert self._is_in_lane, "live state read outside the lane"
        return super().live

    @contextmanager
    def in_lane(self) -> Iterator[None]:
        """A job runs."""
        self._is_in_lane = True
        try:
            yield
        finally:
            self._is_in_lane = False


class Process:
    """One process: implements `node.replica.ports.World`."""

    is_honest = True

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._context = context = machine.context
        self._random = context.random
        self._jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self._done: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._peers: dict[PeerId, int] = {}
        self._asked: dict[int, Callable[[bytes | NetworkError], None]] = {}
        self._asked_count = 0
        self._said: set[bytes] = set()
        self._open()
        self.mempool = Mempool()
        self.reveals = Reveals(machine.keys.beacon_secret)
        self.pool = Pool(self.ledger, self.mempool, context.signatures, self._relay)
        self.duties = Duties(self.ledger, self.pool.submit, machine.keys.duty)
        self.snapshots = SnapshotDisk(machine.disk)
        self._build()

    def _open(self) -> None:
        """As `node.stores.open_stores`: the store comes last, since it says that the others must be there."""
        machine, disk, key = self.machine, self.machine.disk, self.machine.keys.consensus
        self.signer = None
        is_new = not machine.has_store
        context = self._context
        if not machine.is_observer:
            wal = Wal.create(WAL, 0, disk) if is_new and not disk.has(WAL) else Wal.load(WAL, disk)
            state = LastSignState.load(SIGN_STATE, key.public_key, create=is_new, files=disk)
            context.custody.on_started(machine.number, state.state)
        else:
            wal = Wal.create(Path("observer-wal"), 0, disk)
        machine.has_store = True
        store = SimStore(disk)
        check, verify = context.signatures.check, context.signatures.verify
        self.ledger = LaneLedger(store, context.spec, check=check, verify=verify)
        if not machine.is_observer:
            self.signer = Signer(machine.keys.address, key, state, self.ledger.genesis_hash)
        self.journal = Journal(wal)

    def _build(self) -> None:
        parameters = self.ledger.get_parameters()
        self.replica = Replica(
            self,
            self.ledger,
            self.mempool,
            signer=self.signer,
            journal=self.journal,
            timeouts=build_timeouts(parameters),
            synchrony=build_synchrony(parameters),
            reveal=self._get_reveal,
            report=self._report,
            build_messenger=self._build_gossip,
            build_sync=self._build_sync,
        )
        self.replica.listeners += [self._on_committed, self.duties.on_committed]
        self.answers = SyncServer(self.ledger)

    def _build_gossip(self, replica: Replica) -> Gossip:
        self.gossip = Gossip(self, replica, self.mempool, self._context.signatures.verify)
        return self.gossip

    def _build_sync(self, commit: CommitBlock) -> Sync:
        random = standard_random.Random(self._random.random())
        self.sync = Sync(self, self.ledger, self._context.signatures.verify, commit, random)
        return self.sync

    def start(self) -> None:
        """Everything else follows in later turns."""
        self.gossip.start()
        self.replica.start()

    def _get_reveal(self) -> Hash | None:
        """As `node.app.Node`."""
        address = self.machine.keys.address
        epoch = system.compute_epoch(self.ledger.get_parameters(), self.ledger.height + 1)
        return self.reveals.get_next_link(beacon.get_chain(self.ledger.state, address, epoch))

    def _report(self, evidence: Evidence) -> None:
        if self.is_honest:
            fact = Reported(self._context.schedule.now_ms, self.machine.number, evidence)
            self._context.history.reported.append(fact)
        self.duties.report(evidence)

    def _on_committed(self, committed: CommittedBlock) -> None:
        certificate, number, now_ms = (
            committed.certificate,
            self.machine.number,
            self._context.schedule.now_ms,
        )
        self._context.audit.note(
            self.machine.name,
            "final",
            committed.block_hash,
            lambda: f"height {certificate.height} round {certificate.round} {committed.block_hash.hex()[:8]}",
        )
        if self.machine.makes_snapshots and self._is_epoch_end(certificate.height):
            self.run(lambda: write_snapshot(committed.view, self.snapshots, lambda: None), lambda _: None)
        if self.is_honest:
            height, block_hash = certificate.height, committed.block_hash
            fact = Finality(now_ms, number, height, certificate.round, block_hash)
            self._context.history.note_final(fact, committed.tx_ids)

    def _is_epoch_end(self, height: Height) -> bool:
        return system.is_epoch_end(self.ledger.get_parameters(), height)

    # Turns.

    def turn(self, what: str, action: Callable[[], None]) -> None:
        """Runs `action` if the process still runs; a crash or a storage failure in it ends the process."""
        machine = self.machine
        if machine.process is not self:
            return
        machine.context.current = machine
        try:
            action()
        except PeerFault:
            raise
        except (Crashed, StorageError) as cause:
            machine.end(cause)
        except ConsensusHalted as error:
            self._context.on_halted(machine.number, error)
        finally:
            machine.context.current = None
        if self.is_honest:
            self._context.core_watch.on_turn(machine.number, self.replica.core)
            self._context.custody.on_turn(self)

    # The world: time.

    def now_ms(self) -> TimeMs:
        """As World."""
        return self.machine.clock.now_ms()

    def elapsed_ms(self) -> int:
        """As World."""
        return self.machine.clock.elapsed_ms()

    def call_later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """As World."""
        virtual_ms = self.machine.clock.compute_virtual_ms(delay_ms)
        return self._context.schedule.after(virtual_ms, lambda: self.turn("timer", action))

    # The world: the lane.

    def run(self, job: Callable[[], T], then: Callable[[T], None]) -> None:
        """As World."""
        self._jobs.append((job, then))
        if len(self._jobs) == 1:
            self._begin_job()

    @property
    def has_waiting_jobs(self) -> bool:
        """Whether work of the lane is not done yet."""
        return bool(self._jobs)

    def _begin_job(self) -> None:
        duration_ms = self._random.choice((0, 0, 1, 1, 2, 5, self.machine.disk.slow_ms))
        self._context.schedule.after(duration_ms, lambda: self.turn("job", self._do_job))

    def _do_job(self) -> None:
        job, then = self._jobs[0]
        with self.ledger.in_lane():
            self._done.append((then, job()))
        self._jobs.popleft()
        self._context.schedule.after(self._random.randint(0, 1), lambda: self.turn("then", self._hand_over))
        if self._jobs:
            self._begin_job()

    def _hand_over(self) -> None:
        then, result = self._done.popleft()
        then(result)

    # The world: peers.

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """As World."""
        return tuple(self._peers)

    def post(self, peer: PeerId, message: ConsensusMessage) -> None:
        """As World."""
        if peer in self._peers:
            self._note_sent(message)
            if self.is_honest and isinstance(message, Votes | PolkaMessage):
                self._context.rare["missing message sent"] += 1
            self._send(peer, "consensus", encode(message))

    def broadcast(self, message: ConsensusMessage, but: Collection[PeerId] = ()) -> None:
        """As World."""
        self._count_repeated(message)
        self._note_sent(message)
        data = encode(message)
        for peer in self._peers:
            if peer not in but:
                self._send(peer, "consensus", data)

    def _count_repeated(self, message: ConsensusMessage) -> None:
        """Counts what this process says to all once more (C14)."""
        own = [encode(said) for who, said, _ in iterate_messages(message) if who == self.machine.keys.address]
        if self.is_honest and any(said in self._said for said in own):
            self._context.rare["own message repeated"] += 1
        self._said.update(own)

    def _note_sent(self, message: ConsensusMessage) -> None:
        if self.is_honest:
            self._context.rare["block of a quorum asked for"] += isinstance(message, BlockWanted)
            self._context.history.note_message(message)
            self._context.watch.on_sent(self, message)

    def _send(self, peer: PeerId, channel: str, data: bytes) -> None:
        self._context.network.send(self.machine.number, self._peers[peer], channel, data)

    def _relay(self, message: PoolMessage, but: Collection[PeerId]) -> None:
        data = encode(message)
        for peer in self._peers:
            if peer not in but:
                self._send(peer, "pool", data)

    def ask(
        self,
        peer: PeerId,
        message: Record,
        reply: type[R],
        limit_ms: int,
        then: Callable[[R | NetworkError], None],
    ) -> None:
        """As World: what comes back is decoded and checked as `p2p.wire.requests` does."""
        if peer not in self._peers:
            self.call_later(0, lambda: then(PeerGone("not connected")))
            return
        self._asked_count += 1
        number = self._asked_count

        def end(answer: bytes | NetworkError) -> None:
            if self._asked.pop(number, None) is not None:
                timer.cancel()
                then(answer if isinstance(answer, NetworkError) else decode_reply(answer, reply))

        slow = PeerSlow(f"no answer to {type(message).__name__} in {limit_ms} ms")
        timer = self.call_later(limit_ms, lambda: end(slow))
        self._asked[number] = end
        data = number.to_bytes(NUMBER_BYTES, "big") + encode(message)
        self._context.network.send(self.machine.number, self._peers[peer], "request", data, is_lossy=False)

    def blame(self, peer: PeerId, fault: PeerFault) -> None:
        """As World. Validators are trusted peers: their score never bans them."""
        machine = self._context.find(peer)
        whom = -1 if machine is None else machine.number
        self._context.audit.note(self.machine.name, "blame", text=f"{whom}: {fault.reason}")
        if self.is_honest:
            self._context.history.blames.append((self.machine.number, whom, fault.reason))

    # Inbound.

    def on_connected(self, number: int) -> None:
        """A peer said hello."""
        peer = self._get_peer(number)
        self._peers[peer] = number
        self.gossip.connected(peer)
        self.sync.connected(peer)
        self.pool.connected(lambda message: self._send(peer, "pool", encode(message)))

    def on_disconnected(self, number: int) -> None:
        """A peer is gone."""
        peer = self._get_peer(number)
        if self._peers.pop(peer, None) is not None:
            self.gossip.disconnected(peer)
            self.sync.disconnected(peer)

    def _get_peer(self, number: int) -> PeerId:
        return self._context.network.ends[number].keys.peer  # type: ignore[attr-defined,no-any-return]

    def on_message(self, number: int, channel: str, data: bytes) -> None:
        """A message, behind the boundary of its peer."""
        peer = self._get_peer(number)
        try:
            match channel:
                case "consensus":
                    self._on_consensus(peer, decode_message(ConsensusMessage, data))
                case "pool":
                    self.pool.on_message(peer, decode_message(PoolMessage, data))
                case "request":
                    self._on_request(peer, number, data)
                case "reply":
                    self._on_reply(data)
                case "snapshot":
                    self._on_snapshot_request(peer, number, data)
        except PeerFault as fault:
            self.blame(peer, fault)

    def _on_consensus(self, peer: PeerId, message: ConsensusMessage) -> None:
        if self.is_honest:
            self._context.custody.on_arrived(self, message)
            self._context.watch.on_heard(self, message)
            if isinstance(message, CommitMessage | PolkaMessage):
                self._note_heard(message.certificate)
        self.gossip.on_message(peer, message)

    def _note_heard(self, certificate: Certificate) -> None:
        """Records the votes of a certificate: it is not relayed, and may hold votes that nobody else got."""
        members, genesis_hash = self.replica.core.validator_set, self.ledger.genesis_hash
        for signed in build_certificate_votes(certificate):
            member = get_validator(members, signed.vote.validator)
            message = get_vote_signing_bytes(genesis_hash, signed.vote)
            verify = self._context.signatures.verify
            if member is not None and verify(member.consensus_key, message, signed.signature):
                self._context.history.note_votes((signed,))

    def _on_request(self, peer: PeerId, number: int, data: bytes) -> None:
        """The reply goes back where the request came from, whether or not that peer has said hello."""
        head, body = data[:NUMBER_BYTES], data[NUMBER_BYTES:]
        reply = head + encode(self.answer(peer, decode_message(SyncRequest, body)))
        self._context.network.send(self.machine.number, number, "reply", reply, is_lossy=False)

    def _on_snapshot_request(self, peer: PeerId, number: int, data: bytes) -> None:
        head, body = data[:NUMBER_BYTES], data[NUMBER_BYTES:]
        reply = head + encode(self.answer_snapshot(peer, decode_message(SnapshotRequest, body)))
        self._context.network.send(self.machine.number, number, "snapshot-reply", reply, is_lossy=False)

    @property
    def number(self) -> int:
        """As light_observer.Source."""
        return self.machine.number

    @property
    def height(self) -> Height:
        """As light_observer.Source."""
        return self.ledger.height

    def get_light_block(self, height: Height) -> LightBlockReply | None:
        """As light_observer.Source."""
        reply = self.answer_snapshot(NOBODY, LightBlockRequest(height))
        return reply if isinstance(reply, LightBlockReply) else None

    def answer_snapshot(self, peer: PeerId, request: Record) -> Record:
        """What a peer that joins, or a light client, is told."""
        try:
            return answer_snapshot(self.ledger.view, self.snapshots, request)
        except Refused as refused:
            return Refusal(int(refused.code), refused.reason)

    def answer(self, peer: PeerId, request: Record) -> Record:
        """What a peer that syncs is told."""
        try:
            return self.answers.answer(request)
        except Refused as refused:
            return Refusal(int(refused.code), refused.reason)

    def _on_reply(self, data: bytes) -> None:
        end = self._asked.get(int.from_bytes(data[:NUMBER_BYTES], "big"))
        if end is not None:
            end(data[NUMBER_BYTES:])
