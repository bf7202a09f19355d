"""Duties on a real chain: proofs, settlements and evidence are sent without the operator, once, and
again if lost.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from structlog.testing import capture_logs

from chain.content import CHUNK_BYTES, Manifest, compute_datum_id, compute_files_hash
from chain.errors import InvalidTransaction
from chain.modules import catalogue, hosting, possession, sessions, staking
from chain.modules.schedule import check_invariants
from chain.modules.sessions import SignedVoucher, Voucher
from chain.primitives.codec import encode
from chain.primitives.keys import KeyPair
from chain.primitives.types import Hash
from chain.runtime import decode_call
from chain.votes import DuplicateVote, Evidence, SignedVote, Vote, VoteKind, get_vote_signing_bytes
from node.content.vouchers import Delivery
from node.duties.duties import EVIDENCE_MAX, VALID_BLOCKS, Duties, Hosting
from node.ledger.lane import Lane
from node.ledger.ledger import CommittedBlock
from node.ledger.signatures import SignatureMemory
from node.mempool.gossip import PoolGossip
from node.mempool.pool import Mempool
from p2p.memory import MemoryHub
from storage.content.tree import build_datum
from tests.node.cluster import VIDYA
from tests.node.content.content_world import (
    READER,
    VOUCHER_KEY,
    ContentChain,
    ContentHost,
    open_host,
    write_source,
)
from tests.storage.content.rigs import list_missing

SIZE = 8 * CHUNK_BYTES


@dataclass
class Scene:
    """The duties of the first host, and the pool that they are sent to."""

    chain: ContentChain
    manifest: Manifest
    source: Path
    host: ContentHost
    mempool: Mempool
    duties: Duties

    @property
    def datum(self) -> Hash:
        """The hosted datum."""
        return compute_datum_id(self.manifest)

    @property
    def address(self) -> bytes:
        """The host's account."""
        return self.host.person.address

    def list_pooled(self) -> list[str]:
        """Names of the calls that wait for a block."""
        pooled = [self.mempool.get(tx_id) for tx_id in self.mempool.list_ids()]
        return [decode_call(one.signed.transaction.calls[0]).spec.name for one in pooled if one]

    def grow(self) -> CommittedBlock:
        """Makes a block of everything that waits."""
        waiting = [pooled.signed for pooled in self.mempool.select(100)]
        committed = self.chain.grow(*waiting)
        self.mempool.on_block(committed.included, self.chain.ledger)
        check_invariants(self.chain.ledger.state)
        return committed

    def keep(self, signed: SignedVoucher) -> None:
        """The host was paid for what it sent."""
        self.host.book.keep(signed, Delivery(signed.voucher.bytes, ()))

    def sign(self, session: Hash, size_bytes: int) -> SignedVoucher:
        """A voucher for the host."""
        amount = sessions.compute_price(size_bytes, self.chain.price)
        voucher = Voucher(self.chain.ledger.genesis_hash, session, self.address, size_bytes, amount)
        return sessions.sign_voucher(VOUCHER_KEY, voucher)


@asynccontextmanager
async def open_scene(path: Path, *, has_data: bool = True) -> AsyncIterator[Scene]:
    """The chain is at the first block in which both hosts hold the datum, so that proofs are due."""
    source = write_source(path, SIZE)
    manifest, chain = build_datum(source).manifest, ContentChain(2)
    chain.host(manifest)
    opening = open_host(MemoryHub(), chain, chain.hosts[0], path, source if has_data else None)
    with trio.fail_after(20):
        async with opening as host:
            mempool = Mempool()
            pool = PoolGossip(host.network, chain.ledger, mempool, SignatureMemory())
            hosting = Hosting(host.content, host.book, KeyPair(host.person.keys.network_seed))
            duties = Duties(chain.ledger, Lane(), pool.submit, KeyPair(b"u" * 32), hosting)
            yield Scene(chain, manifest, source, host, mempool, duties)


# Proofs.


async def test_a_host_proves_what_it_holds(tmp_path: Path) -> None:
    """The drawn leaves are in the next block and close the duty."""
    async with open_scene(tmp_path) as scene:
        ledger = scene.chain.ledger
        [duty] = possession.list_open_duties(ledger.state, scene.address)
        await scene.duties.work()
        assert scene.list_pooled() == ["prove"]
        scene.grow()
        assert possession.is_proven(ledger.state, scene.address, duty.epoch)
        await scene.duties.work()
        assert scene.list_pooled() == []


