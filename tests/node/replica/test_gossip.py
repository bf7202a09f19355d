"""Consensus gossip of one node under test: what it accepts, relays, requests and keeps."""

from collections.abc import Callable
from typing import Any

import pytest

from chain.block import compute_header_hash
from chain.primitives.codec import encode, replace
from chain.runtime import BlockResult
from chain.transaction import SignedTransaction
from chain.votes import SignedProposal, VoteKind
from consensus.catchup import RoundSummary, ValueSummary, VoteSummary
from consensus.types import Step
from node.replica import gossip
from node.replica.gossip import ASK_MS, ASSEMBLY_MS_MAX, EARLY_VOTES_MAX, FETCH_MS, build_compact
from p2p.wire.messages import (
    BlockTransactions,
    BlockTransactionsWanted,
    BlockWanted,
    CommitMessage,
    CompactProposal,
    PolkaMessage,
    Summary,
    Votes,
    WholeBlock,
)
from tests.node.forge import ALICE, BOB, Forge
from tests.node.replica.gossip_scene import PRECOMMIT, PREVOTE, SEND, Scene


@pytest.fixture
def scene() -> Scene:
    """A node without peers."""
    return Scene()


def get_seen(scene: Scene, kind: VoteKind, round: int = 0) -> int:
    """The number of votes that the node has counted."""
    return len(scene.replica.core.tally.get_votes(kind, round))


# Votes.


def test_a_vote_is_counted_and_passed_on_once(scene: Scene) -> None:
    """A new vote goes to all peers except its sender; a known one is neither counted nor relayed again."""
    one = scene.join(1)
    two = scene.join(2)
    three = scene.join(3)
    vote = scene.forge.vote(scene.forge.people[0], PREVOTE, None)
    one.say(Votes((vote,)))
    two.say(Votes((vote, vote)))
    assert get_seen(scene, PREVOTE) == 1
    assert [one.list_heard(Votes), two.list_heard(Votes), three.list_heard(Votes)] == [
        [],
        [Votes((vote,))],
        [Votes((vote,))],
    ]
    assert (one.score, two.score) == (100, 100)


def test_a_bad_vote_costs_its_sender_and_goes_nowhere(scene: Scene) -> None:
    """A bad signature or a vote of a stranger costs its sender; good votes before it in the message count."""
    people = scene.forge.people
    good = scene.forge.vote(people[0], PREVOTE, None)
    bad = replace(
        scene.forge.vote(people[1], PREVOTE, None),
        signature=scene.forge.vote(people[0], PREVOTE, b"x" * 32).signature,
    )
    stranger = scene.forge.vote(ALICE, PREVOTE, None)
    for number, wrong in enumerate((bad, stranger), start=1):
        liar = scene.join(10 * number)
        other = scene.join(10 * number + 1)
        liar.say(Votes((good, wrong)))
        assert liar.score == 50
        assert other.list_heard(Votes) == ([Votes((good,))] if number == 1 else [])
    assert get_seen(scene, PREVOTE) == 1


def test_votes_of_the_next_height_wait_and_those_beyond_do_not(scene: Scene) -> None:
    """Early votes are kept unverified up to a bound per peer, until their height begins."""
    peer = scene.join(1)
    early = [scene.forge.vote(scene.forge.people[0], PREVOTE, None, round, ahead=2) for round in range(700)]
    far = scene.forge.vote(scene.forge.people[0], PREVOTE, None, ahead=3)
    for start in range(0, 700, 100):
        peer.say(Votes(tuple(early[start : start + 100])))
    peer.say(Votes((far,)))
    kept = scene.gossip._peers[peer.peer_id].early_votes
    assert kept == early[:EARLY_VOTES_MAX]
    assert get_seen(scene, PREVOTE) == 0
    peer.leave()
    assert scene.gossip._peers == {}


def test_what_came_early_counts_when_its_height_comes(scene: Scene) -> None:
    """Votes and the proposal of the next height are used when it begins; a bad one costs its sender then."""
    first = scene.forge.build()
    certificate = scene.forge.certify(first.block_hash)
    ahead = Forge(spec=scene.forge.spec)
    ahead.commit(first)
    second = ahead.build()
    proposal = ahead.propose(ahead.get_proposer(), second.block_hash)
    vote = ahead.vote(ahead.people[0], PREVOTE, None)
    bad = replace(ahead.vote(ahead.people[1], PREVOTE, None), signature=bytes(64))
    one, two = scene.join(1), scene.join(2)
    one.say(build_compact(proposal, second.block), Votes((vote,)))
    two.say(Votes((bad,)))
    assert (one.score, two.score) == (100, 100)
    one.say(CommitMessage(certificate), WholeBlock(1, encode(first.block)))
    assert scene.replica.core.height == 2
    assert get_proposals(scene) == [(second.block_hash, True)]
    assert get_seen(scene, PREVOTE) == 1
    assert (one.score, two.score) == (100, 50)


