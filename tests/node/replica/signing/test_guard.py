"""The guard: the signatures of its key that it sees decide whether the node may sign."""

import pytest

from chain.primitives.keys import KeyPair
from chain.primitives.types import Height
from chain.votes import CertificateSignature, CommitCertificate, Proposal, Vote, VoteKind
from node.replica.signing.guard import BeginWatch, EndWatch, Guard, Phase, get_slot, list_own_votes
from storage.sign_state import Hold, SignState

KEY = KeyPair(bytes(32)).public_key
ME, OTHER = b"m" * 32, b"o" * 32
BLOCK, OTHER_BLOCK = b"b" * 32, b"c" * 32
WATCH = 5
HEAD = 100
"""The head when the node has caught up."""


def _vote(height: Height, block: bytes | None = BLOCK, kind: VoteKind = VoteKind.PRECOMMIT) -> Vote:
    return Vote(kind, height, 0, block, ME)


def _build(
    height: Height, *, hold: Hold = Hold.NONE, log_height: Height | None = None, logged: tuple[Vote, ...] = ()
) -> Guard:
    """A guard over a sign-state with a precommit at `height` as its last signature; 0: none."""
    state = SignState(1, KEY, height, 0, 3 if height else 0, None, hold)
    log_height = height if log_height is None else log_height
    return Guard(ME, state, log_height=log_height, logged=logged, watch_heights=WATCH)


def _watch_out(guard: Guard, first: Height = HEAD + 1) -> list[Height]:
    """The heights that become final, with no signature of ours, until the guard lets the node sign."""
    heights = []
    for height in range(first, first + 10 * WATCH):
        heights.append(height)
        if guard.on_final(height, ()) is not None:
            break
    return heights


def _start(height: Height = HEAD) -> Guard:
    """A guard after a normal restart."""
    guard = _build(height)
    assert guard.on_caught_up(HEAD, [_vote(HEAD)], is_whole=False) is None
    return guard


def test_nothing_is_signed_before_the_first_sync() -> None:
    """Nothing is signed before the first sync; afterwards a consistent sign-state signs at once."""
    guard = _build(HEAD)
    assert guard.phase is Phase.STARTING and not guard.may_sign(HEAD + 1)
    assert guard.on_caught_up(HEAD, [_vote(HEAD), _vote(HEAD - 1)], is_whole=False) is None
    assert guard.may_sign(HEAD + 1)


def test_validator_that_was_away_signs_at_once() -> None:
    """A sign-state far below the chain is no old copy if none of the newest heights was signed elsewhere."""
    guard = _build(HEAD - 50)
    assert guard.on_caught_up(HEAD, [], is_whole=False) is None
    assert guard.may_sign(HEAD + 1)


@pytest.mark.parametrize("found", [HEAD - WATCH + 1, HEAD, HEAD + 1])
def test_restored_backup_watches(found: Height) -> None:
    """Own signatures above the sign-state raise it, and WATCH heights must pass before the next one."""
    guard = _build(HEAD - 10)
    change = guard.on_caught_up(HEAD, [_vote(HEAD - 12), _vote(found)], is_whole=False)
    assert change == BeginWatch((found, 0, 3)) and not guard.may_sign(HEAD + 1)
    heights = _watch_out(guard)
    assert heights[-1] == max(found, HEAD) + WATCH and guard.may_sign(heights[-1] + 1)


def test_log_newer_than_the_sign_state_watches() -> None:
    """A sign-state restored without its log is an old copy, even if the chain shows no signature."""
    guard = _build(HEAD - 10, log_height=HEAD + 1, logged=(_vote(HEAD + 1),))
    assert guard.on_caught_up(HEAD, [], is_whole=False) == BeginWatch((HEAD + 1, 0, 3))
    assert not guard.may_sign(HEAD + 1)


