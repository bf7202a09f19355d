"""The second judge can see: every rule of `conduct` and of `watch` is shown records that break it."""

from collections.abc import Iterator
from functools import cache

import pytest

from chain.primitives.codec import replace
from chain.primitives.keys import is_signed_by
from chain.primitives.types import Hash
from chain.validator_set import ValidatorChange, ValidatorSet, build_validator_set, rotate
from chain.votes import Proposal, Vote, VoteKind
from p2p.wire.messages import CompactProposal, Votes
from tests.sim.adversary import forgery
from tests.sim.checks import conduct
from tests.sim.checks.conduct import Seal, find_seal_fault
from tests.sim.checks.history import History
from tests.sim.run import Sim, silence
from tests.sim.single import VILLAIN, build_plan, run_villain
from tests.sim.world.accounts import GENESIS_MS, get_validator_keys

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT
GENESIS: Hash = b"g" * 32
ONE, OTHER = b"1" * 32, b"2" * 32
KEYS = [get_validator_keys(number) for number in range(4)]
SET = build_validator_set(ValidatorChange(keys.address, keys.consensus.public_key, 10) for keys in KEYS)


def say(history: History, kind: VoteKind, round: int, block_hash: Hash | None, *numbers: int) -> None:
    """These validators vote."""
    signers = [KEYS[number] for number in numbers]
    votes = [Vote(kind, 1, round, block_hash, keys.address) for keys in signers]
    history.note_votes(
        forgery.sign_vote(keys, GENESIS, vote) for keys, vote in zip(signers, votes, strict=True)
    )


def propose(history: History, round: int, block_hash: Hash, pol_round: int | None = None) -> None:
    """Somebody proposes the block."""
    proposal = Proposal(1, round, block_hash, pol_round, KEYS[round].address)
    signed = forgery.sign_proposal(KEYS[round], GENESIS, proposal)
    history.note_message(CompactProposal(signed, b"", b"", ()))


def judge(history: History) -> list[str]:
    """What is wrong with the votes of validator 0."""
    return [one.detail for one in conduct.check_votes(history, {1: SET}, [KEYS[0].address])]


def build_lock() -> History:
    """Validator 0 has rightly locked a block in round 0."""
    history = History()
    propose(history, 0, ONE)
    say(history, PREVOTE, 0, ONE, 0, 1, 2)
    say(history, PRECOMMIT, 0, ONE, 0)
    return history


def test_what_the_rules_allow_is_no_violation() -> None:
    """A lock, nil against another block, and another block after a later polka."""
    history = build_lock()
    propose(history, 1, OTHER)
    say(history, PREVOTE, 1, None, 0)
    say(history, PREVOTE, 1, OTHER, 1, 2, 3)
    propose(history, 2, OTHER, 1)
    say(history, PREVOTE, 2, OTHER, 0)
    assert judge(history) == []


def test_a_precommit_needs_a_polka_of_its_round() -> None:
    """Two prevotes of four are none."""
    history = History()
    propose(history, 0, ONE)
    say(history, PREVOTE, 0, ONE, 0, 1)
    say(history, PRECOMMIT, 0, ONE, 0)
    [detail] = judge(history)
    assert "precommit without a polka" in detail


@pytest.mark.parametrize("pol_round", [0, 1])
def test_a_prevote_needs_a_proposal_that_allows_it(pol_round: int) -> None:
    """One that refers to a polka that never was, or to its own round, does not."""
    history = History()
    propose(history, 1, ONE, pol_round)
    say(history, PREVOTE, 1, ONE, 0)
    [detail] = judge(history)
    assert "prevote without a proposal" in detail


def test_a_prevote_against_the_lock_needs_a_later_polka() -> None:
    """A new block, or one whose polka is older than the lock, is not enough."""
    history = build_lock()
    propose(history, 1, OTHER)
    say(history, PREVOTE, 1, OTHER, 0)
    [detail] = judge(history)
    assert "against the lock of round 0" in detail


def test_a_vote_for_an_invalid_block_is_seen() -> None:
    """Whoever knows that it is invalid has made it so."""
    history = build_lock()
    history.spoiled[ONE] = "WrongStateRoot"
    assert [detail.endswith("votes for an invalid block") for detail in judge(history)] == [True, True]