def test_an_equivocation_is_reported_once(scene: Scene) -> None:
    """The evidence holds the two votes that were seen first."""
    culprit = scene.forge.people[0]
    votes = [scene.forge.vote(culprit, PREVOTE, value) for value in (None, b"x" * 32, b"y" * 32)]
    one = scene.join(1)
    two = scene.join(2)
    one.say(Votes((votes[0],)))
    two.say(Votes(tuple(votes[1:])))
    one.say(Votes(tuple(votes)))
    assert len(scene.reported) == 1
    assert (one.score, two.score) == (100, 100)


# Proposals.


def propose(
    scene: Scene, transactions: tuple[SignedTransaction, ...] = (), **changes: Any
) -> tuple[BlockResult, SignedProposal]:
    """A block of the right proposer, and its proposal."""
    result = scene.forge.build(transactions, **changes)
    proposer = scene.forge.get_proposer()
    return result, scene.forge.propose(proposer, result.block_hash)


def get_proposals(scene: Scene) -> list[tuple[bytes, bool]]:
    """Block and verdict of each proposal that the core has got."""
    received = scene.replica.core.proposals.get(0, ())
    return [(one.signed.proposal.block_hash, one.is_valid) for one in received]


def test_a_block_out_of_the_pool_needs_no_transaction_sent(scene: Scene) -> None:
    """A whole proposal is executed, relayed and given to the core as valid."""
    signed = scene.forge.sign(ALICE, SEND)
    scene.wait_in_pool(signed)
    result, proposal = propose(scene, (signed,))
    compact = build_compact(proposal, result.block)
    one = scene.join(1)
    two = scene.join(2)
    one.say(compact)
    scene.world.wait_until(lambda: get_proposals(scene) == [(result.block_hash, True)])
    assert two.list_heard(CompactProposal) == [compact]
    assert one.list_heard(CompactProposal) == []
    assert one.list_heard(BlockTransactionsWanted) == []


def test_what_lacks_is_asked_of_whoever_announced_it(scene: Scene) -> None:
    """If the first source is silent, the second peer that announced the proposal is asked."""
    signed = [scene.forge.sign(ALICE, SEND, nonce=nonce) for nonce in range(3)]
    scene.wait_in_pool(signed[1])
    result, proposal = propose(scene, tuple(signed))
    compact = build_compact(proposal, result.block)
    missing = (signed[0].id, signed[2].id)
    silent = scene.join(1)
    helpful = scene.join(2)
    silent.say(compact)
    assert silent.list_heard(BlockTransactionsWanted) == [BlockTransactionsWanted(result.block_hash, missing)]
    helpful.say(compact)
    scene.world.wait_until(lambda: bool(helpful.list_heard(BlockTransactionsWanted)))
    helpful.say(BlockTransactions(result.block_hash, (encode(signed[0]),)))
    assert get_proposals(scene) == []
    helpful.say(BlockTransactions(result.block_hash, (encode(signed[2]), encode(signed[0]))))
    scene.world.wait_until(lambda: get_proposals(scene) == [(result.block_hash, True)])


