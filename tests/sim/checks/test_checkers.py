"""The checkers: each reports what it is there for, planted into the records of a good run."""

import pytest

from chain.primitives.codec import replace
from chain.primitives.types import NO_HASH
from chain.votes import (
    SignedVote,
    Vote,
    VoteKind,
    build_commit_certificate,
    build_duplicate_vote,
    get_vote_signing_bytes,
)
from storage.kv import Prefix
from storage.state_store import StateHead
from tests.sim.checks import checkers
from tests.sim.checks.history import Acknowledgement, Finality, Reported
from tests.sim.run import Sim, silence
from tests.sim.test_sim import QUIET
from tests.sim.world.accounts import get_validator_keys

OTHER = b"\x07" * 32
HEIGHT = 3


@pytest.fixture
def sim():
    """A run in which nothing was wrong."""
    silence()
    good = Sim(1, plan=QUIET)
    assert good.run().violations == []
    return good


@pytest.fixture
def chains(sim):
    """Its chains, as they are on disk."""
    return sim.open_chains()


def sign(sim, number, kind, block_hash, round=0, height=HEIGHT):
    """A vote of one of the validators."""
    vote = Vote(kind, height, round, block_hash, get_validator_keys(number).address)
    message = get_vote_signing_bytes(sim.genesis_hash, vote)
    return SignedVote(vote, get_validator_keys(number).consensus.sign(message))


def get_rules(violations):
    """What was violated."""
    return [violation.rule for violation in violations]


def test_two_blocks_of_a_height_are_a_fork(sim, chains):
    """Also where the node that said so has none of it on disk any more."""
    assert checkers.check_agreement(chains, sim.history) == []
    sim.history.finalities.append(Finality(0, 1, HEIGHT, 0, OTHER))
    assert get_rules(checkers.check_agreement(chains, sim.history)) == ["agreement"]


def test_a_block_that_does_not_follow_is_seen(sim, chains):
    """The chain is executed once more, with everything that makes a block invalid."""
    good = chains[0].get_block(HEIGHT)
    bad = replace(good, header=replace(good.header, state_root=OTHER))
    chains[0].get_block = lambda height: (
        bad if height == HEIGHT else type(chains[0]).get_block(chains[0], height)
    )
    assert get_rules(checkers.replay(sim.spec, chains[0], sim.signatures.verify).violations) == ["validity"]


def test_a_weak_certificate_is_seen(sim, chains):
    """One of four signatures makes nothing final, on whatever node it is stored."""
    sets = checkers.replay(sim.spec, chains[0], sim.signatures.verify).sets
    block_hash = chains[2].get_certificate(HEIGHT).block_hash
    weak = build_commit_certificate([sign(sim, 0, VoteKind.PRECOMMIT, block_hash)])
    chains[2].get_certificate = lambda height: (
        weak if height == HEIGHT else type(chains[2]).get_certificate(chains[2], height)
    )
    found = checkers.check_certificates(sim.genesis_hash, chains, sets, sim.signatures.verify)
    assert get_rules(found) == ["certificate"]
    assert "node 2" in found[0].detail


def test_a_changed_value_in_the_state_is_seen(sim, chains):
    """Every value is held against the root."""
    assert checkers.check_roots(chains) == []
    values = sim.machines[1].disk.values
    key, value = next(values.iterate(bytes((Prefix.STATE_VALUE,))))
    values.write_batch([(key, value + b"\0")])
    assert get_rules(checkers.check_roots(sim.open_chains())) == ["state"]


def test_two_roots_of_a_height_are_seen(chains):
    """Nodes of one height must have one state."""
    chains[3].state.head = StateHead(chains[3].height, OTHER)
    chains[3].state.check_integrity = lambda: None
    chains[2].state.head = StateHead(chains[3].height, NO_HASH)
    chains[2].state.check_integrity = lambda: None
    for chain in chains.values():
        chain.height = HEIGHT
    assert "roots" in get_rules(checkers.check_roots(chains))


def test_a_second_signature_in_a_slot_is_seen(sim):
    """Two different votes of an honest key; of a villain's key nobody expects better."""
    honest = [get_validator_keys(number).address for number in range(4)]
    assert checkers.check_signatures(sim.history, honest) == []
    sim.history.note_votes([sign(sim, 2, VoteKind.PREVOTE, OTHER)])
    assert get_rules(checkers.check_signatures(sim.history, honest)) == ["equivocation"]
    assert checkers.check_signatures(sim.history, honest[:2]) == []