def test_synced_blocks_count_like_a_sync() -> None:
    """Own signatures in blocks that a sync brings are found, also those far below the head."""
    guard = _build(HEAD - 50)
    for height in range(HEAD - 49, HEAD + 1):
        assert guard.on_final(height, [_vote(height)] if height < HEAD - 20 else []) is None
    assert guard.on_caught_up(HEAD, [], is_whole=False) == BeginWatch((HEAD - 21, 0, 3))


def test_key_new_to_its_folder_watches() -> None:
    """An empty sign-state signs nothing until WATCH heights have passed, on chain or not."""
    for own in ([], [_vote(HEAD - 1)]):
        guard = _build(0)
        change = guard.on_caught_up(HEAD, own, is_whole=False)
        assert isinstance(change, BeginWatch) and guard.phase is Phase.WATCHING
        assert _watch_out(guard)[-1] == HEAD + WATCH and guard.may_sign(HEAD + WATCH + 1)


@pytest.mark.parametrize("head", [0, WATCH])
def test_no_watch_where_the_whole_chain_is_in_sight(head: Height) -> None:
    """At genesis, and on a chain shorter than a watch without the key, it signs at once."""
    guard = _build(0)
    assert guard.on_caught_up(head, [], is_whole=True) is None and guard.may_sign(head + 1)
    copied = _build(0)
    assert copied.on_caught_up(head, [_vote(1)], is_whole=True) is not None and not copied.may_sign(head + 1)


def test_watch_begins_again_with_each_foreign_signature() -> None:
    """While the key signs elsewhere, on chain or on the wire, the copy never signs."""
    guard = _build(0)
    guard.on_caught_up(HEAD, [], is_whole=False)
    for height in range(HEAD + 1, HEAD + 20):
        assert guard.on_final(height, [_vote(height)]) == BeginWatch((height, 0, 3))
        assert guard.on_received(_vote(height + 1, None, VoteKind.PREVOTE)) == BeginWatch((height + 1, 0, 2))
        assert not guard.may_sign(height + 1)
    heights = _watch_out(guard, HEAD + 20)
    assert heights[-1] == HEAD + 20 + WATCH and guard.may_sign(heights[-1] + 1)


def test_watch_outlasts_a_restart() -> None:
    """A watch that was stored in the sign-state begins again after a restart."""
    guard = _build(HEAD, hold=Hold.WATCHING)
    assert guard.on_caught_up(HEAD, [_vote(HEAD)], is_whole=False) == BeginWatch((HEAD, 0, 3))
    assert _watch_out(guard)[-1] == HEAD + WATCH


def test_end_of_the_watch_is_ordered_once() -> None:
    """The watch ends once, by one change of the sign-state; later blocks change nothing."""
    guard = _build(0)
    guard.on_caught_up(HEAD, [], is_whole=False)
    orders = [guard.on_final(height, ()) for height in range(HEAD + 1, HEAD + 2 * WATCH)]
    assert orders == [None] * (WATCH - 1) + [EndWatch()] + [None] * (WATCH - 1)


def test_another_process_stops_signing_for_good() -> None:
    """An own vote of the wire that was not made here stops the node until a restart, which watches."""
    guard = _start()
    assert guard.on_received(_vote(HEAD + 1)) == BeginWatch((HEAD + 1, 0, 3))
    assert guard.phase is Phase.STOPPED and not guard.may_sign(HEAD + 1)
    for height in range(HEAD + 1, HEAD + 3 * WATCH):
        assert guard.on_final(height, ()) is None and not guard.may_sign(height + 1)
    assert guard.on_caught_up(HEAD + 50, [], is_whole=False) is None and guard.phase is Phase.STOPPED


def test_second_message_of_an_own_slot_is_foreign() -> None:
    """The slot alone does not make a message ours: another block in it was signed by somebody else."""
    guard = _start()
    guard.note_made(_vote(HEAD + 1))
    assert guard.on_received(_vote(HEAD + 1)) is None and guard.may_sign(HEAD + 1)
    assert guard.on_received(_vote(HEAD + 1, OTHER_BLOCK)) is not None and guard.phase is Phase.STOPPED


