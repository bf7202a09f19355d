"""The driver over a disk that fails: whatever it is cut off from, it never signs two things in one slot.

One validator is under test (`validator_rig`).
"""

import pytest
import trio
import trio.testing

from chain.block import Block, compute_header_hash
from chain.primitives.codec import replace
from chain.primitives.types import Hash
from chain.runtime import BlockResult
from chain.votes import get_offender
from consensus.types import (
    CommitCertificateReceived,
    ProposalReceived,
    Step,
    TimeoutKind,
    VoteReceived,
)
from node import consensus_driver
from node.consensus_driver import ConsensusHalted
from node.journal import Journal
from node.ledger import Ledger
from storage.kv import MemoryStore
from storage.sign_state import LastSignState, SignStep
from storage.wal import Wal
from tests.node.forge import Forge, wait_until
from tests.node.validator_rig import (
    PRECOMMIT,
    PREVOTE,
    SIGN_STATE,
    WAL,
    Rig,
    check_wire,
    get_slot,
    wait_for_height,
)
from tests.storage.faulty_disk import FaultyDisk

# A validator alone: it proposes, votes and commits by itself.

OPERATIONS_MAX = 80


@pytest.mark.parametrize("keeps_unsynced", [True, False], ids=["killed", "power loss"])
async def test_cut_off_at_any_write_it_goes_on_and_never_signs_twice(keeps_unsynced: bool) -> None:
    """At each operation of log and sign-state over two heights; after the start the clock shows another time,
    so that a block built anew would be another block.
    """
    forge = Forge(1)
    whole = Rig(forge)
    begun = len(whole.disk.operations)
    assert await whole.run(lambda rig: wait_for_height(rig, 2))
    count = len(whole.disk.operations) - begun
    assert 40 < count < OPERATIONS_MAX
    for place in range(begun, begun + count):
        rig = Rig(forge)
        rig.disk.fails_at = place
        assert not await rig.run(lambda rig: wait_for_height(rig, 3)), place
        height = Ledger(rig.store, forge.spec).height
        rig.restart(keeps_unsynced=keeps_unsynced)
        assert await rig.run(lambda rig, height=height: wait_for_height(rig, height + 1)), place  # type: ignore[misc]
        check_wire(rig.wire)


async def test_the_audit_of_the_wire_sees_a_second_signature() -> None:
    """Without its sign-state and its log a validator does sign twice, and the check says so."""
    forge = Forge(1)
    rig = Rig(forge)
    await rig.run(lambda rig: wait_for_height(rig, 1))
    rig.store, rig.disk = MemoryStore(), FaultyDisk()
    Wal.create(WAL, 1, rig.disk).close()
    LastSignState.load(SIGN_STATE, rig.key.public_key, create=True, files=rig.disk).close()
    rig.clock.time_ms += 1_000
    await rig.run(lambda rig: wait_for_height(rig, 1))
    with pytest.raises(AssertionError):
        check_wire(rig.wire)


# One of four.


def build_four() -> tuple[Rig, BlockResult]:
    """A validator whose turn it is neither in round 0 nor in round 1, and the block of round 0."""
    forge = Forge(4)
    turns = (forge.get_proposer(0), forge.get_proposer(1))
    me = next(number for number, one in enumerate(forge.people) if one not in turns)
    return Rig(forge, me), forge.build()


async def lock(rig: Rig, result: BlockResult) -> None:
    """Round 0: the proposal, and the prevotes of the others."""
    await wait_until(lambda: rig.driver.core.step is not Step.UNSTARTED)
    proposal = rig.forge.propose(rig.forge.get_proposer(), result.block_hash)
    await rig.driver.put_proposal(proposal, result.block, rig.clock.now_ms())
    others = [one for one in rig.forge.people if one != rig.person]
    await rig.receive(*(rig.forge.vote(one, PREVOTE, result.block_hash) for one in others))


async def test_a_lock_outlives_every_crash() -> None:
    """Once it has precommitted a block it prevotes no other in the next round, cut off wherever it was."""
    whole, result = build_four()
    mine = whole.forge.vote(whole.person, PRECOMMIT, result.block_hash).vote
    begun = len(whole.disk.operations)

    async def go_on(rig: Rig) -> None:
        await lock(rig, result)
        await rig.wait_for(mine)

    assert await whole.run(go_on)
    count = len(whole.disk.operations) - begun
    assert count > 10
    second = whole.forge.build(by=whole.forge.get_proposer(1), gap_ms=77)
    for place in range(begun, begun + count + 1):
        rig = Rig(whole.forge, whole.me)
        rig.disk.fails_at = place
        await rig.run(go_on)
        rig.restart(keeps_unsynced=False)

        async def next_round(rig: Rig) -> None:
            await wait_until(lambda: rig.driver.core.step is not Step.UNSTARTED)
            others = [one for one in rig.forge.people if one != rig.person]
            await rig.receive(*(rig.forge.vote(one, PRECOMMIT, None) for one in others))
            await rig.elapse(TimeoutKind.PRECOMMIT)
            await wait_until(lambda: rig.driver.core.round == 1)
            proposal = rig.forge.propose(rig.forge.get_proposer(1), second.block_hash, round=1)
            await rig.driver.put_proposal(proposal, second.block, rig.clock.now_ms())
            await wait_until(lambda: (1, 1, 1) in map(get_slot, rig.wire))

        assert await rig.run(next_round), place
        check_wire(rig.wire)
        has_locked = mine in rig.list_signed()
        accepted = rig.forge.vote(rig.person, PREVOTE, second.block_hash, 1).vote
        assert (accepted in rig.list_signed()) != has_locked, place


