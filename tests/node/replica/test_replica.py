"""The replica over a disk that fails: whatever it is cut off from, it never signs two things in one slot.

One validator is under test (`validator_rig`).
"""

import pytest

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
from node.ledger.ledger import Ledger
from node.replica.errors import ConsensusHalted
from node.replica.journal import Journal
from node.replica.lead_checks import LOOK_AHEAD_MS
from storage.kv import MemoryStore
from storage.sign_state import LastSignState, SignStep
from storage.wal import Wal
from tests.node.forge import Forge, make_final
from tests.node.validator_rig import (
    PRECOMMIT,
    PREVOTE,
    SIGN_STATE,
    WAL,
    Rig,
    check_wire,
    get_slot,
)
from tests.storage.faulty_disk import FaultyDisk

# A validator alone: it proposes, votes and commits by itself.

OPERATIONS_MAX = 80


@pytest.mark.parametrize("keeps_unsynced", [True, False], ids=["killed", "power loss"])
def test_cut_off_at_any_write_it_goes_on_and_never_signs_twice(keeps_unsynced: bool) -> None:
    """Crashes at each operation of log and sign-state over two heights lead to no second signature in a slot.

    The clock has moved after each restart, so that a block that is built again would be another block.
    """
    forge = Forge(1)
    whole = Rig(forge)
    begun = len(whole.disk.operations)
    assert whole.run(lambda rig: rig.wait_for_height(2))
    count = len(whole.disk.operations) - begun
    assert 40 < count < OPERATIONS_MAX
    for place in range(begun, begun + count):
        rig = Rig(forge)
        rig.disk.fails_at = place
        assert not rig.run(lambda rig: rig.wait_for_height(3)), place
        height = Ledger(rig.store, forge.spec).height
        rig.restart(keeps_unsynced=keeps_unsynced)
        assert rig.run(lambda rig, height=height: rig.wait_for_height(height + 1)), place  # type: ignore[misc]
        check_wire(rig.wire)


def test_the_audit_of_the_wire_sees_a_second_signature() -> None:
    """Control: without sign-state and log a validator does sign twice, and the check finds it."""
    forge = Forge(1)
    rig = Rig(forge)
    rig.run(lambda rig: rig.wait_for_height(1))
    rig.store, rig.disk = MemoryStore(), FaultyDisk()
    Wal.create(WAL, 1, rig.disk).close()
    LastSignState.load(SIGN_STATE, rig.key.public_key, create=True, files=rig.disk).close()
    rig.world.wall_ms += 1_000
    rig.run(lambda rig: rig.wait_for_height(1))
    with pytest.raises(AssertionError):
        check_wire(rig.wire)


# One of four.


def build_four() -> tuple[Rig, BlockResult]:
    """A validator that proposes in neither round 0 nor round 1, and the block of round 0."""
    forge = Forge(4)
    turns = (forge.get_proposer(0), forge.get_proposer(1))
    me = next(number for number, one in enumerate(forge.people) if one not in turns)
    return Rig(forge, me), forge.build()


def lock(rig: Rig, result: BlockResult, *, is_early: bool = False) -> None:
    """Round 0: the proposal, and the prevotes of the others."""
    if not is_early:
        rig.wait_for_start()
    proposal = rig.forge.propose(rig.forge.get_proposer(), result.block_hash)
    rig.receive_proposal(proposal, result.block)
    others = [one for one in rig.forge.people if one != rig.person]
    rig.receive(*(rig.forge.vote(one, PREVOTE, result.block_hash) for one in others))


def test_a_lock_outlives_every_crash() -> None:
    """Once it has precommitted a block, it prevotes no other in the next round, wherever it crashed."""
    whole, result = build_four()
    mine = whole.forge.vote(whole.person, PRECOMMIT, result.block_hash).vote
    begun = len(whole.disk.operations)

    def go_on(rig: Rig) -> None:
        lock(rig, result)
        rig.wait_for(mine)

    assert whole.run(go_on)
    count = len(whole.disk.operations) - begun
    assert count > 10
    second = whole.forge.build(by=whole.forge.get_proposer(1), gap_ms=77)
    for place in range(begun, begun + count + 1):
        rig = Rig(whole.forge, whole.me)
        rig.disk.fails_at = place
        rig.run(go_on)
        rig.restart(keeps_unsynced=False)

        def next_round(rig: Rig) -> None:
            rig.wait_for_start()
            others = [one for one in rig.forge.people if one != rig.person]
            rig.receive(*(rig.forge.vote(one, PRECOMMIT, None) for one in others))
            rig.elapse(TimeoutKind.PRECOMMIT)
            rig.world.wait_until(lambda: rig.replica.core.round == 1)
            proposal = rig.forge.propose(rig.forge.get_proposer(1), second.block_hash, round=1)
            rig.receive_proposal(proposal, second.block)
            rig.world.wait_until(lambda: (1, 1, 1) in map(get_slot, rig.wire))

        assert rig.run(next_round), place
        check_wire(rig.wire)
        has_locked = mine in rig.list_signed()
        accepted = rig.forge.vote(rig.person, PREVOTE, second.block_hash, 1).vote
        assert (accepted in rig.list_signed()) != has_locked, place