def test_who_could_not_know_of_its_signatures_is_excused(sim, chains):
    """After an old disk was put back: only if nothing later on its own chain shows a signature."""
    who = get_validator_keys(2).address
    assert checkers.find_unaware(sim.history, chains, {2: (who, 1)}) == []
    sim.history.note_votes([sign(sim, 2, VoteKind.PREVOTE, OTHER, height=6)])
    assert checkers.find_unaware(sim.history, chains, {2: (who, 1)}) == []
    assert checkers.find_unaware(sim.history, chains, {2: (who, 5)}) == [who]


def test_a_lost_transaction_is_seen(sim, chains):
    """What a node called final must be where it said, on every node."""
    assert sim.history.acknowledged
    assert checkers.check_acknowledged(chains, sim.history) == []
    sim.history.acknowledged[OTHER] = Acknowledgement(0, OTHER, HEIGHT)
    assert get_rules(checkers.check_acknowledged(chains, sim.history)) == ["lost"] * 4


def test_blame_among_the_honest_is_seen(sim):
    """A blame of an honest node is a violation; one of a villain is not."""
    sim.history.blames.append((0, 3, "made up"))
    assert get_rules(checkers.check_blames(sim.history, [0, 1, 2, 3])) == ["blame"]
    assert checkers.check_blames(sim.history, [0, 1, 2]) == []
    sim.history.blames[-1] = (0, 3, f"too early, or {checkers.CLOCK_REASON}")
    assert get_rules(checkers.check_blames(sim.history, [3], [1])) == ["blame"]
    assert checkers.check_blames(sim.history, [3], [0]) == []


def test_too_many_rounds_are_seen(sim):
    """Of heights that end after healing; the first of them may take more."""
    healing = checkers.Healing(height=HEIGHT, next_round_max=7, later_round_max=2)
    finalities = sim.history.finalities
    finalities += [Finality(0, 0, HEIGHT, 9, OTHER), Finality(0, 0, HEIGHT + 1, 7, OTHER)]
    assert checkers.check_rounds(sim.history, healing) == []
    finalities += [Finality(0, 0, HEIGHT + 1, 8, OTHER), Finality(0, 0, HEIGHT + 2, 3, OTHER)]
    assert get_rules(checkers.check_rounds(sim.history, healing)) == ["liveness"] * 2


def fork(sim, chains, signers):
    """Chain 3 has another certificate at HEIGHT, signed by these, who also signed the first one."""
    votes = [sign(sim, number, VoteKind.PRECOMMIT, OTHER) for number in signers]
    sim.history.note_votes(votes)
    chains[3].get_certificate = lambda height: build_commit_certificate(votes)


@pytest.mark.parametrize(("signers", "rules"), [((0,), ["accountability"]), ((0, 1, 2), [])])
def test_a_fork_must_convict_more_than_a_third(sim, chains, signers, rules):
    """A fork for which too few are guilty shows that the protocol itself is broken."""
    members = checkers.replay(sim.spec, chains[0], sim.signatures.verify).sets[HEIGHT]
    fork(sim, chains, signers)
    arguments = chains, sim.history, sim.genesis_hash, members, HEIGHT, sim.signatures.verify
    assert get_rules(checkers.check_accountability(*arguments)) == rules


def test_unpunished_equivocation_is_seen(sim, chains):
    """What a node knew in time must be punished at the end; what it forgot in a crash need not."""
    pair = build_duplicate_vote(sign(sim, 1, VoteKind.PREVOTE, OTHER), sign(sim, 1, VoteKind.PREVOTE, None))
    sim.history.reported.append(Reported(10, 2, pair))
    final = checkers.replay(sim.spec, chains[0], sim.signatures.verify).final
    assert get_rules(checkers.check_evidence_on_chain(sim.history, final, 20, [])) == ["evidence"]
    assert checkers.check_evidence_on_chain(sim.history, final, 5, []) == []
    assert checkers.check_evidence_on_chain(sim.history, final, 20, [2]) == []