async def test_the_body_of_a_locked_block_is_there_after_a_crash() -> None:
    """All validators may have been cut off at once: somebody must still be able to propose it."""
    rig, result = build_four()

    async def until_locked(rig: Rig) -> None:
        await lock(rig, result)
        await rig.wait_for(rig.forge.vote(rig.person, PRECOMMIT, result.block_hash).vote)

    assert await rig.run(until_locked)
    rig.restart(keeps_unsynced=False)

    async def look(rig: Rig) -> None:
        await wait_until(lambda: rig.driver.core.step is not Step.UNSTARTED)
        assert rig.driver.core.locked_hash == rig.driver.core.valid_hash == result.block_hash
        assert rig.driver.candidates == {result.block_hash: result.block}
        assert rig.driver.ledger.get_result(result.block_hash) is not None

    assert await rig.run(look)


@pytest.mark.parametrize("is_vote", [True, False])
async def test_an_older_sign_state_is_raised_by_the_log(is_vote: bool) -> None:
    """A sign-state put back from a backup would sign again; the newest own message in the log forbids it."""
    rig, result = build_four()
    own = VoteReceived(rig.forge.vote(rig.person, PREVOTE, None, 5))
    proposed = ProposalReceived(rig.forge.propose(rig.person, result.block_hash, 5), True, True)
    others = VoteReceived(rig.forge.vote(rig.forge.get_proposer(), PREVOTE, None, 9))
    wal = Wal.load(WAL, rig.disk)
    journal = Journal(wal)
    for note in (own if is_vote else proposed, others):
        journal.note(note)
    await journal.sync()
    wal.close()

    async def look(rig: Rig) -> None:
        await wait_until(lambda: rig.driver.core.step is not Step.UNSTARTED)

    assert await rig.run(look)
    state = LastSignState.load(SIGN_STATE, rig.key.public_key, files=rig.disk).state
    assert state.slot == (1, 5, SignStep.PREVOTE if is_vote else SignStep.PROPOSAL)


async def test_an_older_sign_state_is_raised_by_the_chain() -> None:
    """What is in the newest certificates was signed, whatever the file says."""
    rig, result = build_four()
    ledger = Ledger(rig.store, rig.forge.spec)
    ledger.commit(ledger.execute(result.block), rig.forge.certify(result.block_hash, round=3))

    async def look(rig: Rig) -> None:
        await wait_until(lambda: rig.driver.core.step is not Step.UNSTARTED)

    assert await rig.run(look)
    state = LastSignState.load(SIGN_STATE, rig.key.public_key, files=rig.disk).state
    assert state.slot == (1, 3, SignStep.PRECOMMIT)


async def test_a_log_of_a_later_height_keeps_the_node_from_validating() -> None:
    """Store and sign-state are older than the log (a backup): it signs nothing below, and takes part from
    there on.
    """
    forge = Forge(1)
    rig = Rig(forge)
    old = rig.disk.read(SIGN_STATE, 10**6)
    await rig.run(lambda rig: wait_for_height(rig, 2))
    assert Wal.load(WAL, rig.disk).height == 3
    ahead, sent = Ledger(rig.store, forge.spec), len(rig.wire)
    rig.store = MemoryStore()

    async def observe(rig: Rig) -> None:
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert rig.driver.ledger.height == 0
        assert len(rig.wire) == sent
        for height in (1, 2):
            block, certificate = ahead.get_block(height), ahead.get_certificate(height)
            assert block is not None and certificate is not None
            rig.network.bodies[runtime_hash(block)] = block
            await rig.driver.put(CommitCertificateReceived(certificate))
            await wait_for_height(rig, height)
        await wait_for_height(rig, 3)

    rig.disk = rig.disk.restart()
    rig.disk.durable_names[SIGN_STATE].durable = old or b""
    assert await rig.run(observe)
    assert min(get_slot(one)[1] for one in rig.wire[sent:]) == 3
    check_wire(rig.wire)


def runtime_hash(block: Block) -> Hash:
    """The block's name."""
    return compute_header_hash(block.header)