def build_final() -> tuple[Seal, object, object]:
    """A header and what seals it, of a run."""
    chain = run_once().open_chains()[1]
    seal = Seal(chain.genesis_hash, get_sets()[2], is_signed_by)
    return seal, chain.get_header(2), chain.get_certificate(2)


@cache
def run_once() -> Sim:
    """One short run without villains, for all tests here that need a chain."""
    silence()
    sim = Sim(1, plan=build_plan(1))
    sim.run()
    assert sim.violations == []
    return sim


@cache
def get_sets() -> dict[int, ValidatorSet]:
    """Who decides each height of it."""
    sim = run_once()
    chain = sim.open_chains()[1]
    from tests.sim.checks.checkers import replay

    return replay(sim.spec, chain, is_signed_by).sets


def iterate_seals() -> Iterator[tuple[str, object]]:
    """Certificates with one thing wrong."""
    _, _, certificate = build_final()
    parts = certificate.signatures
    forged = replace(parts[0], signature=bytes(64))
    yield "another block", replace(certificate, height=3)
    yield "twice", replace(certificate, signatures=(parts[0],) * len(parts))
    yield "two thirds", replace(certificate, signatures=parts[:1])
    yield "bad", replace(certificate, signatures=(forged, *parts[1:]))


def test_a_certificate_is_judged_by_power_and_by_every_signature() -> None:
    """The whole one passes, each spoiled one does not."""
    seal, header, certificate = build_final()
    assert find_seal_fault(seal, header, certificate) is None
    for why, spoiled in iterate_seals():
        fault = find_seal_fault(seal, header, spoiled)
        assert fault is not None and why in fault


def test_headers_are_held_against_time_and_sets() -> None:
    """A block that was final before its time could be, and one of another set, are seen."""
    sim = run_once()
    chain, sets = sim.open_chains()[1], get_sets()
    assert conduct.check_headers(chain, sets, sim.history, GENESIS_MS) == []
    early = conduct.check_headers(chain, sets, sim.history, GENESIS_MS - 3_600_000)
    assert any("from the future" in one.detail for one in early)
    others = {height: replace(members, validators=members.validators[1:]) for height, members in sets.items()}
    wrong = conduct.check_headers(chain, others, sim.history, GENESIS_MS)
    assert any("not decided by the set" in one.detail for one in wrong)


def test_transactions_and_turns_are_looked_at() -> None:
    """A verifier that says no finds every transaction; one proposer forever is seen."""
    sim = run_once()
    chain = sim.open_chains()[1]
    assert conduct.check_transactions(chain, is_signed_by) == []
    count = sum(
        len(block.transactions) for height in range(1, chain.height + 1) if (block := chain.get_block(height))
    )
    assert len(conduct.check_transactions(chain, lambda *_: False)) == count > 0
    assert conduct.check_turns(chain, get_sets()) == []
    assert rotate(SET) != SET


def test_punishment_of_the_innocent_is_seen() -> None:
    """The same chain, with a villain and without."""
    sim = run_villain("split voter", 1)
    chain = sim.open_chains()[1]
    assert conduct.check_punishments(chain, [get_validator_keys(VILLAIN).address]) == []
    [violation] = conduct.check_punishments(chain, [])
    assert "innocent" in violation.detail


def test_a_message_that_the_disk_does_not_stand_for_is_seen() -> None:
    """Neither sign-state nor log know of a vote in a later round."""
    sim = run_once()
    machine = sim.machines[1]
    assert machine.process is not None
    keys, height = machine.keys, machine.process.ledger.height + 1
    vote = Vote(PREVOTE, height, 7, ONE, keys.address)
    before = len(sim.watch.violations)
    sim.watch.on_sent(machine.process, Votes((forgery.sign_vote(keys, sim.genesis_hash, vote),)))
    found = sim.watch.violations[before:]
    del sim.watch.violations[before:]
    assert [one.rule for one in found] == ["durable", "durable"]


def test_an_equivocator_who_goes_free_is_seen() -> None:
    """A watch that heard a split voter, and a state in which nobody was punished."""
    sim = run_villain("split voter", 1)
    final = run_once().open_chains()[1]
    assert [one.rule for one in sim.watch.find_unpunished(final, 10**9, [])] == ["unpunished"]