async def test_a_demand_is_met_too(tmp_path: Path) -> None:
    """A member's challenge is answered in the next epoch by a proof of its own."""
    async with open_scene(tmp_path) as scene:
        chain = scene.chain
        chain.grow(chain.sign(READER, possession.calls.Challenge(scene.address, scene.datum)))
        chain.grow_to(chain.ledger.height - chain.ledger.height % 10 + 11)
        await scene.duties.work()
        assert scene.list_pooled() == ["prove", "prove"]
        scene.grow()
        assert possession.list_open_duties(chain.ledger.state, scene.address) == ()


async def test_a_duty_is_sent_once_and_again_when_it_was_not_included(tmp_path: Path) -> None:
    """Nothing is sent twice while it may still be included; after VALID_BLOCKS it is sent again."""
    async with open_scene(tmp_path) as scene:
        await scene.duties.work()
        [first] = scene.mempool.list_ids()
        await scene.duties.work()
        assert scene.mempool.list_ids() == (first,)
        for _ in range(VALID_BLOCKS):
            scene.mempool.on_block(scene.chain.grow().included, scene.chain.ledger)
        await scene.duties.work()
        [second] = scene.mempool.list_ids()
        assert second != first


async def test_what_is_not_there_is_not_proven(tmp_path: Path) -> None:
    """A host without the data sends nothing and goes on."""
    async with open_scene(tmp_path, has_data=False) as scene:
        await scene.duties.work()
        assert scene.list_pooled() == []


async def test_a_rotten_leaf_is_not_proven(tmp_path: Path) -> None:
    """The store finds the damage; a proof that the chain would refuse is never sent."""
    async with open_scene(tmp_path) as scene:
        for name in ("a.bin", "b.bin"):
            size = (scene.source / name).stat().st_size
            (scene.source / name).write_bytes(bytes(size))
        await scene.duties.work()
        assert scene.list_pooled() == []
        assert list_missing(scene.host.store, scene.datum)


async def test_a_committed_block_wakes_the_service(tmp_path: Path) -> None:
    """After a block the open duties are checked and sent."""
    async with open_scene(tmp_path) as scene, trio.open_nursery() as nursery:
        await scene.duties.work()
        scene.grow()
        sent, chain = trio.Event(), scene.chain
        pool = PoolGossip(scene.host.network, chain.ledger, scene.mempool, SignatureMemory())

        async def submit(batch: Iterable[bytes]) -> list[tuple[Hash, InvalidTransaction | None]]:
            results = await pool.submit(batch)
            sent.set()
            return results

        hosting = Hosting(scene.host.content, scene.host.book, KeyPair(b"n" * 32))
        duties = Duties(chain.ledger, Lane(), submit, KeyPair(b"u" * 32), hosting)
        await nursery.start(duties.run)
        chain.grow_to(chain.ledger.height - chain.ledger.height % 10 + 10)
        for _ in range(3):
            duties.on_committed(scene.grow())
        await sent.wait()
        assert scene.list_pooled() == ["prove"]
        nursery.cancel_scope.cancel()


# Vouchers.


async def test_a_closed_session_is_settled_and_released_at_once(tmp_path: Path) -> None:
    """It is settled to the base unit, the session ends, and the voucher is deleted."""
    async with open_scene(tmp_path) as scene:
        chain = scene.chain
        session = chain.open_session(scene.datum, [VIDYA])
        signed = scene.sign(session, 5 * CHUNK_BYTES)
        scene.keep(signed)
        await scene.duties.work()
        scene.grow()
        chain.grow(chain.sign(READER, sessions.CloseSession(session)))
        higher = scene.sign(session, SIZE)
        scene.keep(higher)
        before = sessions.get_traffic(chain.ledger.state, scene.address).income
        assert before == signed.voucher.amount * 7 // 10
        await scene.duties.work()
        assert scene.list_pooled() == ["release"]
        scene.grow()
        added = higher.voucher.amount - signed.voucher.amount
        assert sessions.get_traffic(chain.ledger.state, scene.address).income - before == added * 7 // 10
        scene.grow()
        assert sessions.get_session(chain.ledger.state, session) is None
        await scene.duties.work()
        assert scene.host.book.list() == ()