def test_foreign_proposal_is_noticed() -> None:
    """A foreign proposal of our key counts like a foreign vote."""
    guard = _start()
    proposal = Proposal(HEAD + 1, 0, BLOCK, None, ME)
    assert guard.on_received(proposal) == BeginWatch((HEAD + 1, 0, 1)) and guard.phase is Phase.STOPPED


def test_own_messages_from_before_the_start_are_no_news() -> None:
    """Own messages of before a crash that peers send back are not foreign."""
    guard = _start(HEAD + 1)
    for kind in VoteKind:
        assert guard.on_received(_vote(HEAD + 1, kind=kind)) is None
    assert guard.phase is Phase.SIGNING


def test_own_signatures_in_blocks_are_no_news() -> None:
    """Messages of this process that come back in later certificates are not foreign."""
    guard = _start()
    for height in range(HEAD + 1, HEAD + 50):
        guard.note_made(_vote(height))
        assert guard.on_final(height, [_vote(height), _vote(height - 1)][: height - HEAD]) is None
    recent = [_vote(height) for height in range(HEAD + 50 - WATCH, HEAD + 50)]
    assert guard.on_caught_up(HEAD + 49, recent, is_whole=False) is None
    assert guard.phase is Phase.SIGNING


def test_late_foreign_vote_after_a_watch_is_no_news() -> None:
    """Foreign messages of the time of the watch do not stop a node whose watch is over."""
    guard = _build(0)
    guard.on_caught_up(HEAD, [], is_whole=False)
    last = _watch_out(guard)[-1]
    assert guard.on_received(_vote(last)) is None and guard.phase is Phase.SIGNING
    assert guard.on_received(_vote(last + 1)) is not None


def test_height_whose_log_is_gone_is_not_signed() -> None:
    """Without its log a lock may be forgotten: the height is not signed, the next one is."""
    guard = _build(HEAD + 1, log_height=0)
    assert guard.on_caught_up(HEAD, [_vote(HEAD)], is_whole=False) is None
    assert not guard.may_sign(HEAD + 1) and guard.may_sign(HEAD + 2)


@pytest.mark.parametrize(("kinds", "is_cut"), [((), True), ((1,), True), ((1, 2), False)])
def test_height_whose_log_has_lost_its_end_is_not_signed(kinds: tuple[int, ...], is_cut: bool) -> None:
    """If the log does not lead to the sign-state's last signature, the log is cut short."""
    guard = _build(HEAD + 1)
    assert guard.on_caught_up(HEAD, [_vote(HEAD)], is_whole=False) is None
    asked = [_vote(HEAD + 1, kind=VoteKind(kind)) for kind in kinds]
    assert guard.is_cut(HEAD + 1, asked) is is_cut
    assert guard.may_sign(HEAD + 1) is not is_cut and guard.may_sign(HEAD + 2)


def test_what_the_log_says_of_own_messages_counts_as_logged() -> None:
    """A sign-state that was raised by the log itself is not ahead of it."""
    guard = _build(HEAD + 1, logged=(_vote(HEAD + 1),))
    assert guard.on_caught_up(HEAD, [_vote(HEAD)], is_whole=False) is None
    assert not guard.is_cut(HEAD + 1, [])


def test_own_votes_are_found_in_certificates() -> None:
    """Of a certificate only the own precommit counts, with its round and block."""
    signatures = tuple(CertificateSignature(who, bytes(64)) for who in (ME, OTHER))
    certificate = CommitCertificate(7, 2, BLOCK, signatures)
    assert list_own_votes(ME, [None, certificate]) == [Vote(VoteKind.PRECOMMIT, 7, 2, BLOCK, ME)]
    assert get_slot(_vote(7)) == (7, 0, 3)