def test_a_block_that_nobody_sends_is_given_up(scene: Scene) -> None:
    """The sources are asked in turn, twice a second, for a bounded time; then it may be announced again."""
    signed = scene.forge.sign(ALICE, SEND)
    result, proposal = propose(scene, (signed,))
    compact = build_compact(proposal, result.block)
    one, two = scene.join(1), scene.join(2)
    one.say(compact)
    two.say(compact)
    scene.world.advance(ASSEMBLY_MS_MAX)
    asked = [len(peer.list_heard(BlockTransactionsWanted)) for peer in (one, two)]
    assert asked == [ASSEMBLY_MS_MAX // ASK_MS // 2] * 2
    assert scene.gossip._assemblies == {}
    two.say(compact)
    assert len(two.list_heard(BlockTransactionsWanted)) == asked[1] + 1


def test_a_transaction_that_was_sent_already_makes_the_node_ask_nobody(scene: Scene) -> None:
    """Answers must not make the node ask the next source at once, or a peer could flood the others."""
    signed = [scene.forge.sign(ALICE, SEND, nonce=nonce) for nonce in range(2)]
    result, proposal = propose(scene, tuple(signed))
    one, two = scene.join(1), scene.join(2)
    one.say(build_compact(proposal, result.block))
    two.say(build_compact(proposal, result.block))
    for _ in range(10):
        one.say(BlockTransactions(result.block_hash, (encode(signed[0]),)))
    assert len(one.list_heard(BlockTransactionsWanted)) == len(two.list_heard(BlockTransactionsWanted)) == 1


Lie = Callable[[Scene, CompactProposal], CompactProposal]


def with_other_key(scene: Scene, compact: CompactProposal) -> CompactProposal:
    other = next(one for one in scene.forge.people if one != scene.forge.get_proposer())
    forged = scene.forge.propose(other, compact.signed.proposal.block_hash)
    return replace(compact, signed=replace(compact.signed, signature=forged.signature))


def out_of_turn(scene: Scene, compact: CompactProposal) -> CompactProposal:
    other = next(one for one in scene.forge.people if one != scene.forge.get_proposer())
    return replace(compact, signed=scene.forge.propose(other, compact.signed.proposal.block_hash))


LIES: dict[str, Lie] = {
    "a signature of somebody else": with_other_key,
    "a validator whose turn it is not": out_of_turn,
    "a header of another block": lambda scene, compact: replace(
        compact, header=encode(replace(scene.forge.build(gap_ms=11).block.header, time_ms=5))
    ),
    "no header": lambda scene, compact: replace(compact, header=b"\x90"),
    "other transactions": lambda scene, compact: replace(compact, transaction_ids=(b"t" * 32,)),
    "other inherents": lambda scene, compact: replace(
        compact, inherents=encode(replace(scene.forge.build().block.inherents, beacon_reveal=None))
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_forged_short_form_costs_its_sender_at_once(scene: Scene, lie: Lie) -> None:
    """Nothing is requested for a forged short form, and the honest form that comes later is accepted."""
    result, proposal = propose(scene)
    compact = build_compact(proposal, result.block)
    liar = scene.join(1)
    honest = scene.join(2)
    liar.say(lie(scene, compact))
    assert liar.score <= 50
    assert scene.gossip._assemblies == {}
    assert honest.list_heard(CompactProposal) == []
    honest.say(compact)
    scene.world.wait_until(lambda: get_proposals(scene) == [(result.block_hash, True)])
    assert honest.score == 100


def test_nobody_proposes_a_new_block_in_anothers_name(scene: Scene) -> None:
    """A proposer that signs a new block naming another proposer is at fault.

    The other would be slashed for the missing reveal. Only a block with an earlier polka may be another's.
    """
    proposer = scene.forge.get_proposer()
    victim = next(one for one in scene.forge.people if one != proposer)
    result = scene.forge.build(by=victim, is_revealing=False)
    peer = scene.join(1)
    peer.say(build_compact(scene.forge.propose(proposer, result.block_hash), result.block))
    assert peer.score == 50
    assert get_proposals(scene) == []
    second = scene.forge.get_proposer(1)
    again = scene.forge.propose(second, result.block_hash, round=1, pol_round=0)
    peer = scene.join(2)
    peer.say(build_compact(again, result.block))
    scene.world.wait_until(lambda: 1 in scene.replica.core.proposals)
    assert peer.score == 100


def test_an_invalid_block_is_handed_to_the_core_as_such(scene: Scene) -> None:
    """An invalid block is the fault of its proposer, not of its sender; the core will prevote nil."""
    result, _ = propose(scene)
    header = replace(result.block.header, state_root=bytes(32))
    block = replace(result.block, header=header)
    block_hash = compute_header_hash(header)
    proposal = scene.forge.propose(scene.forge.get_proposer(), block_hash)
    peer = scene.join(1)
    peer.say(build_compact(proposal, block))
    scene.world.wait_until(lambda: get_proposals(scene) == [(block_hash, False)])
    assert peer.score == 100


def test_an_untimely_block_is_judged_by_when_it_came(scene: Scene) -> None:
    """A block with a time one hour ahead is valid but not timely."""
    result, proposal = propose(scene, gap_ms=3_600_000)
    peer = scene.join(1)
    peer.say(build_compact(proposal, result.block))
    scene.world.wait_until(lambda: bool(get_proposals(scene)))
    [received] = scene.replica.core.proposals[0]
    assert (received.is_valid, received.is_timely) == (True, False)


def test_at_most_two_blocks_of_a_round_are_put_together(scene: Scene) -> None:
    """An equivocating proposer makes the node fetch and execute two blocks at most; the pair is reported."""
    signed = [
        scene.forge.sign(ALICE, SEND),
        scene.forge.sign(BOB, SEND),
        scene.forge.sign(ALICE, SEND, tip=1),
    ]
    results = [scene.forge.build((one,)) for one in signed]
    proposer = scene.forge.get_proposer()
    forms = [build_compact(scene.forge.propose(proposer, one.block_hash), one.block) for one in results]
    peer = scene.join(1)
    peer.say(*forms)
    assert len(scene.gossip._assemblies) == 2
    for result, one in zip(results, signed, strict=True):
        peer.say(BlockTransactions(result.block_hash, (encode(one),)))
    scene.world.wait_until(lambda: len(get_proposals(scene)) == 2)
    peer.say(forms[2])
    assert scene.gossip._assemblies == {}
    assert len(scene.reported) == 1


def test_junk_among_transactions_costs_its_sender(scene: Scene) -> None:
    """Such a transaction is not part of the block; without an open assembly none is decoded."""
    signed = scene.forge.sign(ALICE, SEND)
    result, proposal = propose(scene, (signed,))
    peer = scene.join(1)
    peer.say(BlockTransactions(result.block_hash, (b"junk",)))
    assert peer.score == 100
    peer.say(build_compact(proposal, result.block), BlockTransactions(result.block_hash, (b"junk",)))
    assert peer.score == 50
    assert get_proposals(scene) == []


# Certificates and bodies.


def test_a_commit_for_an_unknown_block_makes_the_node_fetch_it(scene: Scene) -> None:
    """Peers are asked in turn; a forged body costs its sender, and the right one is decided."""
    result, _ = propose(scene)
    one = scene.join(1)
    two = scene.join(2)
    one.say(CommitMessage(scene.forge.certify(result.block_hash)))
    scene.world.wait_until(lambda: bool(one.list_heard(BlockWanted) or two.list_heard(BlockWanted)))
    forged = replace(result.block, transactions=(scene.forge.sign(ALICE, SEND),))
    one.say(WholeBlock(1, encode(forged)))
    assert one.score == 50
    two.say(WholeBlock(1, encode(result.block)))
    scene.world.wait_until(lambda: scene.replica.ledger.height == 1)
    assert scene.replica.ledger.head_hash == result.block_hash


def test_peers_are_asked_for_a_final_block_in_turn(scene: Scene) -> None:
    """One request goes out per second; a block with another hash is nobody's fault."""
    result, _ = propose(scene)
    peers = [scene.join(number) for number in (1, 2, 3)]
    peers[0].say(CommitMessage(scene.forge.certify(result.block_hash)))
    scene.world.advance(5 * FETCH_MS)
    assert [len(peer.list_heard(BlockWanted)) for peer in peers] == [2, 2, 2]
    peers[1].say(WholeBlock(1, encode(scene.forge.build(gap_ms=12).block)))
    assert (scene.replica.ledger.height, peers[1].score) == (0, 100)
    peers[1].say(WholeBlock(1, encode(result.block)))
    assert scene.replica.ledger.height == 1
    scene.world.advance(5 * FETCH_MS)
    assert [len(peer.list_heard(BlockWanted)) for peer in peers] == [2, 2, 2]


def test_bad_certificates_cost_and_good_ones_count_once(scene: Scene) -> None:
    """A certificate below quorum or with a bad signature costs its sender; a second one is ignored."""
    polka = scene.forge.polka(b"p" * 32)
    few = replace(polka, signatures=polka.signatures[:2])
    spoilt = replace(polka.signatures[0], signature=bytes(64))
    bad = replace(polka, signatures=(spoilt, *polka.signatures[1:]))
    for number, wrong in enumerate((few, bad), start=1):
        liar = scene.join(number)
        liar.say(PolkaMessage(wrong))
        assert liar.score == 50
    peer = scene.join(9)
    peer.say(PolkaMessage(polka))
    assert get_seen(scene, PREVOTE) == 4
    peer.say(*[PolkaMessage(replace(polka, signatures=polka.signatures[1:]))] * 3, PolkaMessage(bad))
    assert peer.score == 100, "not looked at"


def test_late_precommits_are_counted_for_the_last_commit(scene: Scene) -> None:
    """Precommits that come after the decision are counted once each, for their validators' pay."""
    result, proposal = propose(scene)
    people = scene.forge.people
    precommits = [scene.forge.vote(one, PRECOMMIT, result.block_hash) for one in people]
    peer = scene.join(1)
    peer.say(build_compact(proposal, result.block), Votes(tuple(precommits[:3])))
    scene.world.wait_until(lambda: scene.replica.ledger.height == 1)
    scene.world.wait_until(lambda: scene.replica.core.height == 2)
    peer.say(Votes((precommits[3],)), Votes((precommits[3],)))
    last = scene.replica.past_cores.get(1)
    assert last is not None
    certificate = last.build_commit_certificate()
    assert certificate is not None and len(certificate.signatures) == 4
    assert scene.replica._get_last_commit() == certificate, "what a block of this node would hold"


def test_bodies_are_sent_to_who_asks_but_not_without_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer cannot make the node send bodies at any rate; unknown blocks get no answer."""
    monkeypatch.setattr(gossip, "BODIES_BYTES_PER_SECOND", 1)
    monkeypatch.setattr(gossip, "BODIES_BURST_BYTES", 4_000)
    signed = scene.forge.sign(ALICE, SEND)
    scene.wait_in_pool(signed)
    result, proposal = propose(scene, (signed,))
    peer = scene.join(1)
    peer.say(build_compact(proposal, result.block))
    scene.world.wait_until(lambda: bool(get_proposals(scene)))
    peer.say(BlockWanted(1, b"x" * 32), BlockTransactionsWanted(b"x" * 32, (bytes(32),)))
    assert not peer.list_heard(WholeBlock) and not peer.list_heard(BlockTransactions)
    wanted = BlockTransactionsWanted(result.block_hash, (signed.id, bytes(32)))
    peer.say(wanted)
    assert peer.list_heard(BlockTransactions) == [BlockTransactions(result.block_hash, (encode(signed),))]
    for _ in range(20):
        peer.say(BlockWanted(1, result.block_hash))
    sent = peer.list_heard(WholeBlock)
    assert sent[0] == WholeBlock(1, encode(result.block))
    assert len(sent) <= 4_000 // len(sent[0].block)


# Summaries.


def test_summaries_heal_what_was_lost(scene: Scene) -> None:
    """A peer that knows nothing of the height gets the proposal and all votes; later the certificate."""
    result, proposal = propose(scene)
    votes = tuple(scene.forge.vote(one, PREVOTE, result.block_hash) for one in scene.forge.people[:2])
    compact = build_compact(proposal, result.block)
    one = scene.join(1)
    two = scene.join(2)
    one.say(compact, Votes(votes))
    scene.world.wait_until(lambda: bool(get_proposals(scene)))
    two.forget()
    two.say(Summary(encode(VoteSummary(1, 0, Step.PROPOSE, ()))))
    assert two.list_heard(CompactProposal) == [compact]
    assert [set(message.votes) for message in two.list_heard(Votes)] == [set(votes)]
    precommits = (scene.forge.vote(one_, PRECOMMIT, result.block_hash) for one_ in scene.forge.people)
    one.say(Votes(tuple(precommits)))
    scene.world.wait_until(lambda: scene.replica.core.height == 2)
    two.forget()
    two.say(Summary(encode(VoteSummary(1, 0, Step.PROPOSE, ()))))
    [commit] = two.list_heard(CommitMessage)
    assert commit.certificate == scene.replica.ledger.get_certificate(1)


def test_a_summary_that_does_not_fit_costs_its_sender(scene: Scene) -> None:
    """A summary that is malformed, with too many bits (ASA-2025-003) or unordered rounds costs its sender."""
    bits = RoundSummary(0, (), (ValueSummary(PREVOTE, None, b"\xff\xff"),))
    rounds = (RoundSummary(1, (), ()), RoundSummary(0, (), ()))
    wrong = (
        b"\xc1",
        encode(VoteSummary(1, 0, Step.PROPOSE, (bits,))),
        encode(VoteSummary(1, 0, Step.PROPOSE, rounds)),
    )
    for number, data in enumerate(wrong, start=1):
        liar = scene.join(number)
        liar.say(Summary(data))
        assert liar.score == 50


def test_a_height_far_ahead_is_looked_into_and_nothing_else(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim to be two or more heights ahead requests a check; one height is closed by gossip itself."""
    claims: list[None] = []
    monkeypatch.setattr(scene.replica, "note_behind", lambda: claims.append(None))
    peer = scene.join(1)
    peer.say(Summary(encode(VoteSummary(2, 0, Step.PROPOSE, ()))))
    assert claims == []
    peer.say(Summary(encode(VoteSummary(10**9, 0, Step.PROPOSE, ()))))
    assert claims == [None]
    assert peer.score == 100
    assert scene.replica.core.height == 1