async def test_sessions_in_which_nothing_was_served_are_released_together(tmp_path: Path) -> None:
    """Closed and expired ones, with a voucher or without, in one duty; running ones are left alone."""
    async with open_scene(tmp_path) as scene:
        chain, most = scene.chain, sessions.RELEASES_MAX
        opened = [chain.open_session(scene.datum, [VIDYA]) for _ in range(most)]
        running = chain.open_session(scene.datum, [VIDYA])
        scene.keep(scene.sign(opened[3], SIZE))
        chain.grow(chain.sign(READER, *(sessions.CloseSession(one) for one in opened)))
        await scene.duties.work()
        assert scene.list_pooled().count("release") == 1
        scene.grow()
        await scene.duties.work()
        assert "release" not in scene.list_pooled()
        scene.grow()
        assert [sessions.get_session(chain.ledger.state, one) for one in opened] == [None] * most
        assert sessions.get_session(chain.ledger.state, running) is not None


async def test_a_lost_release_is_sent_again_and_never_twice_at_once(tmp_path: Path) -> None:
    """After VALID_BLOCKS without it in a block it is sent again, together with what has ended since."""
    async with open_scene(tmp_path) as scene:
        chain = scene.chain
        first, second = (chain.open_session(scene.datum, [VIDYA]) for _ in range(2))
        chain.grow(chain.sign(READER, sessions.CloseSession(first)))
        await scene.duties.work()
        await scene.duties.work()
        assert scene.list_pooled().count("release") == 1
        chain.grow(chain.sign(READER, sessions.CloseSession(second)))
        await scene.duties.work()
        assert scene.list_pooled().count("release") == 2
        for _ in range(VALID_BLOCKS):
            scene.mempool.on_block(chain.grow().included, chain.ledger)
        await scene.duties.work()
        assert scene.list_pooled().count("release") == 1
        scene.grow()
        scene.grow()
        assert sessions.get_session(chain.ledger.state, first) is None
        assert sessions.get_session(chain.ledger.state, second) is None


async def test_a_node_whose_peer_id_is_not_the_hosts_releases_nothing(tmp_path: Path) -> None:
    """Another node serves the account: it has the vouchers."""
    async with open_scene(tmp_path) as scene:
        chain = scene.chain
        session = chain.open_session(scene.datum, [VIDYA])
        chain.grow(chain.sign(READER, sessions.CloseSession(session)))
        pool = PoolGossip(scene.host.network, chain.ledger, scene.mempool, SignatureMemory())
        other = Hosting(scene.host.content, scene.host.book, KeyPair(b"o" * 32))
        await Duties(chain.ledger, Lane(), pool.submit, KeyPair(b"u" * 32), other).work()
        assert "release" not in scene.list_pooled()


async def test_a_running_session_is_settled_once_per_epoch(tmp_path: Path) -> None:
    """Vouchers that come after the epoch's first check wait for the next epoch."""
    async with open_scene(tmp_path) as scene:
        chain = scene.chain
        session = chain.open_session(scene.datum, [VIDYA])
        await scene.duties.work()
        scene.grow()
        scene.keep(scene.sign(session, 5 * CHUNK_BYTES))
        await scene.duties.work()
        assert scene.list_pooled() == []
        chain.grow_to(chain.ledger.height - chain.ledger.height % 10 + 10)
        await scene.duties.work()
        assert "settle" in scene.list_pooled()
        scene.grow()
        scene.keep(scene.sign(session, SIZE))
        await scene.duties.work()
        assert "settle" not in scene.list_pooled()


async def test_a_release_is_taken_of_the_host_alone_and_once(tmp_path: Path) -> None:
    """The pool refuses a release by the payer, and the host's own once it has been in a block."""
    async with open_scene(tmp_path) as scene:
        chain = scene.chain
        session = chain.open_session(scene.datum, [VIDYA, VIDYA])
        chain.grow(chain.sign(READER, sessions.CloseSession(session)))
        pool = PoolGossip(scene.host.network, chain.ledger, scene.mempool, SignatureMemory())
        call = sessions.Release(scene.address, (), (session,))
        own = encode(chain.sign_duty(call, KeyPair(scene.host.person.keys.network_seed)))
        [(_, refusal)] = await pool.submit([encode(chain.sign_duty(call, READER.account))])
        assert refusal is not None and "sessions.not_the_host" in str(refusal)
        assert [refusal for _, refusal in await pool.submit([own])] == [None]
        scene.grow()
        later = encode(chain.sign_duty(call, KeyPair(scene.host.person.keys.network_seed)))
        for again in (own, later):
            [(_, refusal)] = await pool.submit([again])
            assert refusal is not None