async def test_a_refused_signature_is_no_reason_to_stop() -> None:
    """The sign-state says that the slot is taken: the vote is not sent, and the others decide without it."""
    rig, result = build_four()
    state = LastSignState.load(SIGN_STATE, rig.key.public_key, files=rig.disk)
    state.raise_to(1, 0, SignStep.PRECOMMIT)
    state.close()

    async def decide(rig: Rig) -> None:
        await lock(rig, result)
        others = [one for one in rig.forge.people if one != rig.person]
        await rig.receive(*(rig.forge.vote(one, PRECOMMIT, result.block_hash) for one in others))
        await wait_for_height(rig, 1)

    assert await rig.run(decide)
    assert rig.wire == []


async def test_an_equivocation_is_reported() -> None:
    """Of votes and of proposals; the validator itself goes on."""
    rig, result = build_four()
    proposer = rig.forge.get_proposer()
    other = rig.forge.build(gap_ms=12)

    async def see(rig: Rig) -> None:
        await lock(rig, result)
        await rig.receive(rig.forge.vote(proposer, PREVOTE, None))
        again = rig.forge.propose(proposer, other.block_hash)
        await rig.driver.put_proposal(again, other.block, rig.clock.now_ms())
        await wait_until(lambda: len(rig.reported) == 2)

    assert await rig.run(see)
    assert {get_offender(evidence) for evidence in rig.reported} == {proposer.address}  # type: ignore[arg-type]


async def test_a_certificate_for_an_invalid_block_halts_the_node() -> None:
    """Two thirds say what this program finds wrong: to go on is wrong in any case."""
    rig, result = build_four()
    header = replace(result.block.header, state_root=bytes(32))
    bad = replace(result.block, header=header)
    rig.network.bodies[runtime_hash(bad)] = bad

    async def commit(rig: Rig) -> None:
        await wait_until(lambda: rig.driver.core.step is not Step.UNSTARTED)
        await rig.driver.put(CommitCertificateReceived(rig.forge.certify(runtime_hash(bad))))
        await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await rig.run(commit)
    assert caught.group_contains(ConsensusHalted)
    assert rig.network.wanted == [runtime_hash(bad)]


# Behind.


async def test_a_claim_that_is_not_proven_interrupts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look takes place beside consensus; a proven one makes the driver sync in the middle of a height."""
    monkeypatch.setattr(consensus_driver, "LOOK_AHEAD_SECONDS", 0.0)
    rig, result = build_four()

    async def follow(rig: Rig) -> None:
        await wait_until(lambda: rig.driver.core.step is not Step.UNSTARTED)
        assert rig.sync.calls == 1
        rig.sync.answers = [False]
        for _ in range(5):
            rig.driver.note_behind()
        await wait_until(lambda: rig.sync.answers == [])
        assert rig.sync.calls == 1
        rig.sync.waiting.append(
            (rig.driver.ledger.execute(result.block), rig.forge.certify(result.block_hash))
        )
        rig.sync.answers = [True]
        rig.driver.note_behind()
        await wait_for_height(rig, 1)
        await wait_until(lambda: rig.driver.core.height == 2)
        assert rig.sync.calls == 2

    assert await rig.run(follow)
    assert rig.wire == []


async def test_a_block_that_waited_while_its_height_was_decided_is_not_built() -> None:
    """Proposer of a later round, overtaken by the decision: nothing is built on the wrong parent."""
    forge = Forge(4)
    me = forge.people.index(forge.get_proposer())
    rig, result = Rig(forge, me), forge.build(by=forge.get_proposer(1))

    async def overtake(rig: Rig) -> None:
        await rig.driver._lane._turn.acquire()
        await wait_until(lambda: rig.driver.core.step is Step.PROPOSE)
        rig.driver._lane._turn.release()
        rig.network.bodies[result.block_hash] = result.block
        await rig.driver.put(CommitCertificateReceived(rig.forge.certify(result.block_hash)))
        await wait_for_height(rig, 1)

    assert await rig.run(overtake)
    built = rig.driver._build_now(1, rig.person.address, result.block.inherents, [])
    assert built is None
    check_wire(rig.wire)


# Time.


async def test_a_height_starts_even_if_the_clock_went_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour behind the last block: it waits one interval, not an hour."""
    monkeypatch.setattr(consensus_driver, "SLEEP_SECONDS_MAX", 0.01)
    forge = Forge(1)
    rig = Rig(forge)

    async def go_back(rig: Rig) -> None:
        await wait_for_height(rig, 1)
        rig.clock.time_ms -= 3_600_000
        await wait_until(lambda: rig.driver.core.height >= 2 and rig.driver.core.step is not Step.UNSTARTED)
        rig.clock.time_ms += 3_600_000
        await wait_for_height(rig, 3)

    assert await rig.run(go_back)
    times = [rig.driver.ledger.get_header(height) for height in (1, 2, 3)]
    assert all(header is not None for header in times)
    check_wire(rig.wire)