def test_a_log_that_lost_its_end_is_not_voted_on() -> None:
    """Damage in the last frame looks like a torn write that may have held a lock: the height is not signed.

    That holds after the next restart too.
    """
    rig, result = build_four()
    precommit = rig.forge.vote(rig.person, PRECOMMIT, result.block_hash).vote
    prevote = rig.forge.vote(rig.person, PREVOTE, result.block_hash).vote

    def go_on(rig: Rig) -> None:
        lock(rig, result)
        rig.wait_for(precommit)

    assert rig.run(go_on)
    log = rig.disk.durable_names[WAL]
    log.durable = log.durable[:-1] + bytes([log.durable[-1] ^ 1])
    assert prevote in rig.list_signed()
    sent = len(rig.wire)

    def next_round(rig: Rig) -> None:
        rig.wait_for_start()
        others = [one for one in rig.forge.people if one != rig.person]
        rig.receive(*(rig.forge.vote(one, PRECOMMIT, None) for one in others))
        rig.elapse(TimeoutKind.PRECOMMIT)
        rig.world.wait_until(lambda: rig.replica.core.round == 1)
        rig.elapse(TimeoutKind.PROPOSE, 1)
        rig.world.advance(1_000)
        assert len(rig.wire) == sent

    for _ in range(2):
        rig.restart(keeps_unsynced=False)
        assert rig.run(next_round)


def test_the_body_of_a_block_that_came_while_catching_up_is_kept() -> None:
    """The only validator with a lock must be able to propose the block again, so it keeps the body."""
    rig, result = build_four()
    precommit = rig.forge.vote(rig.person, PRECOMMIT, result.block_hash).vote

    def come_early(rig: Rig) -> None:
        assert rig.sync.calls == 0
        lock(rig, result, is_early=True)
        rig.wait_for(precommit)
        assert result.block_hash in rig.replica.candidates

    assert rig.run(come_early)
    rig.restart(keeps_unsynced=False)

    def look(rig: Rig) -> None:
        rig.wait_for_start()
        assert result.block_hash in rig.replica.candidates

    assert rig.run(look)


def test_the_body_of_a_locked_block_is_there_after_a_crash() -> None:
    """All validators may have crashed at once: the locked block's body must still be there to propose."""
    rig, result = build_four()

    def until_locked(rig: Rig) -> None:
        lock(rig, result)
        rig.wait_for(rig.forge.vote(rig.person, PRECOMMIT, result.block_hash).vote)

    assert rig.run(until_locked)
    rig.restart(keeps_unsynced=False)

    def look(rig: Rig) -> None:
        rig.wait_for_start()
        assert rig.replica.core.locked_hash == rig.replica.core.valid_hash == result.block_hash
        assert rig.replica.candidates == {result.block_hash: result.block}
        assert result.block_hash in rig.replica.ledger._results

    assert rig.run(look)


@pytest.mark.parametrize("is_vote", [True, False])
def test_an_older_sign_state_is_raised_by_the_log(is_vote: bool) -> None:
    """A sign-state put back from a backup would sign again; the newest own message in the log forbids it."""
    rig, result = build_four()
    own = VoteReceived(rig.forge.vote(rig.person, PREVOTE, None, 5))
    proposed = ProposalReceived(rig.forge.propose(rig.person, result.block_hash, 5), True, True)
    others = VoteReceived(rig.forge.vote(rig.forge.get_proposer(), PREVOTE, None, 9))
    wal = Wal.load(WAL, rig.disk)
    journal = Journal(wal)
    for note in (own if is_vote else proposed, others):
        journal.note(note)
    journal.write(journal.take())
    wal.close()

    def look(rig: Rig) -> None:
        rig.wait_for_start()

    assert rig.run(look)
    state = LastSignState.load(SIGN_STATE, rig.key.public_key, files=rig.disk).state
    assert state.slot == (1, 5, SignStep.PREVOTE if is_vote else SignStep.PROPOSAL)