async def test_a_voucher_of_an_unknown_session_is_kept(tmp_path: Path) -> None:
    """A node whose chain is behind keeps vouchers that it can settle when it has caught up."""
    async with open_scene(tmp_path) as scene:
        scene.keep(scene.sign(b"x" * 32, SIZE))
        await scene.duties.work()
        await scene.duties.work()
        assert len(scene.host.book.list()) == 1


# Evidence.


def build_evidence(chain: ContentChain, number: int, height: int) -> Evidence:
    """Two prevotes of a validator for one slot."""
    person = chain.hosts[number]

    def vote(block_hash: Hash) -> SignedVote:
        made = Vote(VoteKind.PREVOTE, height, 0, block_hash, person.address)
        message = get_vote_signing_bytes(chain.ledger.genesis_hash, made)
        return SignedVote(made, person.keys.consensus.sign(message))

    return DuplicateVote(vote(b"a" * 32), vote(b"b" * 32))


async def test_evidence_is_brought_on_chain_once(tmp_path: Path) -> None:
    """The offender is tombstoned; the same evidence again opens no duty."""
    async with open_scene(tmp_path) as scene:
        chain = scene.chain
        evidence = build_evidence(chain, 1, chain.ledger.height)
        scene.duties.report(evidence)
        await scene.duties.work()
        assert "report" in scene.list_pooled()
        scene.grow()
        assert staking.is_tombstoned(chain.ledger.state, chain.hosts[1].address)
        scene.duties.report(evidence)
        await scene.duties.work()
        assert "report" not in scene.list_pooled()


async def test_evidence_too_old_is_dropped(tmp_path: Path) -> None:
    """Evidence that the chain no longer takes is not sent."""
    async with open_scene(tmp_path) as scene:
        scene.duties.report(build_evidence(scene.chain, 1, 1))
        scene.chain.grow_to(scene.chain.ledger.height + 30)
        await scene.duties.work()
        assert "report" not in scene.list_pooled()


async def test_evidence_is_bounded(tmp_path: Path) -> None:
    """A flood of evidence leaves a bounded number of reports."""
    async with open_scene(tmp_path) as scene:
        for height in range(2 * EVIDENCE_MAX):
            scene.duties.report(build_evidence(scene.chain, 1, scene.chain.ledger.height + height))
        await scene.duties.work()
        assert len(scene.list_pooled()) <= EVIDENCE_MAX + 1


async def test_without_hosting_only_evidence_is_a_duty(tmp_path: Path) -> None:
    """An observer has nothing to prove or settle, and still reports evidence."""
    async with open_scene(tmp_path) as scene:
        pool = PoolGossip(scene.host.network, scene.chain.ledger, scene.mempool, SignatureMemory())
        duties = Duties(scene.chain.ledger, Lane(), pool.submit, KeyPair(b"u" * 32), None)
        duties.report(build_evidence(scene.chain, 1, scene.chain.ledger.height))
        await duties.work()
        assert scene.list_pooled() == ["report"]


# Warnings.


async def test_the_operator_is_told_that_the_next_election_is_lost(tmp_path: Path) -> None:
    """One admitted KiB that the node does not hold makes it ineligible: one error in the log, until it has
    registered the datum.
    """
    source = write_source(tmp_path, 1024)
    manifest = build_datum(source).manifest
    files_hash = compute_files_hash(manifest)
    listing = catalogue.ListDatum(files_hash, manifest.root, manifest.length, "title", "label", (), "")
    chain = ContentChain(1, listed=[listing])
    opening = open_host(MemoryHub(), chain, chain.hosts[0], tmp_path, source)
    with trio.fail_after(20), capture_logs() as logs:
        async with opening as host:
            pool = PoolGossip(host.network, chain.ledger, Mempool(), SignatureMemory())
            served = Hosting(host.content, host.book, KeyPair(host.person.keys.network_seed))
            duties = Duties(chain.ledger, Lane(), pool.submit, KeyPair(b"u" * 32), served)
            for _ in range(3):
                chain.grow()
                await duties.work()
            told = [one for one in logs if one["event"] == "not_eligible_in_next_era"]
            assert [(one["log_level"], one["asked_bytes"], one["held_bytes"]) for one in told] == [
                ("error", 1024, 0)
            ]
            adding = hosting.RegisterSubset((compute_datum_id(manifest),), ())
            chain.grow(chain.sign(chain.hosts[0], adding))
            await duties.work()
            standing = possession.get_era_standing(chain.ledger.state, chain.hosts[0].address)
            assert standing.is_on_course
    assert sum(one["event"] == "not_eligible_in_next_era" for one in logs) == 1
