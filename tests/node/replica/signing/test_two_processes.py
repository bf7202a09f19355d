"""Two processes with one key and one history: each sees the other's messages, and neither goes on."""

from node.replica.signing.guard import Phase
from storage.sign_state import Hold, LastSignState
from tests.node.forge import Forge
from tests.node.validator_rig import PREVOTE, SIGN_STATE, Rig


def build_copies() -> tuple[Rig, Rig]:
    """The proposer of round 0, twice; the clocks differ, and so do the blocks that they build."""
    forge = Forge(4)
    me = forge.people.index(forge.get_proposer())
    original, copy = Rig(forge, me), Rig(forge, me)
    copy.world.wall_ms += 1_000
    return original, copy


def get_phase(rig: Rig) -> Phase:
    guard = rig.replica.policy.guard
    assert guard is not None
    return guard.phase


def deliver_proposal(sender: Rig, receiver: Rig) -> None:
    """The sender's proposal and its block reach the receiver."""
    [signed] = [one for one in sender.wire if hasattr(one, "proposal")]
    receiver.receive_proposal(signed, sender.replica.candidates[signed.proposal.block_hash])
    receiver.world.settle()


def sign_further(rig: Rig) -> None:
    """Whatever would make the validator sign."""
    others = [one for one in rig.forge.people if one != rig.person]
    rig.receive(*(rig.forge.vote(one, PREVOTE, None, round=1) for one in others))
    rig.world.advance(1_000)


def test_two_processes_with_one_history_stop() -> None:
    """A proposal of the own key that was not made here stops each of them, before and after a restart."""
    original, copy = build_copies()

    def meet(_: Rig) -> None:
        for rig in (original, copy):
            rig.wait_for_start()
            rig.world.settle()
            assert get_phase(rig) is Phase.SIGNING
        deliver_proposal(original, copy)
        deliver_proposal(copy, original)
        for rig in (original, copy):
            assert get_phase(rig) is Phase.STOPPED
            before = len(rig.wire)
            sign_further(rig)
            assert len(rig.wire) == before

    assert original.run(lambda _: copy.run(meet) or None)
    for rig in (original, copy):
        rig.restart(keeps_unsynced=False)
        state = LastSignState.load(SIGN_STATE, rig.key.public_key, files=rig.disk)
        assert state.state.hold is Hold.WATCHING
        state.close()
        assert rig.run(lambda rig: rig.wait_for_start())
        assert get_phase(rig) is Phase.WATCHING


def test_the_same_message_of_the_other_process_stops_nobody() -> None:
    """A vote that both processes signed alike is no second message in its slot."""
    original, _ = build_copies()

    def receive_own(rig: Rig) -> None:
        rig.wait_for_start()
        rig.world.settle()
        votes = [one for one in rig.wire if hasattr(one, "vote")]
        rig.receive(*votes)
        rig.world.settle()
        assert votes and get_phase(rig) is Phase.SIGNING

    assert original.run(receive_own)