def test_an_older_sign_state_is_raised_by_the_chain() -> None:
    """Own signatures in the newest certificates forbid their slots, whatever the sign-state says."""
    rig, result = build_four()
    ledger = Ledger(rig.store, rig.forge.spec)
    make_final(ledger, ledger.execute(result.block), rig.forge.certify(result.block_hash, round=3))

    def look(rig: Rig) -> None:
        rig.wait_for_start()

    assert rig.run(look)
    state = LastSignState.load(SIGN_STATE, rig.key.public_key, files=rig.disk).state
    assert state.slot == (1, 3, SignStep.PRECOMMIT)


def test_a_log_of_a_later_height_keeps_the_node_from_validating() -> None:
    """If the store is older than the log, the node signs from the height of the log on, and nothing below."""
    forge = Forge(1)
    rig = Rig(forge)
    rig.run(lambda rig: rig.world.wait_until(lambda: rig.replica.core.height == 3))
    assert Wal.load(WAL, rig.disk).height == 3
    ahead, sent = Ledger(rig.store, forge.spec), len(rig.wire)
    rig.store = MemoryStore()

    def observe(rig: Rig) -> None:
        rig.world.advance(5_000)
        assert rig.replica.ledger.height == 0
        assert len(rig.wire) == sent
        for height in (1, 2):
            block, certificate = ahead.get_block(height), ahead.get_certificate(height)
            assert block is not None and certificate is not None
            rig.messenger.bodies[runtime_hash(block)] = block
            rig.replica.put(CommitCertificateReceived(certificate))
            rig.wait_for_height(height)
        rig.wait_for_height(3)

    rig.disk = rig.disk.restart()
    assert rig.run(observe)
    assert min(get_slot(one)[1] for one in rig.wire[sent:]) == 3
    check_wire(rig.wire)


def runtime_hash(block: Block) -> Hash:
    """The hash of the block."""
    return compute_header_hash(block.header)


def test_a_refused_signature_is_no_reason_to_stop() -> None:
    """If the sign-state refuses a slot, the vote is not sent, and the others decide without it."""
    rig, result = build_four()
    state = LastSignState.load(SIGN_STATE, rig.key.public_key, files=rig.disk)
    state.raise_to(1, 0, SignStep.PRECOMMIT)
    state.close()

    def decide(rig: Rig) -> None:
        lock(rig, result)
        others = [one for one in rig.forge.people if one != rig.person]
        rig.receive(*(rig.forge.vote(one, PRECOMMIT, result.block_hash) for one in others))
        rig.wait_for_height(1)

    assert rig.run(decide)
    assert rig.wire == []


def test_an_equivocation_is_reported() -> None:
    """Equivocation by votes and by proposals is reported; the height goes on."""
    rig, result = build_four()
    proposer = rig.forge.get_proposer()
    other = rig.forge.build(gap_ms=12)

    def see(rig: Rig) -> None:
        lock(rig, result)
        rig.receive(rig.forge.vote(proposer, PREVOTE, None))
        again = rig.forge.propose(proposer, other.block_hash)
        rig.receive_proposal(again, other.block)
        rig.world.wait_until(lambda: len(rig.reported) == 2)

    assert rig.run(see)
    assert {get_offender(evidence) for evidence in rig.reported} == {proposer.address}  # type: ignore[arg-type]


def test_a_certificate_for_an_invalid_block_halts_the_node() -> None:
    """If two thirds of the power finalise a block that is invalid here, the node stops."""
    rig, result = build_four()
    header = replace(result.block.header, state_root=bytes(32))
    bad = replace(result.block, header=header)
    rig.messenger.bodies[runtime_hash(bad)] = bad

    def commit(rig: Rig) -> None:
        rig.wait_for_start()
        rig.replica.put(CommitCertificateReceived(rig.forge.certify(runtime_hash(bad))))
        rig.world.settle()

    with pytest.raises(ConsensusHalted):
        rig.run(commit)
    assert rig.messenger.wanted == [runtime_hash(bad)]


# Behind.


def test_a_claim_that_is_not_proven_interrupts_nothing() -> None:
    """Lead checks run beside consensus at a bounded pace; a proven lead begins a sync within a height."""
    rig, result = build_four()

    def follow(rig: Rig) -> None:
        rig.wait_for_start()
        assert rig.sync.calls == 1
        rig.sync.answers = [False, True]
        for _ in range(5):
            rig.replica.note_behind()
            rig.world.settle()
        assert (rig.sync.calls, rig.sync.answers) == (1, [True])
        rig.sync.waiting.append(
            (rig.replica.ledger.execute(result.block), rig.forge.certify(result.block_hash))
        )
        rig.world.advance(LOOK_AHEAD_MS)
        assert (rig.sync.calls, rig.sync.answers) == (2, [])
        rig.world.wait_until(lambda: rig.replica.core.height == 2)

    assert rig.run(follow)
    assert rig.wire == []


