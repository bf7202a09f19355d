"""The signer: a consensus key that never signs two things in one slot.

Each signature is recorded durably by `storage.sign_state` before it leaves. Blocking (an fsync per
signature): call it in a thread.
"""

from chain.primitives.keys import KeyPair
from chain.primitives.types import Address, Hash
from chain.votes import (
    Proposal,
    SignedProposal,
    SignedVote,
    Vote,
    VoteKind,
    get_proposal_signing_bytes,
    get_vote_signing_bytes,
)
from storage.sign_state import LastSignState, SignStep

_STEP_OF = {VoteKind.PREVOTE: SignStep.PREVOTE, VoteKind.PRECOMMIT: SignStep.PRECOMMIT}


class Signer:
    """Signs for the validator `address`; raises DoubleSignRefused for a second message of a slot."""

    def __init__(self, address: Address, key: KeyPair, state: LastSignState, genesis_hash: Hash) -> None:
        self.address = address
        self._key = key
        self._state = state
        self._genesis_hash = genesis_hash

    def sign_vote(self, vote: Vote) -> SignedVote:
        """The vote with its signature, old or new."""
        message = get_vote_signing_bytes(self._genesis_hash, vote)
        step = _STEP_OF[vote.kind]
        return SignedVote(
            vote, self._state.check_and_record(vote.height, vote.round, step, message, self._key.sign)
        )

    def sign_proposal(self, proposal: Proposal) -> SignedProposal:
        """The proposal with its signature, old or new."""
        message = get_proposal_signing_bytes(self._genesis_hash, proposal)
        slot = (proposal.height, proposal.round, SignStep.PROPOSAL)
        return SignedProposal(proposal, self._state.check_and_record(*slot, message, self._key.sign))

    def note_signed(self, message: Vote | Proposal) -> None:
        """This was signed once, says the log or the chain: nothing at or below its slot is signed from now
        on, unless the sign-state knows better.
        """
        step = _STEP_OF[message.kind] if isinstance(message, Vote) else SignStep.PROPOSAL
        self._state.raise_to(message.height, message.round, step)