def test_while_it_syncs_it_handles_nothing_and_afterwards_what_came_meanwhile() -> None:
    """A proposal and a timeout that come during a sync that gains nothing are handled after it."""
    rig, result = build_four()
    vote = rig.forge.vote(rig.person, PREVOTE, result.block_hash).vote

    def wait(rig: Rig) -> None:
        rig.wait_for_start()
        rig.sync.answers, rig.sync.is_stuck = [True], True
        rig.replica.note_behind()
        rig.world.settle()
        assert rig.sync.calls == 2
        rig.receive_proposal(rig.forge.propose(rig.forge.get_proposer(), result.block_hash), result.block)
        rig.elapse(TimeoutKind.PROPOSE)
        rig.world.advance(10_000)
        assert rig.wire == []
        rig.replica._on_caught_up()
        rig.world.settle()
        assert len(rig.wire) == 1

    assert rig.run(wait)
    assert rig.list_signed()[0] in (vote, replace(vote, block_hash=None))


def test_a_block_that_waited_while_its_height_was_decided_is_not_built() -> None:
    """A proposer of round 0 that was overtaken by the decision builds nothing on the wrong parent."""
    forge = Forge(4)
    me = forge.people.index(forge.get_proposer())
    rig, result = Rig(forge, me), forge.build(by=forge.get_proposer(1))

    def overtake(rig: Rig) -> None:
        rig.wait_for_start()
        rig.messenger.bodies[result.block_hash] = result.block
        rig.replica.put(CommitCertificateReceived(rig.forge.certify(result.block_hash)))
        rig.wait_for_height(1)
        assert rig.replica._build_now(1, rig.person.address, result.block.inherents, []) is None
        assert rig.replica._judge(1, result.block) is None

    assert rig.run(overtake)
    check_wire(rig.wire)


def test_an_equivocation_is_reported_even_if_it_comes_after_the_decision() -> None:
    """A precommit for nil by a validator that also precommitted the block."""
    rig, result = build_four()
    proposer = rig.forge.get_proposer()

    def see(rig: Rig) -> None:
        lock(rig, result)
        others = [one for one in rig.forge.people if one != rig.person]
        late = rig.forge.vote(proposer, PRECOMMIT, None)
        rig.receive(*(rig.forge.vote(one, PRECOMMIT, result.block_hash) for one in others))
        rig.world.wait_until(lambda: rig.replica.core.height == 2)
        rig.receive(late)
        rig.world.settle()

    assert rig.run(see)
    assert [get_offender(evidence) for evidence in rig.reported] == [proposer.address]  # type: ignore[arg-type]


def test_others_are_heard_while_a_signature_is_made() -> None:
    """With a slow lane a round's votes are handled before the first own signature is made.

    Both own votes leave nevertheless, each after its inputs are in the log.
    """
    rig, result = build_four()

    def go_on(rig: Rig) -> None:
        rig.wait_for_start()
        proposal = rig.forge.propose(rig.forge.get_proposer(), result.block_hash)
        rig.receive_proposal(proposal, result.block)
        rig.world.wait_until(lambda: rig.replica.core.step is Step.PREVOTE)
        rig.world.is_lane_open = False
        others = [one for one in rig.forge.people if one != rig.person]
        rig.receive(*(rig.forge.vote(one, PREVOTE, result.block_hash) for one in others))
        rig.world.settle()
        assert (rig.replica.core.step, rig.wire) == (Step.PRECOMMIT, [])
        rig.world.is_lane_open = True
        rig.world.settle()
        assert [get_slot(one)[0] for one in rig.wire] == [1, 2]

    assert rig.run(go_on)
    rig.restart(keeps_unsynced=False)

    def look(rig: Rig) -> None:
        rig.wait_for_start()
        rig.world.settle()
        assert rig.replica.core.locked_hash == result.block_hash

    assert rig.run(look)
    check_wire(rig.wire)


# Time.


def test_a_height_starts_even_if_the_clock_went_back() -> None:
    """With the clock an hour behind the last block it waits one interval, not an hour."""
    forge = Forge(1)
    rig = Rig(forge)

    def go_back(rig: Rig) -> None:
        rig.wait_for_height(1)
        rig.world.wall_ms -= 3_600_000
        rig.world.wait_until(
            lambda: rig.replica.core.height >= 2 and rig.replica.core.step is not Step.UNSTARTED
        )
        rig.world.wall_ms += 3_600_000
        rig.wait_for_height(3)

    assert rig.run(go_back)
    times = [rig.replica.ledger.get_header(height) for height in (1, 2, 3)]
    assert all(header is not None for header in times)
    check_wire(rig.wire)
